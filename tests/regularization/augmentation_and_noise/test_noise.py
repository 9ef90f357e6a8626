"""Noise on inputs, weights and labels against definitions, torch and the twins."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.augmentation_and_noise import pytorch as twin
from dlbook_lib.regularization.augmentation_and_noise import scratch
from tests.feedforward.twice import leaves, same_twice


def same(ours, theirs, tolerance=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_noise_has_its_spread(dtype):
    x = np.full((100, 100), 3.0, dtype)
    y = scratch.add_noise(x, 0.5, rng=numpy_generator(0))
    t = twin.add_noise(torch.tensor(x), 0.5, rng=torch_generator(0))
    assert y.dtype == dtype == t.numpy().dtype
    for z in (y, t.numpy()):
        assert z.mean() == pytest.approx(3, abs=0.02)
        assert z.std() == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(scratch.add_noise(x, 0, rng=numpy_generator(0)), x)
    drawn = numpy_generator(0).standard_normal((100, 100))
    np.testing.assert_allclose(y, 3 + 0.5 * drawn, rtol=1e-5)


def test_the_layer_is_noisy_in_training_only():
    ours = scratch.GaussianNoise(0.2, rng=numpy_generator(0))
    theirs = twin.GaussianNoise(0.2, rng=torch_generator(0))
    assert repr(ours) == repr(theirs) == "GaussianNoise(std=0.2)"
    x = np.zeros(1000)
    for y in (ours(x), theirs(torch.tensor(x)).numpy()):
        assert y.std() == pytest.approx(0.2, rel=0.1)
    t = torch.tensor(x)
    assert ours.eval()(x) is x
    assert theirs.eval()(t) is t
    leaf = tensor(x, requires_grad=True)
    (found,) = grad(ours.train()(leaf), leaf, [x + 2])
    np.testing.assert_array_equal(found.data, 2)


def test_the_layer_is_differentiated_twice():
    x = numpy_generator(1).normal(size=(4, 3))
    drawn = 0.2 * numpy_generator(0).standard_normal((4, 3))
    for noise in (drawn, 0.0):
        layer = scratch.GaussianNoise(0.2, rng=numpy_generator(0)).train(noise is drawn)
        a, b = leaves([x])
        same_twice(layer(a[0].sin()), b[0].sin() + torch.tensor(noise), a, b)


def test_input_noise_is_a_norm_penalty_for_linear_models():
    rng = numpy_generator(0)
    x, w, y = rng.normal(size=(50, 4)), rng.normal(size=4), rng.normal(size=50)
    many = scratch.add_noise(np.tile(x, (4000, 1, 1)), 0.3, rng=rng)
    noisy = ((many @ w - y) ** 2).mean()
    exact = ((x @ w - y) ** 2).mean() + 0.09 * (w**2).sum()
    assert noisy == pytest.approx(exact, rel=0.01)


def test_weights_are_copied_with_noise():
    weights = [np.zeros((300, 300)), np.ones(50_000, "f4")]
    noisy = scratch.noisy_weights(weights, 0.04, rng=numpy_generator(0))
    theirs = twin.noisy_weights(
        map(torch.tensor, weights), 0.04, rng=torch_generator(0)
    )
    for found in (noisy, [t.numpy() for t in theirs]):
        for w, copy in zip(weights, found, strict=True):
            assert copy.dtype == w.dtype
            assert (copy - w).std() == pytest.approx(0.2, rel=0.02)
    assert not weights[0].any()


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_flipped_labels(epsilon):
    y = numpy_generator(0).integers(4, size=40_000)
    ours = scratch.flip_labels(y, 4, epsilon, rng=numpy_generator(1))
    theirs = twin.flip_labels(torch.tensor(y), 4, epsilon, rng=torch_generator(1))
    for found in (ours, theirs.numpy()):
        assert found.dtype == y.dtype
        assert (found != y).mean() == pytest.approx(epsilon, abs=0.01)
        moved = np.bincount((found - y) % 4, minlength=4)[1:]
        np.testing.assert_allclose(moved / len(y), epsilon / 3, atol=0.01)


@given(st.integers(2, 6), st.floats(0, 0.8), st.integers(0, 99))
def test_smoothed_labels_map_to_torchs(classes, epsilon, seed):
    rng = numpy_generator(seed)
    y, z = rng.integers(classes, size=(2, 3)), rng.normal(size=(7, classes))
    soft = scratch.smooth_labels(y, classes, epsilon)
    same(soft, twin.smooth_labels(torch.tensor(y), classes, epsilon))
    np.testing.assert_allclose(soft.sum(axis=-1), 1)
    narrow = scratch.smooth_labels(y, classes, epsilon, dtype="f4")
    wide = twin.smooth_labels(torch.tensor(y), classes, epsilon, dtype=torch.float32)
    assert narrow.dtype == wide.numpy().dtype == np.float32
    same(narrow, wide, 1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(soft, y[..., None], -1), 1 - epsilon, atol=1e-12
    )
    if epsilon <= (classes - 1) / classes:
        smoothing = scratch.torch_smoothing(epsilon, classes)
        assert smoothing == twin.torch_smoothing(epsilon, classes)
        y = rng.integers(classes, size=7)
        soft = torch.tensor(scratch.smooth_labels(y, classes, epsilon))
        ours = F.cross_entropy(torch.tensor(z), soft)
        theirs = F.cross_entropy(
            torch.tensor(z), torch.tensor(y), label_smoothing=smoothing
        )
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


REDUCTIONS = ["mean", "sum", "none"]


@given(
    st.integers(1, 5),
    st.integers(2, 5),
    st.sampled_from([0.0, 0.1, 0.45]),
    st.sampled_from(REDUCTIONS),
    st.sampled_from([("f8", 1e-10), ("f4", 1e-5)]),
    st.integers(0, 99),
)
def test_the_noise_model_of_labels(n, k, epsilon, reduction, kind, seed):
    dtype, tolerance = kind
    rng = numpy_generator(seed)
    z, y = (3 * rng.normal(size=(n, k))).astype(dtype), rng.integers(k, size=n)
    leaf = torch.tensor(z, requires_grad=True)
    theirs = twin.label_noise_nll(leaf, torch.tensor(y), epsilon, reduction)
    ours = scratch.label_noise_nll(z, y, epsilon, reduction)
    assert ours.dtype == dtype
    same(ours, theirs, tolerance)
    p = np.exp(np.float64(z)) / np.exp(np.float64(z)).sum(axis=1, keepdims=True)
    p = p[np.arange(n), y]
    naive = -np.log((1 - epsilon) * p + epsilon / (k - 1) * (1 - p))
    each = scratch.label_noise_nll(z, y, epsilon, "none")
    np.testing.assert_allclose(each, naive, rtol=1e-4, atol=1e-5)
    dy = rng.normal(size=n).astype(dtype) if reduction == "none" else 0.7
    (expected,) = torch.autograd.grad(
        theirs, leaf, torch.as_tensor(dy, dtype=leaf.dtype)
    )
    found = scratch.label_noise_nll_backward(dy, z, y, epsilon, reduction)
    assert found.dtype == dtype
    same(found, expected, tolerance)


def test_the_noise_model_numerically_registered_and_without_noise():
    rng = numpy_generator(0)
    z, y = rng.normal(size=(5, 3)), rng.integers(3, size=5)
    found = scratch.label_noise_nll_backward(1.0, z, y, 0.2)
    numeric = numeric_gradient(lambda s: scratch.label_noise_nll(s, y, 0.2), z)
    np.testing.assert_allclose(found, numeric, atol=1e-7)
    f = register(scratch.label_noise_nll, scratch.label_noise_nll_backward)
    leaf = tensor(z, requires_grad=True)
    (g,) = grad(f(leaf, y, 0.2), leaf)
    np.testing.assert_array_equal(g.data, found)
    plain = F.cross_entropy(torch.tensor(z), torch.tensor(y))
    same(scratch.label_noise_nll(z, y, 0.0), plain)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_extreme_scores_stay_finite(epsilon, dtype):
    z = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    with np.errstate(all="raise", under="ignore"):
        loss = scratch.label_noise_nll(z, [1, 1], epsilon, "none")
        dz = scratch.label_noise_nll_backward(1.0, z, [1, 1], epsilon)
    expected = [-np.log(epsilon) if epsilon else 2e4, -np.log1p(-epsilon)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert np.isfinite(dz).all()
    empty = scratch.label_noise_nll(z[:0], np.zeros(0, int), epsilon, "none")
    assert empty.shape == (0,)
