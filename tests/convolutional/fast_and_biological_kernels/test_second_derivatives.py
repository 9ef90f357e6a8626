"""Second derivatives of fast convolutions and model cells equal torch's."""

import numpy as np
import pytest
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution import pytorch as direct
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    cells_pytorch,
    features_pytorch,
    pytorch,
)
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    second_derivatives as twice,
)
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from tests.convolutional.twice import functions_agree_twice

RNG = numpy_generator(0)


@pytest.mark.parametrize("padding", [0, (1, 2), "same"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("name", "tile"),
    [("fft_conv2d", ()), ("winograd_conv2d", (2,)), ("winograd_conv2d_by_rows", (4,))],
)
def test_fast_convolution_of_images(name, tile, padding, bias):
    arrays = [RNG.normal(size=s) for s in ((2, 2, 4, 5), (3, 2, 3, 3), (3,))]
    arrays[2] = arrays[2] if bias else None
    ours = getattr(twice, name)
    functions_agree_twice(
        lambda *a: ours(*a, padding, *tile).sin(),
        lambda *a: F.conv2d(*a, padding=padding).sin(),
        arrays,
    )


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_fast_convolution_of_two_arrays(mode):
    functions_agree_twice(
        lambda *a: twice.fft_convolve(*a, mode).sin(),
        lambda *a: direct.convolve(*a, mode).sin(),
        [RNG.normal(size=(4, 5)), RNG.normal(size=(2, 3))],
    )


PARAMS = 1.2, 0.3, 0.2, 0.9, 0.4, 0.3, -0.2, 0.7
CASES = {
    "separable_conv2d": [(2, 3, 4, 5), (2, 3), (2, 2)],
    "simple_cell": [(2, 3, 4), (3, 4)],
    "complex_cell": [(2, 3, 4), (3, 4), (3, 4)],
    "triangle": [(3, 5)],
}


@pytest.mark.parametrize("name", CASES)
def test_cells_and_passes(name):
    ours = getattr(twice, name)
    modules = pytorch, cells_pytorch, features_pytorch
    theirs = next(getattr(m, name) for m in modules if hasattr(m, name))
    functions_agree_twice(
        lambda *a: ours(*a).sin(),
        lambda *a: theirs(*a).sin(),
        [RNG.normal(size=s) for s in CASES[name]],
    )
    if name == "separable_conv2d":  # an image alone, and no image
        for lead in ((), (0,)):
            arrays = [RNG.normal(size=s) for s in ((*lead, 4, 5), (1, 2), (1, 3))]
            functions_agree_twice(
                lambda *a: ours(*a).sin(), lambda *a: theirs(*a).sin(), arrays
            )


def test_gabor_functions_for_all_ten_arguments():
    functions_agree_twice(
        twice.gabor,
        cells_pytorch.gabor,
        [*RNG.normal(size=(2, 3, 4)), *map(np.array, PARAMS)],
    )
    x, y = RNG.normal(size=(2, 3, 4))
    functions_agree_twice(
        lambda x, y: twice.gabor(x, y, *PARAMS),
        lambda x, y: cells_pytorch.gabor(x, y, *PARAMS),
        [x, y],
    )


def test_a_silent_cell_is_flat():
    image = tensor(np.zeros((2, 3, 4)), requires_grad=True)
    weights = RNG.normal(size=(2, 3, 4))
    energy = twice.complex_cell(image, *weights)
    (slope,) = grad(energy.sum(), image, create_graph=True)
    (bend,) = grad((slope * slope).sum(), image)
    assert not slope.data.any()
    assert not bend.data.any()


def test_float32_stays_float32():
    x, y = (tensor(a.astype("f4"), requires_grad=True) for a in RNG.normal(size=(2, 5)))
    tilted = np.float64(0.7)
    z = twice.triangle(twice.gabor(x, y, 1.2, 0.3, 0.2, tau=tilted) * 3)
    slopes = grad((z * z).sum(), [x, y], create_graph=True)
    bends = grad(sum((g * g).sum() for g in slopes), [x, y])
    assert {g.dtype for g in (*slopes, *bends)} == {np.dtype("f4")}
