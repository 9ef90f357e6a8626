"""Second derivatives of convolution without options equal torch's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.convolution import pytorch
from dlbook_lib.convolutional.convolution import second_derivatives as twice
from tests.convolutional.twice import functions_agree_twice

NAMES = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "conv2d_by_rows": 2, "conv_nd": 2}
small = st.integers(1, 3)


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_correlation(name, data):
    draw, ndim = data.draw, NAMES[name]
    kernel, (c, f) = [draw(st.integers(1, 2)) for _ in range(ndim)], (draw(small),) * 2
    size = [k + draw(st.integers(0, 2)) for k in kernel]
    leads = [(0,), (2,)] + [()] * (name != "conv2d_by_rows")
    shapes = [(*draw(st.sampled_from(leads)), c, *size), (f, c, *kernel), (f,)]
    rng = numpy_generator(draw(st.integers(0, 99)))
    arrays = [rng.normal(size=s) for s in shapes]
    if draw(st.booleans()):
        arrays[2] = None
    ours, theirs = getattr(twice, name), getattr(F, f"conv{ndim}d")
    functions_agree_twice(
        lambda *a: ours(*a).sin(), lambda *a: theirs(*a).sin(), arrays
    )


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [((4,), (3,)), ((3, 4), (2, 3))])
def test_convolution_of_two_arrays(mode, sizes):
    functions_agree_twice(
        lambda *a: twice.convolve(*a, mode).sin(),
        lambda *a: pytorch.convolve(*a, mode).sin(),
        [numpy_generator(i).normal(size=s) for i, s in enumerate(sizes)],
    )
