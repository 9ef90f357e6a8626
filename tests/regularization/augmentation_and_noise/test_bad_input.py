"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.regularization.augmentation_and_noise import scratch
from dlbook_lib.regularization.augmentation_and_noise.scratch import (
    GaussianNoise,
    add_noise,
    affine_grid,
    affine_grid_backward,
    affine_matrices,
    base_grid,
    color_jitter,
    elastic,
    elastic_field,
    flip,
    flip_labels,
    gaussian_blur,
    grid_sample,
    grid_sample_backward,
    label_noise_nll,
    label_noise_nll_backward,
    mixup,
    neighbours,
    noisy_weights,
    pixel_position,
    rotate,
    scale,
    shift,
    smooth_labels,
    torch_smoothing,
    warp,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Reduction,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
STD = Positive(zero=True)
EACH = Floats(..., skip=("axis", "axes"))
PADDING = Choice("zeros", "border", "reflection")
SHARE = Number(0.0, 1.0)
LABELS = Labels("N", classes=4, skip=("axis", "axes"))
NOISY = {
    "input": Floats("N", "k"),
    "target": Labels("N", classes="k"),
    "epsilon": Number(0.0, 0.4, skip=("too high",)),
    "reduction": Reduction(),
}
SAMPLED = {
    "input": Floats(2, 3, 4, 5, skip=("axis 1", "axis 2", "axis 3")),
    "grid": Floats(2, 6, 7, 2, skip=("axis 1", "axis 2", "reverse")),
    "padding_mode": PADDING,
}
IMAGES = Floats("N", "C", "H", "W", skip=("missing",))
FREE = ("axis 0", "axis 1", "axis 2", "one axis", "reverse")
SERIES, FLAT = Floats("N", "H", "W", skip=FREE), Floats("H", "W", skip=FREE)
THREE = Floats(3, 4, 5, skip=("axis 1", "axis 2", "at the end"))
EVERY = Number(skip=("three numbers",))
CALLS = [
    Call(add_noise, input=EACH, std=STD, rng=RNG),
    Call(GaussianNoise, std=STD, rng=RNG),
    Call(GaussianNoise(rng=numpy_generator(0)).forward, input=EACH),
    Call(
        noisy_weights,
        parameters=Several(EACH, EACH, skip=("one too",)),
        variance=STD,
        rng=RNG,
    ),
    Call(flip_labels, target=LABELS, classes=Given(4), epsilon=SHARE, rng=RNG),
    Call(flip_labels, target=Given([0, 1]), classes=Whole(2), rng=RNG),
    Call(smooth_labels, target=LABELS, classes=Given(4), epsilon=SHARE),
    Call(smooth_labels, target=Given([0, 1]), classes=Whole(2)),
    Call(torch_smoothing, epsilon=Number(0.0, 0.5), classes=Given(2)),
    Call(label_noise_nll, **NOISY),
    Call(
        label_noise_nll_backward,
        dy=Number(),
        **NOISY | {"reduction": Reduction("mean", "sum", skip=("none",))},
    ),
    Call(affine_grid, theta=Floats(3, 2, 3), size=Given((3, 1, 4, 5))),
    Call(
        affine_grid_backward,
        dy=Floats(3, 4, 5, 2),
        theta=Floats(3, 2, 3),
        size=Given((3, 1, 4, 5)),
    ),
    Call(base_grid, height=Whole(), width=Whole()),
    Call(pixel_position, x=EACH, size=Whole(), padding_mode=PADDING),
    Call(neighbours, position=EACH, size=Whole()),
    Call(grid_sample, **SAMPLED),
    Call(grid_sample_backward, dy=Floats(2, 3, 6, 7), **SAMPLED),
    Call(
        affine_matrices,
        input=SERIES,
        angle=EVERY,
        factor=Positive(skip=("three numbers", "boolean")),
        right=EVERY,
        down=EVERY,
    ),
    Call(warp, input=THREE, theta=Floats(3, 2, 3), padding_mode=PADDING),
    Call(shift, input=SERIES, right=EVERY, down=EVERY, padding_mode=PADDING),
    Call(rotate, input=SERIES, angle=EVERY, padding_mode=PADDING),
    Call(
        scale,
        input=SERIES,
        factor=Positive(skip=("three numbers", "boolean")),
        padding_mode=PADDING,
    ),
    Call(flip, input=IMAGES, flipped=Given(True)),
    Call(gaussian_blur, input=FLAT, sigma=Positive()),
    Call(elastic_field, size=Given((2, 3, 4)), alpha=STD, sigma=Positive(), rng=RNG),
    Call(elastic, input=THREE, field=Floats(3, 2, 4, 5), padding_mode=PADDING),
    Call(
        color_jitter,
        input=Floats("N", 3, "H", "W", low=0.0, high=1.0),
        brightness=Positive(zero=True, skip=("three numbers", "a list", "boolean")),
        contrast=Positive(zero=True, skip=("three numbers", "a list", "boolean")),
        saturation=Positive(zero=True, skip=("three numbers", "a list", "boolean")),
    ),
    Call(
        mixup,
        input=Floats(3, "D", skip=("axis 1", "missing", "at the end")),
        target=Floats(3, "k", skip=("axis 1", "missing", "at the end")),
        weight=Number(0.0, 1.0, skip=("three numbers",)),
        order=Given([1, 2, 0]),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


X = np.ones((2, 3, 4))
BAD_CALLS = [
    (lambda: flip_labels([0], 1, rng=numpy_generator(0)), "classes must be 2 or more"),
    (lambda: smooth_labels([0], 1), "smooth_labels: classes must be 2 or more"),
    (
        lambda: label_noise_nll([[0.0, 1.0]], [0], 0.5),
        "epsilon must be below",
    ),
    (lambda: label_noise_nll(np.ones((0, 3)), []), "label_noise_nll: "),
    (lambda: affine_grid(np.ones((1, 2, 3)), (1, 2)), "affine_grid: size must be a"),
    (lambda: affine_grid(np.ones((1, 2, 3)), 5), "affine_grid: size must be a tuple"),
    (lambda: grid_sample(X[None], np.full((1, 1, 1, 2), np.nan)), "x is NaN"),
    (lambda: scale(X, 0.0), "factor must be above 0"),
    (lambda: rotate(X, np.ones(3)), "angle must be a number, or one for each"),
    (lambda: flip(X, 1), "flip: flipped must be True or False"),
    (lambda: flip(X, [True]), "flip: flipped must be True or False"),
    (lambda: gaussian_blur(X[0, 0], 1.0), "gaussian_blur: input .* is no image"),
    (lambda: elastic_field((2, 3), rng=numpy_generator(0)), "size must be a tuple"),
    (lambda: color_jitter(X[None]), "color_jitter: input .* in colour"),
    (lambda: smooth_labels([0], 2, dtype=int), "dtype must be floating, not <class"),
    (lambda: torch_smoothing(0.9, 2), "epsilon must be a number from 0 to 0.5, not"),
    (lambda: torch_smoothing(0.1, 1), "torch_smoothing: classes must be 2 or more"),
    (lambda: add_noise(X, rng=0), "add_noise: rng must be a numpy.random.Generator"),
    (lambda: flip_labels([0], 2, rng=None), "flip_labels: rng must be a numpy.rand"),
    (lambda: elastic_field((1, 2, 2), rng=0), "elastic_field: rng must be a numpy"),
    (lambda: elastic_field((-1, 2, 2), rng=RNG.value), "each number in size must be"),
    (lambda: mixup(1.0, 1.0, 0.5, [0]), "mixup: input .* are no examples"),
    (lambda: mixup(X, X, 0.5, [0, 2]), "mixup: order holds label 2"),
    (lambda: mixup(X, X[:1], 0.5, [0, 1]), "mixup: lengths differ"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
