"""Attacks, adversarial and virtual adversarial losses: twins, torch, definitions."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff import operations as op
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential, Tanh
from dlbook_lib.feedforward.autodiff.scratch import hessian
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.adversarial_and_tangent import pytorch as twin
from dlbook_lib.regularization.adversarial_and_tangent import scratch
from tests.feedforward.twice import leaves, same_twice

NAMES = scratch.NORMS
NORMS = st.sampled_from(NAMES)


def same(ours, theirs, tolerance=1e-10):
    theirs = np.asarray(theirs.detach())
    ours = ours.data if isinstance(ours, Tensor) else ours
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def nets(seed=0, sizes=(4, 5, 3), dtype="f8"):
    """The same network twice, and its cross-entropies of targets."""
    a, b, c = sizes
    rng = numpy_generator(seed)
    ours = Sequential(Linear(a, b, rng=rng), Tanh(), Linear(b, c, rng=rng))
    for p in ours.parameters():
        p.data = (2 * p.data).astype(dtype)
    torches = torch.nn.Linear(a, b), torch.nn.Tanh(), torch.nn.Linear(b, c)
    theirs = torch.nn.Sequential(*torches).to(torch.tensor(p.data).dtype)
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours, theirs


def losses_of(ours, theirs, y):
    target = torch.tensor(y)
    return (
        lambda x: op.cross_entropy(ours(x), y, "none"),
        lambda x: F.cross_entropy(theirs(x), target, reduction="none"),
    )


def example(seed=0, n=6, dtype="f8"):
    rng = numpy_generator(seed)
    x = rng.uniform(0.05, 0.95, (n, 4)).astype(dtype)
    ours, theirs = nets(seed, dtype=dtype)
    return x, ours, theirs, *losses_of(ours, theirs, rng.integers(3, size=n))


def same_gradients(ours, theirs, tolerance=1e-10):
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        same(p.grad, q.grad, tolerance)


# ---- balls -------------------------------------------------------------------------


@given(st.integers(0, 99), NORMS, st.sampled_from([(5,), (2, 3), (0, 3), (1, 2, 2)]))
def test_steps_and_projections_agree_with_their_twins(seed, norm, shape):
    g = numpy_generator(seed).normal(size=shape)
    g[:1] = 0
    t = torch.tensor(g)
    same(scratch.lengths(g), twin.lengths(t))
    same(scratch.steepest(g, norm), twin.steepest(t, norm))
    for eps in (0.0, 0.7, 9.0):
        inside = scratch.project_to_ball(g, eps, norm)
        same(inside, twin.project_to_ball(t, eps, norm))
        np.testing.assert_allclose(scratch.project_to_ball(inside, eps, norm), inside)


def size(step, norm):
    rows = step.reshape(len(step), -1)
    return np.linalg.norm(rows, np.inf if norm == "linf" else 2, axis=1)


@given(st.integers(0, 99), NORMS, st.floats(0.1, 3.0))
def test_the_projection_is_the_nearest_point_of_the_ball(seed, norm, eps):
    rng = numpy_generator(seed)
    step = rng.normal(size=(1, 3)) * 2
    nearest = scratch.project_to_ball(step, eps, norm)
    assert size(nearest, norm) <= eps * (1 + 1e-12)
    other = scratch.draw_in_ball((500, 3), eps, norm, rng=rng)
    assert size(step - nearest, "l2") <= size(step - other, "l2").min() + 1e-12


@pytest.mark.parametrize("norm", scratch.NORMS)
def test_the_steepest_step_beats_all_others_of_its_length(norm):
    g = numpy_generator(0).normal(size=(1, 5))
    best = (g * scratch.steepest(g, norm)).sum()
    others = scratch.draw_in_ball((2000, 5), 1.0, norm, rng=numpy_generator(1))
    assert (g * others).sum(axis=1).max() < best


@pytest.mark.parametrize("norm", scratch.NORMS)
@pytest.mark.parametrize("shape", [(4000, 3), (4000,)])
def test_draws_fill_the_ball_evenly(norm, shape):
    n = 3 if len(shape) > 1 else 1
    ours = scratch.draw_in_ball(shape, 0.5, norm, rng=numpy_generator(0))
    theirs = twin.draw_in_ball(shape, 0.5, norm, rng=torch_generator(0)).numpy()
    for drawn in (ours, theirs):
        assert drawn.shape == shape
        r = size(drawn, norm)
        assert 0.49 < r.max() <= 0.5
        assert abs((r < 0.25).mean() - 0.5**n) < 0.03
        assert abs(drawn.mean()) < 0.02
    for dtype in ("f4", "f8"):
        kind = {"rng": numpy_generator(0), "dtype": dtype}
        assert scratch.draw_in_ball(shape, 0.5, norm, **kind).dtype == dtype
    drawn = twin.draw_in_ball((2, 2), 1.0, rng=torch_generator(0), dtype=torch.float32)
    assert drawn.dtype == torch.float32


def test_tiny_and_huge_gradients_have_a_direction():
    for dtype, scales in (("f4", (1e-40, 1e38)), ("f8", (1e-310, 1e308))):
        for scale in scales:
            g = np.array([[scale, -scale]], dtype)
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                way = scratch.steepest(g, "l2")
            assert way.dtype == dtype
            np.testing.assert_allclose(way, [[0.5**0.5, -(0.5**0.5)]], rtol=1e-5)


# ---- attacks -----------------------------------------------------------------------


@given(
    seed=st.integers(0, 99),
    norm=NORMS,
    targeted=st.booleans(),
    clip=st.sampled_from([None, (0.0, 1.0)]),
    steps=st.integers(1, 4),
)
def test_attacks_agree_with_their_twins(seed, norm, targeted, clip, steps):
    x, _, _, ours, theirs = example(seed)
    t = torch.tensor(x)
    slope = partial(scratch.input_gradient, ours)
    their_slope = partial(twin.input_gradient, theirs)
    same(slope(x), their_slope(t))
    worse = scratch.fgsm(slope, x, 0.1, clip, targeted)
    same(worse, twin.fgsm(their_slope, t, 0.1, clip, targeted))
    options = 0.3, 0.2, steps, norm, clip, targeted
    worse = scratch.pgd(slope, x, *options)
    same(worse, twin.pgd(their_slope, t, *options))
    assert size(worse - x, norm).max() <= 0.3 * (1 + 1e-12)
    assert clip is None or (worse.min() >= 0 and worse.max() <= 1)


@given(st.integers(0, 99), NORMS)
def test_random_starts_stay_in_the_ball_and_in_the_range(seed, norm):
    x, _, _, ours, theirs = example(seed)
    slope = partial(scratch.input_gradient, ours)
    options = 0.4, 0.1, 2, norm, (0.0, 1.0)
    one, again, other = (
        scratch.pgd(slope, x, *options, rng=numpy_generator(k)) for k in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert abs(one - other).max() > 1e-3
    their_slope = partial(twin.input_gradient, theirs)
    t = torch.tensor(x)
    drawn = twin.pgd(their_slope, t, *options, rng=torch_generator(1)).numpy()
    for worse in (one, drawn):
        assert size(worse - x, norm).max() <= 0.4 * (1 + 1e-12)
        assert worse.min() >= 0
        assert worse.max() <= 1
    for module, to in ((scratch, np.asarray), (twin, torch.tensor)):

        def within(x):
            assert x.min() >= 0
            assert x.max() <= 1
            return x

        rng = numpy_generator(1) if module is scratch else torch_generator(1)
        module.pgd(within, to(x), *options, rng=rng)
    still = scratch.pgd(
        lambda x: 0 * x,
        np.full((200, 2), 0.5),
        0.4,
        0.1,
        1,
        norm,
        rng=numpy_generator(0),
    )
    assert size(still - 0.5, norm).max() > 0.35


def test_attacks_raise_the_loss_and_targeted_ones_lower_it():
    x, _, _, losses, _ = example(3, n=20)
    slope = partial(scratch.input_gradient, losses)

    def mean(x):
        return losses(Tensor(x)).data.mean()

    assert mean(scratch.fgsm(slope, x, 0.2)) > mean(x) + 0.1
    assert mean(scratch.fgsm(slope, x, 0.2, targeted=True)) < mean(x) - 0.1
    for norm in scratch.NORMS:
        noise = scratch.draw_in_ball(x.shape, 0.2, norm, rng=numpy_generator(0))
        worse = scratch.pgd(slope, x, 0.2, 0.05, 10, norm)
        assert mean(worse) > mean(x + noise) + 0.05
        assert mean(scratch.pgd(slope, x, 0.2, 0.05, 10, norm, targeted=True)) < mean(x)
    assert mean(scratch.pgd(slope, x, 0.2, 0.05, 10)) >= mean(
        scratch.fgsm(slope, x, 0.2)
    )


def test_one_projected_step_is_the_fast_gradient_sign():
    x, _, _, losses, _ = example()
    slope = partial(scratch.input_gradient, losses)
    fast = scratch.fgsm(slope, x, 0.1, (0.0, 1.0))
    np.testing.assert_allclose(
        scratch.pgd(slope, x, 0.1, 0.1, 1, clip=(0.0, 1.0)), fast
    )


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_a_linear_score_shifts_by_eps_times_the_sum_of_its_weights(n):
    w = numpy_generator(n).normal(size=n)
    x = numpy_generator(0).normal(size=(3, n))

    def losses(x):  # of logistic regression, label 1
        return op.softplus(-(x @ w))

    worse = scratch.fgsm(partial(scratch.input_gradient, losses), x, 0.25)
    np.testing.assert_allclose((x - worse) @ w, 0.25 * abs(w).sum(), rtol=1e-12)


def test_the_gradient_is_the_numeric_one_and_leaves_parameters_alone():
    x, net, _, losses, _ = example(1)
    slope = scratch.input_gradient(losses, x)
    expected = numeric_gradient(lambda x: losses(Tensor(x)).data.sum(), x)
    np.testing.assert_allclose(slope, expected, atol=1e-7)
    assert all(p.grad is None for p in net.parameters())


def test_an_empty_batch_and_examples_of_any_shape():
    for shape in ((0, 3), (2, 1, 3, 3), (4,)):
        x = np.full(shape, 0.5)
        assert scratch.fgsm(lambda x: x, x, 0.1, (0.0, 1.0)).shape == shape
        for norm in scratch.NORMS:
            worse = scratch.pgd(
                lambda x: x, x, 0.1, 0.1, 2, norm, rng=numpy_generator(0)
            )
            assert worse.shape == shape


def test_float32_stays_float32_and_arrays_need_not_be_contiguous():
    x, _, _, losses, theirs = example(0, dtype="f4")
    slope = partial(scratch.input_gradient, losses)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    before = strided.copy()
    for norm in scratch.NORMS:
        options = 0.1, 0.05, 3, norm, (0.0, 1.0)
        worse = scratch.pgd(slope, strided, *options)
        assert worse.dtype == "float32"
        their_slope = partial(twin.input_gradient, theirs)
        same(worse, twin.pgd(their_slope, torch.tensor(x), *options), 1e-5)
        drawn = scratch.pgd(slope, x, *options, rng=numpy_generator(0))
        assert drawn.dtype == "float32"
    assert scratch.fgsm(slope, x, 0.1).dtype == "float32"
    np.testing.assert_array_equal(strided, before)


# ---- adversarial training ----------------------------------------------------------


@given(st.integers(0, 99), st.sampled_from([0.0, 0.3, 1.0]))
def test_adversarial_loss_agrees_with_its_twin(seed, alpha):
    x, ours, theirs, losses, their_losses = example(seed)
    y = scratch.adversarial_loss(losses, x, partial(scratch.fgsm, eps=0.1), alpha)
    attack = partial(twin.fgsm, eps=0.1)
    t = twin.adversarial_loss(their_losses, torch.tensor(x), attack, alpha)
    same(y, t)
    y.backward()
    t.backward()
    same_gradients(ours, theirs)


def test_adversarial_loss_is_the_mean_of_both_and_half_of_each_by_default():
    x, _, _, losses, _ = example(5)
    attack = partial(scratch.pgd, eps=0.2, lr=0.1, steps=3)
    worse = attack(partial(scratch.input_gradient, losses), x)
    clean, attacked = (losses(Tensor(a)).data.mean() for a in (x, worse))
    y = scratch.adversarial_loss(losses, x, attack)
    np.testing.assert_allclose(y.data, (clean + attacked) / 2)


def test_adversarial_training_makes_a_network_robust():
    rng = numpy_generator(0)
    y = rng.integers(2, size=300)
    side = 2 * y - 1
    sure = side * (rng.random(300) < 0.9) * 0.5  # robust, but wrong now and then
    weak = np.repeat(0.05 * side[:, None], 20, axis=1)  # never wrong, but small
    x = np.column_stack([sure, weak + 0.02 * rng.normal(size=weak.shape)])
    shares = []
    for alpha in (1.0, 0.0):
        net, _ = nets(0, (21, 8, 2))
        losses = losses_of(net, net, y)[0]
        attack = partial(scratch.fgsm, eps=0.15)
        for _ in range(150):
            net.zero_grad()
            scratch.adversarial_loss(losses, x, attack, alpha).backward()
            for p in net.parameters():
                p.data -= 0.5 * p.grad.data
        slope = partial(scratch.input_gradient, losses)
        worse = scratch.pgd(slope, x, 0.15, 0.05, 10)
        shares.append((net(Tensor(worse)).data.argmax(1) == y).mean())
    assert shares[1] > shares[0] + 0.2


# ---- virtual adversarial training --------------------------------------------------


@given(
    st.integers(0, 99),
    st.sampled_from([(3,), (4, 3), (2, 3, 2), (4, 1)]),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from(["f4", "f8"]),
)
def test_divergence_equals_torch(seed, shape, reduction, dtype):
    rng, tolerance = numpy_generator(seed), {"f4": 1e-5, "f8": 1e-10}[dtype]
    q, p = (3 * rng.normal(size=(2, *shape))).astype(dtype)
    tq, tp = torch.tensor(q, requires_grad=True), torch.tensor(p)
    theirs = twin.kl_divergence(tq, tp, reduction)
    ours = scratch.kl_divergence(q, p, reduction)
    assert np.asarray(ours).dtype == dtype
    same(ours, theirs, tolerance)
    dy = rng.normal(size=np.shape(ours)).astype(dtype)
    theirs.backward(torch.tensor(dy))
    dq = scratch.kl_divergence_backward(dy, q, p, reduction)
    assert dq.dtype == dtype
    same(dq, tq.grad, tolerance)
    leaf = tensor(q, requires_grad=True)
    scratch.kl_of_scores(leaf, p, reduction).backward(dy)
    same(leaf.grad, tq.grad, tolerance)
    if reduction == "mean" and len(shape) == 2:
        log_q, probability = F.log_softmax(tq, -1), F.softmax(tp, -1)
        same(ours, F.kl_div(log_q, probability, reduction="batchmean"), tolerance)


def test_divergence_can_be_differentiated_twice():
    q, p = numpy_generator(0).normal(size=(2, 3, 4))
    curvature = hessian(lambda x: scratch.kl_of_scores(x, p, "sum"), q)
    s = np.exp(q) / np.exp(q).sum(axis=1, keepdims=True)
    for i in range(3):
        np.testing.assert_allclose(
            curvature[i, :, i], np.diag(s[i]) - np.outer(s[i], s[i]), atol=1e-12
        )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_products_with_the_curvature_of_a_divergence(reduction):
    q, p = numpy_generator(1).normal(size=(2, 2, 3, 4))
    a, b = leaves([q])
    y = scratch.kl_of_scores(a[0].sin(), p, reduction)
    same_twice(y, twin.kl_divergence(b[0].sin(), torch.tensor(p), reduction), a, b)


def test_the_virtual_loss_has_a_curvature():
    x, ours, theirs, *_ = example(1)
    y = scratch.vat_loss(ours, x, 0.5, steps=2, rng=numpy_generator(7))
    start = numpy_generator(7).normal(size=x.shape)
    step = scratch.virtual_perturbation(ours, x, start, 0.5, steps=2)
    t = torch.tensor(x)
    z = twin.kl_divergence(theirs(t + torch.tensor(step)), theirs(t).detach())
    same_twice(y, z, list(ours.parameters()), list(theirs.parameters()))


def test_divergence_of_sure_and_equal_answers():
    with np.errstate(all="raise", under="ignore"):
        sure = scratch.kl_divergence([[1e4, 0.0]], [[0.0, 1e4]])
        same_answers = scratch.kl_divergence([[1.0, 2.0]], [[3.0, 4.0]])
    assert sure == 1e4
    assert abs(same_answers) < 1e-15
    assert scratch.kl_divergence(np.zeros((0, 3)), np.zeros((0, 3)), "sum") == 0
    assert scratch.kl_divergence_backward(
        1.0, np.zeros((0, 3)), np.zeros((0, 3)), "sum"
    ).shape == (0, 3)


@given(st.integers(0, 99), st.integers(1, 3))
def test_virtual_perturbations_agree_with_their_twin(seed, steps):
    x, ours, theirs, *_ = example(seed)
    start = numpy_generator(seed).normal(size=x.shape)
    options = 0.4, 1e-2, steps
    r = scratch.virtual_perturbation(ours, x, start, *options)
    tensors = torch.tensor(x), torch.tensor(start)
    same(r, twin.virtual_perturbation(theirs, *tensors, *options), 1e-8)
    np.testing.assert_allclose(size(r, "l2"), 0.4)


def test_power_iteration_finds_the_direction_of_largest_curvature():
    x, net, *_ = example(2)
    before = net(Tensor(x)).data
    r = scratch.virtual_perturbation(
        net, x, numpy_generator(0).normal(size=x.shape), 1.0, 1e-5, 200
    )
    for i in range(len(x)):
        curvature = hessian(
            lambda d, i=i: scratch.kl_of_scores(net(d), before[[i]], "sum"), x[[i]]
        )[0, :, 0]
        values, vectors = np.linalg.eigh(curvature)
        assert values[0] > -1e-12
        assert abs(r[i] @ vectors[:, -1]) > 1 - 1e-5


def test_the_virtual_step_beats_random_ones():
    x, net, *_ = example(4)
    before = net(Tensor(x)).data

    def change(step):
        return scratch.kl_of_scores(net(Tensor(x + step)), before, "none").data

    rng = numpy_generator(0)
    start = rng.normal(size=x.shape)
    r = scratch.virtual_perturbation(net, x, start, 0.1, steps=8)
    best = np.maximum(change(r), change(-r))  # to second order both are the same
    for _ in range(50):
        noise = 0.1 * scratch.steepest(rng.normal(size=x.shape), "l2")
        assert (change(noise) <= 1.02 * best).all()


def test_virtual_loss_and_its_gradient_hold_the_answer_and_the_step_fixed():
    x, ours, theirs, *_ = example(1)
    loss = scratch.vat_loss(ours, x, 0.5, steps=2, rng=numpy_generator(7))
    start = numpy_generator(7).normal(size=x.shape)
    step = scratch.virtual_perturbation(ours, x, start, 0.5, steps=2)
    t = torch.tensor(x)
    answer = theirs(t).detach()
    expected = twin.kl_divergence(theirs(t + torch.tensor(step)), answer)
    same(loss, expected)
    loss.backward()
    expected.backward()
    same_gradients(ours, theirs)
    theirs.zero_grad()
    drawn = twin.vat_loss(theirs, t, 0.5, steps=2, rng=torch_generator(7))
    drawn.backward()
    assert 0 < drawn.item() < 10 * loss.item()
    assert all(p.grad is not None for p in theirs.parameters())


def test_virtual_loss_in_float32():
    x, net, *_ = example(0, dtype="f4")
    loss = scratch.vat_loss(net, x, 0.5, rng=numpy_generator(0))
    loss.backward()
    assert loss.dtype == "float32"
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype("f4")}
    start = numpy_generator(0).normal(size=x.shape).astype("f4")
    r = scratch.virtual_perturbation(net, x, start, 0.5, steps=20)
    wide, _ = nets(0)
    exact = scratch.virtual_perturbation(
        wide, x.astype("f8"), start.astype("f8"), 0.5, 1e-5, 20
    )
    assert abs((r * exact).sum(axis=1)).min() > 0.99 * 0.25


def test_gradients_are_what_they_are_without_the_graph_of_the_attack():
    x, net, _, losses, _ = example(6)
    worse = scratch.fgsm(partial(scratch.input_gradient, losses), x, 0.1)
    y = scratch.adversarial_loss(losses, x, partial(scratch.fgsm, eps=0.1), 0.0)
    found = grad(y, list(net.parameters()))
    expected = grad(losses(Tensor(worse)).mean(), list(net.parameters()))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


def test_numbers_of_numpy_leave_float32():
    x, _, _, losses, _ = example(0, dtype="f4")
    eps, slope = np.float64(0.1), partial(scratch.input_gradient, losses)
    options = {"clip": (np.float64(0), np.float64(1))}
    found = [scratch.fgsm(slope, x, eps, **options), scratch.project_to_ball(x, eps)]
    found += [scratch.pgd(slope, x, eps, eps, 2, norm, **options) for norm in NAMES]
    attack = partial(scratch.fgsm, eps=0.1)
    found += [scratch.adversarial_loss(losses, x, attack, np.float64(0.5))]
    found += [scratch.virtual_perturbation(lambda x: x, x, x, eps, np.float64(1e-3))]
    assert [a.dtype for a in found] == ["f4"] * len(found)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_divergence_with_classes_that_are_excluded(reduction):
    z = np.array([[0.5, 1.0, 2.0], [0.5, -np.inf, 2.0], [0.5, 1.0, -np.inf]])
    t = np.array([[1.0, -np.inf, 0.5]] * 3)
    p, q = np.exp([1.0, 0.5]), np.exp([0.5, 2.0])
    p, q = p / p.sum(), q / q.sum()
    with np.errstate(all="raise", under="ignore"):
        each = scratch.kl_divergence(z, t, "none")
        ours = scratch.kl_divergence(z[:2], t[:2], reduction)
    assert each[1] == pytest.approx((p * np.log(p / q)).sum())
    assert each[2] == np.inf
    leaf = torch.tensor(z[:2], requires_grad=True)
    theirs = twin.kl_divergence(leaf, torch.tensor(t[:2]), reduction)
    same(ours, theirs)
    x = tensor(z[:2], requires_grad=True)
    y = scratch.kl_of_scores(x, t[:2], reduction)
    first = grad(y.sum(), x, create_graph=True)[0]
    same(first, *torch.autograd.grad(theirs.sum(), leaf))
    assert np.isfinite(grad((first * first).sum(), x)[0].data).all()


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_twins_measure_huge_and_tiny_steps(scale):
    step = np.array([[3, 4], [0, 0]], "f4") * np.float32(scale)
    t = torch.tensor(step)
    np.testing.assert_allclose(twin.lengths(t)[:1], [[5 * scale]], rtol=1e-6)
    same(scratch.lengths(step), twin.lengths(t), 1e-6)
    same(scratch.steepest(step, "l2"), twin.steepest(t, "l2"), 1e-6)
