"""The three conventions are one method, and it does what the page says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, MSELoss
from dlbook_lib.optimization.momentum.scratch import (
    SGD,
    EMAMomentum,
    Momentum,
    Nesterov,
    average_lr,
)
from dlbook_lib.optimization.sgd.schedules import ExponentialLR, OneCycleLR
from dlbook_lib.optimization.sgd.scratch import set_grads

MOMENTA = st.sampled_from([0, 0.5, 0.9, 0.99])
CURVATURE = np.array([1.0, 0.1, 0.02])


def bowl(cls, *, steps=50, schedule=None, **options):
    """Where descent on ½ Σ c w² leads, step by step."""
    w, path = np.array([1.0, -2.0, 3.0]), []
    optimizer = cls([w], **options)
    rate = schedule and schedule(optimizer)

    def closure():
        set_grads(optimizer, [CURVATURE * w])

    for _ in range(steps):
        optimizer.step(closure)
        path.append(w.copy())
        if rate:
            rate.step()
    return np.array(path), optimizer


@given(MOMENTA, st.floats(0.01, 0.5))
def test_three_conventions_take_one_path(momentum, lr):
    path, _ = bowl(SGD, lr=lr, momentum=momentum)
    velocity, _ = bowl(Momentum, lr=lr, momentum=momentum)
    eta = average_lr(lr, momentum)
    average, _ = bowl(EMAMomentum, lr=eta, momentum=momentum)
    np.testing.assert_allclose(velocity, path, 1e-10, 1e-12)
    np.testing.assert_allclose(average, path, 1e-10, 1e-12)


def test_with_a_schedule_they_part():
    options = {"lr": 0.3, "momentum": 0.9}
    options["schedule"] = lambda o: ExponentialLR(o, 0.8)
    path, _ = bowl(SGD, **options)
    velocity, _ = bowl(Momentum, **options)
    np.testing.assert_allclose(velocity[0], path[0])
    assert np.abs(velocity - path).max() > 0.1


@given(st.floats(0, 0.99), st.floats(0.01, 0.5))
def test_the_look_ahead_is_torchs_nesterov_seen_from_elsewhere(momentum, lr):
    path, optimizer = bowl(Nesterov, lr=lr, momentum=momentum)
    if momentum:
        other, _ = bowl(SGD, lr=lr, momentum=momentum, nesterov=True)
    else:
        other, _ = bowl(SGD, lr=lr)
    (memory,) = optimizer.state.values()
    ahead = path[-1] + momentum * memory["velocity"]
    np.testing.assert_allclose(ahead, other[-1], 1e-10, 1e-12)


@given(MOMENTA, st.floats(0.01, 0.5))
def test_nesterov_by_the_formula(momentum, lr):
    w, v = np.array([1.0, -2.0, 3.0]), np.zeros(3)
    for _ in range(50):
        v = momentum * v - lr * CURVATURE * (w + momentum * v)
        w = w + v
    path, _ = bowl(Nesterov, lr=lr, momentum=momentum)
    np.testing.assert_allclose(path[-1], w, 1e-10, 1e-12)


@pytest.mark.parametrize("cls", [SGD, Momentum, EMAMomentum])
@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_terminal_speed(cls, momentum):
    w, speed = np.zeros(1), average_lr(0.1, momentum)
    lr = 0.1 if cls is not EMAMomentum else speed
    optimizer = cls([w], lr=lr, momentum=momentum)
    set_grads(optimizer, [np.array([2.0])])
    for _ in range(1500):
        before = w.copy()
        optimizer.step()
    np.testing.assert_allclose(before - w, 2.0 * speed, 0.01)


def test_a_sum_that_remembers_one_gradient_gains_only_twice():
    """Not so the buffer: ten times for α = 0.9."""
    gradient, alpha = 1.0, 0.9
    two = alpha * gradient + gradient
    w = np.zeros(1)
    optimizer = SGD([w], lr=1.0, momentum=alpha)
    for _ in range(200):
        set_grads(optimizer, [np.ones(1)])
        optimizer.step()
    (memory,) = optimizer.state.values()
    assert two < 2 < 9.99 < memory["momentum_buffer"]


def test_a_parameter_without_a_gradient_keeps_its_place_and_velocity():
    w, v = np.ones(2), np.ones(2)
    optimizer = Nesterov([w, v], lr=0.1)
    optimizer.step(lambda: set_grads(optimizer, [np.ones(2), np.ones(2)]))
    kept = w.copy()
    optimizer.step(lambda: set_grads(optimizer, [None, np.ones(2)]))
    assert w.tolist() == kept.tolist()
    assert v[0] < 0.8
    memory = optimizer.state_dict()["state"]
    np.testing.assert_allclose(memory[0]["velocity"], -0.1)


def test_a_closure_that_fails_leaves_everything_in_its_place():
    w = np.ones(2)
    optimizer = Nesterov([w], lr=0.1)
    optimizer.step(lambda: set_grads(optimizer, [w]))
    kept = w.copy()

    def fails():
        raise KeyError("no data")

    with pytest.raises(KeyError):
        optimizer.step(fails)
    assert w.tolist() == kept.tolist()


@given(st.sampled_from([SGD, Momentum, EMAMomentum, Nesterov]))
def test_a_network_in_float32_learns_and_stays_float32(cls):
    rng = numpy_generator(0)
    net = Linear(3, 1, rng=rng, dtype=np.float32)
    x = rng.normal(size=(20, 3)).astype("f4")
    y = x @ np.array([[1.0], [-2.0], [0.5]], "f4")
    lr = 0.5 if cls is EMAMomentum else 0.05
    optimizer = cls(net.parameters(), lr=lr, momentum=0.9)

    def closure():
        optimizer.zero_grad()
        loss = MSELoss()(net(Tensor(x)), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(100)]
    assert losses[-1] < 1e-3 * losses[0]
    assert {p.dtype for p in net.parameters()} == {np.dtype("f4")}
    (name,) = optimizer.state_dict()["state"][0]
    assert optimizer.state_dict()["state"][0][name].dtype == np.float32


def test_a_cycle_turns_the_momentum_too():
    optimizer = SGD([np.zeros(2)], lr=0.1, momentum=0.9)
    schedule = OneCycleLR(optimizer, 1.0, 10, pct_start=0.5)
    momenta = []
    for _ in range(10):
        momenta.append(optimizer.param_groups[0]["momentum"])
        schedule.step()
    assert np.isclose(momenta[0], 0.95)
    assert np.isclose(momenta[4], 0.85)
    assert np.isclose(momenta[9], 0.95)
