"""Reference solutions and checkers of the page's exercises."""

import numpy as np

from dlbook_lib.common.exercises import Checker


def solve_cube(x):
    """The third power of each number.

    Parameters
    ----------
    x : ndarray (...)

    Returns
    -------
    ndarray (...)

    >>> solve_cube(np.array([2.0]))
    array([8.])
    """
    return x * x * x


check_cube = Checker(
    solve_cube, [(np.array([2.0]),), (np.array([-1.0, 0.5]),), (np.ones((2, 3)),)]
)
