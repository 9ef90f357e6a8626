"""Second derivatives through the blocks and networks equal those of their twins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.architectures import pytorch
from dlbook_lib.convolutional.architectures import second_derivatives as twice
from tests.convolutional.architectures.test_scratch import modules
from tests.convolutional.twice import functions_agree_twice, modules_agree_twice


@modules
@pytest.mark.parametrize("training", [True, False])
def test_modules(case, training):
    kind, sizes, options, shape, _ = case
    ours = kind(*sizes, **options, rng=numpy_generator(0)).train(training)
    theirs = getattr(pytorch, kind.__name__)
    twin = theirs(*sizes, **options, rng=torch_generator(0)).train(training)
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=(3, *shape)))


@given(
    st.integers(0, 2),
    st.integers(1, 6),
    st.integers(1, 7),
    st.sampled_from([(4,), (3, 2)]),
)
def test_response_normalisation(n, channels, size, places):
    x = numpy_generator(size).normal(size=(n, channels, *places))
    options = size, 0.8, 0.7, 1.2

    def theirs(x):
        return F.local_response_norm(x, *options).sin() if n else x

    functions_agree_twice(
        lambda x: twice.local_response_norm(x, *options).sin(), theirs, [x]
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_sums_of_neighbour_channels(size):
    x = numpy_generator(0).normal(size=(2, 4, 3))
    functions_agree_twice(
        lambda x: twice.across_channels(x.sin(), size),
        lambda x: pytorch.across_channels(x.sin(), size),
        [x],
    )
