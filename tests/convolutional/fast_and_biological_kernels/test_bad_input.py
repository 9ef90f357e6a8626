"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    cells,
    features,
    scratch,
    winograd,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    Wholes,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
FREE = ("axis 2", "axis 3", "first axis is missing", "reverse")
IMAGES = {
    "input": Floats("N", 5, 7, 8, skip=FREE),
    "weight": Floats(6, 5, 3, 4, skip=FREE[:2]),
    "bias": Floats(6, optional=True),
}
FIXED = {
    "input": Floats("N", 5, 7, 8),
    "weight": Floats(6, 5, 3, 4),
    "bias": Floats(6, optional=True),
}
SQUARE = {
    "input": Floats("N", 5, 7, 8, skip=(*FREE, "axis 0")),
    "weight": Floats(6, 5, 3, 3),
    "bias": Floats(6, optional=True),
}
WHOLE = SQUARE | {"input": Floats("N", 5, 7, 8)}
FLAT = Floats(4, 5, skip=("axis", "reverse"))
NAMES = "alpha", "beta_x", "beta_y", "f", "phi", "x0", "y0", "tau"
NUMBERS = {name: Number() for name in NAMES}
POINTS = {"x": Floats(...), "y": Floats(...)}
SIZE = Wholes(2, skip=("alone", "None"))
KERNEL = Floats("H", "W", skip=("axis", "reverse"))
CELL = {"image": Floats(..., "H", "W"), "weight": Floats("H", "W")}
ENERGY = {
    "image": Floats(..., "H", "W"),
    "weight0": Floats("H", "W"),
    "weight1": Floats("H", "W"),
}
SEPARABLE = {
    "input": Floats(..., 9, 8, skip=("axis", "reverse", "missing")),
    "columns": Floats("rank", 3, skip=("axis 1",)),
    "rows": Floats("rank", 4, skip=("axis 1",)),
}
CALLS = [
    Call(scratch.fast_length, n=Whole()),
    Call(scratch.as_real, x=Floats(..., skip=("missing",)), name=Given("x")),
    Call(scratch.fft_convolve, input=FLAT, kernel=FLAT, mode=Choice("full", "same")),
    Call(scratch.kept_places, input=FLAT, kernel=FLAT, mode=Choice("full", "same")),
    Call(
        scratch.fft_convolve_backward,
        dy=Floats(6, 8),
        input=Floats(4, 5, skip=("objects",)),
        kernel=Floats(3, 4),
    ),
    Call(scratch.fft_conv2d, **IMAGES, padding=Whole(0)),
    Call(scratch.fft_conv2d_backward, dy=Floats("N", 6, 5, 5), **FIXED),
    Call(
        scratch.correlate_by_fft,
        x=Floats("N", 5, 7, 8, skip=FREE),
        weight=Floats("F", 5, 3, 4, skip=FREE),
    ),
    Call(scratch.separable_factors, kernel=KERNEL),
    Call(scratch.separable_rank, kernel=KERNEL, tol=Number(0, skip=("None",))),
    Call(scratch.separable_multiplies, kernel_size=SIZE, rank=Whole()),
    Call(scratch.separable_conv2d, **SEPARABLE),
    Call(scratch.separable_plan, **SEPARABLE),
    Call(
        scratch.separable_conv2d_backward,
        dy=Floats(..., 7, 5),
        input=Floats(..., 9, 8),
        columns=Floats("rank", 3),
        rows=Floats("rank", 4),
    ),
]
CELLS = [
    Call(cells.grid, size=SIZE),
    Call(cells.gabor, **POINTS, **NUMBERS),
    Call(cells.turned, **POINTS, tau=Number()),
    Call(cells.gabor_slopes, **POINTS, **NUMBERS),
    Call(cells.gabor_backward, dw=Floats(...), **POINTS, **NUMBERS),
    Call(cells.gabor_start, kernel=KERNEL),
    Call(cells.fit_gabor, kernel=KERNEL, start=Given(None), steps=Whole()),
    Call(cells.grating, size=SIZE, f=Number(), phi=Number(), tau=Number()),
    Call(cells.quadrature_pair, size=SIZE, **NUMBERS),
    Call(cells.simple_cell, **CELL),
    Call(cells.simple_cell_backward, dy=Floats(...), **CELL),
    Call(cells.complex_cell, **ENERGY),
    Call(cells.complex_cell_backward, dy=Floats(...), **ENERGY),
]
WINOGRAD = [
    Call(winograd.winograd_transforms, tile=Whole(), kernel_size=Given(2)),
    Call(winograd.winograd_multiplies, tile=Whole(), kernel_size=Whole()),
    Call(winograd.tile_plan, **SQUARE, padding=Whole(0), tile=Given(2)),
    Call(winograd.winograd_conv2d, **SQUARE, padding=Whole(0)),
    Call(winograd.winograd_conv2d_by_rows, **SQUARE, padding=Whole(0)),
    Call(winograd.winograd_conv2d_backward, dy=Floats("N", 6, 5, 6), **WHOLE),
    Call(winograd.winograd_conv2d_by_rows_backward, dy=Floats("N", 6, 5, 6), **WHOLE),
]
PATCHES = Floats("N", "D", skip=("axis", "reverse"))
FEATURES = [
    Call(
        features.random_kernels,
        out_channels=Whole(),
        in_channels=Whole(),
        kernel_size=Given(3),
        rng=RNG,
    ),
    Call(
        features.conv_features,
        **IMAGES,
        nonlinearity=Choice("relu", "abs"),
    ),
    Call(
        features.linear_readout,
        features=Floats("N", "D"),
        target=Floats("N", "K"),
        alpha=Positive(),
    ),
    Call(
        features.extract_patches,
        images=Floats("N", "C", 9, 8, skip=("axis", "reverse")),
        size=Given(2),
        count=Whole(),
        rng=RNG,
    ),
    Call(features.normalize_patches, patches=PATCHES, eps=Positive()),
    Call(features.zca_whitening, patches=PATCHES, eps=Positive()),
    Call(
        features.square_distances,
        x=Floats(..., "D", skip=("first",)),
        centroids=Floats("K", "D"),
    ),
    Call(
        features.kmeans,
        patches=Floats("N", "D"),
        centroids=Floats("K", "D"),
        steps=Whole(),
    ),
    Call(features.triangle, z=Floats(..., "K")),
    Call(features.triangle_backward, dy=Floats("N", "K"), z=Floats("N", "K")),
    Call(
        features.kmeans_features,
        images=Floats("N", 2, 9, 8, skip=FREE),
        centroids=Floats("K", 12),
        mean=Floats(12),
        matrix=Floats(12, 12),
        size=Given((2, 3)),
        eps=Positive(),
    ),
]


@pytest.mark.parametrize("call", [*CALLS, *CELLS, *WINOGRAD, *FEATURES], ids=str)
@settings(max_examples=12)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
    assert not_described(cells, CELLS) == {"as_numbers"}  # by its callers
    parts = {"combine", "spread", "gather", "rows_at_once", "padded_batch_last"}
    assert not_described(winograd, WINOGRAD) == parts  # of others, on their arrays
    assert not_described(features, FEATURES) == set()


X = np.ones((2, 3, 4, 4))
NAN = np.full((5, 5), np.nan)
BAD_CALLS = [
    (lambda: scratch.correlate_by_fft(X, X, (4, 3)), "lengths .* or more"),
    (lambda: scratch.correlate_by_fft(X, X, 4.0), "lengths must be a whole number"),
    (lambda: scratch.separable_rank(NAN), "kernel is NaN or infinite"),
    (lambda: scratch.separable_factors(NAN), "kernel is NaN or infinite"),
    (lambda: cells.fit_gabor(NAN), "kernel is NaN or infinite"),
    (lambda: cells.gabor_start(NAN), "kernel is NaN or infinite"),
    (lambda: cells.grating(3, tau=np.inf), "tau must be finite"),
    (lambda: features.zca_whitening(NAN), "patches is NaN or infinite"),
    (lambda: features.kmeans(NAN, NAN), "patches is NaN or infinite"),
    (lambda: scratch.fft_convolve(np.ones(3), np.ones((2, 2))), "kept_places: input"),
    (lambda: scratch.fft_convolve(np.ones(2), np.ones(3), "valid"), "kept_places: the"),
    (lambda: scratch.fft_convolve(np.ones(3) + 0j, np.ones(3)), "must be real"),
    (lambda: scratch.fft_convolve(np.ones(3), np.ones(3), "half"), "mode must be"),
    (lambda: scratch.separable_factors(np.ones((2, 3)), 3), "rank must be at most 2"),
    (lambda: scratch.separable_conv2d(X, np.ones((1, 5)), np.ones((1, 2))), "larger"),
    (lambda: cells.fit_gabor(np.ones((5, 5)), np.ones(7)), "start must be 8"),
    (lambda: winograd.winograd_transforms(6, 5), "need 10 points"),
    (lambda: winograd.winograd_conv2d(X, np.ones((2, 3, 3, 2))), "must be square"),
    (lambda: features.random_kernels(2, 1, 1, rng=numpy_generator(0)), "mean 0"),
    (lambda: features.extract_patches(X, 5, 2, rng=numpy_generator(0)), "do not fit"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
