r"""Hidden units in NumPy: activations, units with weights of their own, and trials.

An element-wise activation takes an array of any shape and gives one of that shape and
precision; `f_backward` takes `dy`, the gradient of some cost with respect to what `f`
gave, then what `f` was given. Where torch answers NaN or infinity, so does this,
without a warning.

A *stack* is a list of weights (S, out, in) and a list of biases (S, out): S networks of
one shape, which train side by side. Functions of stacks take the activation as a pair
``(f, f_backward)``, such as ``ACTIVATIONS["relu"]``.
"""

from functools import reduce
from itertools import pairwise

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import (
    linear,
    linear_backward,
    sigmoid,
    sigmoid_backward,
)
from dlbook_lib.feedforward.output_units.scratch import (
    log_softmax,
    softplus,
    softplus_backward,
)
from dlbook_lib.feedforward.xor.scratch import relu, relu_backward


def absolute(input):
    r"""Absolute value rectification :math:`|z|`, entry by entry.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)

    Source: Jarrett et al. (2009), who use it on images, where a feature should not
    depend on which side of an edge is the bright one.

    >>> absolute([-2.0, 0.0, 3.0])
    array([2., 0., 3.])
    """
    input = as_float(input, "input", empty=True)
    return np.where(input.real < 0, -input, input)


def absolute_backward(dy, input):
    r"""Gradient of `absolute`: `dy` (...) times the sign of `input` (...), 0 at 0.

    >>> absolute_backward([5.0, 5.0, 5.0], [-2.0, 0.0, 3.0])
    array([-5.,  0.,  5.])
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    return dy * (input > 0) - dy * (input < 0)


def leaky_relu(input, negative_slope=0.01):
    r"""Leaky rectifier :math:`\max(0,z)+\alpha\min(0,z)`, entry by entry.

    Parameters
    ----------
    input : array_like (...)
    negative_slope : float
        The slope :math:`\alpha` below 0; −1 gives the absolute value.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError
        If `input` does not hold floating-point numbers or the slope is no number.

    Source: Maas, Hannun and Ng (2013).

    >>> leaky_relu([-2.0, 0.0, 3.0])
    array([-0.02,  0.  ,  3.  ])
    """
    input = as_float(input, "input", empty=True)
    check_number(negative_slope, "negative_slope")
    return np.maximum(input, 0) + float(negative_slope) * np.minimum(input, 0)


def leaky_relu_backward(dy, input, negative_slope=0.01):
    """Gradient of `leaky_relu`, `dy` (...) times 1 or the slope; at 0 the slope.

    >>> leaky_relu_backward([5.0, 5.0, 5.0], [-2.0, 0.0, 3.0], 0.1)
    array([0.5, 0.5, 5. ])
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    check_number(negative_slope, "negative_slope")
    return np.where(input > 0, dy, float(negative_slope) * dy)


def prelu(input, weight):
    r"""Parametric rectifier :math:`\max(0,z)+\alpha\min(0,z)` with learned slopes.

    Parameters
    ----------
    input : array_like (...), or (N, C, ...) with a slope for each channel
    weight : array_like (), (1,) or (C,)
        One slope for all, or one for each channel.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    ValueError
        If `weight` has neither one slope nor one for each channel.

    Source: He et al. (2015), section 2.1.

    >>> prelu([[-2.0, -2.0], [3.0, 3.0]], [0.5, 0.0])
    array([[-1.,  0.],
           [ 3.,  3.]])
    """
    input = as_float(input, "input", empty=True)
    weight = as_float(weight, "weight", ndim=(0, 1))
    channels = input.shape[1] if input.ndim > 1 else 1
    require(
        weight.size in (1, channels),
        f"weight has {weight.size} slopes but input has {channels} channels "
        f"(weight {weight.shape}, input {input.shape}); give one slope for each "
        "channel, axis 1 of input, or one for all",
    )
    slope = weight.reshape(-1, *(1 for _ in input.shape[2:]))  # (C, 1, …, 1)
    slope = slope if weight.size > 1 else weight.reshape(())
    return np.maximum(input, 0) + slope * np.minimum(input, 0)


def prelu_backward(dy, input, weight):
    """Gradients of `prelu` with respect to both of its arguments.

    Parameters
    ----------
    dy : array_like (...)
        Of the shape of `input`.
    input, weight
        As given to `prelu`.

    Returns
    -------
    dinput : ndarray (...)
    dweight : ndarray (), (1,) or (C,)
        Each slope gathers `dy` times the negative inputs it has multiplied.

    >>> prelu_backward([[1.0, 1.0]], [[-2.0, 3.0]], [0.25])
    (array([[0.25, 1.  ]]), array([-2.]))
    """
    dy = as_float(dy, "dy", empty=True)
    prelu(input, weight)  # checks the shapes
    input, weight = np.asarray(input), np.asarray(weight)
    check_same_shape(dy=dy, input=input)
    slope = weight.reshape(-1, *(1 for _ in input.shape[2:]))  # (C, 1, …, 1)
    slope = slope if weight.size > 1 else weight.reshape(())
    each = dy * np.minimum(input, 0)
    others = tuple(d for d in range(input.ndim) if d != 1 or weight.size == 1)
    dweight = each.sum(axis=others).reshape(weight.shape)
    return np.where(input > 0, dy, slope * dy), dweight


def elu(input, alpha=1.0):
    r"""Exponential linear unit: :math:`z` above 0, :math:`\alpha(e^z-1)` below.

    Parameters
    ----------
    input : array_like (...)
    alpha : float
        Minus the value it saturates at.

    Returns
    -------
    ndarray (...)

    Source: Clevert, Unterthiner and Hochreiter (2016).

    >>> elu([-1e4, 0.0, 3.0])
    array([-1.,  0.,  3.])
    """
    input = as_float(input, "input", empty=True)
    check_number(alpha, "alpha")
    return np.maximum(input, 0) + float(alpha) * np.expm1(np.minimum(input, 0))


def elu_backward(dy, input, alpha=1.0):
    r"""Gradient of `elu`: `dy` (...) above 0, else :math:`\alpha e^z` times `dy`.

    >>> elu_backward([5.0, 5.0], [0.0, 3.0], alpha=2.0)
    array([10.,  5.])
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    check_number(alpha, "alpha")
    slope = float(alpha) * np.exp(np.minimum(input, 0))
    return np.where(input <= 0, dy * slope, dy)


def gelu(input, approximate="none"):
    r"""Gaussian error linear unit :math:`z\,\Phi(z)`, :math:`\Phi` the normal CDF.

    Parameters
    ----------
    input : array_like (...)
    approximate : {"none", "tanh"}
        ``"tanh"`` is :math:`\frac z2\bigl(1+\tanh\sqrt{2/\pi}\,(z+0.044715z^3)\bigr)`.

    Returns
    -------
    ndarray (...)

    Source: Hendrycks and Gimpel (2016).

    >>> gelu([-1e4, 0.0, 1.0]).round(4) + 0.0
    array([0.    , 0.    , 0.8413])
    """
    z = as_float(input, "input", empty=True)
    check_in(approximate, "approximate", ("none", "tanh"))
    with np.errstate(over="ignore", invalid="ignore"):
        if approximate == "tanh":
            return (
                z / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (z + 0.044715 * z * z * z)))
            )
        from scipy.special import ndtr

        return z * ndtr(z)


def gelu_backward(dy, input, approximate="none"):
    r"""Gradient of `gelu`: `dy` times :math:`\Phi(z)+z\varphi(z)`, or its tanh form.

    Parameters
    ----------
    dy, input : array_like (...)
        :math:`\varphi(z)=e^{-z^2/2}/\sqrt{2\pi}` is the normal density.
    approximate : {"none", "tanh"}

    Returns
    -------
    ndarray (...)

    >>> gelu_backward([1.0, 1.0], [-1e4, 0.0]) + 0.0
    array([0. , 0.5])
    """
    dy, z = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=z)
    check_in(approximate, "approximate", ("none", "tanh"))
    with np.errstate(over="ignore", invalid="ignore"):
        if approximate == "tanh":
            root = (2 / np.pi) ** 0.5
            t = np.tanh(root * (z + 0.044715 * z * z * z))
            bend = z / 2 * (1 - t * t) * root * (1 + 3 * 0.044715 * z * z)
            return dy * ((1 + t) / 2 + bend)
        from scipy.special import ndtr

        return dy * (ndtr(z) + z * np.exp(-z * z / 2) / (2 * np.pi) ** 0.5)


def silu(input):
    r"""Sigmoid linear unit, or swish, :math:`z\,\sigma(z)`, entry by entry.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)

    Source: Ramachandran, Zoph and Le (2017), who found it by a search.

    >>> silu([-1e4, 0.0, 1.0]).round(4) + 0.0
    array([0.    , 0.    , 0.7311])
    """
    input = as_float(input, "input", empty=True)
    with np.errstate(invalid="ignore"):
        return input * sigmoid(input)


def silu_backward(dy, input):
    r"""Gradient of `silu`: `dy` (...) times :math:`\sigma(z)(1+z\,\sigma(-z))`.

    >>> silu_backward([1.0, 1.0], [0.0, 1e4])
    array([0.5, 1. ])
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    with np.errstate(invalid="ignore"):
        return dy * sigmoid(input) * (1 + input * sigmoid(-input))


def tanh(input):
    r"""Hyperbolic tangent :math:`2\sigma(2z)-1`, entry by entry.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)

    >>> tanh([-1e4, 0.0, 1.0]).round(4)
    array([-1.    ,  0.    ,  0.7616])
    """
    return np.tanh(as_float(input, "input", empty=True))


def tanh_backward(dy, input):
    r"""Gradient of `tanh`: `dy` (...) times :math:`1-\tanh^2z`.

    >>> tanh_backward([1.0, 1.0], [0.0, 1e4])
    array([1., 0.])
    """
    dy, input = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    return dy * (1 - np.tanh(input) ** 2)


def hardtanh(input, min_val=-1.0, max_val=1.0):
    r"""Hard tanh :math:`\max(-1,\min(1,z))`, entry by entry.

    Parameters
    ----------
    input : array_like (...)
    min_val, max_val : float
        Where it is cut off; the first must be below the second.

    Returns
    -------
    ndarray (...)

    Source: Collobert (2004).

    >>> hardtanh([-3.0, 0.25, 3.0])
    array([-1.  ,  0.25,  1.  ])
    """
    input = as_float(input, "input", empty=True)
    check_number(min_val, "min_val")
    check_number(max_val, "max_val", min_val)
    return np.minimum(np.maximum(input, float(min_val)), float(max_val))


def hardtanh_backward(dy, input, min_val=-1.0, max_val=1.0):
    """Gradient of `hardtanh`: `dy` (...) strictly between the two cuts, else 0.

    >>> hardtanh_backward([5.0, 5.0, 5.0], [-1.0, 0.25, 3.0])
    array([0., 5., 0.])
    """
    dy = as_float(dy, "dy", empty=True)
    hardtanh(input, min_val, max_val)  # checks them
    input = np.asarray(input)
    check_same_shape(dy=dy, input=input)
    return np.where((input <= min_val) | (input >= max_val), 0, dy)


def cos(input):
    r"""Cosine of a score in radians, an activation that hardly anybody uses.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)

    >>> cos([0.0, np.pi])
    array([ 1., -1.])
    """
    input = as_float(input, "input", empty=True)
    with np.errstate(invalid="ignore"):
        return np.cos(input)


def cos_backward(dy, input):
    """Gradient of `cos`: minus `dy` (...) times the sine of `input` (...).

    >>> cos_backward([1.0, 2.0], [0.0, np.pi / 2])
    array([-0., -2.])
    """
    dy, input = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    with np.errstate(invalid="ignore"):
        return dy * -np.sin(input)


ACTIVATIONS = {
    "relu": (relu, relu_backward),
    "leaky_relu": (leaky_relu, leaky_relu_backward),
    "absolute": (absolute, absolute_backward),
    "elu": (elu, elu_backward),
    "softplus": (softplus, softplus_backward),
    "gelu": (gelu, gelu_backward),
    "silu": (silu, silu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "hardtanh": (hardtanh, hardtanh_backward),
    "cos": (cos, cos_backward),
}
"""Element-wise activations by name: the function and its backward half."""


def maxout(input, k):
    r"""Maximum over groups of `k` neighbours along the last axis.

    .. math:: g(\mathbf z)_i=\max_{j\in G^{(i)}}z_j,\quad G^{(i)}=\{(i-1)k+1,\dots,ik\}

    Parameters
    ----------
    input : array_like (..., units · k)
    k : int
        Pieces of each unit. Where texts differ: some speak of k groups; these are
        groups *of* k, so a layer with m scores has m/k units.

    Returns
    -------
    ndarray (..., units)

    Raises
    ------
    ValueError
        If the last axis cannot be cut into groups of `k`.

    Source: Goodfellow et al. (2013), Maxout Networks.

    >>> maxout([1.0, 5.0, -3.0, -4.0], 2)
    array([ 5., -3.])
    """
    input = as_float(input, "input", empty=True)
    check_positive(k, "k", integer=True)
    require(
        input.ndim and input.shape[-1] % k == 0,
        f"input {input.shape} cannot be cut into groups of {k} along its last axis; "
        f"give each unit {k} scores",
    )
    return reduce(np.maximum, (input[..., j::k] for j in range(k)))


def maxout_backward(dy, input, k):
    """Gradient of `maxout`: each group's `dy` goes to the first of its largest.

    Parameters
    ----------
    dy : array_like (..., units)
    input, k
        As given to `maxout`.

    Returns
    -------
    ndarray (..., units · k)

    >>> maxout_backward([10.0, 20.0], [1.0, 5.0, -3.0, -3.0], 2)
    array([ 0., 10., 20.,  0.])
    """
    dy = as_float(dy, "dy", empty=True)
    shape = maxout(input, k).shape  # checks the arguments
    require(
        dy.shape == shape,
        f"dy has shape {dy.shape} but the output has {shape}; "
        "pass the gradient with respect to the output itself",
    )
    groups = np.reshape(input, (*shape, k))
    winner = groups.argmax(axis=-1)[..., None]  # (..., units, 1)
    return np.where(np.arange(k) == winner, dy[..., None], 0).reshape(np.shape(input))


def rbf(input, weight, sigma):
    r"""Radial basis units, which fire near a template.

    .. math:: h_i=\exp\bigl(-\lVert\mathbf w_i-\mathbf x\rVert^2/\sigma_i^2\bigr)

    Parameters
    ----------
    input : array_like (..., in)
    weight : array_like (units, in)
        One template a row.
    sigma : array_like (units,)
        Widths, in the units of the input. Where conventions differ: many texts have
        :math:`2\sigma^2` in place of :math:`\sigma^2`.

    Returns
    -------
    ndarray (..., units)

    Raises
    ------
    ValueError
        If the shapes do not fit or a width is 0.

    Source: Goodfellow, Bengio and Courville (2016), section 6.3.3.

    >>> rbf([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]], [5.0]).round(4)
    array([[1.    ],
           [0.3679]])
    """
    input = as_float(input, "input", empty=True)
    weight = as_float(weight, "weight", ndim=2)
    sigma = as_float(sigma, "sigma", ndim=1)
    require(
        input.shape[-1:] == weight.shape[1:] and len(sigma) == len(weight),
        f"shapes do not fit: input {input.shape}, weight {weight.shape}, sigma "
        f"{sigma.shape}; they should be (..., in), (units, in) and (units,)",
    )
    require((sigma != 0).all(), f"sigma {sigma} has a width of 0; try 1.0")
    with np.errstate(over="ignore", invalid="ignore"):
        away = (input[..., None, :] - weight) / sigma[:, None]  # (..., units, in)
        return np.exp(-(away**2).sum(axis=-1))


def rbf_backward(dy, input, weight, sigma):
    """Gradients of `rbf` with respect to its three arguments.

    Parameters
    ----------
    dy : array_like (..., units)
    input, weight, sigma
        As given to `rbf`.

    Returns
    -------
    dinput : ndarray (..., in)
    dweight : ndarray (units, in)
    dsigma : ndarray (units,)

    >>> rbf_backward([[1.0]], [[1.0]], [[0.0]], [1.0])[0].round(4)
    array([[-0.7358]])
    """
    dy = as_float(dy, "dy", empty=True)
    h = rbf(input, weight, sigma)  # checks the arguments
    require(
        dy.shape == h.shape, f"dy has shape {dy.shape} but the output has {h.shape}"
    )
    input, weight, sigma = np.asarray(input), np.asarray(weight), np.asarray(sigma)
    with np.errstate(over="ignore", invalid="ignore"):
        away = (input[..., None, :] - weight) / sigma[:, None]  # (..., units, in)
        pull = (2 * dy * h / sigma)[..., None] * away  # (..., units, in)
        dweight = pull.reshape(-1, *weight.shape).sum(axis=0)
        dsigma = (pull * away).sum(axis=-1).reshape(-1, len(sigma)).sum(axis=0)
    return -pull.sum(axis=-2), dweight, dsigma


def low_rank_linear(input, left, right, bias=None):
    r"""A linear layer whose weight is a product: :math:`UV\mathbf x+\mathbf b`.

    Parameters
    ----------
    input : array_like (..., in)
    left : array_like (out, rank)
        The factor :math:`U`.
    right : array_like (rank, in)
        The factor :math:`V`: a linear layer of `rank` units without an activation.
    bias : array_like (out,), optional

    Returns
    -------
    ndarray (..., out)

    >>> low_rank_linear([[1.0, 2.0]], [[1.0], [10.0]], [[1.0, 1.0]])
    array([[ 3., 30.]])
    """
    left, right = as_float(left, "left", ndim=2), as_float(right, "right", ndim=2)
    require(
        left.shape[1] == len(right),
        f"left {left.shape} and right {right.shape} do not multiply; they should be "
        "(out, rank) and (rank, in)",
    )
    input = as_float(input, "input", empty=True)
    require(
        input.ndim and input.shape[-1] == right.shape[1],
        f"input {input.shape} does not end in the {right.shape[1]} features that right "
        f"{right.shape} expects; is right (rank, in)?",
    )
    if bias is not None:
        bias = as_float(bias, "bias", ndim=1)
        require(len(bias) == len(left), f"bias {bias.shape} does not fit {left.shape}")
    return linear(linear(input, right), left, bias)


def low_rank_linear_backward(dy, input, left, right, bias=None):
    """Gradients of `low_rank_linear` with respect to its four arguments.

    Parameters
    ----------
    dy : array_like (..., out)
    input, left, right, bias
        As given to `low_rank_linear`.

    Returns
    -------
    dinput : ndarray (..., in)
    dleft : ndarray (out, rank)
    dright : ndarray (rank, in)
    dbias : ndarray (out,), or None where there is no bias

    >>> low_rank_linear_backward([[1.0]], [[3.0]], [[5.0]], [[7.0]])
    (array([[35.]]), array([[21.]]), array([[15.]]), None)
    """
    dy = as_float(dy, "dy", empty=True)
    shape = low_rank_linear(input, left, right, bias).shape  # checks the arguments
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    input, left, right = np.asarray(input), np.asarray(left), np.asarray(right)
    dcode, dleft, dbias = linear_backward(dy, linear(input, right), left, bias)
    dinput, dright, _ = linear_backward(dcode, input, right)
    return dinput, dleft, dright, dbias


class PReLU:
    """A parametric rectifier that owns its slopes.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels.
    init : float
        The slopes to start with.

    >>> PReLU()([-2.0, 3.0])
    array([-0.5,  3. ])
    """

    def __init__(self, num_parameters=1, init=0.25):
        check_positive(num_parameters, "num_parameters", integer=True)
        check_number(init, "init")
        self.weight = np.full(num_parameters, float(init))

    def state_dict(self):
        """The slopes (C,) by name, not copied."""
        return {"weight": self.weight}

    def parameters(self):
        """The one array (C,) in a list."""
        return [self.weight]

    def forward(self, input):
        """Values (...) for `input` (...)."""
        return prelu(input, self.weight)

    __call__ = forward


class Maxout:
    r"""A layer of maxout units: `k` affine maps for each, and the largest of them.

    Parameters
    ----------
    in_features, units, k : int
    rng : numpy.random.Generator
        Weights (units · k, in) and biases start uniform in
        :math:`\pm1/\sqrt{\text{fan-in}}`, as those of ``torch.nn.Linear`` do.

    >>> Maxout(2, 3, 4, rng=numpy_generator(0))(np.zeros((5, 2))).shape
    (5, 3)
    """

    def __init__(self, in_features, units, k=2, *, rng):
        check_positive(in_features, "in_features", integer=True)
        check_positive(units, "units", integer=True)
        check_positive(k, "k", integer=True)
        bound = in_features**-0.5
        self.k = k
        self.weight = rng.uniform(-bound, bound, (units * k, in_features))
        self.bias = rng.uniform(-bound, bound, units * k)

    def state_dict(self):
        """The two arrays by name, (units · k, in) and (units · k,), not copied."""
        return {"weight": self.weight, "bias": self.bias}

    def parameters(self):
        """Weight (units · k, in) and bias (units · k,)."""
        return [self.weight, self.bias]

    def forward(self, input):
        """Values (..., units) for `input` (..., in)."""
        return maxout(linear(input, self.weight, self.bias), self.k)

    __call__ = forward


class RBFLayer:
    """A layer of radial basis units; it owns its templates and widths.

    Parameters
    ----------
    in_features, units : int
    sigma : float
        All widths to start with.
    rng : numpy.random.Generator
        Templates (units, in) start standard normal.

    >>> RBFLayer(2, 3, rng=numpy_generator(0))(np.zeros((5, 2))).shape
    (5, 3)
    """

    def __init__(self, in_features, units, sigma=1.0, *, rng):
        check_positive(in_features, "in_features", integer=True)
        check_positive(units, "units", integer=True)
        check_positive(sigma, "sigma")
        self.weight = rng.normal(size=(units, in_features))
        self.sigma = np.full(units, float(sigma))

    def state_dict(self):
        """Templates (units, in) and widths (units,) by name, not copied."""
        return {"weight": self.weight, "sigma": self.sigma}

    def parameters(self):
        """Templates (units, in) and widths (units,)."""
        return [self.weight, self.sigma]

    def forward(self, input):
        """Values (..., units) for `input` (..., in)."""
        return rbf(input, self.weight, self.sigma)

    __call__ = forward


class LowRankLinear:
    r"""A linear layer with its weight in two factors, of a rank chosen beforehand.

    Parameters
    ----------
    in_features, out_features, rank : int
        Rank :math:`q` has :math:`q(n+p)` weights in place of :math:`np`: fewer only
        below :math:`q=np/(n+p)`.
    rng : numpy.random.Generator
        Both factors start uniform in :math:`\pm1/\sqrt{\text{fan-in}}`.

    >>> layer = LowRankLinear(784, 512, 32, rng=numpy_generator(0))
    >>> [p.shape for p in layer.parameters()]
    [(512, 32), (32, 784), (512,)]
    """

    def __init__(self, in_features, out_features, rank, *, rng):
        check_positive(in_features, "in_features", integer=True)
        check_positive(out_features, "out_features", integer=True)
        check_positive(rank, "rank", integer=True)
        near, far = in_features**-0.5, rank**-0.5
        self.right = rng.uniform(-near, near, (rank, in_features))
        self.left = rng.uniform(-far, far, (out_features, rank))
        self.bias = rng.uniform(-far, far, out_features)

    def state_dict(self):
        """The arrays (out, rank), (rank, in), (out,) by name, not copied."""
        return {"left": self.left, "right": self.right, "bias": self.bias}

    def parameters(self):
        """Left (out, rank), right (rank, in) and bias (out,)."""
        return [self.left, self.right, self.bias]

    def forward(self, input):
        """Scores (..., out) for `input` (..., in)."""
        return low_rank_linear(input, self.left, self.right, self.bias)

    __call__ = forward


def init_stack(sizes, seeds, init="he", bias=0.0, k=1):
    r"""Draw the weights of one network for each seed.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs.
    seeds : sequence of int
    init : {"he", "xavier", "torch"}
        Normal of variance :math:`2/n_\text{in}` (He et al. 2015) or
        :math:`2/(n_\text{in}+n_\text{out})` (Glorot and Bengio 2010), or uniform in
        :math:`\pm1/\sqrt{n_\text{in}}`, as ``torch.nn.Linear`` starts.
    bias : float
        All biases of hidden layers; those of the output are 0.
    k : int
        Scores of each hidden unit; above 1 for `maxout`.

    Returns
    -------
    weights : list of ndarray (S, out, in)
    biases : list of ndarray (S, out)

    >>> weights, biases = init_stack([64, 32, 10], range(3), k=2)
    >>> [w.shape for w in weights]
    [(3, 64, 64), (3, 10, 32)]
    """
    check_in(init, "init", ("he", "xavier", "torch"))
    check_positive(k, "k", integer=True)
    check_number(bias, "bias")
    sentence = f"sizes must be a list of inputs to outputs, not {sizes!r}; try [2, 1]"
    require(isinstance(sizes, (list, tuple)) and len(sizes) > 1, sentence)
    for size in sizes:
        check_positive(size, "each of sizes", integer=True)
    rngs = [numpy_generator(seed) for seed in seeds]
    require(rngs, "seeds is empty; try range(5)")
    weights, biases = [], []
    for layer, (n, units) in enumerate(pairwise(sizes), start=2):
        rows, start = (units, 0.0) if layer == len(sizes) else (units * k, bias)
        variance = {"he": 2 / n, "xavier": 2 / (n + units), "torch": 1 / (3 * n)}[init]
        draw = "uniform" if init == "torch" else "normal"
        args = (-(3**0.5), 3**0.5) if init == "torch" else (0, 1)  # variance 1 for both
        each = [getattr(r, draw)(*args, (rows, n)) for r in rngs]
        weights.append(variance**0.5 * np.stack(each))
        biases.append(np.full((len(rngs), rows), float(start)))
    return weights, biases


def stack_scores(input, weights, biases, activation):
    """Scores of every layer of a stack; the last are the outputs.

    Parameters
    ----------
    input : array_like (N, in), or (S, N, in) with a batch for each network
    weights, biases : list of ndarray (S, out, in), list of ndarray (S, out)
    activation : pair of callables
        ``(f, f_backward)``, applied to every layer's scores but the last's.

    Returns
    -------
    list of ndarray (S, N, out)

    >>> weights, biases = init_stack([4, 8, 3], range(5))
    >>> scores = stack_scores(np.ones((2, 4)), weights, biases, ACTIVATIONS["relu"])
    >>> [s.shape for s in scores]
    [(5, 2, 8), (5, 2, 3)]
    """
    below = as_float(input, "input", ndim=(2, 3))
    lists = isinstance(weights, list) and isinstance(biases, list)
    require(
        lists and len(weights) == len(biases) > 0,
        "weights and biases must be two lists with one array for each layer; "
        "try init_stack",
    )
    scores = []
    for weight, bias in zip(weights, biases, strict=True):
        below = activation[0](scores[-1]) if scores else below
        weight, bias = as_float(weight, "weight", ndim=3), as_float(bias, "bias")
        require(
            below.shape[-1] == weight.shape[2]
            and bias.shape == weight.shape[:2]
            and (below.ndim == 2 or len(below) == len(weight)),
            f"shapes do not chain: input {below.shape}, weight {weight.shape}, bias "
            f"{bias.shape}; a stack has weights (S, out, in) and biases (S, out)",
        )
        scores.append(below @ weight.mT + bias[:, None, :])  # (S, N, out)
    return scores


def stack_scores_backward(dy, input, weights, biases, activation, scores=None):
    """Gradients of a cost with respect to every weight, bias and score of a stack.

    Parameters
    ----------
    dy : array_like (S, N, out)
        With respect to the last scores.
    input, weights, biases, activation
        As given to `stack_scores`.
    scores : list of ndarray (S, N, units), optional
        What `stack_scores` gave, if it is at hand; else it is computed again.

    Returns
    -------
    dweights : list of ndarray (S, out, in)
    dbiases : list of ndarray (S, out)
    dscores : list of ndarray (S, N, out)
    """
    dscore = as_float(dy, "dy")
    if scores is None:
        scores = stack_scores(input, weights, biases, activation)
    check_same_shape(dy=dscore, scores=scores[-1])
    f, f_backward = activation
    dweights, dbiases, dscores = [], [], []
    for layer in reversed(range(len(weights))):
        below = f(scores[layer - 1]) if layer else np.asarray(input)
        dweights.insert(0, dscore.mT @ below)
        dbiases.insert(0, dscore.sum(axis=-2))
        dscores.insert(0, dscore)
        if layer:
            dscore = f_backward(dscore @ weights[layer], scores[layer - 1])
    return dweights, dbiases, dscores


def train_stack(
    weights, biases, activation, input, target, *, lr, epochs, batch_size=100, rng
):
    """Minibatch gradient descent on the softmax cross-entropy of each network.

    Parameters
    ----------
    weights, biases : list of ndarray (S, out, in), list of ndarray (S, out)
        Changed in place.
    activation : pair of callables
    input : array_like (N, in)
    target : array_like of int (N,)
        Classes.
    lr : float, or ndarray (S,) with a rate for each network
    epochs, batch_size : int
    rng : numpy.random.Generator
        Draws the order of the examples, the same for all networks.

    Returns
    -------
    ndarray (steps, S)
        Mean cross-entropy of each network on each batch, in nats.
    """
    input = as_float(input, "input", ndim=2)
    one = stack_scores(input[:1], weights, biases, activation)[-1]  # checks shapes
    target = as_labels(target, "target", classes=one.shape[-1])
    require(
        target.shape == input.shape[:1],
        f"target {target.shape} does not match input {input.shape}; one label a row",
    )
    check_positive(epochs, "epochs", integer=True)
    check_positive(batch_size, "batch_size", integer=True)
    networks, losses, rate = len(weights[0]), [], np.asarray(lr)
    require(
        rate.dtype.kind in "fi"
        and rate.shape in ((), (networks,))
        and (rate > 0).all(),
        f"lr must be a number above 0, or one for each of {networks} networks, not "
        f"{lr!r}; try 0.1",
    )
    rate = np.broadcast_to(rate.astype(input.dtype), networks)
    cuts = range(batch_size, len(input), batch_size)
    orders = (rng.permutation(len(input)) for _ in range(epochs))
    for rows in (part for order in orders for part in np.split(order, cuts)):
        scores = stack_scores(input[rows], weights, biases, activation)
        hit = slice(None), np.arange(len(rows)), target[rows]  # each example's class
        log_p = log_softmax(scores[-1], dim=-1)
        losses.append(-log_p[hit].mean(axis=1))
        dy = np.exp(log_p) / len(rows)  # probabilities minus one-hot targets
        dy[hit] -= 1 / len(rows)
        dws, dbs, _ = stack_scores_backward(
            dy, input[rows], weights, biases, activation, scores
        )
        for w, b, dw, db in zip(weights, biases, dws, dbs, strict=True):
            w -= rate[:, None, None] * dw
            b -= rate[:, None] * db
    return np.array(losses)


def stack_accuracy(input, target, weights, biases, activation):
    """Share of examples whose largest output is the target's, for each network.

    Parameters
    ----------
    input : array_like (N, in)
    target : array_like of int (N,)
    weights, biases, activation
        As `stack_scores` takes them.

    Returns
    -------
    ndarray (S,)
    """
    outputs = stack_scores(input, weights, biases, activation)[-1]  # (S, N, classes)
    target = as_labels(target, "target", classes=outputs.shape[-1])
    require(
        target.shape == outputs.shape[1:2],
        f"target {target.shape} does not match {outputs.shape[1]} rows of input",
    )
    return (outputs.argmax(axis=-1) == target).mean(axis=-1)


def dead_fraction(score):
    """Share of units whose score is at or below 0 for every example.

    Parameters
    ----------
    score : array_like (..., N, units)
        Scores of one layer, before a rectifier.

    Returns
    -------
    floating scalar, or ndarray (...)

    >>> dead_fraction([[-1.0, 2.0], [-3.0, -1.0]])
    np.float64(0.5)
    """
    score = as_float(score, "score")
    require(
        score.ndim > 1, f"score {score.shape} must be (..., N, units); try score[None]"
    )
    return (score <= 0).all(axis=-2).mean(axis=-1)


def gradient_by_layer(dy, input, weights, biases, activation):
    """Root mean square of the gradient that reaches each layer's scores.

    Parameters
    ----------
    dy : array_like (S, N, out)
        Gradient with respect to the last scores.
    input, weights, biases, activation
        As `stack_scores` takes them.

    Returns
    -------
    ndarray (layers, S)
        First layer first, in the units of `dy`.

    >>> weights, biases = init_stack([4, 4, 4], range(3))
    >>> dy, sine = np.ones((3, 2, 4)), ACTIVATIONS["cos"]
    >>> gradient_by_layer(dy, np.ones((2, 4)), weights, biases, sine)[-1]
    array([1., 1., 1.])
    """
    _, _, dscores = stack_scores_backward(dy, input, weights, biases, activation)
    return np.array([np.sqrt((d**2).mean(axis=(1, 2))) for d in dscores])


def activation_bakeoff(
    names, train, valid, test, *, hidden, lrs, seeds, epochs, rng, init="he"
):
    """Train networks that differ in their activation only, each at its best rate.

    Parameters
    ----------
    names : sequence of str
        Names in `ACTIVATIONS`.
    train, valid, test : pair of ndarray (N, in) and ndarray of int (N,)
        The rate is chosen by the mean accuracy on `valid`.
    hidden : sequence of int
        Units of each hidden layer.
    lrs : sequence of float
    seeds : sequence of int
        One network for each seed and each rate.
    epochs : int
    rng : numpy.random.Generator
    init : str
        As in `init_stack`.

    Returns
    -------
    dict of str to tuple
        The chosen rate, and the test accuracy at that rate, ndarray (seeds,).
    """
    sentence = f"names must be a list of names, not {names!r}; try ['relu']"
    require(isinstance(names, (list, tuple, dict)), sentence, TypeError)
    count = f"lrs {lrs} and seeds {seeds} must each hold at least one number"
    require(len(lrs) and len(seeds), count)
    x, y = as_float(train[0], "train[0]", ndim=2), as_labels(train[1], "train[1]")
    sizes, found = [x.shape[1], *hidden, int(y.max()) + 1], {}
    for name in names:
        check_in(name, "each of names", tuple(ACTIVATIONS))
        pair, everyone = ACTIVATIONS[name], list(seeds) * len(lrs)
        weights, biases = init_stack(sizes, everyone, init)
        weights = [w.astype(x.dtype) for w in weights]
        biases = [b.astype(x.dtype) for b in biases]
        lr = np.repeat(lrs, len(seeds))
        train_stack(weights, biases, pair, x, y, lr=lr, epochs=epochs, rng=rng)
        on_valid, on_test = (
            stack_accuracy(*part, weights, biases, pair).reshape(len(lrs), -1)
            for part in (valid, test)
        )
        best = on_valid.mean(axis=1).argmax()
        found[name] = lrs[best], on_test[best]
    return found


def sequential_tasks(
    activation, tasks, *, hidden, lr, epochs, seeds, rng, k=1, init="he"
):
    """Train on one task after another, and test on all of them after each.

    Parameters
    ----------
    activation : pair of callables
    tasks : sequence of tuple
        ``(x_train, y_train, x_test, y_test)`` of each task, ndarrays (N, in) and (N,)
        by turns, with the same inputs and classes.
    hidden : sequence of int
        Units of each hidden layer.
    lr : float
    epochs : int
        For each task.
    seeds : sequence of int
    rng : numpy.random.Generator
    k : int
        Scores of each hidden unit.
    init : str

    Returns
    -------
    ndarray (T, T, S)
        Entry (i, j): test accuracy on task j after training on task i.
    """
    require(tasks, "tasks is empty; give at least one")
    wrong = [len(task) for task in tasks if len(task) != 4]
    require(
        not wrong,
        f"each of tasks needs x_train, y_train, x_test, y_test; one has {wrong[:1]} "
        "items",
    )
    x, y = as_float(tasks[0][0], "x_train", ndim=2), as_labels(tasks[0][1], "y_train")
    weights, biases = init_stack(
        [x.shape[1], *hidden, int(y.max()) + 1], seeds, init, k=k
    )
    weights = [w.astype(x.dtype) for w in weights]
    biases = [b.astype(x.dtype) for b in biases]
    rows = []
    for x, y, *_ in tasks:
        train_stack(weights, biases, activation, x, y, lr=lr, epochs=epochs, rng=rng)
        now = [stack_accuracy(*t[2:], weights, biases, activation) for t in tasks]
        rows.append(now)
    return np.array(rows)
