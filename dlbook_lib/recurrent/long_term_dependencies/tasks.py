"""Sequences on which memory can be measured: NumPy arrays, for both twins.

Each function draws what it needs from `rng`, so the same seed gives the same task.
"""

import math

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_number,
    check_positive,
    check_rng,
    require,
)


def adding_problem(steps, count, *, rng, dtype=float):
    r"""Add two marked numbers, one from each half of a sequence of random ones.

    Parameters
    ----------
    steps : int
        T, at least 2.
    count : int
        N, how many sequences.
    rng : numpy.random.Generator
    dtype : dtype

    Returns
    -------
    input : ndarray (T, N, 2)
        Numbers uniform in [0, 1), and beside them a 1 at the two marked steps, else 0.
    target : ndarray (N, 1)
        The sum of the two. Who always says 1 has a mean squared error of 1/6, the
        variance of such a sum.

    Source: Hochreiter and Schmidhuber (1997), experiment 4, with both numbers in
    [-1, 1] and scaled; here in [0, 1) as in Le et al. (2015), with a marker in each
    half as in Arjovsky et al. (2016).

    >>> x, y = adding_problem(6, 1, rng=np.random.default_rng(0))
    >>> bool(np.isclose(x[..., 0][x[..., 1] == 1].sum(), y[0, 0])), x[..., 1].sum()
    (True, np.float64(2.0))
    """
    check_positive(steps, "steps", integer=True)
    require(steps > 1, f"steps must be at least 2, for two numbers, not {steps}")
    check_positive(count, "count", integer=True)
    check_rng(rng)
    input = np.zeros((steps, count, 2), dtype)
    input[..., 0] = rng.random((steps, count))
    first = rng.integers(steps // 2, size=count)
    second = rng.integers(steps // 2, steps, size=count)
    each = np.arange(count)
    input[first, each, 1] = input[second, each, 1] = 1
    return input, input[first, each, :1] + input[second, each, :1]


def copy_problem(delay, count, length=10, symbols=8, *, rng):
    r"""Say again, after a delay, what was said at the beginning.

    Parameters
    ----------
    delay : int
        Blank steps between the last symbol and the sign to speak, from 0 up.
    count : int
        N, how many sequences.
    length : int
        L, how many symbols are to be remembered.
    symbols : int
        K, how many there are: 0 to K - 1. Blank is K, the sign to speak K + 1.
    rng : numpy.random.Generator

    Returns
    -------
    input, target : ndarray of int (2 L + delay, N)
        L symbols, blanks, the sign to speak L steps before the end; and blanks, then
        the L symbols. Who has forgotten them pays :math:`L\log K` nats a sequence.

    Source: Hochreiter and Schmidhuber (1997); the form of Arjovsky et al. (2016), where
    a delay of 1 is what is 0 here.

    >>> x, y = copy_problem(1, 1, 2, 3, rng=np.random.default_rng(0))
    >>> x.T, y.T
    (array([[2, 1, 3, 4, 3]]), array([[3, 3, 3, 2, 1]]))
    """
    check_positive(delay, "delay", integer=True, zero=True)
    for name, n in {"count": count, "length": length, "symbols": symbols}.items():
        check_positive(n, name, integer=True)
    check_rng(rng)
    spoken = rng.integers(symbols, size=(length, count))
    input = np.full((2 * length + delay, count), symbols)
    target = input.copy()
    input[:length], target[-length:] = spoken, spoken
    input[-length] = symbols + 1
    return input, target


def mackey_glass(steps, tau=17.0, dt=0.1, every=10, washout=1000, start=1.2):
    r"""A chaotic series: a feedback that comes late, by the trapezoid rule.

    .. math:: \dot x(t)=-\gamma x(t)+f(t),\qquad
              f(t)=\frac{\beta\,x(t-\tau)}{1+x(t-\tau)^{10}},\qquad
              \beta=0.2,\ \gamma=0.1

    Within a delay f is known, so the rule is exact algebra, with no equation to solve:

    .. math:: x_{i+1}=\frac{(1-\gamma\frac{dt}2)x_i+\frac{dt}2(f_i+f_{i+1})}
                            {1+\gamma\frac{dt}2}

    Parameters
    ----------
    steps : int
        How many numbers are wanted.
    tau : float
        The delay, a whole number of times dt. Chaos begins at about 16.8; 17 is usual,
        30 wilder.
    dt : float
        The step of the integrator; its error falls with its square.
    every : int
        One number is kept of so many.
    washout : int
        So many kept numbers are thrown away first.
    start : float
        x up to time 0. Another start gives another stretch of the same attractor.

    Returns
    -------
    ndarray (steps,)

    Source: Mackey and Glass (1977); as a benchmark for reservoirs, Jaeger (2001).

    >>> mackey_glass(3, start=0.0)
    array([0., 0., 0.])
    """
    for name, n in {"steps": steps, "every": every}.items():
        check_positive(n, name, integer=True)
    check_positive(washout, "washout", integer=True, zero=True)
    check_positive(tau, "tau")
    check_positive(dt, "dt")
    check_number(start, "start", 0, 2)
    late = round(tau / dt) if math.isfinite(tau / dt) else 0
    is_whole = late > 0 and abs(late * dt - tau) < 1e-9 * tau
    require(is_whole, f"tau {tau} must be a whole number of times dt {dt}; change dt")
    x = [float(start)] * (late + 1)
    feedback = [0.2 * x[0] / (1 + x[0] ** 10)] * (late + 1)  # f, a delay ahead of x
    keep, half = 1 - 0.05 * dt, 0.5 * dt
    for i in range((steps + washout) * every - 1):
        x.append((keep * x[-1] + half * (feedback[i] + feedback[i + 1])) / (2 - keep))
        feedback.append(0.2 * x[-1] / (1 + math.pow(x[-1], 10)))
    return np.array(x[late:][washout * every :: every])


def lagged(series, order):
    """The last values of a series beside the next: data for linear prediction.

    Parameters
    ----------
    series : array_like (K,)
    order : int
        How many values back it looks, below K.

    Returns
    -------
    columns : ndarray (K - order, order)
        The oldest first.
    target : ndarray (K - order, 1)

    >>> lagged([1.0, 2.0, 3.0, 4.0], 2)
    (array([[1., 2.],
           [2., 3.]]), array([[3.],
           [4.]]))
    """
    series = as_float(series, "series", ndim=1)
    check_positive(order, "order", integer=True)
    sentence = f"order {order} must be below the length of the series, {len(series)}"
    require(order < len(series), sentence)
    windows = np.lib.stride_tricks.sliding_window_view(series, order)
    return windows[:-1].copy(), series[order:, None].copy()
