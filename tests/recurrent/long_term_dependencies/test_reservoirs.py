"""Reservoirs: torch's layer, the twin, their radius, memory and saturation."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.recurrent.long_term_dependencies import reservoirs_pytorch as twin
from dlbook_lib.recurrent.long_term_dependencies.reservoirs import (
    EchoStateNetwork,
    continue_series,
    fit_readout,
    nrmse,
    reservoir_weights,
    spectral_radius,
)
from dlbook_lib.recurrent.long_term_dependencies.tasks import lagged, mackey_glass


@given(st.integers(20, 60), st.just(0.0) | st.floats(1e-3, 3), st.floats(0.2, 1.0))
def test_a_reservoir_has_the_radius_and_the_density_that_were_asked_for(n, radius, p):
    w = reservoir_weights(n, radius, p, rng=numpy_generator(n))
    assert spectral_radius(w) == pytest.approx(radius, abs=1e-9)
    assert twin.spectral_radius(torch.tensor(w)) == pytest.approx(radius, abs=1e-9)
    if radius:
        share = (w != 0).mean()
        assert abs(share - p) < 5 * (p * (1 - p)) ** 0.5 / n + 1e-9
    theirs = twin.reservoir_weights(n, radius, p, rng=torch_generator(n))
    assert spectral_radius(theirs.numpy()) == pytest.approx(radius, abs=1e-9)
    assert (theirs != 0).double().mean() == pytest.approx(p if radius else 0, abs=0.15)


def test_a_reservoir_without_eigenvalues_is_refused():
    with pytest.raises(ValueError, match="reservoir_weights: all eigenvalues of 9"):
        reservoir_weights(9, density=0.0, rng=numpy_generator(0))
    assert (
        reservoir_weights(9, density=0.5, rng=numpy_generator(0), dtype="f4").dtype
        == "f4"
    )


CASES = [{}, {"leak": 0.3}, {"nonlinearity": "linear"}, {"nonlinearity": "relu"}]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", CASES, ids=str)
def test_it_is_its_twin(options, dtype):
    options = options | {"radius": 0.8, "input_scale": 0.5}
    ours = EchoStateNetwork(2, 30, 2, rng=numpy_generator(0), dtype=dtype, **options)
    options |= {"rng": torch_generator(0), "dtype": getattr(torch, dtype)}
    theirs = twin.EchoStateNetwork(2, 30, 2, **options)
    weights = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert sorted(weights) == sorted(ours.state_dict())
    assert spectral_radius(weights["weight_hh_l0"]) == pytest.approx(0.8, rel=1e-5)
    assert abs(weights["weight_ih_l0"]).max() <= 0.5
    ours.load_state_dict(weights)
    rng = numpy_generator(1)
    x, hx = (rng.normal(size=s).astype(dtype) for s in ((60, 2, 2), (1, 2, 30)))
    x_, tx = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, h = ours(x_, hx)
    ty, th = theirs(tx, torch.tensor(hx))
    double = dtype == "float64"
    close = {"rtol": 0, "atol": 1e-10} if double else {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(y.data, ty.detach(), **close)
    np.testing.assert_allclose(h.data, th.detach(), **close)
    assert y.dtype == h.dtype == dtype
    (y * y).sum().backward()
    (ty * ty).sum().backward()
    np.testing.assert_allclose(x_.grad.data, tx.grad, **close)
    trained = {k for k, p in ours.named_parameters() if p.grad is not None}
    assert trained == {"readout.weight", "readout.bias"}
    target = np.roll(x, 1, axis=0)
    both = ours.fit(x, target, 10, 1e-3), theirs.fit(tx, torch.tensor(target), 10, 1e-3)
    y, ty = both[0](x)[0].data, both[1](tx)[0].detach()
    np.testing.assert_allclose(y, ty, rtol=0, atol=1e-9 if double else 1e-2)
    assert ours.readout.weight.dtype == dtype
    y, ty = continue_series(ours, x, 4), twin.continue_series(theirs, tx, 4)
    assert y.shape == (4, 2, 2)
    np.testing.assert_allclose(y, ty, rtol=0, atol=1e-9 if double else 1e-2)


def test_without_leak_its_states_are_torchs():
    net = EchoStateNetwork(2, 20, 1, rng=numpy_generator(0))
    theirs = torch.nn.RNN(2, 20, dtype=torch.float64)
    weights = {k: torch.tensor(v) for k, v in net.state_dict().items() if "_l0" in k}
    theirs.load_state_dict(weights)
    x = numpy_generator(1).normal(size=(9, 3, 2))
    np.testing.assert_allclose(
        net.states(x).data, theirs(torch.tensor(x))[0].detach(), atol=1e-12
    )


def test_lists_are_inputs_too():
    net = EchoStateNetwork(2, 20, 1, rng=numpy_generator(0))
    x, h = np.ones((3, 2, 2)), np.ones((1, 2, 20))
    np.testing.assert_array_equal(
        net(x.tolist(), h.tolist())[0].data, net(x, h)[0].data
    )


def test_a_linear_reservoir_explodes_where_units_that_saturate_do_not():
    found = {}
    for kind in ("linear", "tanh"):
        for radius in (0.9, 1.2):
            options = {"radius": radius, "nonlinearity": kind, "input_scale": 0.0}
            net = EchoStateNetwork(1, 40, 1, rng=numpy_generator(0), **options)
            start = numpy_generator(1).normal(size=(1, 1, 40))
            h = net.states(np.zeros((200, 1, 1)), start).data
            found[kind, radius] = np.linalg.norm(h[:, 0], axis=1)
    rate = (found["linear", 1.2][-1] / found["linear", 1.2][99]) ** (1 / 100)
    assert rate == pytest.approx(1.2, rel=0.02)
    assert found["linear", 0.9][-1] < 1e-6
    assert 0.1 < found["tanh", 1.2][-1] < 40**0.5
    assert found["tanh", 0.9][-1] < 1e-6


def test_its_last_outputs_forget_where_it_began():
    net = EchoStateNetwork(1, 50, 1, radius=0.8, rng=numpy_generator(0))
    rng = numpy_generator(1)
    x = rng.normal(size=(200, 1, 1))
    one, other = (net.states(x, rng.normal(size=(1, 1, 50))).data for _ in range(2))
    assert abs(one[0] - other[0]).max() > 0.1
    assert abs(one[-1] - other[-1]).max() < 1e-9


def test_the_readout_is_the_least_penalized_squares():
    rng = numpy_generator(0)
    h, y = rng.normal(size=(30, 2, 4)), rng.normal(size=(30, 2, 3))
    weight, bias = fit_readout(h, y, 5, 0.1)

    def cost(weight, bias):
        errors = h[5:] @ weight.T + bias - y[5:]
        size = (weight**2).sum() + (bias**2).sum()
        return (errors**2).sum() / 100 + 0.05 * size  # 25 steps, 2 sequences

    least = cost(weight, bias)
    for _ in range(20):
        dw, db = 1e-3 * rng.normal(size=(3, 4)), 1e-3 * rng.normal(size=3)
        assert cost(weight + dw, bias + db) > least
    theirs = twin.fit_readout(torch.tensor(h), torch.tensor(y), 5, 0.1)
    np.testing.assert_allclose(weight, theirs[0], atol=1e-10)
    np.testing.assert_allclose(bias, theirs[1], atol=1e-10)
    h[:5] = 1e6  # the washout
    np.testing.assert_array_equal(fit_readout(h, y, 5, 0.1)[0], weight)


def test_one_step_of_a_chaotic_series():
    x = mackey_glass(1400, every=60)[:, None, None] - 0.9  # six units of time a step
    net = EchoStateNetwork(1, 100, 1, input_scale=0.5, rng=numpy_generator(0))
    net.fit(x[:999], x[1:1000])
    error = nrmse(net(x[:-1])[0].data[999:], x[1000:])
    columns, target = lagged(x[:, 0, 0], 20)
    known = columns[:980, None], target[:980, None]
    weight, bias = fit_readout(*known, washout=0)
    linear = nrmse(columns[980:] @ weight.T + bias, target[980:])
    assert error < 0.02 < 0.2 < linear
    assert nrmse(continue_series(net, x[:1000], 5), x[1000:1005]) < 0.1


def test_an_error_in_standard_deviations():
    rng = numpy_generator(0)
    y = rng.normal(size=(50, 2))
    for x in (y + 0.1, np.full_like(y, y.mean()), y.copy()):
        ours, theirs = nrmse(x, y), twin.nrmse(torch.tensor(x), torch.tensor(y))
        assert ours == pytest.approx(theirs, abs=1e-12)
    assert nrmse(np.full_like(y, y.mean()), y) == pytest.approx(1)
    assert nrmse(np.ones(3), np.ones(3)) == 0
    double = partial(torch.tensor, dtype=torch.float64)
    for f, array in (nrmse, np.array), (twin.nrmse, double):
        for size in 1e-200, 1e200:  # whose squares are 0 and infinite
            x, y = array([1.0, 0.0]) * size, array([2.0, 0.0]) * size
            assert f(x, y) == pytest.approx(0.5**0.5)
        assert f(array([0.1, 0.1, 0.2]), array([0.1, 0.1, 0.1])) == np.inf
    assert nrmse(np.ones(3), np.zeros(3)) == np.inf
