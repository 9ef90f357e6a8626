"""Ensembles of all masks against their definition, the scaled net, and their twins."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import linear
from dlbook_lib.feedforward.output_units.scratch import softmax
from dlbook_lib.regularization.dropout import ensembles, scratch
from dlbook_lib.regularization.dropout import ensembles_pytorch as copies
from tests.regularization.dropout.test_dropout import RATES, same


def test_all_masks_and_their_probabilities():
    for n in (1, 3, 5):
        masks = ensembles.all_masks(n)
        same(masks, copies.all_masks(n))
        assert len({tuple(m) for m in masks}) == 2**n
        for p in RATES:
            probability = ensembles.mask_probability(masks, p)
            same(probability, copies.mask_probability(copies.all_masks(n), p))
            assert probability.sum() == pytest.approx(1, abs=1e-12)
            kept = masks.sum(axis=1)
            np.testing.assert_allclose(probability, (1 - p) ** kept * p ** (n - kept))
            np.testing.assert_allclose(probability @ masks, np.full(n, 1 - p))


def regression(seed, classes=4, n=5):
    rng = numpy_generator(seed)
    w, b = rng.normal(size=(classes, n)), rng.normal(size=classes)
    return SimpleNamespace(
        x=rng.normal(size=(3, n)),
        scores=lambda x: linear(x, w, b),
        chances=lambda x: softmax(linear(x, w, b), -1),
        theirs=lambda x: (x @ torch.tensor(w).T + torch.tensor(b)).softmax(-1),
    )


@pytest.mark.parametrize("p", [p for p in RATES if p != 0.999])  # softmax gives 0
def test_weight_scaling_is_exact_for_softmax_and_geometric_mean(p):
    m = regression(0)
    output, probability = ensembles.mask_ensemble(m.chances, m.x, p)
    mean = ensembles.geometric_mean(output, probability)
    scaled = m.chances(m.x) if p < 1 else m.chances(0 * m.x)
    np.testing.assert_allclose(mean, scaled, atol=1e-13)
    theirs, chance = copies.mask_ensemble(m.theirs, torch.tensor(m.x), p)
    same(output, theirs)
    same(probability, chance)
    same(mean, copies.geometric_mean(theirs, chance))
    same(
        ensembles.arithmetic_mean(output, probability),
        copies.arithmetic_mean(theirs, chance),
    )
    if 0 < p < 0.9:  # the arithmetic mean is another thing
        arithmetic = ensembles.arithmetic_mean(output, probability)
        assert abs(arithmetic - scaled).max() > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.8])
def test_weight_scaling_is_exact_for_linear_nets_and_arithmetic_mean(p):
    m = regression(1)
    deep = numpy_generator(2).normal(size=(2, 4))
    for f in (m.scores, lambda x: linear(m.scores(x), deep)):
        mean = ensembles.arithmetic_mean(*ensembles.mask_ensemble(f, m.x, p))
        np.testing.assert_allclose(mean, f(m.x), atol=1e-12)
    bent = lambda x: np.maximum(m.scores(x), 0)  # noqa: E731
    mean = ensembles.arithmetic_mean(*ensembles.mask_ensemble(bent, m.x, p))
    assert (abs(mean - bent(m.x)).max() > 1e-3) == (p > 0)


def test_means_written_naively():
    rng = numpy_generator(0)
    output = softmax(rng.normal(size=(6, 2, 3)), -1)
    probability = softmax(rng.normal(size=6), 0)
    weights = probability[:, None, None]
    plain = (output**weights).prod(axis=0)
    plain /= plain.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(ensembles.geometric_mean(output, probability), plain)
    np.testing.assert_allclose(
        ensembles.arithmetic_mean(output, probability), (weights * output).sum(axis=0)
    )
    assert ensembles.geometric_mean(
        np.float32(output), np.float32(probability)
    ).dtype == (np.float32)


def test_geometric_means_of_zeros_and_of_tiny_numbers():
    half = np.array([0.5, 0.5])
    with np.errstate(all="raise"):
        mean = ensembles.geometric_mean([[0.0, 1.0], [0.5, 0.5]], half)
        tiny = ensembles.geometric_mean([[1e-300, 2e-300]] * 2, half)
    np.testing.assert_array_equal(mean, [0, 1])
    np.testing.assert_allclose(tiny, [1 / 3, 2 / 3])
    assert np.isnan(ensembles.geometric_mean([[0.0, 1.0], [1.0, 0.0]], half)).all()


def test_sampled_masks_tend_to_the_enumerated_mean():
    m = regression(3)
    exact = ensembles.arithmetic_mean(*ensembles.mask_ensemble(m.chances, m.x, 0.3))
    rng = numpy_generator(0)
    many = np.broadcast_to(m.x, (20_000, *m.x.shape))
    drawn = m.chances(scratch.dropout(many, 0.3, rng=rng)).mean(axis=0)
    np.testing.assert_allclose(drawn, exact, atol=0.01)


def test_a_member_that_counts_for_nothing_says_nothing():
    output, probability = [[0.0, 1.0], [0.25, 0.75]], [0.0, 1.0]
    mean = ensembles.geometric_mean(output, probability)
    np.testing.assert_allclose(mean, [0.25, 0.75])
    same(mean, copies.geometric_mean(*map(torch.tensor, (output, probability))), 1e-6)


def test_masks_stay_float32():
    x = np.ones((2, 3), "f4")
    assert ensembles.mask_probability(x, np.float64(0.3)).dtype == "f4"
    found = ensembles.mask_ensemble(lambda x: x, x, np.float64(0.3))
    assert [a.dtype for a in found] == ["f4", "f4"]
    for mean in (ensembles.arithmetic_mean, ensembles.geometric_mean):
        assert mean(x, [0.5, 0.5]).dtype == "f4"
