"""Windows and states: torch, the twin, shift, memory, exact sums, fading influence."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.recurrent.unfolding import (
    layers,
    layers_pytorch,
)
from dlbook_lib.recurrent.unfolding import pytorch as twin
from dlbook_lib.recurrent.unfolding.layers import TDNN, RNNCell, TimeDelay, VanillaRNN
from dlbook_lib.recurrent.unfolding.scratch import (
    add_binary,
    binary_adder,
    gradient_by_lag,
    rnn_cell,
    rnn_cell_backward,
    state_slope,
    time_delay,
    time_delay_backward,
    unroll,
)

CLOSE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1e-5, "atol": 1e-5}}


def same(ours, theirs, dtype="f8"):
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b.detach().numpy(), **CLOSE[dtype])
            assert a.dtype == dtype


# ------------------------------------------------------------------------ windows


@given(
    st.lists(st.integers(1, 3), min_size=5, max_size=5),
    st.booleans(),
    st.sampled_from(["f8", "f4"]),
)
def test_a_window_of_time_is_torchs_convolution(sizes, biased, dtype):
    n, d, out, k, dilation = sizes
    rng = numpy_generator(n)
    t = (k - 1) * dilation + n
    x, w = rng.normal(size=(t, n, d)), rng.normal(size=(out, d, k))
    args = [x.astype(dtype), w.astype(dtype)]
    args.append(rng.normal(size=out).astype(dtype) if biased else None)
    theirs = [None if a is None else torch.tensor(a, requires_grad=True) for a in args]
    y = twin.time_delay(*theirs, dilation)
    same([time_delay(*args, dilation)], [y], dtype)
    dy = rng.normal(size=tuple(y.shape)).astype(dtype)
    y.backward(torch.tensor(dy))
    found = time_delay_backward(dy, *args, dilation)
    same(found, [None if a is None else a.grad for a in theirs], dtype)
    ours = [None if a is None else tensor(a, requires_grad=True) for a in args]
    register(time_delay, time_delay_backward)(*ours, dilation).backward(dy)
    np.testing.assert_array_equal(ours[1].grad.data, found[1])


def test_a_window_by_its_sum():
    rng = numpy_generator(0)
    x, w, b = rng.normal(size=(7, 2, 3)), rng.normal(size=(4, 3, 2)), rng.normal(size=4)
    y = time_delay(x, w, b, dilation=3)
    for t in range(4):
        expected = b + x[t] @ w[:, :, 0].T + x[t + 3] @ w[:, :, 1].T
        np.testing.assert_allclose(y[t], expected, atol=1e-12)


def test_the_time_delay_network_is_its_twin():
    ours = TDNN([3, 5, 2], [3, 2], [1, 2], rng=numpy_generator(0))
    theirs = layers_pytorch.TDNN([3, 5, 2], [3, 2], [1, 2], rng=torch_generator(0))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = numpy_generator(1).normal(size=(9, 2, 3))
    y, ty = ours(x), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.data, ty.detach(), atol=1e-12)
    y.sum().backward()
    ty.sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, atol=1e-10)
    assert ours.receptive_field == theirs.receptive_field == 5


def test_a_window_moves_with_its_input_and_forgets_what_lies_before():
    net = TDNN([2, 4, 1], [3, 3], rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=(12, 1, 2))
    y = net(x).data
    np.testing.assert_allclose(net(x[3:]).data, y[3:], atol=1e-12)
    x[: 12 - net.receptive_field] += 100
    assert net(x).data[-1] == y[-1]
    x[12 - net.receptive_field] += 1
    assert net(x).data[-1] != y[-1]


# -------------------------------------------------------------------------- a state


@given(
    st.lists(st.integers(1, 4), min_size=3, max_size=3),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
    st.sampled_from(["batch", "alone", "empty"]),
    st.sampled_from(["f8", "f4"]),
)
def test_a_step_and_its_gradients_are_torchs(sizes, kind, biased, how, dtype):
    n, d, h = sizes
    lead = {"batch": (n,), "alone": (), "empty": (0,)}[how]
    rng = numpy_generator(n + d)
    shapes = (*lead, d), (*lead, h), (h, d), (h, h), (h,), (h,)
    args = [rng.normal(size=s).astype(dtype) for s in shapes]
    args[4:] = args[4:] if biased else [None, None]
    theirs = [None if a is None else torch.tensor(a, requires_grad=True) for a in args]
    of_torch = torch.rnn_tanh_cell if kind == "tanh" else torch.rnn_relu_cell
    given = [
        a[None] if a is not None and not lead and i < 2 else a
        for i, a in enumerate(theirs)
    ]
    y = of_torch(*given).reshape(*lead, h)
    same([rnn_cell(*args, kind)], [y], dtype)
    same([rnn_cell(*args, kind)], [twin.rnn_cell(*theirs, kind)], dtype)
    dy = rng.normal(size=(*lead, h)).astype(dtype)
    y.backward(torch.tensor(dy))
    found = rnn_cell_backward(dy, *args, kind)
    same(found, [None if a is None else a.grad for a in theirs], dtype)
    slope = twin.state_slope(y.detach(), kind)
    same([state_slope(rnn_cell(*args, kind), kind)], [slope], dtype)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_cell_is_torchs_module(nonlinearity):
    for bias in (True, False):
        ours = RNNCell(3, 4, bias, nonlinearity, rng=numpy_generator(0))
        theirs = layers_pytorch.RNNCell(
            3, 4, bias, nonlinearity, rng=torch_generator(0)
        )
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert repr(RNNCell(3, 4, bias, rng=numpy_generator(0))) == repr(
            torch.nn.RNNCell(3, 4, bias)
        )
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        x, h = numpy_generator(1).normal(size=(2, 5, 3)), np.ones((5, 4))
        for hx, thx in ((None, None), (h, torch.tensor(h))):
            states = unroll(ours, x, hx)
            expected = twin.unroll(theirs, torch.tensor(x), thx)
            for a, b in zip(states, expected, strict=True):
                np.testing.assert_allclose(a.data, b.detach(), atol=1e-12)
        states[-1].sum().backward()
        expected[-1].sum().backward()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.data, q.grad, atol=1e-10)


def test_its_derivative_has_a_derivative():
    cell = RNNCell(2, 3, rng=numpy_generator(0))
    x = tensor(numpy_generator(1).normal(size=(1, 2)), requires_grad=True)
    (g,) = grad((cell(x, np.ones((1, 3))) ** 2).sum(), [x], create_graph=True)
    (second,) = grad((g**2).sum(), [x])

    def slope(data):
        y = tensor(data, requires_grad=True)
        (g,) = grad((cell(y, np.ones((1, 3))) ** 2).sum(), [y])
        return (g.data**2).sum()

    for i in range(2):
        step = np.eye(2)[i : i + 1] * 1e-6
        numeric = (slope(x.data + step) - slope(x.data - step)) / 2e-6
        assert abs(second.data[0, i] - numeric) < 1e-7


def test_as_many_parameters_for_any_length():
    cell = RNNCell(2, 3, rng=numpy_generator(0))
    count = sum(p.numel() for p in cell.parameters())
    assert len(unroll(cell, np.ones((50, 1, 2)))) == 50
    assert count == 3 * 2 + 3 * 3 + 2 * 3


@pytest.mark.parametrize("pattern", layers.PATTERNS)
def test_patterns_of_input_and_output(pattern):
    ours = VanillaRNN(2, 4, 3, pattern, rng=numpy_generator(0))
    theirs = layers_pytorch.VanillaRNN(2, 4, 3, pattern, rng=torch_generator(0))
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    one = pattern == "one to many"
    x = numpy_generator(1).normal(size=(5, 2) if one else (7, 5, 2))
    y, ty = ours(x, 4), theirs(torch.tensor(x), 4)
    shapes = {"many to many": (7, 5, 3), "many to one": (5, 3)}
    assert y.shape == ty.shape == shapes.get(pattern, (4, 5, 3))
    np.testing.assert_allclose(y.data, ty.detach(), atol=1e-12)
    y.sum().backward()
    ty.sum().backward()
    named = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.data, named[name].grad, atol=1e-10)
    if pattern == "many to one":  # the last of the outputs at every step
        ours.pattern = "many to many"
        np.testing.assert_array_equal(ours(x).data[-1], y.data)
    if pattern == "encoder first":  # the first one comes with the last input
        ours.pattern = "many to one"
        np.testing.assert_array_equal(ours(x).data, y.data[0])


# ------------------------------------------------------------------ exact, forgetful


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_network_adds_numbers_exactly(a, b):
    assert add_binary(a, b) == twin.add_binary(a, b) == a + b


def test_the_adder_is_an_ordinary_layer_and_any_float_will_do():
    net = binary_adder("f4")
    theirs = twin.binary_adder(torch.float32)
    assert all(np.array_equal(net[name], theirs[name]) for name in theirs)
    layer = torch.nn.RNN(2, 3, nonlinearity="relu")
    for p, name in zip(
        layer.parameters(), ("w_ih", "w_hh", "b_ih", "b_hh"), strict=True
    ):
        p.data = theirs[name]
    bits = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    found = layer(bits)[0] @ theirs["weight"].T
    assert found.ravel().tolist() == [0, 0, 0, 1, 1]  # 11 + 13 = 24, lowest first


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_influence_of_an_input_is_a_derivative(nonlinearity):
    rng = numpy_generator(0)
    x, h = rng.normal(size=(6, 2)), np.zeros(3)
    w_ih, w_hh = rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    tx = torch.tensor(x)

    def last(x):
        state = torch.zeros(3, dtype=torch.float64)
        for step in x:
            state = twin.rnn_cell(
                step,
                state,
                torch.tensor(w_ih),
                torch.tensor(w_hh),
                None,
                None,
                nonlinearity,
            )
        return state

    jacobian = torch.autograd.functional.jacobian(last, tx)  # (3, 6, 2)
    expected = jacobian.norm(dim=(0, 2)).flip(0)
    states = []
    for step in x:
        h = rnn_cell(step, h, w_ih, w_hh, nonlinearity=nonlinearity)
        states.append(h)
    args = np.array(states), w_ih, w_hh
    found = gradient_by_lag(*args, nonlinearity)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    theirs = twin.gradient_by_lag(*map(torch.tensor, args), nonlinearity)
    np.testing.assert_allclose(found, theirs, rtol=1e-9, atol=1e-12)


def test_influence_fades_with_every_step():
    rng = numpy_generator(0)
    w_hh = 0.9 * np.linalg.qr(rng.normal(size=(8, 8)))[0]
    lag = gradient_by_lag(np.zeros((40, 8)), np.ones((8, 1)), w_hh)
    np.testing.assert_allclose(lag[1:] / lag[:-1], 0.9)


def test_float32_stays_float32():
    cell = RNNCell(2, 3, rng=numpy_generator(0), dtype="float32")
    net = TDNN([2, 3, 1], [2, 2], rng=numpy_generator(0), dtype="float32")
    rnn = VanillaRNN(2, 3, 1, "encoder first", rng=numpy_generator(0), dtype="float32")
    x = np.ones((5, 1, 2), "f4")
    h = np.ones((4, 3), "f4")
    lag = gradient_by_lag(h, np.ones((3, 2), "f4"), np.ones((3, 3), "f4"))
    results = [
        *unroll(cell, x),
        net(x),
        rnn(x, 3),
        lag,
        TimeDelay(2, 2, 2, rng=numpy_generator(0), dtype="float32")(x),
    ]
    assert {r.dtype for r in results} == {np.dtype("f4")}
    h = unroll(cell, tensor(x, requires_grad=True))[-1]
    h.sum().backward()
    assert {p.grad.dtype for p in cell.parameters()} == {np.dtype("f4")}


def test_parts_that_check_nothing_in_the_twin():
    arrays = [torch.ones(2)] * 4
    assert twin.check_cell(*arrays)[:4] == arrays
    base = layers_pytorch.RNNCellBase(2, 3, rng=torch_generator(0))
    assert base.start(torch.ones(5, 2)).shape == (5, 3)
    assert [w.shape for w in base.weights()] == [(3, 2), (3, 3), (3,), (3,)]
    ours = layers.RNNCellBase(2, 3, rng=numpy_generator(0))
    assert repr(ours) == repr(base)
    assert list(ours.state_dict()) == list(base.state_dict())


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_a_cell_is_printed_as_torchs(kind):
    options = {"bias": False, "nonlinearity": kind}
    ours = RNNCell(2, 3, **options, rng=numpy_generator(0))
    assert repr(ours) == repr(torch.nn.RNNCell(2, 3, **options))


@pytest.mark.parametrize("pattern", ["one to many", "encoder first"])
def test_lists_are_inputs_of_every_pattern(pattern):
    net = VanillaRNN(2, 3, 1, pattern, rng=numpy_generator(0))
    x = np.ones((4, 2) if pattern == "one to many" else (5, 4, 2))
    np.testing.assert_array_equal(net(x.tolist(), 3).data, net(x, 3).data)
