"""The rules by their formulas, their first steps, and clipping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, MSELoss, Parameter
from dlbook_lib.optimization.adaptive_rates.scratch import (
    Adadelta,
    Adagrad,
    Adam,
    AdamInPlace,
    AdamW,
    DeltaBarDelta,
    RMSprop,
    RMSPropNesterov,
    clip_grad_norm_,
    clip_grad_value_,
    with_grads,
)
from dlbook_lib.optimization.sgd.schedules import OneCycleLR
from dlbook_lib.optimization.sgd.scratch import set_grads

ALL = {
    DeltaBarDelta: 0.05,
    Adagrad: 0.5,
    RMSprop: 0.02,
    RMSPropNesterov: 0.005,
    Adadelta: 5.0,
    Adam: 0.05,
    AdamW: 0.05,
    AdamInPlace: 0.05,
}
GRADS = numpy_generator(0).normal(size=(50, 4)) * [1.0, 100.0, 1e-3, 0.0]


def follow(optimizer, w, grads=GRADS):
    for g in grads:
        set_grads(optimizer, [g])
        optimizer.step()
    return w


def test_adagrad_by_the_formula():
    r, w = 0.3 + np.cumsum(GRADS**2, axis=0), np.zeros(4)
    rates = 0.1 / (1 + 0.05 * np.arange(50)[:, None])
    expected = -(rates * GRADS / (np.sqrt(r) + 1e-7)).sum(axis=0)
    optimizer = Adagrad([w], 0.1, 0.05, initial_accumulator_value=0.3, eps=1e-7)
    np.testing.assert_allclose(follow(optimizer, w), expected, 1e-10, 1e-14)


def mean(values, decay):
    """The exponential mean of all values up to each, as a weighted sum."""
    out = []
    for t in range(len(values)):
        weights = (1 - decay) * decay ** np.arange(t, -1, -1.0)
        out.append(weights @ values[: t + 1])
    return np.array(out)


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_by_the_formula(centered):
    w, r = np.zeros(4), mean(GRADS**2, 0.9)
    r = r - mean(GRADS, 0.9) ** 2 if centered else r
    expected = -0.1 * (GRADS / (np.sqrt(r) + 1e-8)).sum(axis=0)
    optimizer = RMSprop([w], 0.1, 0.9, centered=centered)
    np.testing.assert_allclose(follow(optimizer, w), expected, 1e-10, 1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_by_the_formula(amsgrad):
    w, t = np.zeros(4), np.arange(1, 51)[:, None]
    r = mean(GRADS**2, 0.99)
    r = np.maximum.accumulate(r) if amsgrad else r
    s, r = mean(GRADS, 0.8) / (1 - 0.8**t), r / (1 - 0.99**t)
    expected = -0.1 * (s / (np.sqrt(r) + 1e-8)).sum(axis=0)
    optimizer = Adam([w], 0.1, (0.8, 0.99), amsgrad=amsgrad)
    np.testing.assert_allclose(follow(optimizer, w), expected, 1e-10, 1e-12)


def test_adadelta_by_the_formula():
    w, u, total = np.zeros(4), np.zeros(4), np.zeros(4)
    for g, r in zip(GRADS, mean(GRADS**2, 0.9), strict=True):
        d = np.sqrt((u + 1e-6) / (r + 1e-6)) * g
        u = 0.9 * u + 0.1 * d**2
        total -= d
    np.testing.assert_allclose(follow(Adadelta([w]), w), total, 1e-10)


def test_delta_bar_delta_by_the_formula():
    w, rate, average, total = np.zeros(4), [0.01] * 4, [0.0] * 4, [0.0] * 4
    for g in GRADS:
        for i in range(4):
            if average[i] * g[i] > 0:
                rate[i] += 0.001
            elif average[i] * g[i] < 0:
                rate[i] *= 0.9
            total[i] -= rate[i] * g[i]
            average[i] = 0.7 * average[i] + 0.3 * g[i]
    np.testing.assert_allclose(follow(DeltaBarDelta([w]), w), total, 1e-10)


def test_rmsprop_with_the_look_ahead_by_the_formula():
    w = np.array([1.0, -2.0])
    optimizer, c = RMSPropNesterov([w], 0.01, 0.9, momentum=0.8), np.array([1.0, 30.0])
    t, v, r = w.copy(), np.zeros(2), np.zeros(2)
    for _ in range(50):
        g = c * (t + 0.8 * v)
        r = 0.9 * r + 0.1 * g * g
        v = 0.8 * v - 0.01 * g / (np.sqrt(r) + 1e-8)
        t = t + v
        optimizer.step(lambda: set_grads(optimizer, [c * w]))
    np.testing.assert_allclose(w, t, 1e-10)


@given(st.floats(1e-3, 1e3), st.floats(0.001, 1.0))
def test_first_steps(g, lr):
    """Adam's is ε, RMSprop's ε/√(1 - ρ), Adagrad's ε, whatever the gradient."""
    for optimizer, size in (
        (Adam([np.zeros(1)], lr), 1.0),
        (Adagrad([np.zeros(1)], lr), 1.0),
        (RMSprop([np.zeros(1)], lr, alpha=0.9), 10**0.5),
        (RMSprop([np.zeros(1)], lr, alpha=0.99), 10.0),
    ):
        w = optimizer.param_groups[0]["params"][0].data
        follow(optimizer, w, [np.array([g])])
        np.testing.assert_allclose(w, -size * lr, 1e-3)


def test_decay_beside_the_gradient_is_alike_for_all():
    start = np.ones(2)
    w, v = start.copy(), start.copy()
    beside, within = (
        AdamW([w], 0.01, weight_decay=0.5),
        Adam([v], 0.01, weight_decay=0.5),
    )
    plain = np.zeros(2)
    other = Adam([plain], 0.01)
    for optimizer in (beside, within, other):
        set_grads(optimizer, [np.array([100.0, 1e-3])])
        optimizer.step()
    np.testing.assert_allclose(w, start * (1 - 0.005) + plain, 1e-12)
    assert abs(v[0] - v[1]) < 1e-6


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_network_learns_in_its_own_precision(cls, dtype):
    rng = numpy_generator(0)
    net = Linear(3, 1, rng=rng, dtype=np.dtype(dtype))
    x = rng.normal(size=(20, 3)).astype(dtype)
    y = x @ np.array([[1.0], [-2.0], [0.5]], dtype)
    optimizer = cls(net.parameters(), lr=ALL[cls])

    def closure():
        optimizer.zero_grad()
        loss = MSELoss()(net(Tensor(x)), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(200)]
    assert losses[-1] < 0.05 * losses[0]
    assert {p.dtype for p in net.parameters()} == {np.dtype(dtype)}
    for memory in optimizer.state_dict()["state"].values():
        arrays = [v for k, v in memory.items() if k != "step"]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("g", [0.0, 1e-30, 1e30, np.inf, np.nan])
def test_extreme_gradients_warn_of_nothing(cls, g):
    w = np.zeros(2, np.float32)
    optimizer = cls([w])
    with np.errstate(all="raise"):
        for _ in range(3):
            optimizer.step(lambda: set_grads(optimizer, [np.full(2, g, "f4")]))
    if g < 1e31 and cls is not DeltaBarDelta:
        assert np.isfinite(w).all()
    if g == 0:
        assert not w.any()


def test_a_variance_below_zero_counts_as_zero():
    w = np.zeros(200, np.float32)
    optimizer = RMSprop([w], alpha=0.5, centered=True, eps=1e-3)
    g = numpy_generator(0).normal(size=200).astype("f4")
    follow(optimizer, w, [g] * 60)
    assert np.isfinite(w).all()


def test_a_cycle_turns_the_first_beta():
    optimizer = Adam([np.zeros(2)])
    OneCycleLR(optimizer, 0.1, 10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


def leaves(*grads):
    made = [Parameter(np.zeros(np.shape(g) if g is not None else 2)) for g in grads]
    for p, g in zip(made, grads, strict=True):
        p.grad = None if g is None else Tensor(np.asarray(g))
    return made


def test_clipping_by_value():
    first, none, second = leaves([3.0, -0.2], None, [[-5.0], [0.5]])
    clip_grad_value_([first, none, second], 0.5)
    assert first.grad.tolist() == [0.5, -0.2]
    assert none.grad is None
    assert second.grad.tolist() == [[-0.5], [0.5]]


@given(st.floats(0.01, 100), st.sampled_from([1, 2.0, 3.5, np.inf]))
def test_clipping_by_norm(max_norm, norm_type):
    first, second = leaves([3.0, -0.2], [[-5.0], [0.5]])
    every = np.array([3.0, -0.2, -5.0, 0.5])
    norm = clip_grad_norm_([first, second], max_norm, norm_type)
    np.testing.assert_allclose(norm, np.linalg.norm(every, norm_type))
    after = np.concatenate([first.grad.data, second.grad.data.ravel()])
    expected = every * min(1, max_norm / norm)
    np.testing.assert_allclose(after, expected, 2e-6)


def test_a_gradient_that_two_share_is_clipped_once():
    first, second = leaves([3.0, 4.0], [3.0, 4.0])
    second.grad = first.grad
    clip_grad_norm_([first, second], 1.0)
    np.testing.assert_allclose(first.grad.data, [0.3 * 2**0.5, 0.4 * 2**0.5], 1e-6)
    assert with_grads(first) == [first]


def test_a_norm_that_is_not_finite():
    (p,) = leaves([np.inf, 1.0])
    with pytest.raises(RuntimeError, match=r"clip_grad_norm_: the norm .* is inf"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    with np.errstate(all="raise"):
        assert clip_grad_norm_(p, 1.0) == np.inf
    np.testing.assert_array_equal(p.grad.data, [np.nan, 0.0])
    assert clip_grad_norm_([], 1.0) == 0
