"""Kernels that are not trained: against naive sums, the twin, and shifted digits."""

import tracemalloc

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    features,
    features_pytorch,
)
from tests.structure.test_twins import differences

close = {"rtol": 1e-9, "atol": 1e-10}


def both(name, *arrays, **options):
    """The results of the twins for arrays, after a check that they agree."""
    ours = getattr(features, name)(*arrays, **options)
    tensors = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
    theirs = getattr(features_pytorch, name)(*tensors, **options)
    several = isinstance(ours, tuple)
    pairs = zip(*((ours, theirs) if several else ([ours], [theirs])), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, **close)
    return ours


def test_random_kernels_have_mean_0_and_length_1():
    w = features.random_kernels(6, 2, (3, 4), rng=numpy_generator(0), dtype="f4")
    v = features_pytorch.random_kernels(6, 2, (3, 4), rng=torch_generator(0))
    for kernels in (w, v.numpy()):
        assert kernels.shape == (6, 2, 3, 4)
        np.testing.assert_allclose(kernels.mean(axis=(1, 2, 3)), 0, atol=1e-7)
        np.testing.assert_allclose((kernels**2).sum(axis=(1, 2, 3)), 1, rtol=1e-6)
    assert w.dtype == np.float32


def test_the_cost_of_kmeans_falls_far_from_0_in_float32():
    x = (numpy_generator(0).normal(size=(50, 2)) + 1e4).astype("f4")
    cost = features.kmeans(x, x[:3], 6)[1]
    wanted = features.kmeans(x.astype("f8"), x[:3].astype("f8"), 6)[1]
    np.testing.assert_allclose(cost, wanted, rtol=1e-2)
    assert (np.diff(cost) <= 1e-2).all()


@pytest.mark.parametrize("nonlinearity", ["relu", "abs", "square"])
def test_convolutional_features(nonlinearity):
    rng = numpy_generator(0)
    x, w, b = (rng.normal(size=s) for s in [(3, 2, 9, 8), (4, 2, 3, 2), (4,)])
    y = both("conv_features", x, w, b, pool=(2, 3), nonlinearity=nonlinearity)
    assert y.shape == (3, 24)
    assert features.conv_features(x[:0], w, b).shape == (0, 16)
    assert features.conv_features(*(a.astype("f4") for a in (x, w))).dtype == "f4"


@pytest.mark.parametrize("n", [5, 40])
def test_the_readout_is_the_least_of_its_objective(n):
    rng = numpy_generator(0)
    x, t = rng.normal(size=(n, 12)) + 1, rng.normal(size=(n, 3))
    weight, bias = both("linear_readout", x, t, 0.5)

    def cost(w, b):
        return ((x @ w.T + b - t) ** 2).sum() + 0.5 * (w**2).sum()

    least = cost(weight, bias)
    for _ in range(20):
        moved = weight + 1e-3 * rng.normal(size=weight.shape)
        assert cost(moved, bias) > least
        assert cost(weight, bias + 1e-3 * rng.normal(size=3)) > least
    few = features.linear_readout(x.astype("f4"), t.astype("f4"), 0.5)
    assert {a.dtype for a in few} == {np.dtype("f4")}


def test_patches_are_cut_from_the_images():
    images = np.arange(2 * 3 * 5 * 6.0).reshape(2, 3, 5, 6)
    ours = features.extract_patches(images, (2, 3), 50, rng=numpy_generator(0))
    theirs = features_pytorch.extract_patches(
        torch.tensor(images), (2, 3), 50, rng=torch_generator(0)
    )
    corners = {
        images[n, :, i : i + 2, j : j + 3].tobytes()
        for n in range(2)
        for i in range(4)
        for j in range(4)
    }
    for patches in (ours, theirs.numpy()):
        assert patches.shape == (50, 18)
        assert {p.tobytes() for p in patches} <= corners
        assert len({p.tobytes() for p in patches}) > 15


def test_white_patches_are_uncorrelated():
    rng = numpy_generator(0)
    x = both(
        "normalize_patches", rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)), 0.1
    )
    np.testing.assert_allclose(x.mean(axis=1), 0, atol=1e-12)
    x = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 3
    mean, matrix = both("zca_whitening", x, 1e-9)
    white = (x - mean) @ matrix
    np.testing.assert_allclose(white.T @ white / 500, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, **close)
    one = features.zca_whitening(x[:, :1].astype("f4"))
    assert one[1].shape == (1, 1)
    assert one[1].dtype == np.float32


def test_kmeans_goes_down_and_is_that_of_the_twin(monkeypatch):
    rng = numpy_generator(0)
    x = rng.normal(size=(200, 3)) + 4 * rng.integers(0, 3, (200, 1))
    start = np.concatenate([x[:5], [[99.0, 99, 99]]])  # the last is never nearest
    centroids, cost = both("kmeans", x, start, 12)
    assert (np.diff(cost) <= 1e-12).all()
    np.testing.assert_array_equal(centroids[-1], start[-1])
    distance = ((x[:, None] - start) ** 2).sum(axis=-1)
    np.testing.assert_allclose(cost[0], distance.min(axis=1).mean(), **close)
    monkeypatch.setattr(features, "COLUMN_BYTES", 2**10)
    np.testing.assert_allclose(features.kmeans(x, start, 12)[0], centroids, **close)
    few = features.kmeans(x.astype("f4"), start.astype("f4"), 3)
    assert {a.dtype for a in few} == {np.dtype("f4")}


def test_kmeans_takes_few_patches_at_a_time(monkeypatch):
    monkeypatch.setattr(features, "COLUMN_BYTES", 2**16)
    x = numpy_generator(0).normal(size=(4096, 64))
    tracemalloc.start()
    features.kmeans(x, x[:2], 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2  # not a copy of them all for two centroids


def test_triangles_and_distances():
    rng = numpy_generator(0)
    x, c = rng.normal(size=(4, 2, 5)), rng.normal(size=(7, 5))
    z = both("square_distances", x, c)
    y = both("triangle", z)
    np.testing.assert_allclose(y, np.maximum(z.mean(-1, keepdims=True) - z, 0), **close)
    assert 0.2 < (y == 0).mean() < 0.8
    assert features.square_distances(c, c).min() >= 0


def test_features_of_whole_images():
    rng = numpy_generator(0)
    images = rng.normal(size=(3, 2, 7, 6))
    patches = features.extract_patches(images, (3, 2), 60, rng=rng)
    mean, matrix = features.zca_whitening(features.normalize_patches(patches, 0.1))
    centroids, _ = features.kmeans(patches[:40], patches[:8], 3)
    arrays = images, centroids, mean, matrix
    y = both("kmeans_features", *arrays, (3, 2), 2, 0.1)
    assert y.shape == (3, 32)
    few = features.kmeans_features(*(a.astype("f4") for a in arrays), (3, 2))
    assert few.dtype == np.float32


def test_random_kernels_beat_pixels_on_shifted_digits():
    from sklearn.datasets import load_digits

    rng = numpy_generator(0)
    digits = load_digits()
    order = rng.permutation(len(digits.data))[:600]
    images = np.zeros((600, 1, 12, 12))
    for i, (down, right) in enumerate(rng.integers(0, 5, (600, 2))):
        images[i, 0, down : down + 8, right : right + 8] = digits.images[order[i]] / 16
    labels = digits.target[order]
    w = features.random_kernels(20, 1, 5, rng=rng)
    share = {}
    for name, x in {
        "pixels": images.reshape(600, -1),
        "random": features.conv_features(images, w, pool=3),
    }.items():
        weight, bias = features.linear_readout(x[:450], np.eye(10)[labels[:450]], 0.1)
        guess = (x[450:] @ weight.T + bias).argmax(axis=1)
        share[name] = (guess == labels[450:]).mean()
    assert share["random"] > share["pixels"] + 0.1


def test_the_twins_have_the_same_names():
    assert not list(differences(features, features_pytorch))
