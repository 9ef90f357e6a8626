"""Steps that explode and gradients that are lost: the twin and the exact way."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register, tensor
from dlbook_lib.feedforward.autodiff.modules import Parameter
from dlbook_lib.optimization.adaptive_rates.scratch import (
    clip_grad_norm_,
    clip_grad_value_,
)
from dlbook_lib.recurrent.long_term_dependencies import gradients_pytorch as twin
from dlbook_lib.recurrent.long_term_dependencies.gradients import (
    info_flow_penalty,
    info_flow_penalty_backward,
    info_flow_penalty_exact,
    one_step_back,
    random_step_,
    unit_vectors,
)
from dlbook_lib.recurrent.long_term_dependencies.scratch import state_gradients
from dlbook_lib.recurrent.unfolding.layers import RNNCell
from dlbook_lib.recurrent.unfolding.scratch import unroll

CLOSE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}


def same(ours, theirs, dtype="f8"):
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a), b.detach().numpy()
        assert a.shape == b.shape
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, **CLOSE[dtype])


# -------------------------------------------------------------- steps that may explode


def parameters(*grads):
    found = []
    for g in grads:
        found.append(Parameter(np.zeros(g.shape, g.dtype)))
        found[-1].grad = Tensor(g)
    return found


def row(params):
    return np.concatenate([p.grad.data.ravel() for p in params])


def test_only_clipping_the_norm_keeps_the_direction():
    rng = numpy_generator(0)
    g = rng.normal(size=(40, 50)) ** 3, rng.normal(size=9) ** 3
    true = row(parameters(*g))
    cosines = {}
    for f, options in (
        (clip_grad_norm_, {}),
        (clip_grad_value_, {}),
        (random_step_, {"rng": rng}),
    ):
        params = parameters(*g)
        f(params, 1.0, **options)
        step = row(params)
        product = step @ true / np.linalg.norm(step) / np.linalg.norm(true)
        cosines[f.__name__] = product
    assert cosines["clip_grad_norm_"] == pytest.approx(1)
    assert 0.3 < cosines["clip_grad_value_"] < 0.95
    assert abs(cosines["random_step_"]) < 0.1


@pytest.mark.parametrize("bad", [None, np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_random_step_has_the_length_that_was_asked_for(bad, dtype):
    rng = numpy_generator(0)
    g = rng.normal(size=(3, 4)).astype(dtype), rng.normal(size=5).astype(dtype)
    if bad is not None:
        g[0][1, 1] = bad
    params = parameters(*g)
    norm = random_step_(iter([*params, Parameter(np.ones(2))]), 0.5, rng=rng)
    expected = np.linalg.norm(np.concatenate([a.ravel() for a in g]).astype(float))
    np.testing.assert_allclose(norm, expected, rtol=1e-6)
    assert np.linalg.norm(row(params)) == pytest.approx(0.5, rel=1e-6)
    assert all(p.grad.dtype == dtype for p in params)
    theirs = [
        torch.nn.Parameter(torch.zeros(a.shape, dtype=torch.tensor(a).dtype)) for a in g
    ]
    for p, a in zip(theirs, g, strict=True):
        p.grad = torch.tensor(a)
    found = twin.random_step_(theirs, 0.5, rng=torch_generator(0))
    np.testing.assert_allclose(found, norm, rtol=1e-6)
    length = torch.cat([p.grad.ravel() for p in theirs]).norm().item()
    assert length == pytest.approx(0.5, rel=1e-6)


def test_a_small_gradient_stays_as_it_is():
    params = parameters(np.array([0.3, 0.4]))
    g = params[0].grad
    assert random_step_(params, 0.5, rng=numpy_generator(0)) == pytest.approx(0.5)
    assert random_step_(params[0], 0.6, rng=numpy_generator(0)) == pytest.approx(0.5)
    assert params[0].grad is g
    assert random_step_([Parameter(np.ones(2))], 1.0, rng=numpy_generator(0)) == 0


def test_directions_are_drawn_anew_and_evenly():
    rng, drawn = numpy_generator(0), []
    for _ in range(2000):
        params = parameters(np.array([9.0, 9.0]), np.array([9.0]))
        random_step_(params, 1.0, rng=rng)
        drawn.append(row(params))
    drawn = np.array(drawn)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_allclose(drawn.T @ drawn / 2000, np.eye(3) / 3, atol=0.03)
    assert abs(drawn.mean(axis=0)).max() < 0.05


# ------------------------------------------------- a penalty on gradients that are lost


@given(
    st.lists(st.integers(1, 5), min_size=3, max_size=3),
    st.sampled_from(["f8", "f4"]),
    st.sampled_from(["tanh", "relu"]),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from([1.0, 1e-20, 1e-30]),
)
def test_the_penalty_and_its_cheap_gradient(sizes, dtype, kind, reduction, scale):
    t, n, h = sizes
    rng = numpy_generator(sum(sizes))
    w = rng.normal(size=(h, h)).astype(dtype)
    states = np.tanh(rng.normal(size=(t, n, h))).astype(dtype)
    g = (scale * rng.normal(size=(t, n, h))).astype(dtype)
    g[-1, 0] = 0
    args = w, states, g, kind, reduction
    tw = torch.tensor(w, requires_grad=True)
    theirs = twin.info_flow_penalty(
        tw, torch.tensor(states), torch.tensor(g), kind, reduction
    )
    loss = info_flow_penalty(*args)
    same([loss], [theirs], dtype)
    dy = rng.normal(size=n).astype(dtype) if reduction == "none" else 1.5
    theirs.backward(torch.as_tensor(dy, dtype=theirs.dtype))
    same([info_flow_penalty_backward(dy, *args)], [tw.grad], dtype)
    leaf = tensor(w, requires_grad=True)
    operation = register(info_flow_penalty, info_flow_penalty_backward)
    operation(leaf, *args[1:]).backward(np.asarray(dy, dtype))
    same([leaf.grad.data], [tw.grad], dtype)
    total = 0  # the formula, vector by vector
    for i in range(t):
        for j in range(n):
            slope = 1 - states[i, j] ** 2 if kind == "tanh" else states[i, j] > 0
            jacobian = np.diag(slope) @ w.astype(float)
            one = g[i, j].astype(float)
            if one.any():
                ratio = np.linalg.norm(one @ jacobian) / np.linalg.norm(one)
                total += (ratio - 1) ** 2
    total = total / n if reduction == "mean" else total
    np.testing.assert_allclose(np.sum(loss), total, rtol=1e-4)


def test_small_steps_have_the_slope_of_the_cheap_gradient():
    rng = numpy_generator(0)
    w, states, g = (rng.normal(size=s) for s in ((3, 3), (4, 2, 3), (4, 2, 3)))
    d = info_flow_penalty_backward(1.0, w, states, g)
    along = rng.normal(size=(3, 3))
    high, low = (info_flow_penalty(w + s * along, states, g) for s in (1e-6, -1e-6))
    assert (d * along).sum() == pytest.approx((high - low) / 2e-6, rel=1e-6)


def test_rotations_lose_nothing_and_no_gradient_costs_nothing():
    rng = numpy_generator(0)
    q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    states, g = np.zeros((5, 3, 4)), rng.normal(size=(5, 3, 4))
    assert info_flow_penalty(q, states, g) < 1e-28
    assert info_flow_penalty(2 * q, states, g) == pytest.approx(5)
    with np.errstate(all="raise"):
        assert info_flow_penalty(q, states, 0 * g) == 0
        assert not info_flow_penalty_backward(1.0, q, states, 0 * g).any()
        dead = info_flow_penalty(q, states, g, "relu")  # all units off: all is lost
        assert dead == pytest.approx(5)
        assert not info_flow_penalty_backward(1.0, q, states, g, "relu").any()


def test_an_empty_batch():
    none = np.zeros((4, 0, 3))
    assert info_flow_penalty(np.eye(3), none, none, "tanh", "sum") == 0
    d = info_flow_penalty_backward(1.0, np.eye(3), none, none, "tanh", "sum")
    np.testing.assert_array_equal(d, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="there is no mean of an empty"):
        info_flow_penalty(np.eye(3), none, none)


def test_unit_vectors_of_any_length():
    rng = numpy_generator(0)
    x = (
        rng.normal(size=(6, 3))
        * 10.0 ** np.array([-300, -160, 0, 9, 160, 300])[:, None]
    )
    ours = unit_vectors(x)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1)
    same([ours], [twin.unit_vectors(torch.tensor(x))])
    assert unit_vectors(np.ones((2, 3), "f4")).dtype == "f4"
    parts = one_step_back(np.eye(3), np.zeros((1, 6, 3)), x[None])
    np.testing.assert_array_equal(parts[0], ours[None])


def net_and_data(kind, seed=0):
    rng = numpy_generator(seed)
    cell = RNNCell(2, 3, nonlinearity=kind, rng=rng)
    x, target = rng.normal(size=(4, 2, 2)), rng.normal(size=(2, 3))
    return cell, x, target


def omega(cell, x, target, kind):
    states = unroll(cell, x)
    loss = ((states[-1] - target) ** 2).sum() + states[1].sum()
    return loss, states, info_flow_penalty_exact(loss, states, cell.weight_hh, kind)


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_the_exact_gradient_goes_through_states_and_their_gradients(kind):
    cell, x, target = net_and_data(kind)
    _, states, penalty = omega(cell, x, target, kind)
    penalty.backward()
    theirs = torch.nn.RNNCell(2, 3, nonlinearity=kind, dtype=torch.float64)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in cell.state_dict().items()})
    found, h = [], None
    for step in torch.tensor(x):
        h = theirs(step, h)
        found.append(h)
    tloss = (found[-1] - torch.tensor(target)).square().sum() + found[1].sum()
    expected = twin.info_flow_penalty_exact(tloss, found, theirs.weight_hh, kind)
    same([penalty.data], [expected])
    expected.backward()
    pairs = zip(cell.parameters(), theirs.parameters(), strict=True)
    for ours, other in pairs:
        if ours.grad is not None:
            same([ours.grad.data], [other.grad])
    assert cell.weight_hh.grad.data.any()
    assert cell.weight_ih.grad.data.any() or kind == "relu"
    # the value is that of the cheap form, its gradient is not
    dy = np.zeros((4, 2, 3))
    dy[-1], dy[1] = 2 * (states[-1].data - target), 1
    output, w = np.stack([s.data for s in states]), cell.weight_hh.data
    g = state_gradients(dy, output, w, kind)
    assert info_flow_penalty(w, output, g, kind) == pytest.approx(penalty.item())
    cheap = info_flow_penalty_backward(1.0, w, output, g, kind)
    gap = abs(cheap - cell.weight_hh.grad.data).max()
    assert gap > 1e-3 * abs(cheap).max()


def test_the_exact_gradient_is_that_of_small_steps():
    cell, x, target = net_and_data("tanh")
    omega(cell, x, target, "tanh")[2].backward()
    rng = numpy_generator(5)
    for p in cell.parameters():
        along = rng.normal(size=p.shape)
        values = []
        for step in (1e-6, -1e-6):
            p.data += step * along
            values.append(omega(cell, x, target, "tanh")[2].item())
            p.data -= step * along
        slope = (values[0] - values[1]) / 2e-6
        assert (p.grad.data * along).sum() == pytest.approx(slope, rel=1e-5)


def test_the_penalty_trains_beside_the_loss():
    cell, x, target = net_and_data("tanh", 1)
    losses = []
    for _ in range(15):
        loss, _, penalty = omega(cell, x, target, "tanh")
        for p in cell.parameters():
            p.grad = None
        (loss + 0.5 * penalty).backward()
        for p in cell.parameters():
            p.data -= 0.02 * p.grad.data
        losses.append(penalty.item())
    assert losses[-1] < losses[0]


def test_gradients_that_are_0_cost_nothing_in_the_exact_form():
    cell, x, _ = net_and_data("tanh")
    states = unroll(cell, x)
    loss = states[1].sum() + 0 * states[-1].sum()  # nothing comes back from steps 2, 3
    with np.errstate(all="raise"):
        penalty = info_flow_penalty_exact(loss, states, cell.weight_hh)
        penalty.backward()
    output, dy = np.stack([s.data for s in states]), np.zeros((4, 2, 3))
    dy[1] = 1
    g = state_gradients(dy, output, cell.weight_hh.data)
    value = info_flow_penalty(cell.weight_hh.data, output, g)
    assert penalty.item() == pytest.approx(value)
    assert np.isfinite(cell.weight_hh.grad.data).all()
