"""Random numbers that come out the same each time: a seed in, a generator out."""

import numpy as np


def numpy_generator(seed):
    """A `numpy.random.Generator` for `seed`, a whole number from 0 up.

    Pass it on as the keyword `rng`; nothing in the book uses NumPy's global state. The
    stream (PCG64) is the same on every machine.

    Raises
    ------
    TypeError
        If `seed` is not a whole number: ``None`` would differ from run to run.
    ValueError
        If `seed` is negative.

    >>> numpy_generator(0).integers(10, size=5)
    array([8, 6, 5, 2, 3])
    """
    return np.random.default_rng(_whole(seed))


def torch_generator(seed, device="cpu"):
    """A `torch.Generator` on `device` for `seed`, a whole number from 0 up.

    Raises what `numpy_generator` raises. The two streams have nothing in common: twins
    that must see the same numbers draw them in NumPy. Nor do a CPU and a GPU generator
    agree for the same seed.
    """
    import torch

    return torch.Generator(device).manual_seed(_whole(seed))


def _whole(seed):
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(
            f"seed must be a whole number, not {seed!r}; try 0, so that the run can be "
            "repeated"
        )
    if seed < 0:
        raise ValueError(f"seed must not be negative, but is {seed}; try {-seed}")
    return int(seed)
