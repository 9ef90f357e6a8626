"""Losses in NumPy, most of them a negative log-likelihood, each with its gradient.

As on the earlier pages `f_backward` takes `dy`, the gradient of some cost with respect
to the loss, and then the arguments of `f`. The target is data and gets no gradient. A
backward function asks its loss for the shape of `dy`, which checks all arguments again.
"""

import math
from itertools import pairwise

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    as_share,
    check_finite,
    check_number,
    check_positive,
    check_reduction,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    mse_loss,
    mse_loss_backward,
)


def l1_loss(input, target, reduction="mean"):
    r"""Absolute error, :math:`\lvert f-y\rvert`, in units of the target.

    Parameters
    ----------
    input, target : ndarray (...)
        Predictions and what they should be; of one shape.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ (PyTorch warns and broadcasts), or if the mean is asked of
        an empty batch (PyTorch's is NaN).

    >>> l1_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    np.float64(2.0)
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    gap = input - target
    loss = np.sign(gap.real) * gap  # analytic on each side, unlike np.abs
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def l1_loss_backward(dy, input, target, reduction="mean"):
    """Gradient of `l1_loss` with respect to `input`: the sign of the error times `dy`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
        Gradient of the cost with respect to the loss; 1.0 if the loss is the cost.
    input, target, reduction
        As given to `l1_loss`.

    Returns
    -------
    ndarray (...)
        At an error of exactly 0, where the slope jumps from −1 to 1, it is 0, as in
        PyTorch.

    Raises
    ------
    TypeError, ValueError
        As `l1_loss`, or if `dy` has another shape than the loss.

    >>> l1_loss_backward(1.0, np.array([1.0, 3.0]), np.array([0.0, 3.0]))
    array([0.5, 0. ])
    """
    l1_loss(input, target, reduction)  # checks them
    share = as_share(dy, input, reduction)
    return share * np.sign(np.subtract(input, target))


def huber_loss(input, target, reduction="mean", delta=1.0):
    r"""Squared error for small gaps, absolute error for large ones.

    .. math:: \tfrac12(f-y)^2 \text{ if } \lvert f-y\rvert\le\delta,
        \quad\text{else } \delta\bigl(\lvert f-y\rvert-\tfrac12\delta\bigr)

    Parameters
    ----------
    input, target : ndarray (...)
    reduction : {"mean", "sum", "none"}
    delta : float
        Where one turns into the other, in units of the target; positive. Where
        conventions differ: PyTorch's `smooth_l1_loss` is this divided by `delta`.

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        As `l1_loss`, or if `delta` is not positive.

    Source: Huber (1964), Robust estimation of a location parameter.

    >>> huber_loss(np.array([0.5, -3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    check_positive(delta, "delta")
    gap = input - target
    near = np.where(abs(gap.real) < delta, gap, float(delta) * np.sign(gap.real))
    loss = near * (gap - near / 2)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def huber_loss_backward(dy, input, target, reduction="mean", delta=1.0):
    """Gradient of `huber_loss` with respect to `input`: the error, clipped at `delta`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, reduction, delta
        As given to `huber_loss`.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `huber_loss`, or if `dy` has another shape than the loss.

    >>> huber_loss_backward(1.0, np.array([0.5, -3.0]), np.zeros(2), "sum")
    array([ 0.5, -1. ])
    """
    huber_loss(input, target, reduction, delta)  # checks them
    share = as_share(dy, input, reduction)
    return share * np.clip(np.subtract(input, target), -float(delta), float(delta))


def pinball_loss(input, target, quantile=0.5, reduction="mean"):
    r"""Absolute error that weighs the two sides differently.

    .. math:: \max\bigl(q\,(y-f),\ (q-1)\,(y-f)\bigr)

    Parameters
    ----------
    input, target : ndarray (...)
        The predicted quantile f and the outcome y; of one shape.
    quantile : float
        q, between 0 and 1, both excluded. A prediction that is too low costs q per
        unit, one that is too high 1 − q. At 0.5 this is half the absolute error.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        As `l1_loss`, or if `quantile` is not between 0 and 1.

    Source: Koenker and Bassett (1978), Regression quantiles. PyTorch has no such loss.

    >>> pinball_loss(np.zeros(2), np.array([10.0, -10.0]), 0.9, "none")
    array([9., 1.])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    check_positive(quantile, "quantile")
    require(quantile < 1, f"quantile must lie between 0 and 1, not at {quantile}")
    gap, q = target - input, float(quantile)
    loss = q * np.maximum(gap, 0) + (1 - q) * np.maximum(-gap, 0)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def pinball_loss_backward(dy, input, target, quantile=0.5, reduction="mean"):
    """Gradient of `pinball_loss` with respect to `input`: −q below, 1 − q above.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, quantile, reduction
        As given to `pinball_loss`.

    Returns
    -------
    ndarray (...)
        At an error of exactly 0 it is 0.

    Raises
    ------
    TypeError, ValueError
        As `pinball_loss`, or if `dy` has another shape than the loss.

    >>> gradient = pinball_loss_backward(1.0, np.array([0.0, 2.0]), np.ones(2), 0.9)
    >>> gradient.round(3)
    array([-0.45,  0.05])
    """
    pinball_loss(input, target, quantile, reduction)  # checks them
    share = as_share(dy, input, reduction)
    above, q = np.sign(np.subtract(input, target)), float(quantile)  # −1, 0 or 1
    return share * ((1 - q) * np.maximum(above, 0) - q * np.maximum(-above, 0))


def _spread(scale, shape, dtype):
    """`scale` repeated to `shape` (...) in the ways that PyTorch's Gaussian allows.

    A number, or an array that lacks the last axis, or has one axis of length 1; any
    other array comes back as it is, for the caller to refuse.
    """
    scale = np.asarray(scale)
    if not scale.ndim:
        return np.full(shape, scale, dtype)
    if scale.shape == shape[:-1]:
        scale = scale[..., None]
    wrong = [b for a, b in zip(shape, scale.shape, strict=False) if a != b]
    fits = scale.ndim == len(shape) and wrong in ([], [1])
    return np.broadcast_to(scale, shape) if fits else scale


def _spread_backward(dy, scale):
    """The gradient `dy` (...) summed over the axis along which `scale` was repeated."""
    shape = np.shape(scale)
    if shape and len(shape) < dy.ndim:
        return dy.sum(axis=-1)
    axes = [a for a in range(dy.ndim) if not shape or dy.shape[a] != shape[a]]
    return dy.sum(axis=tuple(axes), keepdims=bool(shape))


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    r"""Negative log-likelihood of a Gaussian whose variance is an input too, in nats.

    .. math:: \tfrac12\Bigl(\log\sigma^2+\frac{(y-\mu)^2}{\sigma^2}\Bigr)
        \;[{}+\tfrac12\log2\pi]

    Parameters
    ----------
    input, target : ndarray (...)
        Means μ and outcomes y; of one shape.
    var : ndarray (...), or float
        Variances σ², not standard deviations, in squared units of the target. Of the
        shape of `input`; or without its last axis; or with one axis of length 1.
    full : bool
        Whether to add the constant ½ log 2π.
    eps : float
        The least variance that counts; a smaller one is taken to be this.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        As `l1_loss`, or if `var` is negative or of another shape, or `eps` not
        positive (PyTorch allows 0).

    Source: Nix and Weigend (1994).

    >>> gaussian_nll_loss(np.array([1.0]), np.array([3.0]), np.array([4.0])).round(6)
    np.float64(1.193147)
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    var = as_float(var, "var", empty=True)
    var = _spread(var, input.shape, input.dtype)
    check_same_shape(input=input, var=var)
    lowest = var.real.min(initial=0)
    require(not lowest < 0, f"var holds {lowest}; a variance is not below 0")
    check_positive(eps, "eps")
    var = np.maximum(var, float(eps))
    constant = math.log(2 * math.pi) / 2 if full else 0.0
    loss = (np.log(var) + (input - target) ** 2 / var) / 2 + constant
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def gaussian_nll_loss_backward(
    dy, input, target, var, full=False, eps=1e-6, reduction="mean"
):
    """Gradients of `gaussian_nll_loss` with respect to `input` and `var`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, var, full, eps, reduction
        As given to `gaussian_nll_loss`.

    Returns
    -------
    dinput : ndarray (...)
    dvar : ndarray (...)
        Of the shape of `var`. A variance below `eps` gets the slope at `eps`, as in
        PyTorch, and not the 0 of a clipped number: so it can find its way back.

    Raises
    ------
    TypeError, ValueError
        As `gaussian_nll_loss`, or if `dy` has another shape than the loss.

    >>> one, four = np.array([1.0]), np.array([4.0])
    >>> gaussian_nll_loss_backward(1.0, one, np.array([3.0]), four)
    (array([-0.5]), array([0.]))
    """
    gaussian_nll_loss(input, target, var, full, eps, reduction)  # checks them
    share = as_share(dy, input, reduction)
    gap = np.subtract(input, target)
    v = np.maximum(_spread(var, gap.shape, gap.dtype), float(eps))
    dvar = share * (1 - gap**2 / v) / (2 * v)
    return share * gap / v, _spread_backward(dvar, var)


def laplace_nll_loss(input, target, scale, full=False, eps=1e-6, reduction="mean"):
    r"""Negative log-likelihood of a Laplace distribution, in nats.

    .. math:: \log b+\frac{\lvert y-\mu\rvert}b\;[{}+\log2]

    Parameters
    ----------
    input, target : ndarray (...)
        Medians μ and outcomes y; of one shape.
    scale : ndarray (...), or float
        b, the mean absolute deviation, in units of the target; shaped as the `var` of
        `gaussian_nll_loss`.
    full : bool
        Whether to add the constant log 2.
    eps : float
        The least scale that counts.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        As `gaussian_nll_loss`, with `scale` for `var`.

    PyTorch has the distribution, but not this loss; arguments as for the Gaussian.

    >>> laplace_nll_loss(np.array([1.0]), np.array([3.0]), np.array([2.0])).round(6)
    np.float64(1.693147)
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    scale = as_float(scale, "scale", empty=True)
    scale = _spread(scale, input.shape, input.dtype)
    check_same_shape(input=input, scale=scale)
    lowest = scale.real.min(initial=0)
    require(not lowest < 0, f"scale holds {lowest}; a scale is not below 0")
    check_positive(eps, "eps")
    scale = np.maximum(scale, float(eps))
    constant = math.log(2) if full else 0.0
    loss = np.log(scale) + l1_loss(input, target, "none") / scale + constant
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def laplace_nll_loss_backward(
    dy, input, target, scale, full=False, eps=1e-6, reduction="mean"
):
    """Gradients of `laplace_nll_loss` with respect to `input` and `scale`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, scale, full, eps, reduction
        As given to `laplace_nll_loss`.

    Returns
    -------
    dinput : ndarray (...)
    dscale : ndarray (...)
        Of the shape of `scale`; below `eps` the slope at `eps`.

    Raises
    ------
    TypeError, ValueError
        As `laplace_nll_loss`, or if `dy` has another shape than the loss.

    >>> one, two = np.array([1.0]), np.array([2.0])
    >>> laplace_nll_loss_backward(1.0, one, np.array([3.0]), two)
    (array([-0.5]), array([0.]))
    """
    laplace_nll_loss(input, target, scale, full, eps, reduction)  # checks them
    share = as_share(dy, input, reduction)
    gap = np.subtract(input, target)
    b = np.maximum(_spread(scale, gap.shape, gap.dtype), float(eps))
    dscale = share * (1 - np.abs(gap) / b) / b
    return share * np.sign(gap) / b, _spread_backward(dscale, scale)


def poisson_nll_loss(
    input, target, log_input=True, full=False, eps=1e-8, reduction="mean"
):
    r"""Negative log-likelihood of Poisson counts, in nats.

    .. math:: \hat\lambda-y\log\hat\lambda\;[{}+\log y!]

    Parameters
    ----------
    input : ndarray (...)
        The logarithm of the rate λ; the rate itself with ``log_input=False``.
    target : ndarray (...)
        Counts y ≥ 0, as floats.
    log_input : bool
    full : bool
        Whether to add Stirling's approximation of log y!, for counts above 1:
        :math:`y\log y-y+\tfrac12\log2\pi y`.
    eps : float
        Added to a rate before its logarithm is taken.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        As `l1_loss`, or if a count or a rate is negative or a count is NaN (PyTorch
        gives some number, or NaN), or if `eps` is not positive.

    >>> poisson_nll_loss(np.array([np.log(2.0)]), np.array([3.0])).round(6)
    np.float64(-0.079442)
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    check_positive(eps, "eps")
    wrong = target[~(target >= 0)]
    require(not wrong.size, f"target holds {wrong[:1]}; a count is 0 or more")
    negative = not log_input and (input.real < 0).any()
    require(not negative, "input holds a negative rate; is it log λ? log_input=True")
    with np.errstate(over="ignore", under="ignore"):  # 0 or infinity
        rate = np.exp(input) if log_input else input
    loss = rate - target * (input if log_input else np.log(input + float(eps)))
    if full:
        y = np.maximum(target, 1)
        stirling = y * np.log(y) - y + np.log(2 * math.pi * y) / 2
        loss = loss + np.where(target > 1, stirling, 0)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def poisson_nll_loss_backward(
    dy, input, target, log_input=True, full=False, eps=1e-8, reduction="mean"
):
    r"""Gradient of `poisson_nll_loss` with respect to `input`.

    With respect to :math:`\log\hat\lambda` it is :math:`\hat\lambda-y`, the error once
    more; with respect to the rate, :math:`1-y/(\hat\lambda+\epsilon)`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, log_input, full, eps, reduction
        As given to `poisson_nll_loss`.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `poisson_nll_loss`, or if `dy` has another shape than the loss.

    >>> poisson_nll_loss_backward(1.0, np.array([0.0]), np.array([3.0]))
    array([-2.])
    """
    poisson_nll_loss(input, target, log_input, full, eps, reduction)  # checks them
    share = as_share(dy, input, reduction)
    if not log_input:
        return share * (1 - target / np.add(input, float(eps)))
    with np.errstate(over="ignore", under="ignore"):
        return share * (np.exp(input) - target)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """Minus the log-probability of the class that came true, in nats per example.

    Parameters
    ----------
    input : ndarray (C,), (N, C) or (N, C, d1, ...)
        Log-probabilities, not probabilities and not logits.
    target : ndarray of int (), (N,) or (N, d1, ...)
        Class labels, 0 to C − 1.
    weight : ndarray (C,), optional
        What an example of each class counts; not negative.
    ignore_index : int
        Targets of this value count for nothing.
    reduction : {"mean", "sum", "none"}
        The mean divides by the sum of the weights of the targets that count, not by N.

    Returns
    -------
    floating scalar, or ndarray of the shape of `target` with ``reduction="none"``

    Raises
    ------
    TypeError
        If `input` does not hold floats, or `target` integers.
    ValueError
        If the shapes do not fit or a label is out of range; if the mean is asked of
        targets that weigh nothing together (PyTorch's is NaN).

    >>> log_p = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    >>> nll_loss(log_p, np.array([1, 2]), reduction="none").round(6)
    array([1.386294, 0.223144])
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input is a single number; pass (C,) or (N, C, ...)")
    dim = min(1, input.ndim - 1)
    classes, shape = input.shape[dim], input.shape[:dim] + input.shape[dim + 1 :]
    require(classes, f"input has no classes (shape {input.shape}); is it (N, C)?")
    y = as_labels(target, "target", classes=classes, ignore_index=ignore_index, empty=1)
    fits = f"input {input.shape} wants target {shape}, not {y.shape}; is it (N, C)?"
    require(y.shape == shape, fits)
    weight = np.ones(classes, input.real.dtype) if weight is None else weight
    weight = as_float(weight, "weight", ndim=1)
    fits = f"weight {weight.shape} must hold {classes} numbers, none of them negative"
    require(len(weight) == classes and not (weight < 0).any(), fits)
    counts = y != ignore_index
    label = np.where(counts, y, 0)
    share = np.where(counts, weight[label], 0)
    chosen = np.take_along_axis(input, np.expand_dims(label, dim), dim).squeeze(dim)
    loss = -share * np.where(counts, chosen, 0)
    check_reduction(reduction, loss)
    if reduction != "mean":
        return loss.sum() if reduction == "sum" else loss
    require(share.sum() > 0, "no target counts, so there is no mean; try reduction=sum")
    return loss.sum() / share.sum()


def nll_loss_backward(
    dy, input, target, weight=None, ignore_index=-100, reduction="mean"
):
    """Gradient of `nll_loss` with respect to `input`: one number for each target.

    Parameters
    ----------
    dy : float, or ndarray of the shape of `target` with ``reduction="none"``
    input, target, weight, ignore_index, reduction
        As given to `nll_loss`.

    Returns
    -------
    ndarray (C,), (N, C) or (N, C, d1, ...)
        Zero but for minus the share of each target, at its class.

    Raises
    ------
    TypeError, ValueError
        As `nll_loss`, or if `dy` has another shape than the loss.

    >>> log_p = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    >>> nll_loss_backward(1.0, log_p, np.array([1, 2])) + 0.0
    array([[ 0. , -0.5,  0. ],
           [ 0. ,  0. , -0.5]])
    """
    loss = nll_loss(input, target, weight, ignore_index, reduction)
    check_same_shape(dy=as_float(dy, "dy", empty=True), loss=loss)
    counts, dinput = np.not_equal(target, ignore_index), np.zeros_like(input)
    dim = min(1, dinput.ndim - 1)
    label = np.where(counts, target, 0)
    weight = np.ones(dinput.shape[dim], dinput.dtype) if weight is None else weight
    share = np.where(counts, np.asarray(weight)[label], 0)
    pull = -dy * (share / share.sum() if reduction == "mean" else share)
    places, pull = np.expand_dims(label, dim), np.expand_dims(pull, dim)
    np.put_along_axis(dinput, places, pull, dim)
    return dinput


LOSSES = {
    "gaussian": (mse_loss, mse_loss_backward),
    "laplace": (l1_loss, l1_loss_backward),
    "bernoulli": (
        binary_cross_entropy_with_logits,
        binary_cross_entropy_with_logits_backward,
    ),
    "categorical": (nll_loss, nll_loss_backward),
    "poisson": (poisson_nll_loss, poisson_nll_loss_backward),
}


def loss_from_distribution(name):
    r"""The loss that a distribution of the target stands for.

    Parameters
    ----------
    name : {"gaussian", "laplace", "bernoulli", "categorical", "poisson"}

    Returns
    -------
    loss, loss_backward : callable
        :math:`-\log p(y\mid x)` is the loss times a factor plus a constant; the factor
        is ½ for the Gaussian of variance 1 and 1 for the others. What the network puts
        out is a mean (...), a median (...), a logit (...), log-probabilities (N, C)
        and the log of a rate (...).

    Raises
    ------
    ValueError
        If there is no such distribution.

    >>> loss, loss_backward = loss_from_distribution("laplace")
    >>> loss(np.array([1.0]), np.array([4.0]))
    np.float64(3.0)
    """
    known = ", ".join(LOSSES)
    require(
        isinstance(name, str) and name in LOSSES, f"name {name!r} is none of {known}"
    )
    return LOSSES[name]


def best_function_on_grid(loss, x, y, edges, values):
    r"""The function, constant on each cell of x, of least mean loss; by brute force.

    Parameters
    ----------
    loss : callable
        ``loss(input, target, reduction="none")``, such as `l1_loss`.
    x, y : ndarray (N,)
    edges : ndarray (K + 1,)
        Rising borders of the K cells; cell k holds edges[k] ≤ x < edges[k + 1].
    values : ndarray (V,)
        The values that are tried.

    Returns
    -------
    ndarray (K,)
        For each cell the first value whose loss, summed over the cell, is least.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or if a cell is empty.

    >>> x, y = np.array([0.1, 0.2, 0.3, 0.7]), np.array([0.0, 1.0, 5.0, 3.0])
    >>> cells, values = np.array([0.0, 0.5, 1.0]), np.linspace(0.0, 5.0, 6)
    >>> best_function_on_grid(mse_loss, x, y, cells, values)
    array([2., 3.])
    >>> best_function_on_grid(l1_loss, x, y, cells, values)
    array([1., 3.])
    """
    require(callable(loss), f"loss must be a function, not {loss!r}", TypeError)
    x, y = as_float(x, "x", ndim=1), as_float(y, "y", ndim=1)
    edges, values = as_float(edges, "edges", ndim=1), as_float(values, "values", ndim=1)
    check_same_shape(x=x, y=y)
    rising = len(edges) > 1 and bool((np.diff(edges) > 0).all())
    require(rising, "edges must rise, and be two or more; try np.linspace(0, 1, 11)")
    best = []
    for low, high in pairwise(edges):
        here = y[(low <= x) & (x < high)]
        require(len(here), f"no x lies in {low} to {high}; choose wider cells")
        tried, seen = np.meshgrid(values, here, indexing="ij")  # (V, points) each
        best.append(values[np.argmin(loss(tried, seen, reduction="none").sum(axis=1))])
    return np.array(best)


def half_squared_norm(*params):
    r"""The penalty :math:`\Omega=\tfrac12\sum\lVert\theta\rVert^2`, and its gradients.

    Parameters
    ----------
    *params : ndarray (...)

    Returns
    -------
    omega : floating scalar
    gradients : list of ndarray (...)
        The parameters themselves.

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.

    >>> half_squared_norm(np.array([3.0, 4.0]))
    (np.float64(12.5), [array([3., 4.])])
    """
    for p in params:
        as_float(p, "a parameter", empty=True)
    return sum(np.sum(np.square(p)) for p in params) / 2, list(params)


def total_cost(objective, omega=half_squared_norm, alpha=0.0):
    r"""The objective :math:`\tilde J=J+\alpha\,\Omega`, ready for `gradient_descent`.

    Parameters
    ----------
    objective : callable
        The primary cost: ``objective(*params)`` is the pair of its value and a list of
        its gradients, one of the shape (...) of each parameter.
    omega : callable
        The penalty, of the same form.
    alpha : float
        Its weight, 0 or more.

    Returns
    -------
    callable
        Of the same form once more, so penalties can be piled up.

    Raises
    ------
    TypeError
        If `objective` or `omega` is not a function.
    ValueError
        If `alpha` is negative or not a number.

    >>> total = total_cost(lambda w: ((w - 2) ** 2, [2 * (w - 2)]), alpha=0.5)
    >>> cost, gradients = total(np.array(1.0))
    >>> float(cost), float(gradients[0])
    (1.25, -1.5)
    """
    for name, function in {"objective": objective, "omega": omega}.items():
        said = f"{name} must be a function of the parameters, not {function!r}"
        require(callable(function), said, TypeError)
    check_number(alpha, "alpha", 0)
    check_finite(alpha, "alpha")

    def total(*params):
        cost, gradients = objective(*params)
        penalty, pulls = omega(*params)
        pairs = zip(gradients, pulls, strict=True)
        return cost + alpha * penalty, [g + alpha * p for g, p in pairs]

    return total
