"""Moved, bent and mixed images against torch, SciPy and their definitions."""

import tracemalloc
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, register, tensor
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.augmentation_and_noise import pytorch as twin
from dlbook_lib.regularization.augmentation_and_noise import scratch

PADDINGS = st.sampled_from(["zeros", "border", "reflection"])
SIDES = st.integers(1, 5)


def same(ours, theirs, tolerance=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def close(ours, expected, tolerance=1e-10):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore:Since version 1.3.0")  # a single pixel
@given(st.integers(0, 3), SIDES, SIDES, st.booleans(), st.integers(0, 99))
def test_affine_grid(n, h, w, align, seed):
    rng = numpy_generator(seed)
    theta, dy = rng.normal(size=(n, 2, 3)), rng.normal(size=(n, h, w, 2))
    size = n, 2, h, w
    ours = scratch.affine_grid(theta, size, align)
    if n:  # torch takes no empty batch
        leaf = torch.tensor(theta, requires_grad=True)
        theirs = F.affine_grid(leaf, list(size), align_corners=align)
        same(ours, theirs)
        (expected,) = torch.autograd.grad(theirs, leaf, torch.tensor(dy))
        same(scratch.affine_grid_backward(dy, theta, size, align), expected)
    assert scratch.affine_grid(np.float32(theta), size, align).dtype == np.float32
    same(scratch.base_grid(h, w, align), twin.base_grid(h, w, align))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    PADDINGS,
    st.sampled_from([False, True, None]),
    st.sampled_from([("f8", 1e-10), ("f4", 1e-4)]),
    st.integers(0, 999),
)
def test_grid_sample_and_its_gradients(size, places, padding, align, kind, seed):
    dtype, tolerance = kind
    rng = numpy_generator(seed)
    x = rng.normal(size=size).astype(dtype)
    grid = rng.uniform(-2.5, 2.5, size=(size[0], *places, 2)).astype(dtype)
    dy = rng.normal(size=(*size[:2], *places)).astype(dtype)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that align_corners is None
        theirs = F.grid_sample(*leaves, padding_mode=padding, align_corners=align)
    with np.errstate(all="raise", under="ignore"):
        ours = scratch.grid_sample(x, grid, padding, align)
        found = scratch.grid_sample_backward(dy, x, grid, padding, align)
    assert ours.dtype == found[0].dtype == found[1].dtype == dtype
    same(ours, theirs, tolerance)
    expected = torch.autograd.grad(theirs, leaves, torch.tensor(dy))
    for a, b in zip(found, expected, strict=True):
        same(a, b, tolerance)


def test_sampling_at_pixels_edges_and_far_away():
    x = np.arange(1.0, 7).reshape(1, 1, 2, 3)
    far = [-1e9, -1.5, -1.0, -2 / 3, 0.0, 2 / 3, 1.0, 1.5, 1e9]
    grid = np.stack(np.meshgrid(far, far), axis=-1)[None]
    for padding in ("zeros", "border"):
        for align in (False, True):
            ours = scratch.grid_sample(x, grid, padding, align)
            theirs = F.grid_sample(
                torch.tensor(x),
                torch.tensor(grid),
                padding_mode=padding,
                align_corners=align,
            )
            same(ours, theirs)
    empty = scratch.grid_sample(x[:0], grid[:0])
    assert empty.shape == (0, 1, 9, 9)


def test_sampling_pixel_by_pixel():
    rng = numpy_generator(0)
    x, grid = rng.normal(size=(1, 1, 4, 5)), rng.uniform(-1.3, 1.3, (1, 3, 3, 2))
    ours = scratch.grid_sample(x, grid)[0, 0]
    for row in range(3):
        for column in range(3):
            u = ((grid[0, row, column, 0] + 1) * 5 - 1) / 2
            v = ((grid[0, row, column, 1] + 1) * 4 - 1) / 2
            naive = sum(
                x[0, 0, i, j] * max(0, 1 - abs(v - i)) * max(0, 1 - abs(u - j))
                for i in range(4)
                for j in range(5)
            )
            assert ours[row, column] == pytest.approx(naive, abs=1e-12)


def test_gradients_numerically_and_registered():
    rng = numpy_generator(1)
    x, grid = rng.normal(size=(2, 2, 3, 4)), rng.uniform(-0.9, 0.9, (2, 2, 3, 2))
    dy = rng.normal(size=(2, 2, 2, 3))
    found = scratch.grid_sample_backward(dy, x, grid)
    for i, (value, ours) in enumerate(zip((x, grid), found, strict=True)):

        def cost(z, i=i):
            return (dy * scratch.grid_sample(*((z, grid), (x, z))[i])).sum()

        close(ours, numeric_gradient(cost, value), 1e-6)
    leaves = [tensor(a, requires_grad=True) for a in (x, grid)]
    f = register(scratch.grid_sample, scratch.grid_sample_backward)
    for a, b in zip(grad(f(*leaves), leaves, [dy]), found, strict=True):
        np.testing.assert_array_equal(a.data, b)
    theta = tensor(rng.normal(size=(2, 2, 3)), requires_grad=True)
    g = register(scratch.affine_grid, scratch.affine_grid_backward)
    places = g(theta, (2, 1, 2, 3))
    (found,) = grad(places, theta, [grid])
    expected = scratch.affine_grid_backward(grid, theta.data, (2, 1, 2, 3))
    np.testing.assert_array_equal(found.data, expected)


@given(st.integers(1, 5), PADDINGS, st.booleans(), st.integers(0, 99))
def test_positions_and_neighbours_are_the_twins(size, padding, align, seed):
    x = numpy_generator(seed).uniform(-4, 4, size=20)
    ours = scratch.pixel_position(x, size, padding, align)
    theirs = twin.pixel_position(torch.tensor(x), size, padding, align)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)
    for a, b in zip(
        scratch.neighbours(ours[0], size), twin.neighbours(theirs[0], size), strict=True
    ):
        for mine, other in zip(a, b, strict=True):
            same(mine, other)


# ---- moved images ------------------------------------------------------------------

GREY, COLOUR = (3, 7, 9), (3, 2, 6, 5)
ANGLES, FACTORS = np.array([0.3, -2.0, 4.0]), np.array([0.5, 1.3, 2.0])
RIGHT, DOWN = np.array([1.5, -0.3, 0.0]), np.array([0.2, 2.0, -9.0])
MOVES = {
    "shift": [(RIGHT, DOWN), (1.0, -2.0), (0.25,)],
    "rotate": [(ANGLES,), (0.5,)],
    "scale": [(FACTORS,), (1.5,)],
}


def drawn(shape, seed=0):
    return numpy_generator(seed).uniform(size=shape)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [GREY, COLOUR, (3, 1, 1), (3, 1, 4)])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_moves_are_the_twins(name, shape, padding):
    x = drawn(shape)
    for options in MOVES[name]:
        ours = getattr(scratch, name)(x, *options, padding_mode=padding)
        move = partial(getattr(twin, name), padding_mode=padding)
        same(ours, move(torch.tensor(x), *options))
        narrow = getattr(scratch, name)(np.float32(x), *options, padding_mode=padding)
        assert narrow.dtype == np.float32
        close(narrow, ours, 1e-4)
    assert getattr(scratch, name)(x[:0], *MOVES[name][-1]).shape == (0, *shape[1:])


def test_shifts_are_scipys():
    x = drawn(GREY)
    moved = scratch.shift(x, RIGHT, DOWN)
    for image, out, right, down in zip(x, moved, RIGHT, DOWN, strict=True):
        expected = ndimage.shift(image, (down, right), order=1, mode="grid-constant")
        close(out, expected)
    whole = scratch.shift(x, 2.0, -1.0)
    close(whole[:, :-1, 2:], x[:, 1:, :-2])
    close(whole[:, :, :2], 0)
    close(whole[:, -1], 0)


def test_rotations_are_scipys():
    x = drawn((3, 8, 8))
    for image, out, angle in zip(x, scratch.rotate(x, ANGLES), ANGLES, strict=True):
        degrees, how = np.degrees(angle), {"order": 1, "mode": "grid-constant"}
        close(out, ndimage.rotate(image, degrees, reshape=False, **how))
    close(scratch.rotate(x, np.pi / 2), np.rot90(x, axes=(1, 2)))
    wide = drawn((2, 4, 6))  # no distortion where an image is not square
    centre = np.array([1.5, 2.5])
    back = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    for image, out in zip(wide, scratch.rotate(wide, 0.7), strict=True):
        offset = centre - back @ centre
        how = {"order": 1, "mode": "grid-constant"}
        close(out, ndimage.affine_transform(image, back, offset, **how))


def test_scales_are_scipys_and_scale_and_shift_invert():
    x = drawn(GREY)
    centre = np.array([3.0, 4.0])
    for image, out, factor in zip(x, scratch.scale(x, FACTORS), FACTORS, strict=True):
        zoom, how = np.full(2, 1 / factor), {"order": 1, "mode": "grid-constant"}
        close(out, ndimage.affine_transform(image, zoom, centre * (1 - zoom), **how))
    both = scratch.affine_matrices(x, ANGLES, FACTORS, RIGHT, DOWN)
    for theta, a, f, r, d in zip(both, ANGLES, FACTORS, RIGHT, DOWN, strict=True):
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        half = np.array([4.5, 3.5])
        place = np.array([0.3, -0.6])
        moved = (f * turn @ (place * half) + [r, d]) / half
        close(theta @ [*moved, 1.0], place)
    same(both, twin.affine_matrices(torch.tensor(x), ANGLES, FACTORS, RIGHT, DOWN))
    close(scratch.warp(x, scratch.affine_matrices(x)), x)


def test_flips():
    for shape in (GREY, COLOUR):
        x, some = drawn(shape), np.array([True, False, True])
        close(scratch.flip(x), np.flip(x, -1))
        mixed = scratch.flip(x, some)
        close(mixed[1], x[1])
        close(mixed[::2], np.flip(x[::2], -1))
        same(mixed, twin.flip(torch.tensor(x), some))
        same(scratch.flip(x), twin.flip(torch.tensor(x)))


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_blurring_is_scipys(sigma):
    x = drawn(COLOUR)
    how = {"mode": "constant", "truncate": 4.0}
    expected = ndimage.gaussian_filter(x, (0, 0, sigma, sigma), **how)
    close(scratch.gaussian_blur(x, sigma), expected)
    same(scratch.gaussian_blur(x, sigma), twin.gaussian_blur(torch.tensor(x), sigma))
    assert scratch.gaussian_blur(np.float32(x), sigma).dtype == np.float32


def test_elastic_distortion():
    field = scratch.elastic_field((3, 7, 9), 8.0, 2.0, rng=numpy_generator(0))
    noise = numpy_generator(0).uniform(-1, 1, size=(3, 2, 7, 9))
    close(field, 8 * ndimage.gaussian_filter(noise, (0, 0, 2, 2), mode="constant"))
    assert twin.elastic_field((3, 7, 9), rng=torch_generator(0)).shape == (3, 2, 7, 9)
    x = drawn(GREY)
    bent = scratch.elastic(x, field)
    rows, columns = np.indices((7, 9))
    for image, out, (right, down) in zip(x, bent, field, strict=True):
        places = [rows + down, columns + right]
        how = {"order": 1, "mode": "grid-constant"}
        close(out, ndimage.map_coordinates(image, places, **how))
    for padding in ("zeros", "border", "reflection"):
        theirs = twin.elastic(torch.tensor(x), torch.tensor(field), padding)
        same(scratch.elastic(x, field, padding), theirs)
    colour = scratch.elastic(np.stack([x, x], axis=1), field)
    close(colour[:, 1], bent)
    assert scratch.elastic(np.float32(x), field).dtype == np.float32


def test_spread_of_displacements():
    a = scratch.elastic_field((20, 30, 30), rng=numpy_generator(0))
    b = twin.elastic_field((20, 30, 30), rng=torch_generator(0))
    assert b.std().item() == pytest.approx(a.std(), rel=0.1)


# ---- colours and mixtures ----------------------------------------------------------


def jittered(pixels, brightness, contrast, saturation):
    """One image (3, H, W), step by step."""
    luma = np.array([0.299, 0.587, 0.114])
    x = np.clip(brightness * pixels, 0, 1)
    mean = np.tensordot(luma, x, 1).mean()
    x = np.clip(mean + contrast * (x - mean), 0, 1)
    grey = np.tensordot(luma, x, 1)
    return np.clip(grey + saturation * (x - grey), 0, 1)


@given(st.integers(0, 99))
def test_color_jitter(seed):
    rng = numpy_generator(seed)
    x, factors = rng.uniform(size=(4, 3, 2, 5)), rng.uniform(0, 2, size=(3, 4))
    ours = scratch.color_jitter(x, *factors)
    naive = [jittered(i, *f) for i, f in zip(x, factors.T, strict=True)]
    close(ours, np.stack(naive))
    same(ours, twin.color_jitter(torch.tensor(x), *factors))
    one = scratch.color_jitter(x, 1.2, 0.5, 0.0)
    same(one, twin.color_jitter(torch.tensor(x), 1.2, 0.5, 0.0))
    close(one[:, 0], one[:, 2])  # grey
    close(scratch.color_jitter(x), x)
    assert scratch.color_jitter(np.float32(x), *factors).dtype == np.float32


@given(st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_mixup(n, each, seed):
    rng = numpy_generator(seed)
    x, t = rng.normal(size=(n, 2, 3)), rng.dirichlet(np.ones(4), size=n)
    weight = rng.uniform(size=n if each else ())
    order = rng.permutation(n)
    ours = scratch.mixup(x, t, weight, order)
    lam = np.broadcast_to(weight, n)
    for mixed, plain in zip(ours, (x, t), strict=True):
        naive = [lam[i] * plain[i] + (1 - lam[i]) * plain[order[i]] for i in range(n)]
        close(mixed, np.stack(naive))
    close(ours[1].sum(axis=1), 1)
    tensors = map(torch.as_tensor, (x, t, np.asarray(weight), order))
    for a, b in zip(ours, twin.mixup(*tensors), strict=True):
        same(a, b)
    assert scratch.mixup(np.float32(x), t, weight, order)[0].dtype == np.float32


def test_views_are_as_good_as_copies():
    x = drawn((6, 14, 18))[::2, ::2, ::-2]
    close(scratch.rotate(x, 0.3), scratch.rotate(x.copy(), 0.3))


def test_memory_grows_with_the_sampled_images_only():
    x = drawn((8, 16, 32, 32)).astype("f4")
    theta = scratch.affine_matrices(x, angle=0.3)
    tracemalloc.start()
    scratch.warp(x, theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * x.nbytes  # the result, one corner and one product
