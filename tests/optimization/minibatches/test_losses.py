"""Losses of margins: their twins, torch's own, and what they have to do with errors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register
from dlbook_lib.feedforward.linear_models.scratch import (
    binary_cross_entropy_with_logits,
)
from dlbook_lib.optimization.minibatches import pytorch as twin
from dlbook_lib.optimization.minibatches import scratch

seeds = st.integers(0, 10_000)
kinds = st.sampled_from(["f8", "f4"])
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
names = st.sampled_from(sorted(scratch.SURROGATES))
reductions = st.sampled_from(["mean", "sum", "none"])


def close(ours, theirs, low=False):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert np.shape(ours) == np.shape(theirs)
    assert np.asarray(ours).dtype == theirs.dtype
    rtol, atol = (2e-5, 2e-6) if low else (1e-10, 1e-10)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@given(seeds, shapes, names, reductions, kinds, st.booleans())
def test_twins(seed, shape, name, reduction, dtype, kinks):
    rng = numpy_generator(seed)
    m = np.asarray(3 * rng.normal(size=shape))
    m = (m.round() if kinks else m).astype(dtype)[..., ::-1] if shape else m
    if not m.size and reduction == "mean":
        return
    f, f_backward = scratch.SURROGATES[name]
    ours = f(m, reduction)
    t = torch.tensor(m.copy(), requires_grad=True)
    theirs = twin.SURROGATES[name](t, reduction)
    low = m.dtype == "f4"
    close(ours, theirs, low)
    dy = np.asarray(rng.normal(size=np.shape(ours)), m.dtype)
    (told,) = torch.autograd.grad(theirs, t, torch.tensor(dy))
    close(f_backward(dy, m, reduction), told, low)


@given(seeds, st.integers(1, 5), reductions)
def test_torch_has_some_of_them(seed, n, reduction):
    rng = numpy_generator(seed)
    score, y = 3 * rng.normal(size=n), rng.choice([-1.0, 1.0], n)
    m = scratch.margin(score, y)
    t, s = torch.tensor(score), torch.tensor(y)
    told = functional.soft_margin_loss(t, s, reduction=reduction)
    close(scratch.logistic_loss(m, reduction), told)
    close(
        scratch.logistic_loss(m, reduction),
        np.asarray(binary_cross_entropy_with_logits(score, (y + 1) / 2, reduction)),
    )
    pair = torch.tensor(np.stack([m, 0 * m], axis=1))  # two classes, 0 is right
    right = torch.zeros(n, dtype=torch.int64)
    for p, name in ((1, "hinge"), (2, "squared hinge")):
        told = 2 * functional.multi_margin_loss(pair, right, p=p, reduction=reduction)
        close(scratch.SURROGATES[name][0](m, reduction), told)


@pytest.mark.parametrize("name", sorted(scratch.SURROGATES))
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_extreme_margins(name, dtype):
    f, f_backward = scratch.SURROGATES[name]
    m = np.array([-1e30, -1e4, -1.0, 0.0, 1.0, 1e4, 1e30], dtype)
    t = torch.tensor(m, requires_grad=True)
    theirs = twin.SURROGATES[name](t, "none")
    with np.errstate(all="raise", under="ignore"):
        ours, slope = f(m, "none"), f_backward(np.ones_like(m), m, "none")
    close(ours, theirs, True)
    close(slope, torch.autograd.grad(theirs.sum(), t)[0], True)
    lost = np.array([np.nan, 1.0], dtype)  # as where training has blown up
    close(f(lost, "none"), twin.SURROGATES[name](torch.from_numpy(lost), "none"), True)


@pytest.mark.parametrize("name", ["logistic", "squared hinge", "exponential", "hinge"])
def test_complex_step(name):
    f, f_backward = scratch.SURROGATES[name]
    m = np.array([-2.0, 0.3, 0.9, 1.7])
    told = np.imag(f(m + 1e-30j, "none")) / 1e-30
    np.testing.assert_allclose(f_backward(np.ones(4), m, "none"), told, atol=1e-12)


def test_surrogates_lie_above_the_errors():
    m = np.linspace(-3, 3, 121)
    errors = scratch.zero_one_loss(m, "none")
    for name in ("hinge", "squared hinge", "exponential"):
        assert (scratch.SURROGATES[name][0](m, "none") >= errors).all()
    bits = scratch.logistic_loss(m, "none") / np.log(2)
    assert (bits >= errors - 1e-15).all()
    assert bits[60] == 1  # they touch at a margin of 0


def test_errors_teach_nothing_and_likelihood_goes_on_teaching():
    m = np.array([-1.0, 0.5, 3.0, 40.0])
    assert not scratch.zero_one_loss_backward(np.ones(4), m, "none").any()
    assert (scratch.logistic_loss_backward(np.ones(4), m, "none") < 0).all()
    slope = scratch.hinge_loss_backward(np.ones(4), m, "none")
    np.testing.assert_array_equal(slope, [-1, -1, 0, 0])


@given(seeds, shapes, kinds)
def test_margin(seed, shape, dtype):
    rng = numpy_generator(seed)
    score, dy = (np.asarray(rng.normal(size=shape), dtype) for _ in range(2))
    y = np.asarray(rng.choice([-1.0, 1.0], shape), dtype)
    t = torch.tensor(score, requires_grad=True)
    theirs = twin.margin(t, torch.tensor(y))
    close(scratch.margin(score, y), theirs)
    (told,) = torch.autograd.grad(theirs, t, torch.tensor(dy))
    close(scratch.margin_backward(dy, score, y), told)


@pytest.mark.parametrize("name", sorted(scratch.SURROGATES))
def test_on_the_engine(name):
    f, f_backward = scratch.SURROGATES[name]
    loss = register(f, f_backward)
    margin = register(scratch.margin, scratch.margin_backward)
    score, y = np.array([2.0, -0.5, 0.1]), np.array([1.0, 1.0, -1.0])
    t = Tensor(score, True)
    loss(margin(t, y), "sum").backward()
    told = y * f_backward(1.0, score * y, "sum")
    np.testing.assert_array_equal(t.grad.data, told)


def test_memorizer():
    rng = numpy_generator(0)
    x, y = rng.normal(size=(9, 2)).astype("f4"), rng.choice([-1.0, 1.0], 9)
    for module, make in ((scratch, np.asarray), (twin, torch.tensor)):
        model = module.Memorizer(make(x), make(y))
        np.testing.assert_array_equal(model(make(x)), y)
        assert module.zero_one_loss(module.margin(model(make(x)), make(y))) == 0
        new = model(make(x + 1))
        assert not np.asarray(new).any()
        assert module.zero_one_loss(module.margin(new, make(y))) == 1
    assert scratch.Memorizer(x, y.astype("f4"))(x[:0]).dtype == "f4"


@given(seeds, names, kinds)
def test_linear_objective(seed, name, dtype):
    rng = numpy_generator(seed)
    x, w = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=3).astype(dtype)
    b, y = np.asarray(rng.normal(), dtype), rng.choice([-1.0, 1.0], 6).astype(dtype)
    loss, gradients = scratch.linear_objective([w, b], x, y, name)
    told, theirs = twin.linear_objective(
        [torch.tensor(w), torch.tensor(b)], torch.tensor(x), torch.tensor(y), name
    )
    low = dtype == "f4"
    close(loss, told, low)
    for g, t in zip(gradients, theirs, strict=True):
        close(g, t, low)
