"""Descent by its formula, and what optimizers remember."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, MSELoss, Sequential, Tanh
from dlbook_lib.optimization.sgd.scratch import (
    SGD,
    Optimizer,
    as_parameter,
    set_grads,
)

RATES = st.floats(1e-4, 1.0)


@given(RATES, st.floats(0, 1), st.booleans())
def test_a_step_by_the_formula(lr, decay, maximize):
    w, g = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    expected = w - lr * ((-g if maximize else g) + decay * w)
    optimizer = SGD([w], lr, weight_decay=decay, maximize=maximize)
    set_grads(optimizer, [g])
    optimizer.step()
    np.testing.assert_allclose(w, expected, 1e-14)


def test_an_array_is_changed_in_its_own_memory_even_as_a_view():
    buffer = np.ones((4, 4))
    optimizer = SGD([buffer[1:3, ::2]], lr=1.0)
    set_grads(optimizer, [np.ones((2, 2))])
    optimizer.step()
    assert buffer.sum() == 12


def test_the_gradient_is_not_changed():
    g = np.ones(2)
    optimizer = SGD([np.ones(2)], lr=1.0, weight_decay=0.5, maximize=True)
    set_grads(optimizer, [g])
    optimizer.step()
    assert g.tolist() == [1, 1]


def test_a_network_learns_and_backward_notices_the_change():
    rng = numpy_generator(0)
    net = Sequential(Linear(2, 8, rng=rng), Tanh(), Linear(8, 1, rng=rng))
    x = rng.normal(size=(50, 2))
    y = x[:, :1] * x[:, 1:]
    optimizer, losses = SGD(net.parameters(), lr=0.2), []
    for _ in range(300):
        optimizer.zero_grad()
        loss = MSELoss()(net(Tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5
    loss = MSELoss()(net(Tensor(x)), y)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed"):
        loss.backward()


def test_a_closure_computes_the_gradients_and_its_loss_comes_back():
    w = np.array([3.0])
    optimizer = SGD([w], lr=0.5)

    def closure():
        set_grads(optimizer, [2 * w])
        return float(w @ w)

    assert optimizer.step(closure) == 9
    assert w == 0
    assert optimizer.step() is None


def test_zero_grad_makes_a_step_do_nothing():
    w = np.ones(2)
    optimizer = SGD([w], lr=1.0, weight_decay=1.0)
    set_grads(optimizer, [np.ones(2)])
    optimizer.zero_grad()
    optimizer.step()
    assert w.tolist() == [1, 1]


def test_numbers_that_blow_up_do_so_without_a_warning():
    w = np.array([1e38], np.float32)
    optimizer = SGD([w], lr=1e10)
    set_grads(optimizer, [-w.copy()])
    with np.errstate(all="raise"):
        optimizer.step()
    assert np.isinf(w)


def test_a_state_is_loaded_as_a_copy():
    w, v = np.ones(2), np.ones(2)

    class Counting(Optimizer):
        def _change(self, g, state, **_):
            state.setdefault("total", np.zeros(2))
            state["total"] += g
            return state["total"]

    ours, other = Counting([w], {"lr": 1.0}), Counting([v], {"lr": 0.5})
    set_grads(ours, [np.ones(2)])
    ours.step()
    other.load_state_dict(ours.state_dict())
    ours.step()
    assert other.state_dict()["state"][0]["total"].tolist() == [1, 1]
    assert ours.state_dict()["state"][0]["total"].tolist() == [2, 2]
    assert other.param_groups[0]["lr"] == 1.0
    assert other.param_groups[0]["params"][0].data is v


def test_what_a_subclass_must_say():
    optimizer = Optimizer([np.ones(1)], {"lr": 0.1})
    set_grads(optimizer, [np.ones(1)])
    with pytest.raises(NotImplementedError, match="no _change"):
        optimizer.step()


@pytest.mark.parametrize("make", [np.array, as_parameter])
def test_one_parameter_alone_is_a_group(make):
    w = make(np.ones((2, 3)))
    optimizer = SGD([{"params": w}], lr=0.5)
    (p,) = optimizer.param_groups[0]["params"]
    assert p.shape == (2, 3)
    set_grads(optimizer, [np.ones((2, 3))])
    optimizer.step()
    np.testing.assert_array_equal(p.data, np.full((2, 3), 0.5))
