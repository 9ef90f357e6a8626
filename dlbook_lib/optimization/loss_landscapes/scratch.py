r"""Loss landscapes: what can be asked of any loss, on the plane or in a network.

How far a step can be trusted, which settings are the same network, how rare a minimum
is, what repeated products do, and how sharp the valley of a real network is, from
products of its Hessian with vectors alone. Surfaces to try it on stand in `surfaces`,
the methods that step by curvature in `second_order`, and what makes of a network a
function that they can step on in `parameters`.
"""

from math import factorial

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    check_square,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, no_grad, raw
from dlbook_lib.feedforward.autodiff.scratch import lanczos


def taylor_step(g, Hg, lr):
    r"""What a step against the gradient does to the loss, to second order.

    .. math:: J(\theta-\epsilon g)-J(\theta)\approx
        -\epsilon\,g^{\mathsf T}g+\tfrac12\epsilon^2\,g^{\mathsf T}Hg

    Parameters
    ----------
    g : ndarray (n,)
        The gradient.
    Hg : ndarray (n,)
        The Hessian times the gradient, as `hvp` gives it without the Hessian.
    lr : float
        ε.

    Returns
    -------
    slope, curvature : float
        The two terms. The loss rises when the second outweighs the first, so beyond
        the rate 2 gᵀg / gᵀHg; half of that is the best rate in this direction.

    Source: Goodfellow et al. 2016, section 8.2.1, equation 8.10, where what exceeds
    the slope term is the curvature term alone, not the whole sum.

    >>> taylor_step(np.array([1.0, 2.0]), np.array([1.0, 200.0]), 0.5)
    (-2.5, 50.125)
    """
    g, Hg = as_float(g, "g", ndim=1), as_float(Hg, "Hg", ndim=1)
    check_same_shape(g=g, Hg=Hg)
    check_positive(lr, "lr")
    return -lr * float(g @ g), lr**2 / 2 * float(g @ Hg)


def clip_norm(g, max_norm):
    r"""The gradient, shortened to `max_norm` if it is longer; its direction stays.

    .. math:: g\leftarrow r\,g/\lVert g\rVert\quad\text{if}\quad\lVert g\rVert>r

    Parameters
    ----------
    g : ndarray (...)
    max_norm : float
        r.

    Returns
    -------
    ndarray (...)

    Where conventions differ: torch's `clip_grad_norm_` adds 1e-6 to the norm.

    Source: Pascanu et al. 2013, algorithm 1.

    >>> clip_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    g = as_float(g, "g", empty=True)
    check_positive(max_norm, "max_norm")
    norm = float(np.linalg.norm(g))
    return g if norm <= max_norm else float(max_norm / norm) * g


def descent_path(gradient, x, *, lr, steps, max_norm=None):
    """Every place that gradient descent visits.

    Parameters
    ----------
    gradient : callable
        ``gradient(x)`` (n,) at a point (n,); exact or not.
    x : array_like (n,)
        Where to start.
    lr : float
    steps : int
    max_norm : float, optional
        Shorten longer gradients by `clip_norm`.

    Returns
    -------
    ndarray (steps + 1, n)
        A walk that blows up goes on to infinity and NaN without a warning.

    >>> descent_path(lambda x: x, [8.0], lr=0.5, steps=3).ravel()
    array([8., 4., 2., 1.])
    """
    require(callable(gradient), "gradient must be a function of a point", TypeError)
    x = as_float(x, "x", ndim=1)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    path = [x]
    with np.errstate(all="ignore"):
        for _ in range(steps):
            g = as_float(gradient(path[-1]), "the gradient", ndim=1)
            check_same_shape(x=x, gradient=g)
            g = g if max_norm is None else clip_norm(g, max_norm)
            path.append(path[-1] - float(lr) * g)
    return np.stack(path)


def path_length(path):
    """The way along a path, to be held against the straight line to its end.

    Parameters
    ----------
    path : ndarray (steps + 1, n)

    Returns
    -------
    length, distance : float
        Along the path, and from its first point to its last.

    >>> path_length(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]))
    (7.0, 5.0)
    """
    path = as_float(path, "path", ndim=2)
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return float(length), float(np.linalg.norm(path[-1] - path[0]))


def inexact_gradient(gradient, *, bias=0.0, noise=0.0, rng):
    r"""A gradient with the two faults of an estimate, :math:`g+b+\sigma\xi`.

    On a quadratic the bias moves the place where descent ends by :math:`-H^{-1}b`,
    however small the rate. The noise moves nothing on average and leaves in each
    direction the variance :math:`\epsilon\sigma^2/(\lambda(2-\epsilon\lambda))`.

    Parameters
    ----------
    gradient : callable
        ``gradient(x)`` is g (n,) at a point (n,).
    bias : float or ndarray (n,)
        b, the same at every call.
    noise : float
        σ, the standard deviation of each entry, drawn anew at every call.
    rng : numpy.random.Generator

    Returns
    -------
    callable
        Of the kind of `gradient`.
    """
    require(callable(gradient), "gradient must be a function of a point", TypeError)
    bias = as_float(bias, "bias", ndim=(0, 1))
    check_positive(noise, "noise", zero=True)
    check_rng(rng)

    def estimate(x):
        g = as_float(gradient(x), "the gradient", ndim=1)
        require(
            bias.ndim == 0 or bias.shape == g.shape,
            f"bias has shape {bias.shape} but the gradient {g.shape}; give one each",
        )
        xi = rng.standard_normal(g.shape)
        return (g + bias + noise * xi).astype(g.dtype)

    return estimate


# ---- the same network in other words -------------------------------------------------


def permute_units(weight, bias, next_weight, order):
    """The same network with its hidden units in another order.

    Parameters
    ----------
    weight, bias : ndarray (n, in), (n,)
        Of the hidden layer.
    next_weight : ndarray (out, n)
        Of the layer after it.
    order : ndarray of int (n,)
        Which unit comes where; each once.

    Returns
    -------
    weight, bias, next_weight : ndarray (n, in), (n,), (out, n)

    >>> permute_units(np.eye(2), np.array([0.0, 1.0]), np.array([[5.0, 6.0]]), [1, 0])
    (array([[0., 1.], [1., 0.]]), array([1., 0.]), array([[6., 5.]]))
    """
    weight, bias, next_weight = as_two_layers(weight, bias, next_weight)
    order, n = np.asarray(order), len(bias)
    is_order = order.dtype.kind in "iu" and np.array_equal(np.sort(order), np.arange(n))
    require(is_order, f"order must hold each of 0 to {n - 1} once, not {order!r}")
    return weight[order], bias[order], next_weight[:, order]


def rescale_units(weight, bias, next_weight, factor):
    r"""The same rectifier network, :math:`\mathrm{relu}(cs)=c\,\mathrm{relu}(s)`.

    Parameters
    ----------
    weight, bias : ndarray (n, in), (n,)
        Of a hidden layer of rectifiers.
    next_weight : ndarray (out, n)
        Of the layer after it.
    factor : ndarray (n,)
        c > 0, one for each unit: what comes in grows by it, what goes out shrinks.

    Returns
    -------
    weight, bias, next_weight : ndarray (n, in), (n,), (out, n)

    >>> one = np.ones((1, 1))
    >>> rescale_units(one, np.ones(1), one, np.array([4.0]))
    (array([[4.]]), array([4.]), array([[0.25]]))
    """
    weight, bias, next_weight = as_two_layers(weight, bias, next_weight)
    factor = as_float(factor, "factor", ndim=1)
    check_same_shape(bias=bias, factor=factor)
    require(np.all(factor > 0), f"factor must be above 0, not {factor.min()}")
    return weight * factor[:, None], bias * factor, next_weight / factor


def as_two_layers(weight, bias, next_weight):
    """The arrays (n, in), (n,) and (out, n), if they are those of two layers."""
    weight, bias = as_float(weight, "weight", ndim=2), as_float(bias, "bias", ndim=1)
    next_weight = as_float(next_weight, "next_weight", ndim=2)
    require(
        len(weight) == len(bias) == next_weight.shape[1],
        f"weight {weight.shape}, bias {bias.shape} and next_weight {next_weight.shape} "
        "must be (n, in), (n,), (out, n); is weight (out, in)?",
    )
    return weight, bias, next_weight


def equivalent_settings(units, layers=1):
    """How many orders of hidden units give one network, (n!)ᵐ; a number, shape ().

    Parameters
    ----------
    units, layers : int
        n in each of m hidden layers.

    >>> equivalent_settings(10, 2)
    13168189440000
    """
    check_positive(units, "units", integer=True)
    check_positive(layers, "layers", integer=True)
    return factorial(units) ** layers


# ---- random and repeated matrices ----------------------------------------------------


def saddle_statistics(n, trials=10_000, *, rng):
    """The share of random symmetric matrices whose eigenvalues are all positive.

    If Hessians at critical points were such, it is the share of minima among them.

    Parameters
    ----------
    n : int
        Rows, so directions, of each matrix (n, n).
    trials : int
        How many are drawn: Gaussian matrices plus their transposes, so many at a time
        as fit in 8 MB.
    rng : numpy.random.Generator

    Returns
    -------
    float
        ½ for n = 1, (2 − √2)/4 for n = 2; it falls as exp(−n² log(3)/4).

    Source: Dauphin et al. 2014, section 2; Dean and Majumdar 2006 for the rate. Not
    that there are exponentially many ways down: the ways down number n/2 on average;
    what is exponentially rare is that none is left.

    >>> saddle_statistics(1, 1000, rng=np.random.default_rng(0))
    0.466
    """
    check_positive(n, "n", integer=True)
    check_positive(trials, "trials", integer=True)
    check_rng(rng)
    minima, chunk = 0, max(1, 1_000_000 // n**2)
    for first in range(0, trials, chunk):
        A = rng.standard_normal((min(chunk, trials - first), n, n))
        lowest = np.linalg.eigvalsh(A + A.transpose(0, 2, 1))[:, 0]
        minima += int((lowest > 0).sum())
    return minima / trials


def power_norms(W, steps):
    r"""How the powers of a matrix grow or shrink, :math:`\lVert W^t\rVert_2`.

    Parameters
    ----------
    W : ndarray (n, n)
    steps : int

    Returns
    -------
    ndarray (steps + 1,)
        For t = 0 to `steps`, from 1 on. In the long run by the spectral radius each
        step. What is too large for a number is infinite; the matrix is rescaled on the
        way, so that nothing overflows before the norm does.

    Source: Goodfellow et al. 2016, section 8.2.5.

    >>> power_norms(np.diag([2.0, 0.5]), 3)
    array([1., 2., 4., 8.])
    """
    W = as_float(W, "W", ndim=2)
    check_square(W, "W")
    check_finite(W, "W")
    check_positive(steps, "steps", integer=True)
    power, growth = np.eye(len(W), dtype=W.dtype), [1.0]
    for _ in range(steps):
        power = power @ W
        growth.append(float(np.linalg.norm(power, 2)))
        power = power / (growth[-1] or 1)
    with np.errstate(over="ignore", under="ignore"):
        return np.cumprod(growth).astype(W.real.dtype)


def power_from_eigenvalues(W, t):
    r"""The power of a matrix through its eigenvalues, :math:`V\Lambda^tV^{-1}`.

    Only the λ are raised, so those with |λ| > 1 explode and those with |λ| < 1 vanish;
    −1 and complex ones of modulus 1 only turn.

    Parameters
    ----------
    W : ndarray (n, n)
        With n independent eigenvectors.
    t : int

    Returns
    -------
    ndarray (n, n)

    >>> power_from_eigenvalues(np.array([[2.0, 1.0], [0.0, 1.0]]), 3)
    array([[8., 7.], [0., 1.]])
    """
    W = as_float(W, "W", ndim=2)
    check_square(W, "W")
    check_finite(W, "W")
    check_positive(t, "t", integer=True, zero=True)
    values, V = np.linalg.eig(W)
    require(
        np.linalg.cond(V) < 1e12,
        f"W {W.shape} has too few eigenvectors; its powers are no such product",
    )
    power = (V * values**t) @ np.linalg.inv(V)
    return power if np.iscomplexobj(W) else power.real


# ---- the curvature of any model ------------------------------------------------------


def hessian_product(loss, params):
    r"""The Hessian of a loss, as a function that multiplies vectors by it.

    The gradient is recorded once; each product is one more backward pass,
    :math:`Hv=\nabla(g^{\mathsf T}v)`.

    Parameters
    ----------
    loss : Tensor of shape ()
        With its graph, as the model gives it.
    params : iterable of Parameter (...)
        With n entries in all.

    Returns
    -------
    callable
        ``product(v)`` (n,) for v (n,): all parameters in a row, in their order.

    Source: Pearlmutter 1994, here by differentiating twice backward.

    >>> from dlbook_lib.feedforward.autodiff.operations import Tensor
    >>> w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> hessian_product((w**3).sum(), [w])(np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    require(isinstance(loss, Tensor), "loss must be a Tensor with its graph", TypeError)
    params = as_parameters(params)
    slopes = grad(loss, params, create_graph=True, allow_unused=True)
    ends = np.cumsum([p.numel() for p in params])
    used = [i for i, g in enumerate(slopes) if g is not None and g.requires_grad]

    def product(v):
        v = as_float(v, "v", ndim=1)
        require(len(v) == ends[-1], f"v has {len(v)} entries for {ends[-1]} parameters")
        rows = [
            row.reshape(p.shape)
            for row, p in zip(np.split(v, ends[:-1]), params, strict=True)
        ]
        given = [rows[i].astype(params[i].dtype) for i in used]
        bent = [slopes[i] for i in used]
        found = [None] * len(params)
        if used:
            found = grad(bent, params, given, retain_graph=True, allow_unused=True)
        parts = [
            0 * row if h is None else h.data for row, h in zip(rows, found, strict=True)
        ]
        return np.concatenate([part.ravel() for part in parts])

    return product


def as_parameters(params):
    """A list of Tensors (...) that require gradients, also of ``parameters()``."""
    params = list(params) if hasattr(params, "__next__") else params
    require(
        isinstance(params, (list, tuple)) and params,
        "params must be a list of Parameters; try list(model.parameters())",
        TypeError,
    )
    for p in params:
        is_leaf = isinstance(p, Tensor) and p.requires_grad
        require(is_leaf, f"{p!r} is no Parameter that requires a gradient", TypeError)
    return list(params)


def hessian_eigenvalues(product, n, steps=30, *, rng):
    """The outermost eigenvalues of a Hessian, from its products with vectors.

    Parameters
    ----------
    product : callable
        ``product(v)`` is H v (n,) for v (n,), as `hessian_product` gives it.
    n : int
        How many parameters there are.
    steps : int
        So many products, or n if that is less.
    rng : numpy.random.Generator
        Draws the first vector.

    Returns
    -------
    ndarray (k,)
        Ritz values, ascending: the first and the last are close to the lowest and the
        highest eigenvalue after some tens of steps; with n steps they are all of them,
        but each only once.

    Source: Lanczos 1950; Ghorbani et al. 2019 for networks.

    >>> H = np.diag([-1.0, 0.0, 2.0])
    >>> rng = np.random.default_rng(0)
    >>> hessian_eigenvalues(lambda v: H @ v, 3, rng=rng).round(9) + 0.0
    array([-1.,  0.,  2.])
    """
    check_positive(n, "n", integer=True)
    check_positive(steps, "steps", integer=True)
    check_rng(rng)
    T, _ = lanczos(product, rng.standard_normal(n), min(steps, n))
    return np.linalg.eigvalsh(T)


def sharpness(loss, params, steps=30, *, rng):
    r"""The highest curvature of a model's loss, :math:`\lambda_{\max}(H)`.

    Parameters
    ----------
    loss : Tensor of shape ()
        With its graph.
    params : iterable of Parameter (...)
    steps : int
        Products of Hessian and vector that may be spent.
    rng : numpy.random.Generator

    Returns
    -------
    float
        In units of loss per parameter². Gradient descent diverges in that direction
        from the rate 2 / λ on (`step_limit`).

    Source: Cohen et al. 2021, section 2.
    """
    params = as_parameters(params)
    n = sum(p.numel() for p in params)
    product = hessian_product(loss, params)
    return float(hessian_eigenvalues(product, n, steps, rng=rng)[-1])


def step_limit(curvature):
    r"""The rate from which gradient descent diverges, :math:`2/\lambda_{\max}`.

    On a quadratic each step multiplies the distance by 1 − ελ, of modulus 1 at the
    limit.

    Parameters
    ----------
    curvature : float
        λ_max, a number of shape (). At or below 0 there is no limit.

    Returns
    -------
    float

    >>> step_limit(4.0), step_limit(-1.0)
    (0.5, inf)
    """
    check_number(curvature, "curvature")
    return 2 / curvature if curvature > 0 else float("inf")


# ---- slices through the loss of any model --------------------------------------------


def filter_normalized(direction, params):
    """A direction as long, filter by filter, as the parameters themselves.

    Rectifier networks that compute the same can have weights of any scale
    (`rescale_units`), so a step of length 1 means nothing without it.

    Parameters
    ----------
    direction : list of ndarray (...)
    params : list of Parameter or ndarray (...)
        A filter is what one unit or channel weighs its inputs by, ``p[i]``. Biases and
        other parameters with fewer than two axes are not moved: their part is 0.

    Returns
    -------
    list of ndarray (...)

    Source: Li et al. 2018, section 4.

    >>> filter_normalized([np.array([[0.0, 2.0]])], [np.array([[3.0, 4.0]])])
    [array([[0., 5.]])]
    """
    direction, params = as_pairs(direction, params)
    found = []
    for d, p in zip(direction, params, strict=True):
        inner = tuple(range(1, p.ndim))
        size = np.sqrt((d * d).sum(inner, keepdims=True))
        wanted = np.sqrt((p * p).sum(inner, keepdims=True))
        scale = wanted / np.where(size == 0, 1, size)
        found.append(d * scale if inner else np.zeros_like(d))
    return found


def as_pairs(direction, params):
    """Two lists of arrays (...), of the same shapes."""
    both = []
    for name, given in [("direction", direction), ("params", params)]:
        is_list = isinstance(given, (list, tuple)) and len(given)
        require(is_list, f"{name} must be a list of arrays, not {given!r}", TypeError)
        both.append([as_float(raw(a), f"{name}[{i}]") for i, a in enumerate(given)])
    d, p = both
    require(len(d) == len(p), f"direction has {len(d)} arrays but params {len(p)}")
    for a, b in zip(d, p, strict=True):
        check_same_shape(direction=a, params=b)
    return both


def loss_along(closure, params, direction, at):
    r"""The loss on a line through the parameters, :math:`J(\theta+\alpha d)`.

    Parameters
    ----------
    closure : callable
        The loss, a number, of the model with the parameters as they are.
    params : list of Parameter or ndarray (...)
        Moved in place, and put back, also if `closure` fails.
    direction : list of ndarray (...)
        d; try `filter_normalized` noise, or the difference of two settings.
    at : ndarray (K,)
        The α.

    Returns
    -------
    ndarray (K,)

    Source: Goodfellow, Vinyals and Saxe 2015.

    >>> w = np.array([1.0, 1.0])
    >>> loss_along(lambda: (w @ w), [w], [np.array([1.0, 0.0])], np.array([-1.0, 1.0]))
    array([1., 5.])
    """
    require(
        callable(closure), "closure must be a function without arguments", TypeError
    )
    direction, arrays = as_pairs(direction, params)
    at = as_float(at, "at", ndim=1)
    homes, losses = [a.copy() for a in arrays], []
    try:
        for alpha in at:
            move_along(params, homes, direction, float(alpha))
            with no_grad():
                loss = np.asarray(raw(closure()))
            is_number = loss.ndim == 0 and loss.dtype.kind in "iuf"
            sentence = f"closure must return the loss, one number, not {loss!r}"
            require(is_number, sentence, TypeError)
            losses.append(float(loss))
    finally:
        move_along(params, homes, homes, 0.0)
    return np.array(losses, arrays[0].dtype)


def move_along(params, homes, direction, by):
    """Write home + by · direction (...) into parameters, or into arrays."""
    with no_grad():
        for p, home, d in zip(params, homes, direction, strict=True):
            place = home + by * d if by else home
            if isinstance(p, Tensor):
                p.copy_(place)
            else:
                p[...] = place


def loss_plane(closure, params, first, second, at):
    r"""The loss on a plane, :math:`J(\theta+\alpha d_1+\beta d_2)`.

    Parameters
    ----------
    closure : callable
        As in `loss_along`.
    params : list of Parameter or ndarray (...)
        As there.
    first, second : list of ndarray (...)
        d₁ and d₂.
    at : ndarray (K,)
        The α, and the β.

    Returns
    -------
    ndarray (K, K)
        A row for each β, as contour plots want it.

    Source: Li et al. 2018, section 3.

    >>> w, at = np.zeros(2), np.array([0.0, 1.0])
    >>> first, second = [np.array([1.0, 0.0])], [np.array([0.0, 2.0])]
    >>> loss_plane(lambda: (w @ w), [w], first, second, at)
    array([[0., 1.], [4., 5.]])
    """
    second, arrays = as_pairs(second, params)
    at = as_float(at, "at", ndim=1)
    homes, rows = [a.copy() for a in arrays], []
    try:
        for beta in at:
            move_along(params, homes, second, float(beta))
            rows.append(loss_along(closure, params, first, at))
    finally:
        move_along(params, homes, homes, 0.0)
    return np.stack(rows)
