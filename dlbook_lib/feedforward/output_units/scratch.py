r"""Output units in NumPy: what the last layer's numbers mean, and the loss they imply.

A network ends in numbers without bounds. A *link* turns them into the parameters of a
distribution, and the loss is minus the logarithm of the probability that this
distribution gives to what happened. Links and losses come in pairs `f`, `f_backward`
as on the earlier pages; a head puts one link and one loss together.
"""

import math

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_labels,
    as_share,
    check_dim,
    check_positive,
    check_reduction,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.cost_functions.scratch import (
    poisson_nll_loss,
    poisson_nll_loss_backward,
)
from dlbook_lib.feedforward.linear_models.scratch import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    gradient_descent,
    mse_loss,
    mse_loss_backward,
    sigmoid,
)
from dlbook_lib.feedforward.xor.scratch import (
    TwoLayerNet,
    two_layer,
    two_layer_backward,
)


def softplus(input, beta=1.0, threshold=20.0):
    r"""A smooth positive part, :math:`\zeta(z)=\frac1\beta\log(1+e^{\beta z})`.

    Parameters
    ----------
    input : ndarray (...)
    beta : float
        Sharpness of the bend, positive; with large `beta` this is a ReLU.
    threshold : float
        Where :math:`\beta z` exceeds it, z itself is handed back, as in PyTorch; the
        two differ by less than the rounding of a float64 beyond about 37, and by
        :math:`2\cdot10^{-9}` at 20.

    Returns
    -------
    ndarray (...)
        Positive, of the precision of `input`.

    Raises
    ------
    TypeError, ValueError
        If `input` does not hold floats, or `beta` or `threshold` is not positive.

    >>> softplus(np.array([-800.0, 0.0, 80.0])).round(6)
    array([ 0.      ,  0.693147, 80.      ])
    """
    input = as_float(input, "input", empty=True)
    check_positive(beta, "beta")
    check_positive(threshold, "threshold")
    straight = input.real * float(beta) > threshold
    bend = np.where(straight, 0, input) * float(beta)
    return np.where(straight, input, np.log1p(np.exp(bend)) / float(beta))


def softplus_backward(dy, input, beta=1.0, threshold=20.0):
    r"""Gradient of `softplus`: the sigmoid :math:`\sigma(\beta z)`, times `dy`.

    Parameters
    ----------
    dy : ndarray (...)
    input, beta, threshold
        As given to `softplus`.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `softplus`, or if `dy` has another shape than `input`.

    >>> softplus_backward(np.ones(2), np.array([0.0, 50.0]))
    array([0.5, 1. ])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, input=softplus(input, beta, threshold))
    scaled = np.multiply(input, float(beta))
    return dy * np.where(scaled.real > threshold, 1, sigmoid(scaled))


def logsumexp(input, dim, keepdim=False):
    r"""A smooth maximum, :math:`\log\sum_je^{z_j}`, along one axis.

    Parameters
    ----------
    input : ndarray (...)
    dim : int
        The axis that is summed over. PyTorch also takes several.
    keepdim : bool
        Whether the axis stays, with length 1.

    Returns
    -------
    ndarray (...) without the axis `dim`
        Between the largest entry and that plus the logarithm of how many there are.
        The largest is taken out before the exponential, so nothing overflows.

    Raises
    ------
    TypeError, ValueError
        If `input` does not hold floats, or does not have the axis.

    >>> logsumexp(np.array([1000.0, 1000.0]), dim=0).round(6)
    np.float64(1000.693147)
    """
    input = as_float(input, "input", empty=True)
    check_dim(dim, input)
    top = np.max(input.real, axis=dim, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(over="ignore", divide="ignore"):  # e^-inf is 0, log 0 is -inf
        total = np.exp(input - top).sum(axis=dim, keepdims=True)
        result = np.log(total) + top
    return result if keepdim else result.squeeze(dim)[()]


def logsumexp_backward(dy, input, dim, keepdim=False):
    """Gradient of `logsumexp`: the softmax, times `dy`.

    Parameters
    ----------
    dy : ndarray (...)
        Of the shape of the result.
    input, dim, keepdim
        As given to `logsumexp`.

    Returns
    -------
    ndarray (...)
        Of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        As `logsumexp`, or if `dy` has another shape than the result.

    >>> logsumexp_backward(2.0, np.zeros(4), dim=0)
    array([0.5, 0.5, 0.5, 0.5])
    """
    dy, p = as_float(dy, "dy", empty=True), softmax(input, dim)
    check_same_shape(dy=dy, result=logsumexp(input, dim, keepdim))
    return (dy if keepdim else np.expand_dims(dy, dim)).astype(p.dtype) * p


def softmax(input, dim):
    r"""Probabilities from logits, :math:`e^{z_i}/\sum_je^{z_j}`, along one axis.

    Parameters
    ----------
    input : ndarray (...)
        Logits: unnormalised log-probabilities, in nats.
    dim : int
        The axis along which the result adds up to 1.

    Returns
    -------
    ndarray (...)
        Of the shape and precision of `input`.

    Raises
    ------
    TypeError, ValueError
        If `input` does not hold floats, or does not have the axis. Where conventions
        differ: PyTorch guesses a missing `dim` with a warning; here it must be given.

    Source: Bridle (1990).

    >>> softmax(np.array([1000.0, 1001.0, 1002.0]), dim=0).round(4)
    array([0.09  , 0.2447, 0.6652])
    """
    input = as_float(input, "input", empty=True)
    check_dim(dim, input)
    top = np.max(input.real, axis=dim, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore"):  # a gap beyond the largest float is infinite
        weights = np.exp(input - top)  # at most 1, and one of them is 1
    return weights / weights.sum(axis=dim, keepdims=True)


def softmax_backward(dy, input, dim):
    r"""Gradient of `softmax`, :math:`p_i\,(\delta_i-\sum_jp_j\delta_j)`.

    Parameters
    ----------
    dy : ndarray (...)
        :math:`\delta`, of the shape of `input`.
    input, dim
        As given to `softmax`.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `softmax`, or if `dy` has another shape than `input`.

    >>> softmax_backward(np.array([1.0, 0.0]), np.zeros(2), dim=0)
    array([ 0.25, -0.25])
    """
    p, dy = softmax(input, dim), as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, input=p)
    return p * (dy - (p * dy).sum(axis=dim, keepdims=True))


def log_softmax(input, dim):
    r"""Log-probabilities from logits, :math:`z_i-\log\sum_je^{z_j}`, along one axis.

    Parameters
    ----------
    input : ndarray (...)
    dim : int

    Returns
    -------
    ndarray (...)
        At most 0, and finite for finite logits where the logarithm of `softmax` would
        be minus infinity.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    >>> log_softmax(np.array([0.0, -800.0]), dim=0)
    array([   0., -800.])
    """
    input = as_float(input, "input", empty=True)
    check_dim(dim, input)
    top = np.max(input.real, axis=dim, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore"):
        shifted = input - top
    return shifted - logsumexp(shifted, dim, keepdim=True)


def log_softmax_backward(dy, input, dim):
    r"""Gradient of `log_softmax`, :math:`\delta_i-p_i\sum_j\delta_j`.

    Parameters
    ----------
    dy : ndarray (...)
        :math:`\delta`, of the shape of `input`.
    input, dim
        As given to `log_softmax`.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `softmax`, or if `dy` has another shape than `input`.

    >>> log_softmax_backward(np.array([1.0, 0.0]), np.zeros(2), dim=0)
    array([ 0.5, -0.5])
    """
    p, dy = softmax(input, dim), as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, input=p)
    return dy - p * dy.sum(axis=dim, keepdims=True)


def class_probabilities(input, target, ignore_index=-100):
    """What a target says about each class: one-hot rows, or its own probabilities.

    Parameters
    ----------
    input : ndarray (C,), (N, C) or (N, C, d1, ...)
        Logits; only their shape and precision matter.
    target : ndarray of int (), (N,) or (N, d1, ...); or of float, shaped as `input`
        Class labels, 0 to C − 1; or a probability for each class.
    ignore_index : int
        Labels of this value get a row of zeros.

    Returns
    -------
    ndarray (C,), (N, C) or (N, C, d1, ...)

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`.

    >>> class_probabilities(np.zeros((2, 3)), np.array([2, -100]))
    array([[0., 0., 1.],
           [0., 0., 0.]])
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input is a single number; pass (C,) or (N, C, ...)")
    dim = min(1, input.ndim - 1)
    if isinstance(target, np.ndarray) and np.issubdtype(target.dtype, np.floating):
        fits = f"not {target.shape} of floats; class labels must be integers"
        wanted = f"target must be probabilities of shape {input.shape}"
        require(target.shape == input.shape, f"{wanted}, {fits}")
        nothing = f"probabilities have no label {ignore_index} to ignore"
        require(ignore_index < 0, f"{nothing}; leave ignore_index out")
        rest = np.abs(target.sum(axis=dim) - 1)
        require(
            (target >= 0).all() and (rest < 1e-3).all(),
            "target must hold probabilities, 0 or more, that add up to 1; "
            "are they logits?",
        )
        return target.astype(input.real.dtype)
    y = as_labels(
        target,
        "target",
        classes=input.shape[dim],
        ignore_index=ignore_index,
        empty=True,
    )
    shape = input.shape[:dim] + input.shape[dim + 1 :]
    fits = f"input {input.shape} wants labels {shape}, not {y.shape}; is it (N, C)?"
    require(y.shape == shape, fits)
    y = np.expand_dims(y, dim)
    counts, hot = y != ignore_index, np.zeros_like(input.real)
    np.put_along_axis(hot, np.where(counts, y, 0), counts, dim)
    return hot


def target_weights(input, target, weight=None, ignore_index=-100, label_smoothing=0.0):
    r"""What each class counts in a cross-entropy, and what its mean divides by.

    Parameters
    ----------
    input, target, weight, ignore_index, label_smoothing
        As given to `cross_entropy`.

    Returns
    -------
    weights : ndarray (C,), (N, C) or (N, C, d1, ...)
        :math:`w_iq_i`, after smoothing.
    total : float

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`.

    >>> target_weights(np.zeros((1, 2)), np.array([1]), label_smoothing=0.5)
    (array([[0.25, 0.75]]), 1.0)
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input is a single number; pass (C,) or (N, C, ...)")
    dim = min(1, input.ndim - 1)
    classes = input.shape[dim]
    require(classes, f"input has no classes (shape {input.shape}); is it (N, C)?")
    weight = np.ones(classes) if weight is None else as_float(weight, "weight", ndim=1)
    fits = f"weight {weight.shape} must hold {classes} numbers, none of them negative"
    require(len(weight) == classes and (weight >= 0).all(), fits)
    soft = isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing <= 1
    require(soft, f"label_smoothing is a share, 0 to 1, not {label_smoothing!r}")
    is_whole = isinstance(ignore_index, (int, np.integer)) and ignore_index is not True
    require(is_whole, f"ignore_index is a label, not {ignore_index!r}", TypeError)
    q = class_probabilities(input, target, ignore_index)
    along = [classes if axis == dim else 1 for axis in range(input.ndim)]
    weight = weight.astype(q.dtype).reshape(along)
    labels = np.ndim(target) < input.ndim
    total = float((weight * q).sum()) if labels else input.size / classes
    s, flat = float(label_smoothing), q.sum(axis=dim, keepdims=True) / classes
    return weight * ((1 - s) * q + s * flat), total


def cross_entropy(
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
):
    r"""Cross-entropy of classes under the softmax of `input`, in nats per example.

    .. math:: -\sum_i w_iq_i\,\log\mathrm{softmax}(\mathbf z)_i

    with :math:`q` one-hot at the label, or the probabilities of `target`.

    Parameters
    ----------
    input : ndarray (C,), (N, C) or (N, C, d1, ...)
        Logits, not probabilities and not log-probabilities.
    target : ndarray of int (), (N,) or (N, d1, ...); or of float, shaped as `input`
        Class labels, 0 to C − 1; or a probability for each class.
    weight : ndarray (C,), optional
        What each class counts; not negative.
    ignore_index : int
        Labels of this value count for nothing.
    reduction : {"mean", "sum", "none"}
        The mean divides by the sum of the weights of the labels that count; for
        probabilities by the number of examples.
    label_smoothing : float
        :math:`\epsilon` from 0 to 1: q becomes :math:`(1-\epsilon)q+\epsilon/C`. Where
        conventions differ: some texts give the wrong classes
        :math:`\epsilon/(C-1)` each and the right one :math:`1-\epsilon`.

    Returns
    -------
    floating scalar, or ndarray of the shape of labels with ``reduction="none"``

    Raises
    ------
    TypeError
        If `input` does not hold floats, or `target` neither integers nor floats.
    ValueError
        If shapes do not fit, a label is out of range, probabilities do not add up to 1
        (PyTorch takes any floats), or the mean is asked of labels that weigh nothing
        together (PyTorch's is NaN).

    >>> logits = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 800.0]])
    >>> cross_entropy(logits, np.array([0, 1]), reduction="none").round(3)
    array([2.4e-01, 8.0e+02])
    """
    input = as_float(input, "input", empty=True)
    mass, total = target_weights(input, target, weight, ignore_index, label_smoothing)
    dim = min(1, input.ndim - 1)
    log_p = np.where(mass > 0, log_softmax(input, dim), 0)
    loss = -(mass * log_p).sum(axis=dim)
    check_reduction(reduction, loss)
    if reduction != "mean":
        return loss.sum() if reduction == "sum" else loss
    require(total > 0, "no label counts, so there is no mean; try reduction='sum'")
    return loss.sum() / total


def cross_entropy_backward(
    dy,
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
):
    r"""Gradient of `cross_entropy` with respect to the logits.

    For one example of weight 1 it is :math:`\mathbf p-\mathbf q`: what the model says
    minus what it should say.

    Parameters
    ----------
    dy : float, or ndarray of the shape of labels with ``reduction="none"``
    input, target, weight, ignore_index, reduction, label_smoothing
        As given to `cross_entropy`.

    Returns
    -------
    ndarray (C,), (N, C) or (N, C, d1, ...)
        The target is data and gets no gradient.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`, or if `dy` has another shape than the loss.

    >>> cross_entropy_backward(1.0, np.zeros((1, 4)), np.array([2]))
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    options = weight, ignore_index, reduction, label_smoothing
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, loss=cross_entropy(input, target, *options))
    input = np.asarray(input)
    mass, total = target_weights(input, target, weight, ignore_index, label_smoothing)
    dim = min(1, input.ndim - 1)
    share = np.expand_dims(dy, dim) if reduction == "none" else dy
    pull = softmax(input, dim) * mass.sum(axis=dim, keepdims=True) - mass
    share = share / total if reduction == "mean" else share
    return share.astype(pull.dtype) * pull


def cross_entropy_in_one_buffer(input, target):
    r"""Mean `cross_entropy` of labels and its gradient at once, made for speed.

    The one large array that is made holds exponentials first and the gradient
    :math:`(\mathbf p-\mathbf q)/N` in the end. A few rows at a time go all the way,
    while they are still in the processor's cache; and the largest logit is taken out
    only of rows whose sum shows the need.

    Parameters
    ----------
    input : ndarray (N, C)
        Logits, finite.
    target : ndarray of int (N,)

    Returns
    -------
    loss : floating scalar
        In nats per example.
    gradient : ndarray (N, C)

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`, or if `input` is not (N, C) or is complex.

    >>> cross_entropy_in_one_buffer(np.zeros((1, 4)), np.array([2]))[1]
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    input = as_float(input, "input", ndim=2)
    require(np.isrealobj(input), "input is complex; use cross_entropy_backward")
    y = as_labels(target, "target", classes=input.shape[1])
    fits = f"input {input.shape} wants labels ({len(input)},), not {y.shape}"
    require(y.shape == (len(input),), fits)
    p, every, ones = np.empty_like(input), np.arange(len(y)), np.ones_like(input[0])
    chosen, total = input[every, y], np.empty_like(input[:, 0])
    step = max(1, 2**19 // input[0].nbytes)  # rows that fill half a megabyte
    for start in range(0, len(input), step):
        rows = slice(start, start + step)
        with np.errstate(over="ignore"):
            np.exp(input[rows], out=p[rows])
        np.matmul(p[rows], ones, out=total[rows])
        if not (total[rows].min() > 1e-20 and total[rows].max() < 1e20):
            top = input[rows].max(axis=1, keepdims=True)
            np.exp(input[rows] - top, out=p[rows])
            np.matmul(p[rows], ones, out=total[rows])
            chosen[rows] -= top[:, 0]
        p[rows] *= 1 / (len(input) * total[rows, None])
    p[every, y] -= input.dtype.type(1 / len(input))
    return np.mean(np.log(total) - chosen), p


def heteroscedastic_nll(mean, a, target, reduction="mean"):
    r"""Negative log-likelihood of a Gaussian with precision :math:`\beta=\zeta(a)`.

    .. math:: \tfrac12\beta(y-\mu)^2-\tfrac12\log\beta,
        \qquad \beta=\zeta(a)=\log(1+e^a)>0

    Parameters
    ----------
    mean, a, target : ndarray (...)
        :math:`\mu`; the number whose softplus is the precision, in 1/(units of the
        target)²; and the outcome. Of one shape.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        Nats, without the constant ½ log 2π. Where conventions differ: PyTorch's
        `gaussian_nll_loss` takes the variance :math:`1/\beta`.

    Raises
    ------
    TypeError, ValueError
        If an array does not hold floats, the shapes differ, or the mean is asked of an
        empty batch.

    Source: Goodfellow, Bengio and Courville (2016), section 6.2.2.4.

    >>> one = np.ones(1)
    >>> heteroscedastic_nll(0 * one, one, 2 * one).round(6)
    np.float64(2.490266)
    """
    mean, a = as_float(mean, "mean", empty=True), as_float(a, "a", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(mean=mean, a=a)
    check_same_shape(mean=mean, target=target)
    safe = np.where(a.real < -30, -30, a)  # below, ζ(a) is e^a and its logarithm a
    log_beta = np.log(softplus(safe)) + (a - safe)
    loss = (softplus(a) * (target - mean) ** 2 - log_beta) / 2
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def heteroscedastic_nll_backward(dy, mean, a, target, reduction="mean"):
    r"""Gradients of `heteroscedastic_nll` with respect to `mean` and `a`.

    .. math:: \frac{\partial}{\partial\mu}=\beta(\mu-y),\qquad
        \frac{\partial}{\partial a}=\tfrac12\sigma(a)\bigl((y-\mu)^2-1/\beta\bigr)

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    mean, a, target, reduction
        As given to `heteroscedastic_nll`.

    Returns
    -------
    dmean, da : ndarray (...)

    Raises
    ------
    TypeError, ValueError
        As `heteroscedastic_nll`, or if `dy` has another shape than the loss.

    >>> zero, two = np.zeros(1), np.full(1, 2.0)
    >>> dmean, da = heteroscedastic_nll_backward(1.0, zero, zero, two)
    >>> dmean.round(6), da.round(6)
    (array([-1.386294]), array([0.639326]))
    """
    heteroscedastic_nll(mean, a, target, reduction)  # checks what it is given
    gap, safe = np.subtract(target, mean), np.maximum(a, -30)
    share = as_share(dy, gap, reduction)
    da = (sigmoid(a) * gap**2 - sigmoid(safe) / softplus(safe)) / 2
    return -share * softplus(a) * gap, share * da


def mixture_log_joint(logits, mean, log_scale, target):
    r"""Log-density of an outcome *and* of the component that it came from, in nats.

    .. math:: \log\pi_i+\log\mathcal N(\mathbf y;\boldsymbol\mu_i,\sigma_i^2I)

    Parameters
    ----------
    logits, mean, log_scale, target
        (..., K), (..., K, D), (..., K) and (..., D), as given to `mixture_density_nll`.

    Returns
    -------
    ndarray (..., K)

    Raises
    ------
    TypeError, ValueError
        As `mixture_density_nll`.

    >>> y = np.array([0.5])
    >>> mixture_log_joint(np.zeros(2), np.zeros((2, 1)), np.zeros(2), y).round(4)
    array([-1.7371, -1.7371])
    """
    logits = as_float(logits, "logits", empty=True)
    mean = as_float(mean, "mean", empty=True)
    log_scale = as_float(log_scale, "log_scale", empty=True)
    target = as_float(target, "target", empty=True)
    chained = logits.shape == log_scale.shape == mean.shape[:-1] and logits.ndim
    require(
        chained and target.shape == mean.shape[:-2] + mean.shape[-1:],
        f"shapes do not chain: logits {logits.shape}, mean {mean.shape}, log_scale "
        f"{log_scale.shape}, target {target.shape}; they are (..., K), (..., K, D), "
        "(..., K) and (..., D)",
    )
    directions = mean.shape[-1]
    with np.errstate(over="ignore"):
        scaled = (target[..., None, :] - mean) / np.exp(log_scale)[..., None]
        distance = (scaled**2).sum(axis=-1)  # (..., K)
    constant = directions * math.log(2 * math.pi) / 2
    return log_softmax(logits, -1) - directions * log_scale - distance / 2 - constant


def mixture_density_nll(logits, mean, log_scale, target, reduction="mean"):
    r"""Negative log-likelihood of a mixture of K Gaussians, in nats per example.

    .. math:: -\log\sum_{i=1}^K\pi_i\,
        \mathcal N(\mathbf y;\boldsymbol\mu_i,\sigma_i^2I),\qquad
        \boldsymbol\pi=\mathrm{softmax}(\mathbf z)

    Parameters
    ----------
    logits : ndarray (..., K)
        :math:`\mathbf z`.
    mean : ndarray (..., K, D)
        :math:`\boldsymbol\mu_i`, in units of the target.
    log_scale : ndarray (..., K)
        :math:`\log\sigma_i`; one standard deviation for all D directions.
    target : ndarray (..., D)
    reduction : {"mean", "sum", "none"}
        Over all examples.

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        With the constant ½ D log 2π, so it compares with other densities.

    Raises
    ------
    TypeError, ValueError
        If an array does not hold floats, the shapes do not fit, or the mean is asked of
        an empty batch.

    Source: Bishop (1994), Mixture density networks.

    >>> y = np.array([[0.5]])
    >>> mixture_density_nll(np.zeros((1, 1)), np.zeros((1, 1, 1)), 0 * y, y).round(6)
    np.float64(1.043939)
    """
    joint = mixture_log_joint(logits, mean, log_scale, target)
    loss = -logsumexp(joint, dim=-1)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def mixture_density_nll_backward(dy, logits, mean, log_scale, target, reduction="mean"):
    r"""Gradients of `mixture_density_nll`; each goes by the *responsibilities*.

    .. math:: r_i=\frac{\pi_i\,\mathcal N_i}{\sum_j\pi_j\,\mathcal N_j},\quad
        \frac{\partial}{\partial z_i}=\pi_i-r_i,\quad
        \frac{\partial}{\partial\boldsymbol\mu_i}
        =r_i\frac{\boldsymbol\mu_i-\mathbf y}{\sigma_i^2},\quad
        \frac{\partial}{\partial\log\sigma_i}
        =r_i\Bigl(D-\frac{\lVert\mathbf y-\boldsymbol\mu_i\rVert^2}{\sigma_i^2}\Bigr)

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    logits, mean, log_scale, target, reduction
        As given to `mixture_density_nll`.

    Returns
    -------
    dlogits : ndarray (..., K)
    dmean : ndarray (..., K, D)
    dlog_scale : ndarray (..., K)

    Raises
    ------
    TypeError, ValueError
        As `mixture_density_nll`, or if `dy` has another shape than the loss.
    """
    joint = mixture_log_joint(logits, mean, log_scale, target)
    scale = np.exp(log_scale)
    scaled = (np.expand_dims(target, -2) - mean) / scale[..., None]  # (..., K, D)
    share = as_share(dy, joint[..., 0], reduction)
    share = np.expand_dims(share, -1).astype(joint.dtype)
    r = softmax(joint, dim=-1)  # (..., K)
    dmean = -(share * r / scale)[..., None] * scaled
    dlog_scale = share * r * (scaled.shape[-1] - (scaled**2).sum(axis=-1))
    return share * (softmax(logits, dim=-1) - r), dmean, dlog_scale


class LinearHead:
    r"""A Gaussian mean: the output itself, under the squared error.

    Each head has three methods. `link` makes the parameters of a distribution from the
    network's output, `loss` scores an output by a target, and `gradient` is the slope
    of that loss with respect to the output, of its shape.

    >>> head = LinearHead()
    >>> output, target = np.array([[3.0]]), np.array([[1.0]])
    >>> head.loss(output, target), head.gradient(output, target)
    (np.float64(4.0), array([[4.]]))
    """

    def link(self, output):
        """The mean (N, D): the output, as it is."""
        return as_float(output, "output", empty=True)

    def loss(self, output, target):
        """Mean squared error of outputs (N, D), in squared units of the target."""
        return mse_loss(output, target)

    def gradient(self, output, target):
        """Slope of the loss (N, D)."""
        return mse_loss_backward(1.0, output, target)


class SigmoidHead:
    r"""The probability of a yes: :math:`\sigma(z)`, under the binary cross-entropy.

    >>> SigmoidHead().link(np.array([[0.0]]))
    array([[0.5]])
    """

    def link(self, output):
        """Probabilities (N, D)."""
        return sigmoid(output)

    def loss(self, output, target):
        """Mean cross-entropy in nats of logits (N, D) and targets 0.0 to 1.0 (N, D)."""
        return binary_cross_entropy_with_logits(output, target)

    def gradient(self, output, target):
        """Slope of the loss (N, D)."""
        return binary_cross_entropy_with_logits_backward(1.0, output, target)


class SoftmaxHead:
    """Probabilities of C classes, under the cross-entropy.

    >>> SoftmaxHead().gradient(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """

    def link(self, output):
        """Probabilities (N, C) that add up to 1 in each row."""
        return softmax(as_float(output, "output", ndim=2, empty=True), dim=1)

    def loss(self, output, target):
        """Mean cross-entropy in nats of logits (N, C) and labels (N,)."""
        return cross_entropy(output, target)

    def gradient(self, output, target):
        """Slope of the loss (N, C)."""
        return cross_entropy_backward(1.0, output, target)


class PoissonHead:
    r"""The rate of a count, :math:`e^z`, under the Poisson negative log-likelihood.

    >>> PoissonHead().link(np.array([[0.0]]))
    array([[1.]])
    """

    def link(self, output):
        """Rates (N, D), counts per example."""
        with np.errstate(over="ignore"):
            return np.exp(as_float(output, "output", empty=True))

    def loss(self, output, target):
        """Mean loss in nats of log-rates (N, D) and counts as floats (N, D)."""
        return poisson_nll_loss(output, target)

    def gradient(self, output, target):
        """Slope of the loss (N, D)."""
        return poisson_nll_loss_backward(1.0, output, target)


class HeteroscedasticHead:
    r"""A Gaussian whose precision :math:`\beta=\zeta(a)` is an output too.

    A target of D numbers takes 2 D outputs: the means first, then the a's.

    >>> mean, precision = HeteroscedasticHead().link(np.zeros((1, 2)))
    >>> mean, precision.round(4)
    (array([[0.]]), array([[0.6931]]))
    """

    def split(self, output):
        """Means (N, D) and a's (N, D) of outputs (N, 2 D)."""
        output = as_float(output, "output", ndim=2, empty=True)
        half, odd = divmod(output.shape[1], 2)
        even = f"output {output.shape} must have two columns for each target"
        require(half and not odd, even)
        return output[:, :half], output[:, half:]

    def link(self, output):
        """Means and precisions, (N, D) each."""
        mean, a = self.split(output)
        return mean, softplus(a)

    def loss(self, output, target):
        """Mean loss in nats per number of outputs (N, 2 D) and targets (N, D)."""
        return heteroscedastic_nll(*self.split(output), target)

    def gradient(self, output, target):
        """Slope of the loss (N, 2 D)."""
        pair = heteroscedastic_nll_backward(1.0, *self.split(output), target)
        return np.concatenate(pair, axis=1)


class MixtureDensityNetwork(TwoLayerNet):
    r"""A two-layer network that puts out a mixture of Gaussians; it is its own head.

    Parameters
    ----------
    in_features, width, components, out_features : int
        The last layer has ``components * (out_features + 2)`` outputs: logits, means
        and logarithms of scales.
    rng : numpy.random.Generator

    Source: Bishop (1994).

    >>> net = MixtureDensityNetwork(2, 8, 3, rng=np.random.default_rng(0))
    >>> pi, mean, scale = net.link(net(np.zeros((5, 2))))
    >>> pi.shape, mean.shape, scale.shape
    ((5, 3), (5, 3, 1), (5, 3))
    """

    def __init__(self, in_features, width, components, out_features=1, *, rng):
        check_positive(components, "components", integer=True)
        check_positive(out_features, "out_features", integer=True)
        outputs = components * (out_features + 2)
        super().__init__(in_features, width, outputs, rng=rng)
        self.components = components

    def split(self, output):
        """Logits (N, K), means (N, K, D) and log-scales (N, K) of outputs."""
        output = as_float(output, "output", ndim=2, empty=True)
        K, columns = self.components, len(self.state["output.bias"])
        fits = f"output {output.shape} must have {columns} columns"
        require(output.shape[1] == columns, fits)
        mean = output[:, K:-K].reshape(len(output), K, columns // K - 2)
        return output[:, :K], mean, output[:, -K:]

    def link(self, output):
        """Shares (N, K), means (N, K, D) and standard deviations (N, K)."""
        logits, mean, log_scale = self.split(output)
        return softmax(logits, dim=1), mean, np.exp(log_scale)

    def loss(self, output, target):
        """Mean loss in nats of outputs (N, K (D + 2)) and targets (N, D)."""
        return mixture_density_nll(*self.split(output), target)

    def gradient(self, output, target):
        """Slope of the loss, of the shape of the outputs (N, K (D + 2))."""
        parts = mixture_density_nll_backward(1.0, *self.split(output), target)
        return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)


def fit_head(head, parameters, input, target, *, lr, steps):
    """Gradient descent on a two-layer network under any head.

    Parameters
    ----------
    head : LinearHead or another
        Only its `loss` and its `gradient` know what the outputs mean.
    parameters : list of ndarray (width, in), (width,), (out, width), (out,)
        ``weight1, bias1, weight2, bias2``; not changed.
    input : ndarray (N, in)
    target : ndarray (N, ...)
        As the head's loss takes it.
    lr : float
    steps : int

    Returns
    -------
    parameters : list of ndarray
        The four arrays, each of the shape it had.
    losses : list of float
        Before each step.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not chain, the target does not suit the head, or `lr` or
        `steps` is not positive.

    >>> net = TwoLayerNet(1, 8, rng=np.random.default_rng(0))
    >>> x = np.linspace(-1.0, 1.0, 20)[:, None]
    >>> start = net.parameters()
    >>> _, losses = fit_head(PoissonHead(), start, x, x + 2, lr=0.1, steps=99)
    >>> losses[-1] < losses[0]
    True
    """
    require(
        all(hasattr(head, name) for name in ("loss", "gradient")),
        f"head must have loss and gradient, as LinearHead() has, not {head!r}",
        TypeError,
    )
    parameters = as_floats(parameters, "parameters", count=4)

    def objective(*parameters):
        output = two_layer(input, *parameters)
        doutput = head.gradient(output, target)
        _, *gradients = two_layer_backward(doutput, input, *parameters)
        return head.loss(output, target), gradients

    return gradient_descent(objective, parameters, lr=lr, steps=steps)


OUTPUT_UNITS = {
    "linear": (LinearHead().link, mse_loss, "torch.nn.MSELoss"),
    "sigmoid": (
        sigmoid,
        binary_cross_entropy_with_logits,
        "torch.nn.BCEWithLogitsLoss",
    ),
    "softmax": (SoftmaxHead().link, cross_entropy, "torch.nn.CrossEntropyLoss"),
    "poisson": (PoissonHead().link, poisson_nll_loss, "torch.nn.PoissonNLLLoss"),
    "heteroscedastic": (
        HeteroscedasticHead().link,
        heteroscedastic_nll,
        "torch.nn.GaussianNLLLoss",
    ),
    "mixture": (
        MixtureDensityNetwork.link,
        mixture_density_nll,
        "torch.distributions.MixtureSameFamily",
    ),
}
"""Name to link, loss and PyTorch's twin of the loss."""
