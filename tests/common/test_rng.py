"""The same seed gives the same numbers; what is no seed is refused."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator, torch_generator


def test_same_seed_same_numbers():
    a, b, c = (numpy_generator(seed).normal(size=9) for seed in (7, 7, 8))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_same_seed_same_numbers_in_torch():
    a, b, c = (torch.randn(9, generator=torch_generator(seed)) for seed in (7, 7, 8))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("generator", [numpy_generator, torch_generator])
def test_global_state_is_left_alone(generator):
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    generator(3)
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.random.get_rng_state())


@pytest.mark.parametrize("generator", [numpy_generator, torch_generator])
@pytest.mark.parametrize("seed", [None, 1.0, "1", True])
def test_what_is_no_seed_is_refused(generator, seed):
    with pytest.raises(TypeError, match="seed must be a whole number"):
        generator(seed)


@pytest.mark.parametrize("generator", [numpy_generator, torch_generator])
def test_a_negative_seed_is_refused(generator):
    with pytest.raises(ValueError, match="seed must not be negative, but is -3; try 3"):
        generator(-3)


def test_numpy_integers_are_seeds():
    assert numpy_generator(np.int64(4)).integers(99) == numpy_generator(4).integers(99)
