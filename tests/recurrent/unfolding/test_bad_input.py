"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence as pack_sequence_of_torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.unfolding import layers, packing, scratch
from dlbook_lib.recurrent.unfolding.layers import (
    TDNN,
    RNNCell,
    RNNCellBase,
    TimeDelay,
    VanillaRNN,
)
from dlbook_lib.recurrent.unfolding.packing import (
    PackedSequence,
    as_lengths,
    masked_loss,
    masked_loss_backward,
    pack_padded_sequence,
    pack_sequence,
    packed_places,
    pad_packed_sequence,
    put_steps,
    put_steps_backward,
    ragged_batch,
    take_steps,
    take_steps_backward,
)
from dlbook_lib.recurrent.unfolding.scratch import (
    add_binary,
    as_values,
    channels_first,
    check_cell,
    gradient_by_lag,
    rnn_cell,
    rnn_cell_backward,
    state_slope,
    time_delay,
    time_delay_backward,
    unroll,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Reduction,
    Several,
    Whole,
    Wholes,
    not_described,
    refuses,
)

RNG = numpy_generator(0)
NO_RNG = {"rng": Given(RNG)}
FLAG, KIND = Choice(False, True), Choice("tanh", "relu")
CELL = {"input": Floats("N", "D"), "hx": Floats("N", "H")}
CELL |= {"w_ih": Floats("H", "D"), "w_hh": Floats("H", "H")}
CELL |= {"b_ih": Floats("H"), "b_hh": Floats("H")}
PLACES = {"first": Given(np.array([1, 0])), "second": Given(np.array([0, 0]))}
PLACED = Floats(2, 1, skip=("one longer", "at the end"))
PARTS = Several(
    Floats("T", 2), Floats("S", 2), skip=("length 1", "one longer", "one too")
)
for part in PARTS.arguments:
    part.skip = ("axis 0", "axis 1 is", "reverse", "missing", "at the end")
WINDOW = {
    "weight": Floats("out", "in", 2, skip=("axis 2",)),
    "bias": Floats("out", optional=True),
}
TIMES = Floats(5, "N", "in", skip=("axis 0", "axis 1 "))
MASK = Given(np.ones((3, 2), bool))
SIZES = {"input_size": Whole(), "hidden_size": Whole()}
PACKED = PackedSequence(np.ones(3), np.array([2, 1]))
STEPS = Floats("T", "N", 2, skip=("axis 0", "axis 1", "one axis more", "missing"))
CALLS = [
    Call(take_steps, input=PLACED, **PLACES),
    Call(take_steps_backward, dy=Floats(2), input=PLACED, **PLACES),
    Call(
        put_steps,
        data=Floats(2, skip=("at the end",)),
        **PLACES,
        shape=Given((2, 1)),
        value=Number(),
    ),
    Call(
        put_steps_backward,
        dy=Floats(2, 1),
        data=Floats(2),
        **PLACES,
        shape=Given((2, 1)),
        value=Number(),
    ),
    Call(ragged_batch, sequences=PARTS, batch_first=FLAG, padding_value=Number()),
    Call(masked_loss, input=Floats(3, 2), mask=MASK, reduction=Reduction()),
    Call(
        masked_loss_backward,
        dy=Number(skip=("None",)),
        input=Floats(3, 2),
        mask=MASK,
        reduction=Given("mean"),
    ),
    Call(
        pack_padded_sequence,
        input=Floats(
            3, 2, "D", skip=("axis 0 is one", "missing", "at the end", "reverse")
        ),
        lengths=Given([3, 1]),
        batch_first=Choice(False),
        enforce_sorted=FLAG,
    ),
    Call(pack_sequence, sequences=PARTS, enforce_sorted=Choice(False)),
    Call(
        pad_packed_sequence,
        sequence=Given(PACKED),
        batch_first=FLAG,
        padding_value=Number(),
        total_length=Whole(2, skip=("None",)),
    ),
    Call(channels_first, input=TIMES, weight=WINDOW["weight"], dilation=Whole()),
    Call(time_delay, input=TIMES, **WINDOW, dilation=Given(1)),
    Call(
        time_delay_backward,
        dy=Floats(4, "N", "out"),
        input=Floats(5, "N", "in"),
        **WINDOW,
    ),
    Call(
        TimeDelay,
        in_features=Whole(),
        out_features=Whole(),
        kernel_size=Whole(),
        dilation=Whole(),
        **NO_RNG,
    ),
    Call(TDNN, sizes=Wholes(3), kernel_sizes=Wholes(2), **NO_RNG),
    Call(as_values, x=Floats(...), name=Given("x")),
    Call(check_cell, **CELL),
    Call(rnn_cell, **CELL, nonlinearity=KIND),
    Call(rnn_cell_backward, dy=Floats("N", "H"), **CELL, nonlinearity=KIND),
    Call(state_slope, h=Floats(...), nonlinearity=KIND),
    Call(RNNCellBase, **SIZES, bias=FLAG, **NO_RNG),
    Call(RNNCell, **SIZES, bias=FLAG, nonlinearity=KIND, **NO_RNG),
    Call(RNNCell(2, 3, rng=RNG).forward, input=Floats("N", 2, skip=("missing",))),
    Call(unroll, cell=Given(RNNCell(2, 3, rng=RNG)), input=STEPS),
    Call(
        VanillaRNN,
        **SIZES,
        output_size=Whole(),
        pattern=Choice(*layers.PATTERNS),
        **NO_RNG,
    ),
    Call(
        VanillaRNN(2, 3, 1, rng=RNG).forward, input=Floats("T", "N", 2), steps=Whole()
    ),
    Call(add_binary, a=Whole(0), b=Whole(0)),
    Call(
        gradient_by_lag,
        states=Floats("T", "H"),
        w_ih=Floats("H", "D"),
        w_hh=Floats("H", "H"),
        nonlinearity=KIND,
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    rest = {"PackedSequence", "as_lengths", "as_places", "packed_places"}
    assert not_described(packing, CALLS) == rest
    assert not_described(scratch, CALLS) == {"binary_adder"}
    assert not_described(layers, CALLS) == set()


X = np.ones((3, 2))
BAD_CALLS = [
    (lambda: as_lengths([3, 4], 3), "as_lengths: lengths must lie between 1 and 3"),
    (lambda: as_lengths([[1]], 3), "as_lengths: lengths has shape"),
    (lambda: as_lengths([1.0], 3), "as_lengths: lengths must hold integer"),
    (lambda: packed_places([1, 2]), "packed_places: batch_sizes must be .* never rise"),
    (lambda: pack_padded_sequence(X, [1, 2]), "lengths .* must not rise; pass enforce"),
    (lambda: pack_padded_sequence(X, [1]), "as_lengths: lengths has shape"),
    (lambda: pack_padded_sequence(X[0], [1]), "pack_padded_sequence: input must be"),
    (lambda: pad_packed_sequence(X), "pad_packed_sequence: sequence must be a Packed"),
    (lambda: pad_packed_sequence(PACKED, False, 0.0, 1), "total_length is 1 but there"),
    (lambda: ragged_batch([]), "ragged_batch: sequences must be a list"),
    (lambda: ragged_batch([X, X[:, :1]]), r"ragged_batch: sequences\[1\] has shape"),
    (lambda: masked_loss(X, X), "masked_loss: mask must hold booleans"),
    (
        lambda: masked_loss_backward([1.0], X, X > 0, "none"),
        "masked_loss_backward: dy has shape",
    ),
    (lambda: masked_loss(X, X > 1), "masked_loss: there is no mean of an empty"),
    (lambda: TDNN([2, 3], [2, 2], rng=RNG), "TDNN: sizes .* need 1 kernel_sizes"),
    (lambda: TDNN([2, 3], [2], 3, rng=RNG), "TDNN: dilations must be a list"),
    (lambda: put_steps(X[0], [0], [0], 3), "as_places: places need two axes at least"),
    (
        lambda: pad_packed_sequence(pack_sequence_of_torch([torch.ones(3)])),
        "a PackedSequence of this book, not .*torch",
    ),
    (
        lambda: time_delay(np.ones((2, 9, 3)), np.ones((1, 3, 4))),
        "channels_first: input .* has 2 steps but a window spans 4",
    ),
    (
        lambda: time_delay(np.ones((9, 2, 3)), np.ones((1, 4, 3))),
        "channels_first: input .* must be .T, N, in. and weight .* .out, in, k.",
    ),
    (lambda: rnn_cell(X, X, X[:2], X[:2], X[0]), "check_cell: give both b_ih and b_hh"),
    (lambda: VanillaRNN(1, 2, 1, "one to one", rng=RNG), "VanillaRNN: pattern must be"),
    (lambda: add_binary(-1, 2), "add_binary: a must be a whole number above 0 or 0"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
