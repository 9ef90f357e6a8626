"""What the functions and layers of the page are given, checked."""

import numpy as np

from dlbook_lib.common.checks import as_float, check_positive, require


def check_operands(input, weight, bias=None, groups=1, transposed=False):
    """Refuse arrays that do not belong together in a convolution.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (F, C / groups, ...)
        Transposed, (C, F / groups, ...).
    bias : array_like (F,), optional
    groups : int
        Must divide C and F.
    transposed : bool

    >>> check_operands(np.ones((8, 28, 28, 3)), np.ones((6, 3, 5, 5)))
    Traceback (most recent call last):
    ValueError: check_operands: input has 28 channels but weight expects 3 (input
    (8, 28, 28, 3), weight (6, 3, 5, 5), groups 1); is input channels-first,
    (N, C, ...), and weight (out, in / groups, ...)?
    """
    weight = as_float(weight, "weight", ndim=(3, 4, 5))
    ndim = weight.ndim - 2
    input = as_float(input, "input", ndim=(ndim + 1, ndim + 2), empty=True)
    check_positive(groups, "groups", integer=True)
    channels, kernels, expected = input.shape[-ndim - 1], *weight.shape[:2]
    shapes = f"(input {input.shape}, weight {weight.shape}, groups {groups})"
    require(
        kernels % groups == 0,
        f"{kernels} kernels cannot be cut into {groups} groups {shapes}",
    )
    order, out, expected = "(out, in / groups, ...)", kernels, expected * groups
    if transposed:
        order, out, expected = "(in, out / groups, ...)", expected, out
    require(
        channels == expected,
        f"input has {channels} channels but weight expects {expected} {shapes}; is "
        f"input channels-first, (N, C, ...), and weight {order}?",
    )
    shape = bias is not None and as_float(bias, "bias").shape
    fits = shape in (False, (out,))
    require(fits, f"bias has shape {shape}, not {(out,)} {shapes}")


def check_dtype(dtype):
    """Refuse a `dtype` that parameters cannot have: what is not float64 or float32.

    >>> check_dtype(float), check_dtype(np.float32), check_dtype("float32")
    (None, None, None)
    >>> check_dtype(int)
    Traceback (most recent call last):
    TypeError: check_dtype: dtype must be float or np.float32, not <class 'int'>
    """
    names = "float64", "float32", "f8", "f4"
    fits = dtype in (float, np.float64, np.float32, *names)
    require(fits, f"dtype must be float or np.float32, not {dtype!r}", TypeError)
