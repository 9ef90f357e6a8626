"""Fast and biological kernels against the twin and torch: values and gradients."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import pytorch, scratch
from tests.convolutional.fast_and_biological_kernels.test_scratch import (
    PARAMS,
    cases,
)

TOLERANCE = {"f8": {"rtol": 1e-10, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}
ALL = [name for name, _ in cases(numpy_generator(0)) if hasattr(scratch, name)]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_those_of_the_twin(name, dtype):
    rng = numpy_generator(0)
    args = [a.astype(dtype) for a in dict(cases(rng))[name]]
    args[0] = np.repeat(args[0], 2, axis=-1)[..., ::2]  # not contiguous
    theirs = [torch.tensor(a, requires_grad=True) for a in args]
    y = getattr(pytorch, name)(*theirs)
    np.testing.assert_allclose(
        getattr(scratch, name)(*args), y.detach(), **TOLERANCE[dtype]
    )
    dy = rng.normal(size=tuple(y.shape)).astype(dtype)
    wanted = torch.autograd.grad(y, theirs, torch.tensor(dy))
    found = getattr(scratch, f"{name}_backward")(dy, *args)
    for a, g in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, g, **TOLERANCE[dtype])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_the_modes_are_those_of_the_twin(mode):
    rng = numpy_generator(0)
    x, k = rng.normal(size=(7, 6)), rng.normal(size=(3, 4))
    y = scratch.fft_convolve(x, k, mode)
    theirs = pytorch.fft_convolve(torch.tensor(x), torch.tensor(k), mode)
    np.testing.assert_allclose(y, theirs, **TOLERANCE["f8"])
    assert scratch.kept_places(x, k, mode) == pytorch.kept_places(x, k, mode)


@pytest.mark.parametrize("padding", [0, (1, 2), "valid"])
def test_images_are_those_of_torch(padding):
    rng = numpy_generator(0)
    arrays = [rng.normal(size=s) for s in [(2, 3, 9, 8), (4, 3, 3, 4), (4,)]]
    tensors = [torch.tensor(a) for a in arrays]
    y = scratch.fft_conv2d(*arrays, padding)
    for f in (pytorch.fft_conv2d, torch.nn.functional.conv2d):
        theirs = f(*tensors, padding=padding)
        np.testing.assert_allclose(y, theirs, **TOLERANCE["f8"])


def test_separable_parts_are_those_of_the_twin():
    kernel = numpy_generator(0).normal(size=(5, 4))
    for rank in (1, 3):
        u, v = scratch.separable_factors(kernel, rank)
        p, q = pytorch.separable_factors(torch.tensor(kernel), rank)
        np.testing.assert_allclose(u.T @ v, p.T @ q, **TOLERANCE["f8"])
        low = u.T @ v
        assert scratch.separable_rank(low) == rank
        assert pytorch.separable_rank(torch.tensor(low)) == rank
    assert scratch.separable_rank(kernel, 0.3) == pytorch.separable_rank(
        torch.tensor(kernel), 0.3
    )
    assert scratch.separable_multiplies(5, 2) == pytorch.separable_multiplies(5, 2)
    sizes = (2, 6, 5), (1, 3), (1, 2)
    arrays = [np.ones(s) for s in sizes]
    tensors = [torch.ones(s) for s in sizes]
    assert scratch.separable_plan(*arrays)[3] == pytorch.separable_plan(*tensors)[3]
    assert [scratch.fast_length(n) for n in range(1, 99)] == [
        pytorch.fast_length(n) for n in range(1, 99)
    ]


def test_gabor_functions_are_those_of_the_twin():
    x, y = scratch.grid((7, 9))
    tx, ty = pytorch.grid((7, 9))
    pairs = [
        (x, tx),
        (y, ty),
        (scratch.turned(x, y, 0.3)[0], pytorch.turned(tx, ty, 0.3)[0]),
        (scratch.gabor_slopes(x, y, *PARAMS), pytorch.gabor_slopes(tx, ty, *PARAMS)),
        (scratch.grating(7, 1.1, 0.2, 0.3), pytorch.grating(7, 1.1, 0.2, 0.3)),
        (scratch.quadrature_pair(7, *PARAMS), pytorch.quadrature_pair(7, *PARAMS)),
    ]
    kernel = scratch.gabor(x, y, *PARAMS) + 0.01 * numpy_generator(0).normal(
        size=(7, 9)
    )
    ours, share = scratch.fit_gabor(kernel, steps=15)
    theirs, theirs_share = pytorch.fit_gabor(torch.tensor(kernel), steps=15)
    start = scratch.gabor_start(kernel), pytorch.gabor_start(torch.tensor(kernel))
    pairs += [(share, theirs_share), start]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, **TOLERANCE["f8"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    again, _ = scratch.fit_gabor(kernel, ours, steps=5)
    np.testing.assert_allclose(again, ours, rtol=1e-6, atol=1e-6)


def test_numbers_and_arrays_pass():
    assert list(pytorch.as_numbers(f=torch.tensor(0.5), phi=1)) == [0.5, 1.0]
    assert pytorch.as_real(1.0, "x") == scratch.as_real(1.0, "x")


def test_a_silent_complex_cell_has_no_gradient():
    image = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.ones(2, 3, 3, dtype=torch.float64)
    pytorch.complex_cell(image, *weights).backward()
    assert not image.grad.any()
