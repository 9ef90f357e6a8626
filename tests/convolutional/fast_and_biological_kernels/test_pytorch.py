"""Fast and biological kernels against the twin and torch: values and gradients."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    cells,
    cells_pytorch,
    pytorch,
    scratch,
)
from tests.convolutional.fast_and_biological_kernels.test_scratch import cases

TOLERANCE = {"f8": {"rtol": 1e-10, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}
TWINS = ((scratch, pytorch), (cells, cells_pytorch))
ALL = [
    (name, *twins)
    for name, _ in cases(numpy_generator(0))
    for twins in TWINS
    if hasattr(twins[0], name)
]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(("name", "ours", "twin"), ALL)
def test_values_and_gradients_are_those_of_the_twin(name, ours, twin, dtype):
    rng = numpy_generator(0)
    args = [a.astype(dtype) for a in dict(cases(rng))[name]]
    args[0] = np.repeat(args[0], 2, axis=-1)[..., ::2]  # not contiguous
    theirs = [torch.tensor(a, requires_grad=True) for a in args]
    y = getattr(twin, name)(*theirs)
    np.testing.assert_allclose(
        getattr(ours, name)(*args), y.detach(), **TOLERANCE[dtype]
    )
    dy = rng.normal(size=tuple(y.shape)).astype(dtype)
    wanted = torch.autograd.grad(y, theirs, torch.tensor(dy))
    found = getattr(ours, f"{name}_backward")(dy, *args)
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


def test_arrays_pass():
    assert pytorch.as_real(1.0, "x") == scratch.as_real(1.0, "x")
