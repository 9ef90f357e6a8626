"""Gated units against torch: cells, layers, directions, lengths, the same weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.recurrent.gated_units import layers, layers_pytorch, scratch
from dlbook_lib.recurrent.gated_units import pytorch as twin
from dlbook_lib.recurrent.unfolding.packing import (
    pack_padded_sequence,
    pad_packed_sequence,
)
from tests.recurrent.gated_units.test_scratch import everything

CLOSE = {"f8": {"rtol": 1e-10, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-5}}
KIND = {"f8": "float64", "f4": "float32"}


@settings(max_examples=10)
@given(
    st.sampled_from([(1,), (3,)]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 99),
    st.sampled_from(["f8", "f4"]),
)
def test_values_and_gradients_are_those_of_the_twin(batch, d, h, bias, seed, dtype):
    rng = numpy_generator(seed)
    every = everything(rng, batch=batch, d=d, h=h, bias=bias, dtype=dtype)
    for name, args, more in every:
        theirs = [
            None if a is None else torch.tensor(a, requires_grad=True) for a in args
        ]
        y = getattr(twin, name)(*theirs, *more)
        found = getattr(scratch, name)(*args, *more)
        np.testing.assert_allclose(found, y.detach(), **CLOSE[dtype])
        dy = rng.normal(size=tuple(y.shape)).astype(dtype)
        wanted = torch.autograd.grad(
            y, [a for a in theirs if a is not None], torch.tensor(dy)
        )
        found = getattr(scratch, f"{name}_backward")(dy, *args, *more)
        found = [a for a in found if a is not None]
        for a, g in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, g, **CLOSE[dtype])


def test_gates_and_scores_are_those_of_the_twin():
    for name, args, more in everything(numpy_generator(0)):
        if name in ("gru_cell", "lstm_cell"):
            f = name.replace("cell", "gates")
            theirs = [None if a is None else torch.tensor(a) for a in args]
            ours = getattr(scratch, f)(*args, *more)
            for a, b in zip(ours, getattr(twin, f)(*theirs, *more), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
        if name == "ugrnn_cell":
            ours = scratch.gate_scores(*args, gates=2)
            theirs = twin.gate_scores(*map(torch.tensor, args), gates=2)
            for a, b in zip(
                [*ours[0], *ours[1]], [*theirs[0], *theirs[1]], strict=True
            ):
                np.testing.assert_allclose(a, b, rtol=1e-12)


CELLS = [
    ("UGRNNCell", {}),
    ("GRUCell", {}),
    ("GRUCell", {"reset": "before"}),
    ("LSTMCell", {}),
    ("LSTMCell", {"forget_bias": 1.0}),
    ("LSTMCell", {"peephole": True}),
    ("LSTMCell", {"peephole": True, "forget": False}),
]


@pytest.mark.parametrize(("name", "options"), CELLS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_cell_modules_with_the_same_weights_agree(name, options, bias, dtype):
    bias = bias or "forget_bias" in options
    kind, rng = getattr(torch, KIND[dtype]), numpy_generator(0)
    ours = getattr(layers, name)(3, 4, bias, rng=rng, dtype=dtype, **options)
    drawn = {"rng": torch_generator(0), "dtype": kind}
    theirs = getattr(layers_pytorch, name)(3, 4, bias, **drawn, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    others = [theirs]
    if set(options) <= {"forget_bias"} and name != "UGRNNCell":
        others.append(getattr(torch.nn, name)(3, 4, bias, dtype=kind))
        assert list(others[1].state_dict()) == list(ours.state_dict())
    xs = [rng.normal(size=(5, n)).astype(dtype) for n in (3, 4, 4)]
    if "forget_bias" in options:
        for state in (ours.state_dict(), theirs.state_dict()):
            total = np.asarray(state["bias_ih"]) + np.asarray(state["bias_hh"])
            np.testing.assert_array_equal(total[4:8], 1)
    for other in others:
        ours.load_state_dict(other.state_dict())
        ours.zero_grad()
        a, b = [tensor(x, requires_grad=True) for x in xs], list(map(torch.tensor, xs))
        b = [x.requires_grad_() for x in b]
        pairs = ((a[1], a[2]), (b[1], b[2])) if name == "LSTMCell" else (a[1], b[1])
        y, z = ours(a[0], pairs[0]), other(b[0], pairs[1])
        y, z = (y, z) if name == "LSTMCell" else ((y,), (z,))
        for p, q in zip(y, z, strict=True):
            np.testing.assert_allclose(p.data, q.detach(), **CLOSE[dtype])
        sum((p * p).sum() for p in y).backward()
        sum((p * p).sum() for p in z).backward()
        names = dict(other.named_parameters())
        for key, p in ours.named_parameters():
            np.testing.assert_allclose(p.grad.data, names[key].grad, **CLOSE[dtype])
        for p, q in zip(a, b, strict=True):
            if p.grad is not None:
                np.testing.assert_allclose(p.grad.data, q.grad, **CLOSE[dtype])


def built(name, options, dtype="f8", seed=0):
    """Ours, its twin and torch's own module (or the twin again) of one kind."""
    options = {"input_size": 3, "hidden_size": 4} | options
    kind = getattr(torch, KIND[dtype])
    ours = getattr(layers, name)(**options, dtype=dtype, rng=numpy_generator(seed))
    drawn = {"dtype": kind, "rng": torch_generator(seed)}
    own = theirs = getattr(layers_pytorch, name)(**options, **drawn)
    if name != "UGRNN":
        own = getattr(torch.nn, name)(**options, dtype=kind)
        theirs.load_state_dict(own.state_dict())
    assert list(ours.state_dict()) == list(own.state_dict())
    ours.load_state_dict(own.state_dict())
    return ours, theirs, own


def states_of(rng, name, layers, count, dtype):
    drawn = [rng.normal(size=(layers, *count, 4)).astype(dtype) for _ in range(2)]
    return drawn if name == "LSTM" else drawn[:1]


def as_hx(states):
    return tuple(states) if len(states) > 1 else states[0]


def agree(name, ours, own, x, states, run, close):
    """Values and all gradients; `run` calls a module and lists its results."""
    a = [tensor(v, requires_grad=True) for v in (x, *states)]
    b = [torch.tensor(v, requires_grad=True) for v in (x, *states)]
    y = run(ours, a[0], as_hx(a[1:]) if states else None, "ours")
    z = run(own, b[0], as_hx(b[1:]) if states else None, "theirs")
    rng, costs = numpy_generator(9), [0.0, 0.0]
    for p, q in zip(y, z, strict=True):
        assert p.shape == tuple(q.shape)
        np.testing.assert_allclose(p.data, q.detach(), **close)
        dy = rng.normal(size=p.shape).astype(x.dtype)
        costs = [costs[0] + (p * dy).sum(), costs[1] + (q * torch.tensor(dy)).sum()]
    ours.zero_grad()
    own.zero_grad()
    for cost in costs:
        cost.backward()
    names = dict(own.named_parameters())
    for key, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.data, names[key].grad, **close)
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, **close)


def flat(output, hx):
    return [output, *(hx if isinstance(hx, tuple) else (hx,))]


def plainly(module, x, hx, _):
    return flat(*module(x, hx))


@pytest.mark.parametrize("name", ["UGRNN", "GRU", "LSTM"])
@settings(max_examples=15)
@given(st.data())
def test_layers_with_torchs_weights_agree(name, data):
    draw = data.draw
    options = {
        "input_size": draw(st.integers(1, 3)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    dtype = draw(st.sampled_from(["f8", "f4"]))
    ours, theirs, own = built(name, options, dtype, draw(st.integers(0, 9)))
    steps, count = draw(st.integers(1, 5)), draw(st.sampled_from([(), (1,), (3,)]))
    shape = [steps, *count]
    if options["batch_first"] and count:
        shape.reverse()
    rng = numpy_generator(1)
    x = rng.normal(size=(*shape, options["input_size"])).astype(dtype)
    layers = options["num_layers"] * (1 + options["bidirectional"])
    states = states_of(rng, name, layers, count, dtype) if draw(st.booleans()) else []
    for other in (theirs, own):
        agree(name, ours, other, x, states, plainly, CLOSE[dtype])


@pytest.mark.parametrize("name", ["UGRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [2, 5, 5]])
def test_variable_lengths_agree(name, bidirectional, lengths):
    options = {"num_layers": 2, "bidirectional": bidirectional}
    ours, _, own = built(name, options)
    ordered = lengths == sorted(lengths, reverse=True)
    rng, layers = numpy_generator(2), 2 * (1 + bidirectional)
    x, states = rng.normal(size=(5, 3, 3)), states_of(rng, name, layers, (3,), "f8")

    def packed(module, x, hx, side):
        pack, pad = pack_padded_sequence, pad_packed_sequence
        if side == "theirs":
            rnn = torch.nn.utils.rnn
            pack, pad = rnn.pack_padded_sequence, rnn.pad_packed_sequence
        output, hx = module(pack(x, lengths, enforce_sorted=ordered), hx)
        return flat(pad(output)[0], hx)

    agree(name, ours, own, x, states, packed, CLOSE["f8"])
    agree(name, ours, own, x, [], packed, CLOSE["f8"])


@pytest.mark.parametrize("name", ["UGRNN", "GRU", "LSTM"])
def test_dropout_falls_between_layers_in_training_only(name):
    ours, theirs, own = built(name, {"num_layers": 2, "dropout": 0.5})
    x = numpy_generator(0).normal(size=(6, 3, 3))
    assert not np.array_equal(ours(x)[0].data, ours(x)[0].data)
    assert not torch.equal(*(theirs(torch.tensor(x))[0] for _ in range(2)))
    agree(name, ours.eval(), own.eval(), x, [], plainly, CLOSE["f8"])
    for module in (ours.train(), theirs.train()):
        module.dropout = 1.0  # the second layer hears nothing: silence in, all alike
        y = module(tensor(x) if module is ours else torch.tensor(x))[0]
        y = y.data if module is ours else y.detach().numpy()
        np.testing.assert_allclose(y, np.repeat(y[:, :1], 3, axis=1))
    one = built(name, {"dropout": 0.0})[0]
    np.testing.assert_array_equal(one(x)[0].data, one(x)[0].data)


@pytest.mark.parametrize("name", ["UGRNN", "GRU", "LSTM"])
def test_the_start_is_repeated_by_its_generator_and_within_bounds(name):
    for module, rng in ((layers, numpy_generator), (layers_pytorch, torch_generator)):
        first, again = (
            getattr(module, name)(3, 4, 2, rng=rng(5)).state_dict() for _ in range(2)
        )
        for key, value in first.items():
            np.testing.assert_array_equal(value, again[key])
            assert abs(np.asarray(value)).max() <= 0.5


@pytest.mark.filterwarnings("ignore:.*oneDNN")
@given(st.data())
def test_projections_are_those_of_torch(data):
    draw = data.draw
    options = {key: draw(st.booleans()) for key in ("bias", "bidirectional")}
    count, wide = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    options |= {"num_layers": count, "proj_size": wide}
    dtype, packed = draw(st.sampled_from(["f8", "f4"])), draw(st.booleans())
    ours, theirs, own = built("LSTM", options, dtype, draw(st.integers(0, 9)))
    assert repr(ours) == repr(own)
    rng, blocks = numpy_generator(1), count * (1 + options["bidirectional"])
    x = rng.normal(size=(4, 3, 3)).astype(dtype)
    states = [rng.normal(size=(blocks, 3, n)).astype(dtype) for n in (wide, 4)]

    def run(module, x, hx, side):
        if not packed:
            return plainly(module, x, hx, side)
        pack = torch.nn.utils.rnn.pack_padded_sequence
        pack = pack if side == "theirs" else pack_padded_sequence
        output, hx = module(pack(x, [2, 4, 1], enforce_sorted=False), hx)
        return flat(output.data, hx)

    with torch.backends.mkldnn.flags(enabled=False):  # it has no projections
        agree("LSTM", ours, theirs, x, states, run, CLOSE[dtype])
        agree("LSTM", ours, own, x, [], run, CLOSE[dtype])


def test_torchs_single_precision_weights_load_into_double_and_back():
    own = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    ours = layers.LSTM(3, 4, 2, bidirectional=True, rng=numpy_generator(0))
    ours.load_state_dict(own.state_dict())
    for key, value in own.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key], value)
    tensors = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    assert own.load_state_dict(tensors)


def test_facts_are_those_of_the_twin():
    f = numpy_generator(0).uniform(size=(5, 2))
    found = twin.direct_path(torch.tensor(f))
    np.testing.assert_allclose(scratch.direct_path(f), found)
    text = 'he said "no" and "why?"'
    wanted = twin.track_quotes(text).tolist()
    assert scratch.track_quotes(text).tolist() == wanted
    cells = "UGRNNCell", "GRUCell", "LSTMCell"
    rng = torch_generator(0)
    cells = [getattr(layers_pytorch, name)(3, 4, rng=rng) for name in cells]
    assert layers_pytorch.param_ratio(torch.nn.RNNCell(3, 4), *cells) == [1, 2, 3, 4]
    net = torch.nn.LSTM(3, 4, 2)
    layers_pytorch.set_forget_bias(net, 2.0)
    for k in range(2):
        total = getattr(net, f"bias_ih_l{k}") + getattr(net, f"bias_hh_l{k}")
        assert (total[4:8] == 2).all()
        assert not (total[:4] == 2).any()
