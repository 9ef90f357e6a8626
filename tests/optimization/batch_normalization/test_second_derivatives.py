"""Second derivatives through normalisation equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.optimization.batch_normalization import scratch
from dlbook_lib.optimization.batch_normalization import second_derivatives as twice
from tests.feedforward.twice import leaves, same_twice

seeds = st.integers(0, 999)
places = st.lists(st.integers(1, 3), max_size=2).map(tuple)


def compare(name, arrays, call):
    """Two derivatives of a function and of torch's, for all leaves.

    ``call(f, leaves)`` calls a function on leaves made of the arrays (...).
    """
    ours, theirs = leaves(arrays)
    y, given = call(getattr(twice, name), ours), list(theirs)
    if theirs[1] is None and theirs[2] is not None:  # torch's second derivative fails
        given[1] = torch.ones_like(theirs[2])
    same_twice(y, call(getattr(functional, name), given), ours, theirs)


def numbers(seed, shape, size, with_weight, with_bias):
    """An input, and the factors and shifts of its channels, or None."""
    rng = numpy_generator(seed)
    x = rng.normal(size=shape)
    weight = rng.normal(size=size) if with_weight else None
    return x, weight, rng.normal(size=size) if with_bias else None


@given(seeds, st.integers(2, 4), places, st.booleans(), st.booleans(), st.booleans())
def test_batch_norm(seed, n, rest, with_weight, with_bias, training):
    arrays = numbers(seed, (n, 3, *rest), 3, with_weight, with_bias)
    rng = numpy_generator(seed + 1)
    stats = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    moved = []

    def call(f, leaves):
        kind = torch.tensor if isinstance(leaves[0], torch.Tensor) else np.array
        moved.append([kind(s) for s in stats])
        return f(leaves[0], *moved[-1], *leaves[1:], training, 0.3, 1e-3)

    compare("batch_norm", arrays, call)
    for mine, told in zip(*moved, strict=True):  # once, however often differentiated
        np.testing.assert_allclose(mine, told, rtol=1e-12)


@given(seeds, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())
def test_instance_norm(seed, n, with_weight, with_bias, own):
    arrays = numbers(seed, (n or 1, 3, 2, 2), 3, with_weight, with_bias)
    rng = numpy_generator(seed + 1)
    stats = rng.normal(size=3), rng.uniform(0.5, 2, 3)

    def call(f, leaves):
        kind = torch.tensor if isinstance(leaves[0], torch.Tensor) else np.array
        pair = [None, None] if own else [kind(s) for s in stats]
        return f(leaves[0], *pair, *leaves[1:], own, 0.1, 1e-3)

    compare("instance_norm", arrays, call)


@given(seeds, st.integers(0, 3), st.booleans(), st.booleans(), st.sampled_from([1, 2]))
def test_layer_norm(seed, n, with_weight, with_bias, axes):
    last = (2, 3)[-axes:]
    arrays = numbers(seed, (n, 2, 3), last, with_weight, with_bias)
    compare("layer_norm", arrays, lambda f, t: f(t[0], last, t[1], t[2], 1e-3))


@given(seeds, st.integers(0, 3), places, st.booleans(), st.booleans(), st.booleans())
def test_group_norm(seed, n, rest, with_weight, with_bias, wide):
    arrays = numbers(seed, (n, 4, *rest), 4, with_weight, with_bias)
    groups = 1 if wide else 2
    compare("group_norm", arrays, lambda f, t: f(t[0], groups, t[1], t[2], 1e-3))


LAYOUTS = {
    "C": (0, 1, 2, 3),
    "batch last": (1, 2, 3, 0),
    "channels last": (0, 2, 3, 1),
}


@pytest.mark.parametrize("axes", LAYOUTS.values(), ids=LAYOUTS)
def test_batch_norm_by_channel(axes):
    rng = numpy_generator(0)
    x, weight, bias = (rng.normal(size=s) for s in ((5, 3, 2, 4), 3, 3))
    x = np.ascontiguousarray(x.transpose(axes)).transpose(np.argsort(axes))
    (ours, theirs), eps = leaves([x, weight, bias]), 1e-3
    ours[0].data = x  # in this layout, which a copy may lose
    y = twice.batch_norm_by_channel(*ours, eps=eps)
    z = functional.batch_norm(theirs[0], None, None, *theirs[1:], True, eps=eps)
    same_twice(y, z, ours, theirs)


def test_batch_norm_by_channel_hands_on_the_gradient_of_its_pair():
    rng = numpy_generator(0)
    x, w, b = (tensor(rng.normal(size=s), requires_grad=True) for s in ((6, 3), 3, 3))
    dy = rng.normal(size=(6, 3))
    twice.batch_norm_by_channel(x, w, b).backward(dy)
    _, pull = scratch.batch_norm_by_channel(x.data, w.data, b.data)
    for t, g in zip((x, w, b), pull(dy), strict=True):
        np.testing.assert_array_equal(t.grad.data, g)


def test_equal_numbers_have_curvature_too():
    """Where the variance is 0, eps alone keeps the second derivative finite."""
    x = np.ones((3, 2))
    compare("layer_norm", (x, None, None), lambda f, t: f(t[0], (2,), None, None, 1e-3))
    compare(
        "batch_norm",
        (x, None, None),
        lambda f, t: f(t[0], None, None, None, None, True, 0.1, 1e-3),
    )


def test_without_a_reference_it_says_what_to_do():
    plain = register(scratch.layer_norm, scratch.layer_norm_backward)
    x = tensor([[1.0, 3.0]], requires_grad=True)
    with pytest.raises(RuntimeError, match="reference="):
        grad(plain(x, (2,)).sum(), x, create_graph=True)
