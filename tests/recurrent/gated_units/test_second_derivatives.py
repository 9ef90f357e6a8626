"""Gated cells and layers differentiated twice, against torch's double backward."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.recurrent.backpropagation_through_time import layers as letters
from dlbook_lib.recurrent.backpropagation_through_time import (
    layers_pytorch as letters_twin,
)
from dlbook_lib.recurrent.gated_units import layers, layers_pytorch
from dlbook_lib.recurrent.unfolding.packing import pack_padded_sequence
from tests.feedforward.twice import leaves, same_twice

CELLS = [
    ("UGRNNCell", {}),
    ("GRUCell", {}),
    ("GRUCell", {"reset": "before"}),
    ("LSTMCell", {}),
    ("LSTMCell", {"peephole": True}),
    ("LSTMCell", {"forget": False}),
    ("LSTMCell", {"peephole": True, "forget": False}),
]
LAYERS = ["UGRNN", "GRU", "LSTM"]


def both(name, *sizes, dtype="float64", **options):
    """Ours and its twin, with the same parameters."""
    ours = {"rng": numpy_generator(0), "dtype": dtype} | options
    theirs = {"rng": torch_generator(0), "dtype": getattr(torch, dtype)} | options
    ours = getattr(layers, name)(*sizes, **ours)
    theirs = getattr(layers_pytorch, name)(*sizes, **theirs)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def in_line(results, cat):
    """All results of a cell or layer in one line."""
    results = results if isinstance(results, tuple) else (results,)
    flat = []
    for y in results:
        flat += y if isinstance(y, tuple) else [y]
    return cat([y.reshape(-1) for y in flat])


def hold(ours, theirs, arrays, run, tolerance=1e-10):
    """Two modules agree twice, in all of `arrays` and all parameters."""
    a, b = leaves(arrays)
    y = in_line(run(ours, *a), operations.cat)
    z = in_line(run(theirs, *b), torch.cat)
    a, b = [*a, *ours.parameters()], [*b, *theirs.parameters()]
    same_twice(y, z, a, b, tolerance)


@pytest.mark.parametrize(("name", "options"), CELLS)
@pytest.mark.parametrize(("lead", "bias"), [((3,), True), ((), False)])
def test_a_cell_has_a_second_derivative(name, options, lead, bias):
    rng, pair = numpy_generator(0), name == "LSTMCell"
    nets = both(name, 3, 2, bias, **options)
    x, *states = (rng.normal(size=(*lead, n)) for n in (3, 2, 2)[: 2 + pair])

    def run(net, x, *states):
        return net(x, states if pair else states[0])

    hold(*nets, [x, *states], run)
    hold(*nets, [x], lambda net, x: net(2 * x))  # and on to what x came from


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=6)
@given(st.data())
def test_layers_have_a_second_derivative(name, data):
    draw = data.draw
    options = {key: draw(st.booleans()) for key in ("bias", "batch_first")}
    options["bidirectional"], options["num_layers"] = draw(
        st.sampled_from([(False, 1), (False, 2), (True, 1), (True, 2)])
    )
    nets = both(name, 2, 3, **options)
    how = draw(st.sampled_from(["batch", "alone", "packed"]))
    rng, (steps, count) = numpy_generator(draw(st.integers(0, 99))), (3, 2)
    shape = (count, steps) if options["batch_first"] else (steps, count)
    shape, start = ((steps,), ()) if how == "alone" else (shape, (count,))
    blocks = options["num_layers"] * (1 + options["bidirectional"])
    kinds = draw(st.sampled_from([0, 2 if name == "LSTM" else 1]))
    states = [rng.normal(size=(blocks, *start, 3)) for _ in range(kinds)]

    def run(net, x, *states):
        hx = None if not states else states if name == "LSTM" else states[0]
        if how == "packed":
            ours = net is nets[0]
            pack = pack_padded_sequence if ours else torch_pack
            x = pack(x, [1, 3], options["batch_first"], enforce_sorted=False)
        y, ends = net(x, hx)
        return y.data if how == "packed" else y, ends

    hold(*nets, [rng.normal(size=(*shape, 2)), *states], run)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("bias", [True, False])
def test_projections_have_a_second_derivative(bias, options):
    nets = both("LSTM", 2, 4, bias=bias, proj_size=2, **options)
    rng, blocks = numpy_generator(0), 4 if options else 1
    arrays = [rng.normal(size=s) for s in ((3, 2, 2), (blocks, 2, 2), (blocks, 2, 4))]
    hold(*nets, arrays, lambda net, x, *states: net(x, states))


torch_pack = torch.nn.utils.rnn.pack_padded_sequence


@pytest.mark.parametrize("name", LAYERS)
def test_dropout_keeps_its_mask_when_it_is_differentiated_again(name):
    ours, theirs = both(name, 2, 3, 2, dropout=0.5)
    x = numpy_generator(1).normal(size=(4, 2, 2))
    ours.rng = numpy_generator(7)
    (mask,) = ours._masks(8, float)
    assert 0 < np.count_nonzero(mask) < mask.size
    ours.rng, by_hand = numpy_generator(7), [*both(name, 2, 3)[1:]]
    by_hand.append(both(name, 3, 3)[1])
    for k, net in enumerate(by_hand):
        for key, p in net.named_parameters():
            p.data = getattr(theirs, key.replace("l0", f"l{k}")).data
    a, b = leaves([x])
    (y, _), z = ours(a[0]), by_hand[0](b[0])[0]
    z = by_hand[1](z * torch.tensor(mask.reshape(4, 2, 3)))[0]
    others = [p for net in by_hand for p in net.parameters()]
    same_twice(y, z, [*a, *ours.parameters()], [*b, *others])


@pytest.mark.filterwarnings("ignore:.*oneDNN")
def test_single_precision_stays_single():
    nets = both("LSTM", 2, 3, 2, dtype="float32")
    x = numpy_generator(0).normal(size=(3, 2, 2)).astype("f4")
    with torch.backends.mkldnn.flags(enabled=False):  # it has one derivative only
        hold(*nets, [x], lambda net, x: net(x), tolerance=1e-4)


def test_an_array_as_input_needs_no_gradient():
    ours, theirs = both("GRUCell", 2, 3)
    x, h = numpy_generator(0).normal(size=(4, 2)), np.ones((4, 3))
    y, z = ours(x, h), theirs(torch.tensor(x), torch.tensor(h))
    same_twice(y, z, [*ours.parameters()], [*theirs.parameters()])
    assert isinstance(y, type(tensor(0.0)))


@pytest.mark.parametrize("proj_size", [0, 2])
def test_a_letter_model_has_a_second_derivative(proj_size):
    ours, theirs = both("LSTM", 4, 3, proj_size=proj_size)
    ours = letters.CharRNN(ours, 4, rng=numpy_generator(0))
    theirs = letters_twin.CharRNN(theirs, 4, rng=torch_generator(0))
    ours.load_state_dict(theirs.state_dict())
    text = numpy_generator(1).integers(4, size=(5, 2))
    y, z = ours(text)[0], theirs(torch.tensor(text))[0]
    same_twice(y, z, [*ours.parameters()], [*theirs.parameters()])
