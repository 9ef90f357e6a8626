r"""Starting weights in NumPy: draws that keep a signal's size from layer to layer.

A function whose name ends in an underscore fills an array in place, an array of any
precision, and hands it back; for a layer, pass its array, as in
``xavier_uniform_(layer.weight.data, rng=rng)``. The numbers are drawn in float64 and
then rounded, so that the same `rng` gives the same start in either precision.

Where conventions differ: torch has its generator as an optional ``generator=``; here
`rng` must be given. Some libraries write :math:`U(0.07)` and :math:`N(0.01)` for
:math:`U(-0.07,0.07)` and :math:`N(0,0.01^2)`, so the number is half a width in the one
and a standard deviation in the other: the first has standard deviation 0.040.
"""

from math import ceil, prod, sqrt

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import no_grad, raw


def calculate_gain(nonlinearity, param=None):
    r"""What to multiply a standard deviation by before a certain non-linearity.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv1d", … "conv_transpose3d", "sigmoid": 1; "tanh":
        :math:`\frac53`; "relu": :math:`\sqrt2`; "leaky_relu":
        :math:`\sqrt{2/(1+\alpha^2)}`; "selu": :math:`\frac34`.
    param : float, optional
        The slope :math:`\alpha` of a leaky rectifier, 0.01 unless given.

    Returns
    -------
    float
        A number, shape ().

    Source: He et al. (2015), section 2.2, for the rectifiers, which undo the loss of
    mean square exactly; those of tanh and selu are found by trial.

    >>> calculate_gain("leaky_relu", 1.0), calculate_gain("tanh") * 3
    (1.0, 5.0)
    """
    slope = 0.01 if param is None else param
    check_number(slope, "param")
    flat = [f"conv{way}{d}d" for way in ("", "_transpose") for d in (1, 2, 3)]
    gains = dict.fromkeys(["linear", *flat, "sigmoid"], 1.0) | {
        "tanh": 5 / 3,
        "relu": sqrt(2),
        "leaky_relu": sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    check_in(nonlinearity, "nonlinearity", tuple(gains))
    return gains[nonlinearity]


def fan_in_and_fan_out(tensor):
    r"""How many numbers a unit sums up, and into how many sums an input goes.

    Parameters
    ----------
    tensor : array_like (out, in) or (out, in, k1, k2, ...)
        Weights of a dense layer or of a convolution, whose kernel has
        :math:`k_1k_2\cdots` places: each counts on both sides.

    Returns
    -------
    fan_in, fan_out : int

    >>> fan_in_and_fan_out(np.zeros((6, 3, 5, 5)))
    (75, 150)
    """
    tensor = as_float(raw(tensor), "tensor")
    require(
        tensor.ndim >= 2,
        f"tensor must have two dimensions or more, (out, in, ...), not shape "
        f"{tensor.shape}: a bias has no fan-in; try zeros",
    )
    units, inputs, *kernel = tensor.shape
    return inputs * prod(kernel), units * prod(kernel)


def fill_(tensor, draw):
    """Put ``draw(tensor.shape)`` into the array `tensor` (...) and hand it back.

    Raises
    ------
    TypeError
        If `tensor` is no array (a list could only be copied), or not of real numbers.
    ValueError
        If it is empty or must not be written to.

    >>> fill_(np.ones(3), np.zeros)
    array([0., 0., 0.])
    """
    require(
        isinstance(tensor, np.ndarray),
        f"tensor must be a NumPy array, which is filled in place, not "
        f"{type(tensor).__name__}; of a layer, pass weight.data",
        TypeError,
    )
    as_float(tensor, "tensor")
    is_real = tensor.dtype.kind == "f"
    require(is_real, f"tensor must hold real numbers, not {tensor.dtype}", TypeError)
    require(tensor.flags.writeable, "tensor must not be written to; pass a copy of it")
    tensor[...] = draw(tensor.shape)
    return tensor


def uniform_(tensor, a=0.0, b=1.0, *, rng):
    """Fill `tensor` (...) with numbers drawn evenly between `a` and `b`.

    >>> w = uniform_(np.empty((2, 3)), -0.07, 0.07, rng=np.random.default_rng(0))
    >>> bool(abs(w).max() < 0.07)
    True
    """
    check_number(a, "a")
    check_number(b, "b", low=a)
    check_rng(rng)
    return fill_(tensor, lambda shape: rng.uniform(a, b, shape))


def normal_(tensor, mean=0.0, std=1.0, *, rng):
    r"""Fill `tensor` (...) with draws from :math:`N(\text{mean},\text{std}^2)`.

    >>> normal_(np.empty(2), mean=3.0, std=0.0, rng=np.random.default_rng(0))
    array([3., 3.])
    """
    check_number(mean, "mean")
    check_positive(std, "std", zero=True)
    check_rng(rng)
    return fill_(tensor, lambda shape: rng.normal(mean, std, shape))


def xavier_uniform_(tensor, gain=1.0, *, rng):
    r"""Fill evenly between :math:`\pm\text{gain}\sqrt{6/(m+n)}`, fan-in and fan-out.

    Parameters
    ----------
    tensor : ndarray (out, in, ...)
    gain : float
        As from `calculate_gain`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (out, in, ...)
        `tensor`, with variance :math:`\text{gain}^2\frac2{m+n}`.

    Source: Glorot and Bengio (2010), equation 16: a compromise between
    :math:`\frac1m`, which keeps the signal's variance, and :math:`\frac1n`, which
    keeps the gradient's. The bound :math:`1/\sqrt m` is the other, older rule: fan-in
    alone, variance :math:`\frac1{3m}`.

    >>> w = xavier_uniform_(np.empty((2, 4)), rng=np.random.default_rng(0))
    >>> bool(abs(w).max() < 1)
    True
    """
    check_positive(gain, "gain", zero=True)
    bound = gain * sqrt(6 / sum(fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor, gain=1.0, *, rng):
    r"""Fill (out, in, ...) from a normal with variance gain² · 2/(fan-in + fan-out).

    See `xavier_uniform_`.

    >>> xavier_normal_(np.empty((2, 4)), 0.0, rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    check_positive(gain, "gain", zero=True)
    std = gain * sqrt(2 / sum(fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std, rng=rng)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    r"""Fill from a normal with standard deviation :math:`\text{gain}/\sqrt m`.

    Parameters
    ----------
    tensor : ndarray (out, in, ...)
    a : float
        The slope below 0 of the leaky rectifier that follows; 0 for a rectifier.
    mode : {"fan_in", "fan_out"}
        Whether the signal's mean square stays the same from layer to layer, or the
        gradient's.
    nonlinearity : str
        As in `calculate_gain`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (out, in, ...)
        `tensor`, with variance :math:`\frac2m` for a rectifier, which sets half of the
        signal to 0 and so needs twice the variance of the linear rule.

    Source: He et al. (2015), section 2.2.

    >>> kaiming_normal_(np.empty((2, 4)), rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    check_in(mode, "mode", ("fan_in", "fan_out"))
    fan = fan_in_and_fan_out(tensor)[mode == "fan_out"]
    std = calculate_gain(nonlinearity, a) / sqrt(fan)
    return normal_(tensor, 0.0, std, rng=rng)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", *, rng):
    r"""Fill (out, in, ...) evenly between :math:`\pm\text{gain}\sqrt{3/m}`.

    See `kaiming_normal_`; the variance is the same. torch starts its linear layers with
    :math:`a=\sqrt5`, where the bound is :math:`1/\sqrt m`, the old fan-in rule.

    >>> w = kaiming_uniform_(np.empty((2, 4)), 5**0.5, rng=np.random.default_rng(0))
    >>> bool(abs(w).max() < 0.5)
    True
    """
    check_in(mode, "mode", ("fan_in", "fan_out"))
    fan = fan_in_and_fan_out(tensor)[mode == "fan_out"]
    bound = calculate_gain(nonlinearity, a) * sqrt(3 / fan)
    return uniform_(tensor, -bound, bound, rng=rng)


def orthogonal_(tensor, gain=1, *, rng):
    r"""Fill with a matrix whose rows, or columns if there are fewer, are orthonormal.

    Parameters
    ----------
    tensor : ndarray (out, in, ...)
        What follows the first axis counts as one.
    gain : float
        What the lengths become, instead of 1.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (out, in, ...)
        `tensor`; uniformly distributed, since the signs of R's diagonal are moved into
        Q: without that the QR algorithm would choose them.

    Source: Saxe, McClelland and Ganguli (2014): products of such matrices neither grow
    nor shrink any direction, however deep.

    >>> w = orthogonal_(np.empty((2, 5)), rng=np.random.default_rng(0))
    >>> (w @ w.T).round(12) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    columns, _ = fan_in_and_fan_out(tensor)  # what follows the first axis
    check_positive(gain, "gain", zero=True)
    rows = len(tensor)
    tall = normal_(np.empty((max(rows, columns), min(rows, columns))), rng=rng)
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diag(r) < 0, -gain, gain)
    q = q.T if rows < columns else q  # (rows, columns)
    return fill_(tensor, q.reshape)


def sparse_(tensor, sparsity, std=0.01, *, rng):
    r"""Fill from :math:`N(0,\text{std}^2)`, then set a share of each column to 0.

    Parameters
    ----------
    tensor : ndarray (out, in)
    sparsity : float
        Which share, from 0 to 1; of the rows, rounded up.
    std : float
        Standard deviation of the rest.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (out, in)
        `tensor`.

    Source: Martens (2010), section 5. Where conventions differ: he gives each *unit*
    k inputs, but a column of (out, in) belongs to an input. Pass ``weight.T``, which is
    filled in place as well, and the sparsity 1 − k/in.

    >>> w = sparse_(np.empty((10, 2)), 0.75, rng=np.random.default_rng(0))
    >>> (w == 0).sum(axis=0)
    array([8, 8])
    """
    as_float(raw(tensor), "tensor", ndim=2)
    check_number(sparsity, "sparsity", 0, 1)
    normal_(tensor, 0.0, std, rng=rng)
    for column in tensor.T:
        column[rng.permutation(len(column))[: ceil(sparsity * len(column))]] = 0
    return tensor


def lsuv_(model, input, tol=0.1, max_iter=10, *, rng):
    """Start each layer orthogonal, then scale it until its output has variance 1.

    Parameters
    ----------
    model : Sequential
        Or a list of layers, each of which takes what the one before gave. Those that
        have a `weight` of two dimensions or more are changed in place, and a `bias`
        becomes 0; the others, activations for instance, are only passed through.
    input : array_like (N, ...)
        One minibatch: the variance is measured on it, over all examples and units.
    tol : float
        How far from 1 the variance may stay.
    max_iter : int
        How often a layer is scaled at most; a linear one needs it once.
    rng : numpy.random.Generator

    Returns
    -------
    Sequential
        `model`.

    Raises
    ------
    ValueError
        If some layer's output is the same number everywhere, so that no scale helps.

    Source: Mishkin and Matas (2016), "All you need is a good init", algorithm 1.

    >>> from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential
    >>> rng = np.random.default_rng(0)
    >>> net = lsuv_(Sequential(Linear(5, 3, rng=rng)), rng.normal(size=(9, 5)), rng=rng)
    """
    is_list = hasattr(model, "__iter__") and all(map(callable, model))
    require(is_list, f"model must be a list of layers, not {model!r}", TypeError)
    output = as_float(raw(input), "input")
    check_finite(output, "input")
    alone = f"input {output.shape} must be (N, ...); add an axis with [None]"
    require(output.ndim > 1, alone)
    check_positive(tol, "tol")
    check_positive(max_iter, "max_iter", integer=True)
    for i, layer in enumerate(model):
        weight, bias = (raw(getattr(layer, k, None)) for k in ("weight", "bias"))
        if np.ndim(weight) >= 2:
            orthogonal_(weight, rng=rng)
            if bias is not None:
                bias[...] = 0
            for _ in range(max_iter):
                with no_grad():
                    variance = raw(layer(output)).var()
                even = f"layer {i} gives the same number everywhere; is the input even?"
                require(variance > 0, even)
                if abs(variance - 1) <= tol:
                    break
                weight /= np.sqrt(variance)
        with no_grad():
            output = raw(layer(output))
    return model
