"""Layers, directions, states, dropout and lengths: against torch, and their parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import rnn as of_torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.recurrent.backpropagation_through_time.kernels import (
    RNNBase,
    before,
    check_kernel,
    run_layers,
    steps,
    with_results,
)
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    rnn_inputs_in_one_product,
)
from dlbook_lib.recurrent.unfolding.packing import PackedSequence, pack_padded_sequence

CLOSE = {"float64": {"rtol": 0, "atol": 1e-10}, "float32": {"rtol": 1e-4, "atol": 2e-4}}
OPTIONS = {
    "num_layers": st.integers(1, 3),
    "nonlinearity": st.sampled_from(["tanh", "relu"]),
    "bias": st.booleans(),
    "batch_first": st.booleans(),
    "bidirectional": st.booleans(),
}


@st.composite
def networks(draw):
    """A network, torch's with the same weights, and how they are to be called."""
    options = {name: draw(values) for name, values in OPTIONS.items()}
    d, h, dtype = draw(st.integers(1, 4)), draw(st.integers(1, 4)), "float64"
    dtype = draw(st.sampled_from(["float64", "float32"]))
    theirs = torch.nn.RNN(d, h, **options, dtype=getattr(torch, dtype))
    ours = RNN(d, h, **options, rng=numpy_generator(0), dtype=dtype)
    rng = numpy_generator(draw(st.integers(0, 99)))
    for p in theirs.parameters():
        p.data = torch.tensor(rng.normal(size=tuple(p.shape)) / 2, dtype=p.dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    t, n = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    how = draw(st.sampled_from(["batch", "alone", "packed", "unsorted"]))
    n = max(n, 1) if "ed" in how else n
    layers = (options["num_layers"] * (2 if options["bidirectional"] else 1),)
    shape = (n, t, d) if options["batch_first"] else (t, n, d)
    shape, start = ((t, d), (h,)) if how == "alone" else (shape, (n, h))
    x = rng.normal(size=shape).astype(dtype)
    hx = rng.normal(size=layers + start).astype(dtype)
    lengths = rng.integers(1, t + 1, n)
    if how == "packed":
        lengths = np.sort(lengths)[::-1].copy()
    return ours, theirs, x, hx if draw(st.booleans()) else None, how, lengths


@given(networks())
def test_values_states_and_gradients_are_those_of_torch(case):
    ours, theirs, x, hx, how, lengths = case
    tx = torch.tensor(x, requires_grad=True)
    th = None if hx is None else torch.tensor(hx, requires_grad=True)
    x = tensor(x, requires_grad=True)
    hx = None if hx is None else tensor(hx, requires_grad=True)
    given, tgiven = x, tx
    if "ed" in how:
        options = ours.batch_first, how == "packed"
        given = pack_padded_sequence(x, lengths, *options)
        tgiven = of_torch.pack_padded_sequence(tx, torch.tensor(lengths), *options)
    y, end = ours(given, hx)
    ty, tend = theirs(tgiven, th)
    if "ed" in how:
        np.testing.assert_array_equal(y.batch_sizes, ty.batch_sizes)
        y, ty = y.data, ty.data
    close = CLOSE[str(x.dtype)]
    np.testing.assert_allclose(y.data, ty.detach(), **close)
    np.testing.assert_allclose(end.data, tend.detach(), **close)
    assert (y.shape, end.shape) == (ty.shape, tend.shape)
    assert y.dtype == x.dtype
    rng = numpy_generator(1)
    dy, dend = (rng.normal(size=a.shape).astype(x.dtype) for a in (y, end))
    ((y * dy).sum() + (end * dend).sum()).backward()
    ((ty * torch.tensor(dy)).sum() + (tend * torch.tensor(dend)).sum()).backward()
    pairs = [(x, tx), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    pairs += [] if hx is None else [(hx, th)]
    for a, b in pairs:
        scale = max(1, b.grad.abs().max().item() if b.grad.numel() else 1)
        assert a.grad.dtype == x.dtype
        np.testing.assert_allclose(a.grad.data / scale, b.grad / scale, **close)


def test_it_prints_as_torch_does():
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5}
    for kwargs in ({}, options, {"bidirectional": True}):
        ours = RNN(3, 4, **kwargs, rng=numpy_generator(0))
        assert repr(ours) == repr(torch.nn.RNN(3, 4, **kwargs))
    shapes = [[tuple(w.shape) for w in group] for group in ours.all_weights]
    theirs = torch.nn.RNN(3, 4, **kwargs).all_weights
    assert shapes == [[tuple(w.shape) for w in group] for group in theirs]


def test_dropout_acts_between_layers_and_in_training_only():
    net = RNN(2, 8, 3, dropout=0.5, rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=(4, 2, 2))
    first, second = net(x)[0].data, net(x)[0].data
    assert abs(first - second).max() > 1e-3
    net.eval()
    calm = RNN(2, 8, 3, rng=numpy_generator(0))
    calm.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(net(x)[0].data, calm(x)[0].data)
    one = RNN(2, 8, dropout=1.0, rng=numpy_generator(0))
    assert abs(one(x)[0].data).min() > 0  # there is nothing after one layer
    none = RNN(2, 8, 2, dropout=1.0, bias=False, rng=numpy_generator(0))
    assert not none(x)[0].data.any()


def test_gradients_with_masks_are_those_of_small_steps():
    rng = numpy_generator(2)
    weights = [(rng.normal(size=(3, w)), rng.normal(size=(3, 3))) for w in (2, 2, 6, 6)]
    states, x = (rng.normal(size=(4, 2, 3)),), rng.normal(size=(5, 2))
    masks = [rng.integers(2, size=(5, 6)) * 2.0]
    sizes = [2, 2, 1]
    dy, dend = rng.normal(size=(5, 6)), rng.normal(size=(4, 2, 3))

    def cost(x, weights):
        args = rnn_inputs_in_one_product, x, sizes, states, weights, True, masks
        output, (end,), _ = run_layers(*args)
        return (output * dy).sum() + (end * dend).sum()

    args = rnn_inputs_in_one_product, x, sizes, states, weights, True, masks
    dx, _, dweights = run_layers(*args)[2](dy, (dend,))
    along = rng.normal(size=x.shape)
    slope = (cost(x + 1e-6 * along, weights) - cost(x - 1e-6 * along, weights)) / 2e-6
    np.testing.assert_allclose((dx * along).sum(), slope, rtol=1e-6)
    along = rng.normal(size=(3, 2))
    high, low = (
        [(weights[0][0] + s * along, weights[0][1]), *weights[1:]]
        for s in (1e-6, -1e-6)
    )
    slope = (cost(x, high) - cost(x, low)) / 2e-6
    np.testing.assert_allclose((dweights[0][0] * along).sum(), slope, rtol=1e-6)


class Sums(RNNBase):
    """Two kinds of state, an output that is their sum: a kernel by a reader."""

    state_names = "h", "c"

    @staticmethod
    def kernel(input, batch_sizes, states, weights, reverse=False):
        h, c = (s.copy() for s in states)
        output = input @ weights[0].T
        for rows in steps(batch_sizes, reverse):
            n = rows.stop - rows.start
            c[:n] += output[rows]
            h[:n] = output[rows] = c[:n]

        def pull(doutput, dends):
            dh, dc = (d.copy() for d in dends)
            scores = doutput.copy()
            for rows in steps(batch_sizes, not reverse):
                n = rows.stop - rows.start
                dc[:n] += doutput[rows] + dh[:n]
                dh[:n] = 0
                scores[rows] = dc[:n]
            dweights = scores.T @ input, np.zeros_like(weights[1])
            return scores @ weights[0], (dh, dc), dweights

        return output, (h, c), pull


def test_a_kernel_with_two_states_plugs_in():
    net = Sums(2, 3, bias=False, rng=numpy_generator(0))
    x = tensor(numpy_generator(1).normal(size=(4, 2, 2)), requires_grad=True)
    h0, c0 = (tensor(np.ones((1, 2, 3)), requires_grad=True) for _ in range(2))
    y, (h, c) = net(x, (h0, c0))
    expected = (x.data @ net.weight_ih_l0.data.T).cumsum(axis=0) + 1
    np.testing.assert_allclose(y.data, expected)
    np.testing.assert_allclose(h.data[0], expected[-1])
    (y.sum() + c.sum()).backward()
    np.testing.assert_allclose(c0.grad.data, 5)
    np.testing.assert_allclose(h0.grad.data, 0)
    ahead = np.arange(5, 1, -1)[:, None, None] * net.weight_ih_l0.data.sum(axis=0)
    np.testing.assert_allclose(x.grad.data, np.broadcast_to(ahead, x.shape))
    assert [s.shape for s in net(x[:, 0])[1]] == [(1, 3), (1, 3)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.booleans())
def test_the_state_before_each_row(sizes, reverse):
    sizes = sorted(sizes, reverse=True)
    output = np.arange(1.0, sum(sizes) + 1)[:, None]
    start = -np.arange(1.0, sizes[0] + 1)[:, None]
    found = before(output, start, sizes, reverse)
    state = start.copy()
    for rows in steps(sizes, reverse):
        for i, row in enumerate(range(rows.start, rows.stop)):
            assert found[row] == state[i]
            state[i] = output[row]


def test_several_results_are_one_operation():
    two = with_results(lambda x: ((2 * x, x[:1]), lambda dy, dz: 2 * dy + [dz[0], 0]))
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    y, z = two(x)
    (y.sum() + 3 * z.sum()).backward()
    assert (y.tolist(), z.tolist(), x.grad.tolist()) == ([2, 4], [1], [5, 2])
    y, z = two(x.data)
    assert isinstance(y, np.ndarray)


def test_the_graph_may_be_kept():
    net = RNN(2, 3, 2, rng=numpy_generator(0))
    x = tensor(np.ones((4, 1, 2)), requires_grad=True)
    y = net(x)[0].sum()
    y.backward(retain_graph=True)
    once = x.grad.data.copy()
    y.backward()
    np.testing.assert_allclose(x.grad.data, 2 * once)


NET = RNN(2, 3, rng=numpy_generator(0))
W = np.ones((3, 2)), np.ones((3, 3))
X, H = np.ones((4, 2)), np.ones((2, 3))
THEIRS = torch.nn.utils.rnn.pack_sequence([torch.ones(3, 2)])
BAD_CALLS = [
    (
        lambda: NET(np.ones((4, 5, 3))),
        "RNNBase.check_input: input .* has 3 features, not 2",
    ),
    (lambda: NET(np.ones((0, 5, 2))), "RNNBase.check_input: input .* has no steps"),
    (lambda: NET(THEIRS), "RNNBase.check_input: input is a .*torch.* what this book"),
    (lambda: NET(PackedSequence(X, None)), "batch_sizes must hold integer"),
    (lambda: NET(PackedSequence(X, [])), "batch_sizes is empty"),
    (lambda: NET(np.ones(2)), "as_values: input must have 2 or 3 dimensions"),
    (
        lambda: NET(np.ones((4, 5, 2), int)),
        "as_values: input must hold floating",
    ),
    (
        lambda: NET(np.ones((4, 5, 2)), np.ones((1, 4, 3))),
        "RNNBase.start: h_0 has shape",
    ),
    (lambda: NET(np.ones((4, 2)), np.ones((1, 4, 3))), "RNNBase.start: h_0 has shape"),
    (lambda: NET(PackedSequence(np.ones((3, 3)), np.array([3]))), "has 3 features"),
    (lambda: NET(PackedSequence(X, np.array([3]))), "batch_sizes add up to 3"),
    (
        lambda: Sums(2, 3, rng=numpy_generator(0))(X, H),
        r"hx must be a tuple \(h_0, c_0",
    ),
    (lambda: NET(X, "zero"), "as_values: h_0 must hold floating-point"),
    (lambda: check_kernel(X, [2, 1], (H,), W), "add up to 3 but input has 4 rows"),
    (lambda: check_kernel(X, [1, 3], (H,), W), "never rises"),
    (lambda: check_kernel(X, [2, 2], H, W), "states must be a tuple"),
    (lambda: check_kernel(X, [2, 2], (H[:1],), W), "has shape .* but must have"),
    (lambda: check_kernel(X, [2, 2], (H,), W[:1]), "weights must be 2 arrays, or 4"),
    (lambda: check_kernel(X, [2, 2], (H,), W[::-1]), "weights.0. has shape"),
    (lambda: RNN(0, 3, rng=numpy_generator(0)), "RNNBase: input_size must be"),
    (lambda: RNN(1, 3, dropout=2.0, rng=numpy_generator(0)), "RNNBase: dropout must"),
    (lambda: RNN(1, 3, 1, "selu", rng=numpy_generator(0)), "RNN: nonlinearity must be"),
    (lambda: RNN(1, 3, rng=0), "RNNBase: rng must be"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_states_go_with_their_sequences_in_any_order():
    rng = numpy_generator(3)
    net = RNN(2, 3, 2, bidirectional=True, rng=rng)
    x, hx, lengths = rng.normal(size=(3, 3, 2)), rng.normal(size=(4, 3, 3)), [1, 3, 2]
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    _, ends = net(packed, hx)
    for i, n in enumerate(lengths):
        _, alone = net(x[:n, i], hx[:, i])
        np.testing.assert_allclose(ends.data[:, i], alone.data, atol=1e-12)
