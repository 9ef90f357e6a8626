r"""Methods that step by curvature: Newton's and what makes it affordable.

Each takes steps on a function of one vector, handed over as its value and its gradient,

>>> def objective(x):
...     return float(((x - 3) ** 4).sum()), 4 * (x - 3) ** 3

and returns every place it visited, (steps + 1, n):

>>> path = bfgs(objective, np.zeros(2), steps=30)
>>> bool(abs(path[-1] - 3).max() < 1e-2)
True

Newton's method solves with the Hessian; conjugate gradients and the truncated form
multiply by it; quasi-Newton methods gather it from the gradients they meet.
"""

from typing import Any, NamedTuple

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
    check_square,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad

# ---- Newton's method and its damping -------------------------------------------------


def newton_step(x, g, H, damping=0.0):
    r"""One step to where the quadratic through value, slope and curvature is flat.

    .. math:: \theta\leftarrow\theta-(H+\alpha I)^{-1}g

    Parameters
    ----------
    x, g : ndarray (n,)
        The place and the gradient there.
    H : ndarray (n, n)
        The Hessian there.
    damping : float
        α. With 0 a saddle attracts like a minimum; from |λ_min| on, every direction
        that curves down is walked down. Large, the step is that of gradient descent at
        the rate 1/α.

    Returns
    -------
    ndarray (n,)

    Source: Goodfellow et al. 2016, section 8.6.1, equation 8.28.

    >>> newton_step(np.array([1.0, 1.0]), np.array([2.0, -2.0]), np.diag([2.0, -2.0]))
    array([0., 0.])
    """
    x, g = as_float(x, "x", ndim=1), as_float(g, "g", ndim=1)
    H = as_float(H, "H", ndim=2)
    check_same_shape(x=x, g=g)
    check_square(H, "H", len(x))
    check_finite(H, "H")
    check_positive(damping, "damping", zero=True)
    damped = H + float(damping) * np.eye(len(x), dtype=H.dtype)
    require(
        np.linalg.matrix_rank(damped) == len(x),
        f"H + {damping} I has no inverse; try more damping",
    )
    return x - np.linalg.solve(damped, g)


def levenberg_marquardt(residual, jacobian, x, *, steps, damping=1e-3, tol=1e-12):
    r"""Least squares, ½ |r(x)|², by damped Gauss–Newton steps.

    .. math:: x\leftarrow x-(J^{\mathsf T}J+\alpha I)^{-1}J^{\mathsf T}r

    The product JᵀJ is the Hessian without the curvature of r itself, so it never
    curves down. A step that lowers the sum of squares is kept, and α is divided by 10;
    any other is taken back, and α is multiplied by 10.

    Parameters
    ----------
    residual, jacobian : callable
        r (m,) and its derivatives J (m, n) at a point (n,).
    x : array_like (n,)
    steps : int
    damping : float
        The first α.
    tol : float
        Stop where the gradient Jᵀr is shorter.

    Returns
    -------
    ndarray (k + 1, n)
        The same place again where a step was taken back.

    Source: Levenberg 1944; Marquardt 1963.

    >>> path = levenberg_marquardt(
    ...     lambda x: x**2 - 4, lambda x: np.diag(2 * x), [1.0, -5.0], steps=30
    ... )
    >>> path[-1]
    array([ 2., -2.])
    """
    both = callable(residual) and callable(jacobian)
    require(both, "residual and jacobian must be functions", TypeError)
    check_positive(steps, "steps", integer=True)
    check_positive(damping, "damping")
    check_positive(tol, "tol", zero=True)
    path = [as_float(x, "x", ndim=1)]
    r = as_float(residual(path[0]), "the residual", ndim=1)
    for _ in range(steps):
        J = as_float(jacobian(path[-1]), "the Jacobian", ndim=2)
        fits = J.shape == (len(r), len(path[0]))
        require(
            fits,
            f"the Jacobian is {J.shape} but needs {len(r)} rows, "
            f"one for each residual, and {len(path[0])} columns",
        )
        g = J.T @ r
        if np.linalg.norm(g) <= tol:
            break
        trial = newton_step(path[-1], g, J.T @ J, damping)
        r_trial = as_float(residual(trial), "the residual", ndim=1)
        better = r_trial @ r_trial < r @ r
        path.append(trial if better else path[-1])
        r, damping = (r_trial, damping / 10) if better else (r, damping * 10)
    return np.stack(path)


# ---- along a line --------------------------------------------------------------------


class Place(NamedTuple):
    """What is known of a place on a line: how far along, the value there, the slope
    along the line, and whatever belongs to it, such as the gradient (n,)."""

    t: float
    value: float
    slope: float
    gradient: Any = None


def cubic_minimum(a, b, low, high):
    """Where the cubic through two places with their slopes is lowest.

    Parameters
    ----------
    a, b : Place
    low, high : float
        The answer is moved between these; it is half-way if the cubic has no minimum.

    Returns
    -------
    float
        Of shape ().

    Source: Nocedal and Wright 2006, equation 3.59.

    >>> cubic_minimum(Place(0.0, 1.0, -2.0), Place(3.0, 4.0, 4.0), 0.0, 3.0)
    1.0
    """
    for name, place in (("a", a), ("b", b)):
        is_place = isinstance(place, Place)
        require(is_place, f"{name} must be a Place, not {place!r}", TypeError)
    check_number(low, "low")
    check_number(high, "high", low)
    if b.t < a.t:
        a, b = b, a
    with np.errstate(all="ignore"):  # two equal places, values that overflow
        width = np.float64(b.t) - a.t
        d1 = a.slope + b.slope - 3 * (a.value - b.value) / -width
        root = d1 * d1 - np.float64(a.slope) * b.slope
        d2 = np.sqrt(root)  # NaN below 0
        t = b.t - width * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return (low + high) / 2 if np.isnan(t) else min(max(float(t), low), high)


def strong_wolfe(along, start, t=1.0, c1=1e-4, c2=0.9, tol=1e-9, max_ls=25):
    r"""Find a step that lowers a function enough and flattens it enough.

    .. math::
        f(t)\le f(0)+c_1t\,f'(0)\qquad\text{and}\qquad|f'(t)|\le c_2|f'(0)|

    First the step grows until there must be such a place behind it, then the interval
    shrinks around the place (`zoom`).

    Parameters
    ----------
    along : callable
        ``along(t)`` is the `Place` at t.
    start : Place
        The one at 0, with a slope below 0.
    t : float
        The first step to try.
    c1, c2 : float
        Between 0 and 1. c₂ is 0.9 for quasi-Newton methods, 0.1 for conjugate
        gradients; close to 0 the search is exact. From c₁ on there is such a place.
    tol : float
        Stop when the interval is shorter.
    max_ls : int
        So many places may be looked at, and one more.

    Returns
    -------
    place : Place
        The best that was found, also where none is good enough; of shape ().
    evaluations : int

    Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards of
    minFunc (Schmidt 2005), which torch has too.

    Where conventions differ: that a place is no lower than the last one ends the growth
    from the third place on, as in torch; in the book already from the second. So the
    second may be taken although the first, too steep, was lower.

    >>> def along(t):
    ...     return Place(t, (t - 3) ** 2, 2 * (t - 3))
    >>> strong_wolfe(along, along(0.0), c2=0.1)
    (Place(t=3.0, value=0.0, slope=0.0, gradient=None), 2)
    """
    require(
        isinstance(start, Place), f"start must be a Place, not {start!r}", TypeError
    )
    require(start.slope < 0, f"the slope at the start is {start.slope}, not downhill")
    check_positive(t, "t")
    check_number(c1, "c1", 0, 1)
    check_number(c2, "c2", 0, 1)
    check_positive(tol, "tol", zero=True)
    check_positive(max_ls, "max_ls", integer=True, zero=True)
    last, place = start, along(t)
    for i in range(max_ls):
        too_high = place.value > start.value + c1 * place.t * start.slope
        if too_high or (i > 1 and place.value >= last.value):
            return _zoom(along, start, last, place, c1, c2, tol, i, max_ls)
        if abs(place.slope) <= -c2 * start.slope:
            return place, i + 1
        if place.slope >= 0:
            return _zoom(along, start, last, place, c1, c2, tol, i, max_ls)
        near, far = place.t + 0.01 * (place.t - last.t), 10 * place.t
        last, place = place, along(cubic_minimum(last, place, near, far))
    return (start if start.value <= place.value else place), max_ls + 1


def _zoom(along, start, a, b, c1, c2, tol, i, max_ls):
    """Shrink the interval from `a` to `b`, of which one is the lowest place so far."""
    ends, near_end = [a, b], False
    low = int(not a.value <= b.value)  # which of the two ends
    while i < max_ls and abs(b.t - a.t) >= tol:
        left, right = min(a.t, b.t), max(a.t, b.t)
        t, margin = cubic_minimum(a, b, left, right), 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            near_end = False
        elif near_end or t >= right or t <= left:
            t = right - margin if right - t < t - left else left + margin
            near_end = False
        else:
            near_end = True
        place, i = along(t), i + 1
        too_high = place.value > start.value + c1 * t * start.slope
        if too_high or place.value >= ends[low].value:
            ends[1 - low] = place
            low = int(not ends[0].value <= ends[1].value)
        elif abs(place.slope) <= -c2 * start.slope:
            return place, i + 1
        else:
            if place.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = place
        a, b = ends
    return ends[low], i + 1


def on_line(objective, x, d):
    """A function of many numbers as one of how far to go, for `strong_wolfe`.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    x, d : ndarray (n,)
        Where the line begins, and its direction.

    Returns
    -------
    callable
        From t to the `Place` at x + t d.

    >>> on_line(lambda x: (x @ x, 2 * x), np.array([1.0]), np.array([-1.0]))(0.5)
    Place(t=0.5, value=0.25, slope=-1.0, gradient=array([1.]))
    """
    sentence = f"objective must be a function, not {objective!r}"
    require(callable(objective), sentence, TypeError)
    x, d = as_float(x, "x", ndim=1), as_float(d, "d", ndim=1)
    check_same_shape(x=x, d=d)

    def along(t):
        found = objective(x + t * d)
        is_pair = isinstance(found, (tuple, list)) and len(found) == 2
        sentence = f"objective must return a value and a gradient, not {found!r}"
        require(is_pair, sentence, TypeError)
        value, g = found
        g = as_float(g, "the gradient", ndim=1)
        check_same_shape(x=x, gradient=g)
        return Place(t, float(value), float(g @ d), g)

    return along


def step_along(objective, x, d, here, t=1.0, c2=0.9):
    """Go in a direction as far as `strong_wolfe` says.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    x, d : ndarray (n,)
        The point, and a direction that leads down.
    here : Place
        At x, with the gradient.
    t, c2 : float
        As in `strong_wolfe`.

    Returns
    -------
    x : ndarray (n,)
    place : Place
        There; its t is 0 if nothing lower was found.
    """
    along = on_line(objective, x, d)
    require(isinstance(here, Place), f"here must be a Place, not {here!r}", TypeError)
    check_positive(t, "t")
    check_number(c2, "c2", 0, 1)
    start = here._replace(t=0.0, slope=float(here.gradient @ d))
    if start.slope >= 0:  # by rounding, close to a minimum
        return x, start
    place, _ = strong_wolfe(along, start, float(t), c2=c2)
    return x + place.t * d, place


def value_and_gradient(func):
    """Make of a function of Tensors what the methods here want.

    Parameters
    ----------
    func : callable
        Takes a `Tensor` (n,) and returns a `Tensor` of one element.

    Returns
    -------
    callable
        Value and gradient (n,) at a point (n,).

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> value_and_gradient(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (5.0, array([2., 4.]))
    """
    require(callable(func), f"func must be a function, not {func!r}", TypeError)

    def objective(x):
        x = Tensor(as_float(x, "x", ndim=1), requires_grad=True)
        y = func(x)
        require(isinstance(y, Tensor), f"func returns {y!r}, no Tensor", TypeError)
        (slope,) = grad(y, x)
        return y.item(), slope.data

    return objective


def begin(objective, x, steps, tol):
    """The path of a method before its first step, and what is known there.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    x : array_like (n,)
    steps : int
    tol : float
        What `steps` and `tol` are is only looked at.

    Returns
    -------
    path : list of ndarray (n,)
    here : Place
        With the gradient.
    """
    check_positive(steps, "steps", integer=True)
    check_positive(tol, "tol", zero=True)
    x = as_float(x, "x", ndim=1)
    return [x], on_line(objective, x, np.zeros_like(x))(0.0)


# ---- products with the Hessian -------------------------------------------------------


def nonlinear_conjugate_gradient(
    objective, x, *, steps, beta="polak-ribiere", c2=0.1, tol=1e-8
):
    r"""Descend along directions that do not undo each other, :math:`d\leftarrow-g+
    \beta d`.

    .. math::
        \beta_{\mathrm{FR}}=\frac{g_+^{\mathsf T}g_+}{g^{\mathsf T}g},\qquad
        \beta_{\mathrm{PR}}=\max\Bigl(0,\frac{g_+^{\mathsf T}(g_+-g)}
        {g^{\mathsf T}g}\Bigr)

    On a quadratic, with an exact search along each line, both are the linear method
    (`conjugate_gradient`), which ends after n steps.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    x : array_like (n,)
    steps : int
    beta : {"polak-ribiere", "fletcher-reeves"}
        The first starts afresh, with β = 0, where it would be negative. Both do where
        the direction no longer leads down.
    c2 : float
        How flat a place must be to end the search along a line.
    tol : float
        Stop where the gradient is shorter.

    Returns
    -------
    ndarray (k + 1, n)

    Source: Fletcher and Reeves 1964; Polak and Ribière 1969; Nocedal and Wright 2006,
    algorithm 5.4. Goodfellow et al. 2016, section 8.6.2.

    >>> def objective(x):
    ...     return x[0] ** 2 + 5 * x[1] ** 2, np.array([2.0, 10.0]) * x
    >>> path = nonlinear_conjugate_gradient(objective, [1.0, 1.0], steps=2, c2=1e-6)
    >>> bool(abs(path[-1]).max() < 1e-6)
    True
    """
    check_in(beta, "beta", ("polak-ribiere", "fletcher-reeves"))
    check_number(c2, "c2", 0, 1)
    path, here = begin(objective, x, steps, tol)
    g, d, t = here.gradient, -here.gradient, None
    for _ in range(steps):
        if np.linalg.norm(g) <= tol:
            break
        d = d if g @ d < 0 else -g
        first = t or 1 / max(1.0, float(abs(g).sum()))
        x, here = step_along(objective, path[-1], d, here, first, c2)
        if here.t == 0:
            break
        path.append(x)
        old, g = g, here.gradient
        change = g @ g if beta == "fletcher-reeves" else max(0, g @ (g - old))
        d_next = -g + (change / (old @ old)) * d
        slope = g @ d_next
        t = here.t * float((old @ d) / slope) if slope < 0 else None
        d = d_next
    return np.stack(path)


def newton_direction(product, g, *, steps, tol=0.5):
    r"""Solve :math:`Hd=-g` roughly, from products with H, which may curve down.

    It is `conjugate_gradient`, but it stops before a direction of negative curvature,
    with what it has; that leads down in any case.

    Parameters
    ----------
    product : callable
        ``product(v)`` is H v (n,) for v (n,).
    g : ndarray (n,)
    steps : int
        At most so many products.
    tol : float
        Stop when what is left of g is shorter than `tol` times g.

    Returns
    -------
    ndarray (n,)
        −g if already that direction curves down.

    Source: Nocedal and Wright 2006, algorithm 7.1; Martens 2010 for networks.

    >>> H = np.diag([1.0, 4.0])
    >>> newton_direction(lambda v: H @ v, np.array([1.0, 4.0]), steps=2, tol=1e-9)
    array([-1., -1.])
    """
    g = as_float(g, "g", ndim=1)
    check_positive(steps, "steps", integer=True)
    check_positive(tol, "tol", zero=True)
    d, rest, along = np.zeros_like(g), -g, -g
    for k in range(steps):
        image = as_float(product(along), "the product", ndim=1)
        check_same_shape(g=g, product=image)
        curvature = along @ image
        if curvature <= 0:
            return d if k else -g
        before = rest @ rest
        d = d + (before / curvature) * along
        rest = rest - (before / curvature) * image
        if np.linalg.norm(rest) <= tol * np.linalg.norm(g):
            break
        along = rest + (rest @ rest / before) * along
    return d


def truncated_newton(objective, product, x, *, steps, inner=50, damping=0.0, tol=1e-8):
    """Newton's method without a Hessian: conjugate gradients solve for each step.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    product : callable
        ``product(x, v)`` is H(x) v (n,), as ``hvp(func, x, v)[1]`` gives it.
    x : array_like (n,)
    steps : int
    inner : int
        Products for each step, at most; fewer are taken far from the minimum.
    damping : float
        α, added to every curvature.
    tol : float
        Stop where the gradient is shorter.

    Returns
    -------
    ndarray (k + 1, n)

    Source: Dembo and Steihaug 1983; Martens 2010, there "Hessian-free".

    >>> def objective(x):
    ...     return (x**4).sum(), 4 * x**3
    >>> path = truncated_newton(objective, lambda x, v: 12 * x**2 * v, [1.0], steps=9)
    >>> bool(abs(path[-1, 0]) < 0.05)
    True
    """
    check_positive(inner, "inner", integer=True)
    check_positive(damping, "damping", zero=True)
    path, here = begin(objective, x, steps, tol)
    for _ in range(steps):
        x, g = path[-1], here.gradient
        length = float(np.linalg.norm(g))
        if length <= tol:
            break
        d = newton_direction(
            lambda v, x=x: product(x, v) + float(damping) * v,
            g,
            steps=inner,
            tol=min(0.5, length**0.5),
        )
        x, here = step_along(objective, x, d, here)
        if here.t == 0:
            break
        path.append(x)
    return np.stack(path)


# ---- quasi-Newton methods ------------------------------------------------------------


def bfgs_update(B, s, y):
    r"""An estimate of the inverse Hessian that has learnt from one more step.

    .. math:: B\leftarrow(I-\rho sy^{\mathsf T})\,B\,(I-\rho ys^{\mathsf T})
        +\rho ss^{\mathsf T},\qquad\rho=1/(y^{\mathsf T}s)

    Parameters
    ----------
    B : ndarray (n, n)
    s, y : ndarray (n,)
        The step, and the change of the gradient along it.

    Returns
    -------
    ndarray (n, n)
        Symmetric, positive definite if B is, with B y = s. B itself where the gradient
        did not rise along the step, yᵀs ≤ 1e-10.

    Source: Nocedal and Wright 2006, equation 6.17.

    >>> bfgs_update(np.eye(2), np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    array([[0.25, 0.  ], [0.  , 1.  ]])
    """
    B, s, y = (
        as_float(B, "B", ndim=2),
        as_float(s, "s", ndim=1),
        as_float(y, "y", ndim=1),
    )
    check_same_shape(s=s, y=y)
    check_square(B, "B", len(s))
    ys = y @ s
    if ys <= 1e-10:
        return B
    turn = np.eye(len(s), dtype=B.dtype) - np.outer(s, y) / ys
    return turn @ B @ turn.T + np.outer(s, s) / ys


def bfgs(objective, x, *, steps, tol=1e-8):
    """Newton's method with an inverse Hessian gathered from gradients.

    Parameters
    ----------
    objective : callable
        Value and gradient (n,) at a point (n,).
    x : array_like (n,)
    steps : int
    tol : float
        Stop where the gradient is shorter.

    Returns
    -------
    ndarray (k + 1, n)

    Source: Broyden, Fletcher, Goldfarb, Shanno 1970; Nocedal and Wright 2006,
    algorithm 6.1, with the first estimate scaled by equation 6.20.
    """
    path, here = begin(objective, x, steps, tol)
    B, t = np.eye(len(path[0]), dtype=path[0].dtype), None
    for _ in range(steps):
        g = here.gradient
        if np.linalg.norm(g) <= tol:
            break
        first = 1.0 if t else 1 / max(1.0, float(abs(g).sum()))
        x, here = step_along(objective, path[-1], -B @ g, here, first)
        if here.t == 0:
            break
        s, y = x - path[-1], here.gradient - g
        if t is None and y @ s > 0:
            B = B * (y @ s / (y @ y))
        B, t = bfgs_update(B, s, y), here.t
        path.append(x)
    return np.stack(path)


def lbfgs_direction(g, steps, changes, scale=1.0):
    r"""−B g, where B has been updated for some steps by `bfgs_update`, without B.

    Parameters
    ----------
    g : ndarray (n,)
    steps, changes : list of ndarray (n,)
        s and y of the last steps, the oldest first.
    scale : float
        B before the first of them is this times the identity.

    Returns
    -------
    ndarray (n,)
        In 4 n multiplications for each step that is remembered, instead of n².

    Source: Nocedal 1980; Nocedal and Wright 2006, algorithm 7.4.

    >>> lbfgs_direction(np.array([4.0, 1.0]), [np.array([1.0, 0.0])],
    ...                 [np.array([4.0, 0.0])])
    array([-1., -1.])
    """
    d = -as_float(g, "g", ndim=1)
    steps, changes = as_floats(steps, "steps"), as_floats(changes, "changes")
    require(
        len(steps) == len(changes),
        f"there are {len(steps)} steps but {len(changes)} changes; give one for each",
    )
    check_number(scale, "scale")
    pairs, shares = list(zip(steps, changes, strict=True)), []
    for s, y in reversed(pairs):
        check_same_shape(g=d, step=s, change=y)
        shares.append((s @ d) * (1 / (y @ s)))
        d = d - shares[-1] * y
    d = d * float(scale)
    for s, y in pairs:
        d = d + s * (shares.pop() - (y @ d) * (1 / (y @ s)))
    return d
