"""Early stopping in NumPy: the bookkeeping step by step, and the quadratic model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.autodiff.modules import Linear
from dlbook_lib.feedforward.backpropagation.scratch import MLP
from dlbook_lib.feedforward.output_units.scratch import cross_entropy
from dlbook_lib.regularization.early_stopping.scratch import (
    EarlyStopping,
    continue_until,
    early_stopped,
    matching_alpha,
    quadratic_path,
    remaining,
    retrain_same_steps,
    stop_early,
)
from dlbook_lib.regularization.norm_penalties.scratch import l2_solution, shrinkage

seeds = st.integers(0, 10_000)
some_losses = st.lists(
    st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, np.nan, np.inf]), min_size=1, max_size=12
)


class Counter:
    """A network whose only parameter counts its steps; `losses` are looked up there."""

    def __init__(self, losses, every=1):
        self.losses, self.every = losses, every
        self.weight, self.asked, self.steps = np.zeros(1), 0, []

    def step(self, i):
        self.weight += 1
        self.steps.append(i)

    def validate(self):
        self.asked += 1
        return self.losses[int(self.weight[0]) // self.every - 1]

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state_dict):
        self.weight[...] = state_dict["weight"]


def stop_at(losses, patience, min_delta=0.0):
    """When it ends and when it was best, by looking at all losses so far each time."""
    best, low = 0, np.inf
    for t, loss in enumerate(losses, 1):
        if loss < low - min_delta:
            best, low = t, loss
        if t - best == patience:
            return t, best
    return len(losses), best


# ---- the bookkeeping -----------------------------------------------------------------


@given(some_losses, st.integers(1, 5), st.sampled_from([0.0, 0.5, 0.7]))
def test_patience(losses, patience, min_delta):
    stopping, ends = EarlyStopping(patience, min_delta), []
    for t, loss in enumerate(losses, 1):
        ends.append(stopping.update(loss, {"weight": np.array([float(t)])}))
        if ends[-1]:
            break
    end, best = stop_at(losses, patience, min_delta)
    assert len(ends) == end == stopping.evaluations
    assert not any(ends[:-1])
    assert stopping.best_evaluation == best
    if best:
        assert stopping.best_state["weight"] == best
        assert stopping.best_loss == losses[best - 1]
    else:
        assert stopping.best_state is None


def test_a_tie_is_no_new_best():
    stopping = EarlyStopping(2)
    ends = [stopping.update(loss, {}) for loss in (1.0, 1.0, 1.0)]
    assert ends == [False, False, True]
    assert stopping.best_evaluation == 1


def test_with_zero_as_a_loss_of_any_float_type():
    stopping = EarlyStopping(1)
    assert not stopping.update(np.float32(1), {})
    assert not stopping.update(np.array(0.5), {})
    assert not stopping.update(0.0, {})
    assert stopping.update(0.0, {})


def test_the_best_state_is_a_copy_both_ways():
    net = Counter([])
    stopping = EarlyStopping(3)
    stopping.update(1.0, net.state_dict())
    net.step(0)
    assert stopping.best_state["weight"] == 0
    stopping.restore(net)
    assert net.weight == 0
    net.step(0)
    assert stopping.best_state["weight"] == 0


@given(
    some_losses, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans()
)
def test_stop_early(losses, patience, every, extra, jitter):
    net = Counter(losses, every)
    steps = min(every * len(losses) + extra * jitter, every * len(losses) + every - 1)
    end, best = stop_at(losses, patience)
    options = {"patience": patience, "steps": steps, "every": every}
    if not best:
        with pytest.raises(ValueError, match="nothing to restore"):
            stop_early(net, net.step, net.validate, **options)
        return
    best_steps, seen = stop_early(net, net.step, net.validate, **options)
    assert best_steps == net.weight[0] == best * every
    np.testing.assert_array_equal(seen, losses[:end])
    ran_out = end == len(losses) and end - best < patience
    assert net.steps == list(range(steps if ran_out else end * every))
    assert net.asked == end


def test_min_delta_reaches_the_bookkeeping():
    losses = [1.0, 0.9, 0.8, 0.7]
    net = Counter(losses)
    options = {"patience": 2, "steps": 4}
    assert stop_early(net, net.step, net.validate, min_delta=0.5, **options)[0] == 1
    net = Counter(losses)
    assert stop_early(net, net.step, net.validate, **options)[0] == 4


# ---- the two rules -------------------------------------------------------------------


def test_retraining_begins_again_and_takes_as_many_steps():
    net = Counter([])
    start = {"weight": np.array([10.0])}
    for _ in range(2):
        net.steps.clear()
        retrain_same_steps(net, net.step, start=start, steps=3)
        assert net.weight == 13
        assert net.steps == [0, 1, 2]
    assert start["weight"] == 10


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=1, max_size=8),
    st.integers(1, 3),
    st.sampled_from([-1.0, 0.0, 1.0]),
    st.integers(0, 2),
)
def test_continuing_until_the_target_is_met(losses, every, target, extra):
    done, asked = [], []

    def validate():
        asked.append(len(done))
        return losses[len(done) // every]

    losses = [3.0, *losses]  # so that a step can be asked for
    steps = every * (len(losses) - 1) + min(extra, every - 1)
    taken, seen = continue_until(
        done.append, validate, target=target, steps=steps, every=every
    )
    met = [t for t, loss in enumerate(losses) if loss <= target]
    expected = met[0] if met else len(losses) - 1
    assert taken == expected * every
    assert done == list(range(taken))
    assert asked == [t * every for t in range(expected + 1)]
    np.testing.assert_array_equal(seen, losses[: expected + 1])


def test_a_met_target_takes_no_step():
    assert continue_until(print, lambda: 1.0, target=1.0, steps=5) == (0, [1.0])


# ---- on networks ---------------------------------------------------------------------


def noisy_classes(seed):
    rng = numpy_generator(seed)
    x = rng.normal(size=(90, 10))
    y = (x[:, 0] + 1.5 * rng.normal(size=90) > 0).astype(int)
    return (x[:40], y[:40]), (x[40:], y[40:])


@pytest.mark.parametrize("seed", range(3))
def test_the_restored_network_beats_the_last_and_can_be_retrained(seed):
    train, valid = noisy_classes(seed)
    every = [np.concatenate(pair) for pair in zip(train, valid, strict=True)]
    net = MLP([10, 30, 2], rng=numpy_generator(seed))
    start = {name: array.copy() for name, array in net.state_dict().items()}

    def loss(x, y):
        return cross_entropy(net(x), y)

    steps, losses = stop_early(
        net,
        lambda i: net.step(*train, lr=0.3),
        lambda: loss(*valid),
        patience=20,
        steps=300,
    )
    assert 0 < steps == 1 + np.argmin(losses) <= len(losses) - 20
    assert loss(*valid) == min(losses) < losses[-1]
    target = loss(*train)
    taken, seen = continue_until(
        lambda i: net.step(*every, lr=0.3),
        lambda: loss(*valid),
        target=target,
        steps=300,
    )
    assert taken == len(seen) - 1 < 300
    assert seen[0] == min(losses) > target >= seen[-1] == loss(*valid)
    retrain_same_steps(
        net, lambda i: net.step(*every, lr=0.3), start=start, steps=steps
    )
    again = MLP([10, 30, 2], rng=numpy_generator(seed))
    for _ in range(steps):
        again.step(*every, lr=0.3)
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_modules_of_the_autodiff_page_are_networks_too():
    net = Linear(2, 1, rng=numpy_generator(0))
    before = net(tensor(np.ones((1, 2)))).data.copy()
    stopping = EarlyStopping(1)
    stopping.update(1.0, net.state_dict())
    for p in net.parameters():
        p.data[...] = 7
    stopping.restore(net)
    np.testing.assert_array_equal(net(tensor(np.ones((1, 2)))).data, before)


# ---- the quadratic model -------------------------------------------------------------


def bowl(seed, d=3):
    rng = numpy_generator(seed)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    eigenvalue = np.sort(rng.uniform(0.01, 2, d))
    return q @ np.diag(eigenvalue) @ q.T, rng.normal(size=d), eigenvalue


@given(seeds, st.integers(1, 4), st.integers(1, 60), st.floats(0.01, 0.9))
def test_the_closed_form_is_the_end_of_the_path(seed, d, steps, lr):
    hessian, optimum, _ = bowl(seed, d)
    path = quadratic_path(hessian, optimum, lr=lr, steps=steps)
    assert path.shape == (steps + 1, d)
    for t in (0, steps // 2, steps):
        found = early_stopped(hessian, optimum, lr=lr, steps=t)
        np.testing.assert_allclose(found, path[t], atol=1e-10)


@given(seeds, st.integers(0, 50), st.floats(0.01, 0.4))
def test_what_remains_of_each_direction(seed, steps, lr):
    hessian, optimum, eigenvalue = bowl(seed)
    q = np.linalg.eigh(hessian)[1]
    away = optimum - early_stopped(hessian, optimum, lr=lr, steps=steps)
    expected = remaining(eigenvalue, lr=lr, steps=steps)
    np.testing.assert_allclose(q.T @ away, expected * (q.T @ optimum), atol=1e-10)


@given(st.floats(1e-3, 0.99), st.integers(1, 200), st.floats(0.01, 1.0))
def test_the_matching_alpha_leaves_as_much(share, steps, lr):
    eigenvalue = np.array([share / lr])
    alpha = matching_alpha(eigenvalue, lr=lr, steps=steps)
    left = remaining(eigenvalue, lr=lr, steps=steps)
    np.testing.assert_allclose(alpha / (eigenvalue + alpha), left, rtol=1e-9)
    assert (alpha <= 1 / (lr * steps)).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_limits_of_the_matching_alpha(dtype):
    eigenvalue = np.array([0, 1e-30, 1e-20, 1e-8, 10, 5], dtype)
    for lr in (0.1, 1e-3):
        with np.errstate(all="raise", under="ignore"):
            alpha = matching_alpha(eigenvalue, lr=lr, steps=50)
        assert alpha.dtype == dtype
        np.testing.assert_allclose(alpha[:4], 1 / (lr * 50), rtol=1e-6)
    assert (matching_alpha(eigenvalue, lr=0.1, steps=50)[4:] < 1e-12).all()
    wide = matching_alpha(np.zeros(1, dtype), lr=1e6, steps=3)
    np.testing.assert_allclose(wide, 1 / 3e6, rtol=1e-6)


def test_the_correspondence_holds_where_the_cost_is_flat_and_only_there():
    lr, steps = 0.1, 50
    alpha = 1 / (lr * steps)
    eigenvalue = np.array([0.01, 1.0])
    stopped = 1 - remaining(eigenvalue, lr=lr, steps=steps)
    decayed = shrinkage(eigenvalue, alpha)
    np.testing.assert_allclose(stopped, [0.0488, 0.9948], atol=5e-5)
    np.testing.assert_allclose(decayed, [0.0476, 0.8333], atol=5e-5)
    errors = []
    for scale in (1e-1, 1e-2, 1e-3):
        w = early_stopped(scale * np.eye(1), [1.0], lr=lr, steps=steps)
        errors.append(abs(w / l2_solution(scale * np.eye(1), [1.0], alpha) - 1)[0])
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 10, rtol=0.3)  # of first order in λ


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_precision_stays(dtype):
    hessian, optimum, eigenvalue = (a.astype(dtype) for a in bowl(0))
    for found in (
        early_stopped(hessian, optimum, lr=0.1, steps=7),
        quadratic_path(hessian, optimum, lr=0.1, steps=7),
        early_stopped(hessian, optimum, lr=0.1, steps=np.int64(7)),
        remaining(eigenvalue, lr=0.1, steps=np.int64(7)),
        matching_alpha(eigenvalue, lr=0.1, steps=np.int64(7)),
    ):
        assert found.dtype == dtype
    stopping = EarlyStopping(1)
    stopping.update(np.float32(1), {"weight": optimum})
    assert stopping.best_state["weight"].dtype == dtype


def test_empty_and_flat():
    assert remaining(np.ones((0, 2)), lr=0.1, steps=3).shape == (0, 2)
    assert matching_alpha(np.ones(0), lr=0.1, steps=3).shape == (0,)
    zeros = np.zeros((2, 2))
    assert not early_stopped(zeros, [1.0, 2.0], lr=0.1, steps=9).any()
    np.testing.assert_array_equal(remaining([0.3], lr=0.1, steps=0), [1])
