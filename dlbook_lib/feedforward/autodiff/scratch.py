"""The square and its slope, in NumPy."""

from dlbook_lib.common.checks import as_float


def square(x):
    """Square each number: y = x².

    Parameters
    ----------
    x : ndarray (...)
        Metres.

    Returns
    -------
    ndarray (...)
        Square metres.

    Raises
    ------
    TypeError
        If `x` holds whole numbers, whose squares may overflow.

    >>> square([1.0, 3.0])
    array([1., 9.])
    """
    x = as_float(x, "x")
    return x * x


def square_backward(dy, x):
    """The derivative of a cost with respect to `x`, given that with respect to y.

    dx = 2 x dy.

    Parameters
    ----------
    dy, x : ndarray (...)

    Returns
    -------
    ndarray (...)

    >>> square_backward([1.0, 1.0], [1.0, 3.0])
    array([2., 6.])
    """
    return 2 * as_float(x, "x") * as_float(dy, "dy")
