"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.gated_units import layers, scratch
from dlbook_lib.recurrent.gated_units.layers import (
    GRU,
    LSTM,
    UGRNN,
    GRUCell,
    LSTMCell,
    UGRNNCell,
    param_ratio,
    set_forget_bias,
)
from dlbook_lib.recurrent.gated_units.scratch import (
    direct_path,
    gate,
    gate_backward,
    gate_scores,
    gru,
    gru_backward,
    gru_cell,
    gru_cell_backward,
    gru_gates,
    lstm,
    lstm_backward,
    lstm_cell,
    lstm_cell_backward,
    lstm_gates,
    over_time,
    over_time_backward,
    quote_tracker,
    track_quotes,
    ugrnn,
    ugrnn_backward,
    ugrnn_cell,
    ugrnn_cell_backward,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)

D, H = 3, 2
RNG = Given(numpy_generator(0))
X, STATE, PAIR = Floats("N", D), Floats("N", H), Floats(2, "N", H)
STEPS = Floats("T", "N", D)


def weights(gates):
    rows = gates * H
    bias = Floats(rows)
    return {
        "w_ih": Floats(rows, D),
        "w_hh": Floats(rows, H),
        "b_ih": bias,
        "b_hh": bias,
    }


RESET = Choice("after", "before")
LOOK = {"peephole": Floats(3, H, optional=True), "forget": Given(True)}
BLIND = {"forget": Choice(True, skip=("False",))}
SIZES = {"input_size": Whole(), "hidden_size": Whole(), "bias": Choice(True, False)}
LAYERS = SIZES | {
    "num_layers": Whole(),
    "batch_first": Choice(True, False),
    "dropout": Number(0, 1),
    "bidirectional": Choice(True, False),
    "rng": RNG,
}
CALLS = [
    Call(gate_scores, input=X, hx=STATE, **weights(3), gates=Given(3)),
    Call(gate, input=X, hx=STATE, **weights(1)),
    Call(gate_backward, dy=STATE, input=X, hx=STATE, **weights(1)),
    Call(ugrnn_cell, input=X, hx=STATE, **weights(2)),
    Call(ugrnn_cell_backward, dy=STATE, input=X, hx=STATE, **weights(2)),
    Call(gru_gates, input=X, hx=STATE, **weights(3), reset=RESET),
    Call(gru_cell, input=X, hx=STATE, **weights(3), reset=RESET),
    Call(gru_cell_backward, dy=STATE, input=X, hx=STATE, **weights(3), reset=RESET),
    Call(lstm_gates, input=X, hx=PAIR, **weights(4), **LOOK),
    Call(lstm_cell, input=X, hx=PAIR, **weights(4), **LOOK),
    Call(lstm_cell, input=X, hx=PAIR, **weights(4), **BLIND),
    Call(lstm_cell_backward, dy=PAIR, input=X, hx=PAIR, **weights(4), **LOOK),
    Call(ugrnn, input=STEPS, hx=STATE, **weights(2)),
    Call(
        ugrnn_backward,
        dy=Floats("T", "N", H),
        input=STEPS,
        hx=STATE,
        **weights(2),
    ),
    Call(gru, input=STEPS, hx=STATE, **weights(3), reset=RESET),
    Call(
        gru_backward,
        dy=Floats("T", "N", H),
        input=STEPS,
        hx=STATE,
        **weights(3),
        reset=RESET,
    ),
    Call(lstm, input=STEPS, hx=PAIR, **weights(4), **LOOK),
    Call(
        lstm_backward,
        dy=Floats("T", 2, "N", H),
        input=STEPS,
        hx=PAIR,
        **weights(4),
        **LOOK,
    ),
    Call(direct_path, f=Floats(...)),
    Call(quote_tracker, strength=Positive()),
    Call(track_quotes, text=Given('a "b"'), strength=Positive()),
    Call(UGRNNCell, **SIZES, rng=RNG),
    Call(GRUCell, **SIZES, reset=RESET, rng=RNG),
    Call(
        LSTMCell,
        **SIZES | {"bias": Given(True)},
        peephole=Choice(True, False),
        forget=Given(True),
        forget_bias=Number(skip=("None",)),
        rng=RNG,
    ),
    Call(UGRNN, **LAYERS),
    Call(GRU, **LAYERS),
    Call(LSTM, **LAYERS | {"bias": Given(True)}, forget_bias=Number(skip=("None",))),
    Call(
        set_forget_bias,
        module=Given(LSTM(2, 2, rng=numpy_generator(0))),
        value=Number(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {"over_time", "over_time_backward"}
    assert not_described(layers, CALLS) == {"param_ratio"}


W = np.ones((4, 1)), np.ones((4, 1))
ONE, HX = np.ones((3, 1, 1)), np.ones((2, 1, 1))
NARROW = LSTM(1, 2, proj_size=1, rng=numpy_generator(0))
GRU_NET, LSTM_NET = (kind(2, 2, rng=numpy_generator(0)) for kind in (GRU, LSTM))
CELL = LSTMCell(1, 1, rng=numpy_generator(0))
BAD_CALLS = [
    (lambda: over_time(lstm_cell, ONE[:0], HX, *W), "over_time: input .* one step"),
    (lambda: over_time(lstm_cell, ONE[0, 0], HX, *W), "over_time: input "),
    (lambda: over_time(np.tanh, ONE, HX, *W), "over_time: cell must be ugrnn_cell"),
    (lambda: over_time_backward(ONE, abs, ONE, HX), "over_time: cell must be"),
    (
        lambda: over_time_backward(ONE, lstm_cell, ONE, HX, *W),
        "over_time_backward: dy has shape",
    ),
    (lambda: param_ratio(3), "param_ratio: 3 is no Module"),
    (lambda: param_ratio(), "param_ratio: the first module"),
    (lambda: set_forget_bias(GRU_NET), "set_forget_bias: module must be an LSTM"),
    (lambda: set_forget_bias(None), "set_forget_bias: module must be an LSTM"),
    (
        lambda: LSTMCell(1, 1, forget=False, forget_bias=1.0, rng=numpy_generator(0)),
        "set_forget_bias: module must be an LSTM or LSTMCell with forget gates",
    ),
    (
        lambda: LSTM(1, 1, bias=False, forget_bias=1.0, rng=numpy_generator(0)),
        "set_forget_bias: .* has no biases",
    ),
    (lambda: LSTMCell(1, 1, peephole=1, rng=numpy_generator(0)), "LSTMCell: peephole"),
    (lambda: LSTMCell(1, 1, forget=0, rng=numpy_generator(0)), "LSTMCell: forget"),
    (lambda: CELL(ONE[0], (ONE[0],)), "LSTMCell.forward: hx must be a tuple"),
    (lambda: CELL(ONE[0], (ONE[0], ONE[0, 0])), "LSTMCell.forward: h has shape"),
    (lambda: CELL(ONE[0], 3.0), "LSTMCell.forward: hx must be a tuple"),
    (lambda: LSTM_NET(ONE), "features"),
    (lambda: LSTM(1, 2, proj_size=2, rng=numpy_generator(0)), "below hidden_size, 2"),
    (lambda: LSTM(1, 2, proj_size=-1, rng=numpy_generator(0)), "proj_size must be"),
    (lambda: NARROW(ONE, (HX, HX)), r"h_0 has shape .* must have \(1, 1, 1\)"),
    (lambda: LSTM_NET(np.ones((3, 1, 2)), HX), "hx must be a tuple"),
    (lambda: lstm_cell(ONE[0], HX[0], *W), "lstm_gates: hx .* pair of h and c"),
    (lambda: lstm_cell(ONE[0], (HX[0], HX[0, 0]), *W), "rows have different lengths"),
    (lambda: track_quotes("", 3.0), "track_quotes: text must be letters"),
    (lambda: track_quotes(3), "track_quotes: text must be letters"),
    (lambda: gate_scores(ONE[0], HX[0], *W, gates=2.0), "gate_scores: gates must be"),
    (lambda: gate_scores(ONE[0], HX[0], *W, gates=3), "check_cell: w_ih has shape"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
