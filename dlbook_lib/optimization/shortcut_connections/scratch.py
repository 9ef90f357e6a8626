r"""Shortcuts in NumPy: residual, highway and gated layers, dense concatenation.

Every path is a dense layer with :math:`f=\operatorname{relu}`, on inputs (..., in) with
any batch shape, and weights (out, in). Each function comes with its backward half, and
each module owns the `Linear` layers whose numbers the function takes.

Two forms are both called gated: a highway layer has its gates *outside* of f and the
input itself on the shortcut; the gated skip has its gates *inside*, on weighted sums.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import no_grad, register
from dlbook_lib.feedforward.autodiff.modules import Linear, Module
from dlbook_lib.feedforward.linear_models.scratch import (
    linear,
    linear_backward,
    sigmoid,
    sigmoid_backward,
)
from dlbook_lib.feedforward.xor.scratch import relu, relu_backward


def residual(input, weight1, bias1, weight2, bias2, projection=None):
    r"""Input plus correction: :math:`x+W_2\operatorname{relu}(W_1x+b_1)+b_2`.

    Parameters
    ----------
    input : array_like (..., in)
    weight1, bias1 : array_like (width, in), (width,)
    weight2, bias2 : array_like (out, width), (out,)
        `out` is `in`, unless there is a projection.
    projection : array_like (out, in), optional
        What the input is multiplied by on the shortcut, if its size has to change.

    Returns
    -------
    ndarray (..., out)

    Source: He et al. (2016), equations 1 and 2. The Jacobian is :math:`I+\partial
    F/\partial x`: however small the weights, a gradient gets through.

    >>> zeros = np.zeros((2, 2))
    >>> residual([[1.0, -2.0]], zeros, zeros[0], zeros, zeros[0])
    array([[ 1., -2.]])
    """
    input = as_float(input, "input", empty=True)
    branch = linear(relu(linear(input, weight1, bias1)), weight2, bias2)
    shortcut = input if projection is None else linear(input, projection)
    check_same_shape(shortcut=shortcut, branch=branch)
    return shortcut + branch


def residual_backward(dy, input, weight1, bias1, weight2, bias2, projection=None):
    """Gradients of `residual` for all its arguments, in their order and shapes.

    The gradient of `input` (..., in) is the sum over the two paths; that of a
    projection of None is None.

    >>> zeros = np.zeros((2, 2))
    >>> x = dy = np.array([[1.0, -2.0]])
    >>> residual_backward(dy, x, zeros, zeros[0], zeros, zeros[0])[0]
    array([[ 1., -2.]])
    """
    y = residual(input, weight1, bias1, weight2, bias2, projection)  # checks them
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=y)
    score = linear(input, weight1, bias1)
    dhidden, dweight2, dbias2 = linear_backward(dy, relu(score), weight2, bias2)
    dscore = relu_backward(dhidden, score)
    dinput, dweight1, dbias1 = linear_backward(dscore, input, weight1, bias1)
    dshort, dprojection = dy, None
    if projection is not None:
        dshort, dprojection, _ = linear_backward(dy, input, projection)
    return dinput + dshort, dweight1, dbias1, dweight2, dbias2, dprojection


def highway(input, weight, bias, gate_weight, gate_bias):
    r"""Mixture of a layer and its input: :math:`T\odot H(x)+(1-T)\odot x`.

    Parameters
    ----------
    input : array_like (..., features)
    weight, bias : array_like (features, features), (features,)
        Of :math:`H=\operatorname{relu}(Wx+b)`.
    gate_weight, gate_bias : array_like (features, features), (features,)
        Of the transfer gates :math:`T=\sigma(W_Tx+b_T)`, one for each feature. A
        negative bias lets the input through at the start.

    Returns
    -------
    ndarray (..., features)

    Source: Srivastava, Greff and Schmidhuber (2015), equation 3.

    >>> w, b = np.eye(2), np.zeros(2)
    >>> highway([[1.0, -2.0]], w, b, 0 * w, b)
    array([[ 1., -1.]])
    """
    input = as_float(input, "input", empty=True)
    h = relu(linear(input, weight, bias))
    t = sigmoid(linear(input, gate_weight, gate_bias))
    check_same_shape(input=input, layer=h, gate=t)
    return t * h + (1 - t) * input


def highway_backward(dy, input, weight, bias, gate_weight, gate_bias):
    """Gradients of `highway` for its five arguments, in their order and shapes.

    `dy` has the shape of `input`, (..., features).

    >>> w, b = np.eye(2), np.zeros(2)
    >>> x = dy = np.array([[1.0, -2.0]])
    >>> highway_backward(dy, x, w, b, 0 * w, b - 1e4)[0]
    array([[ 1., -2.]])
    """
    highway(input, weight, bias, gate_weight, gate_bias)  # checks the arguments
    dy, input = as_float(dy, "dy", empty=True), np.asarray(input)
    check_same_shape(dy=dy, input=input)
    score, gate = linear(input, weight, bias), linear(input, gate_weight, gate_bias)
    t = sigmoid(gate)
    dscore = relu_backward(dy * t, score)
    dgate = sigmoid_backward(dy * (relu(score) - input), gate)
    through, dweight, dbias = linear_backward(dscore, input, weight, bias)
    past, dgate_weight, dgate_bias = linear_backward(
        dgate, input, gate_weight, gate_bias
    )
    return dy * (1 - t) + through + past, dweight, dbias, dgate_weight, dgate_bias


def gated_skip(input, earlier, weight, skip_weight, gate_weight, gate_bias):
    r"""Mixture of two weighted sums, inside of f.

    .. math:: f\bigl(g\odot Wz_{l-1}+(1-g)\odot Vz_{l-L}\bigr),\quad
              g=\sigma(Az_{l-L}+a_0)

    Parameters
    ----------
    input : array_like (..., in)
        The layer just before, :math:`z_{l-1}`.
    earlier : array_like (..., skipped)
        One from further below, :math:`z_{l-L}`, on which the gates depend.
    weight, skip_weight : array_like (out, in), (out, skipped)
        :math:`W` and :math:`V`, without biases.
    gate_weight, gate_bias : array_like (out, skipped), (out,)
        A gate for each unit.

    Returns
    -------
    ndarray (..., out)

    >>> x, w = np.array([[1.0, 2.0]]), np.eye(2)
    >>> gated_skip(x, 3 * x, w, w, 0 * w, np.zeros(2))
    array([[2., 4.]])
    """
    g = sigmoid(linear(earlier, gate_weight, gate_bias))
    near, far = linear(input, weight), linear(earlier, skip_weight)
    check_same_shape(near=near, far=far, gate=g)
    return relu(g * near + (1 - g) * far)


def gated_skip_backward(
    dy, input, earlier, weight, skip_weight, gate_weight, gate_bias
):
    """Gradients of `gated_skip` for its six arguments, in their order and shapes.

    `dy` has the shape of what it gives, (..., out).

    >>> x, w = np.array([[1.0, 2.0]]), np.eye(2)
    >>> gated_skip_backward(x, x, 3 * x, w, w, 0 * w, np.zeros(2))[0]
    array([[0.5, 1. ]])
    """
    y = gated_skip(input, earlier, weight, skip_weight, gate_weight, gate_bias)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=y)
    gate = linear(earlier, gate_weight, gate_bias)
    near, far, g = linear(input, weight), linear(earlier, skip_weight), sigmoid(gate)
    dscore = relu_backward(dy, g * near + (1 - g) * far)
    dgate = sigmoid_backward(dscore * (near - far), gate)
    dinput, dweight, _ = linear_backward(dscore * g, input, weight)
    past, dskip_weight, _ = linear_backward(dscore * (1 - g), earlier, skip_weight)
    by_gate, dgate_weight, dgate_bias = linear_backward(
        dgate, earlier, gate_weight, gate_bias
    )
    return dinput, past + by_gate, dweight, dskip_weight, dgate_weight, dgate_bias


def dense_layer(input, weight, bias):
    r"""The input and, beside it, a layer on it: :math:`[x,\operatorname{relu}(Wx+b)]`.

    Parameters
    ----------
    input : array_like (..., in)
    weight, bias : array_like (growth, in), (growth,)

    Returns
    -------
    ndarray (..., in + growth)

    >>> dense_layer([[1.0, 2.0]], [[1.0, 1.0]], [0.0])
    array([[1., 2., 3.]])
    """
    input = as_float(input, "input", empty=True)
    return np.concatenate([input, relu(linear(input, weight, bias))], axis=-1)


def dense_layer_backward(dy, input, weight, bias):
    """Gradients of `dense_layer`: input (..., in), weight and bias.

    >>> dense_layer_backward([[0.0, 0.0, 1.0]], [[1.0, 2.0]], [[5.0, 6.0]], [0.0])
    (array([[5., 6.]]), array([[1., 2.]]), array([1.]))
    """
    y = dense_layer(input, weight, bias)  # checks the arguments
    dy, input, weight = (
        as_float(dy, "dy", empty=True),
        *map(np.asarray, (input, weight)),
    )
    check_same_shape(dy=dy, output=y)
    direct, dhidden = np.split(dy, input.shape[-1:], axis=-1)
    dscore = relu_backward(dhidden, linear(input, weight, bias))
    dinput, dweight, dbias = linear_backward(dscore, input, weight, np.asarray(bias))
    return direct + dinput, dweight, dbias


def dense_block(input, weights, biases):
    r"""Each layer sees all layers before it: :math:`x_l=H_l([x_0,\dots,x_{l-1}])`.

    Parameters
    ----------
    input : array_like (..., in)
        :math:`x_0`.
    weights, biases : list of array_like (growth, in + l · growth), (growth,)
        Of layer l = 0, 1, …; L layers have L(L + 1)/2 links.

    Returns
    -------
    ndarray (..., in + L · growth)
        All of :math:`x_0,\dots,x_L` side by side.

    Source: Huang et al. (2017), equation 2.

    >>> dense_block([[1.0]], [[[1.0]], [[1.0, 1.0]]], [[0.0], [0.0]])
    array([[1., 1., 2.]])
    """
    weights = as_floats(weights, "weights")
    biases = as_floats(biases, "biases", count=len(weights))
    x = as_float(input, "input", empty=True)
    for weight, bias in zip(weights, biases, strict=True):
        x = dense_layer(x, weight, bias)
    return x


def dense_block_backward(dy, input, weights, biases):
    """Gradients of `dense_block`: an array (..., in) and two lists of arrays.

    >>> dense_block_backward([[0.0, 0.0, 1.0]], [[1.0]], [[[1.0]], [[1.0, 1.0]]],
    ...                      [[0.0], [0.0]])[0]
    array([[2.]])
    """
    y = dense_block(input, weights, biases)  # checks the arguments
    dy, width = as_float(dy, "dy", empty=True), y.shape[-1]
    check_same_shape(dy=dy, output=y)
    dweights, dbiases = [], []
    for weight, bias in zip(weights[::-1], biases[::-1], strict=True):
        width -= len(weight)  # what this layer has seen
        dy, dweight, dbias = dense_layer_backward(dy, y[..., :width], weight, bias)
        dweights.insert(0, dweight)
        dbiases.insert(0, dbias)
    return dy, dweights, dbiases


# The same definitions in operations on Tensors, for second derivatives.


def _residual_of_tensors(input, weight1, bias1, weight2, bias2, projection=None):
    hidden = operations.relu(operations.linear(input, weight1, bias1))
    short = input if projection is None else operations.linear(input, projection)
    return short + operations.linear(hidden, weight2, bias2)


def _highway_of_tensors(input, weight, bias, gate_weight, gate_bias):
    h = operations.relu(operations.linear(input, weight, bias))
    t = operations.sigmoid(operations.linear(input, gate_weight, gate_bias))
    return t * h + (1 - t) * input


def _gated_skip_of_tensors(input, earlier, weight, skip_weight, gate_weight, gate_bias):
    near = operations.linear(input, weight)
    far = operations.linear(earlier, skip_weight)
    g = operations.sigmoid(operations.linear(earlier, gate_weight, gate_bias))
    return operations.relu(g * near + (1 - g) * far)


def _dense_layer_of_tensors(input, weight, bias):
    new = operations.relu(operations.linear(input, weight, bias))
    return operations.cat([input, new], dim=-1)


_residual = register(residual, residual_backward, _residual_of_tensors)
_highway = register(highway, highway_backward, _highway_of_tensors)
_gated_skip = register(gated_skip, gated_skip_backward, _gated_skip_of_tensors)
_dense_layer = register(dense_layer, dense_layer_backward, _dense_layer_of_tensors)


class ResidualBlock(Module):
    """A `residual` layer with two linear ones, "linear1" and "linear2", in its branch.

    Parameters
    ----------
    in_features, width : int
    out_features : int, optional
        Where it differs from `in_features`, the shortcut has a third, "projection",
        without a bias.
    zero_start : bool
        Start `linear2` at 0, so that the block begins as its shortcut.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    >>> block = ResidualBlock(3, 8, zero_start=True, rng=np.random.default_rng(0))
    >>> block(np.array([[1.0, 2.0, 3.0]])).data
    array([[1., 2., 3.]])
    """

    def __init__(
        self,
        in_features,
        width,
        out_features=None,
        zero_start=False,
        *,
        rng,
        dtype=None,
    ):
        super().__init__()
        check_in(zero_start, "zero_start", (True, False))
        out = in_features if out_features is None else out_features
        self.linear1 = Linear(in_features, width, rng=rng, dtype=dtype)
        self.linear2 = Linear(width, out, rng=rng, dtype=dtype)
        self.projection = None
        if out != in_features:
            self.projection = Linear(in_features, out, False, rng=rng, dtype=dtype)
        if zero_start:
            with no_grad():
                for parameter in self.linear2.parameters():
                    parameter.zero_()

    def forward(self, input):
        """Outputs (..., out_features) for `input` (..., in_features)."""
        one, two, short = self.linear1, self.linear2, self.projection
        short = None if short is None else short.weight
        return _residual(input, one.weight, one.bias, two.weight, two.bias, short)


class HighwayLayer(Module):
    """A `highway` layer with its linear layers "linear" and "gate".

    Parameters
    ----------
    features : int
    gate_bias : float
        Where the biases of the gates start; negative, so that the input passes.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    >>> HighwayLayer(3, rng=np.random.default_rng(0))(np.ones((5, 3))).shape
    (5, 3)
    """

    def __init__(self, features, gate_bias=-2.0, *, rng, dtype=None):
        super().__init__()
        check_number(gate_bias, "gate_bias")
        self.linear = Linear(features, features, rng=rng, dtype=dtype)
        self.gate = Linear(features, features, rng=rng, dtype=dtype)
        self.gate.bias.data[...] = gate_bias

    def forward(self, input):
        """Outputs (..., features) for `input` (..., features)."""
        layer, gate = self.linear, self.gate
        return _highway(input, layer.weight, layer.bias, gate.weight, gate.bias)


class GatedSkipLayer(Module):
    """A `gated_skip` with its linear layers "linear", "skip" and "gate".

    Parameters
    ----------
    in_features, skip_features, out_features : int
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    >>> layer = GatedSkipLayer(3, 2, 4, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 3)), np.ones((5, 2))).shape
    (5, 4)
    """

    def __init__(self, in_features, skip_features, out_features, *, rng, dtype=None):
        super().__init__()
        self.linear = Linear(in_features, out_features, False, rng=rng, dtype=dtype)
        self.skip = Linear(skip_features, out_features, False, rng=rng, dtype=dtype)
        self.gate = Linear(skip_features, out_features, rng=rng, dtype=dtype)

    def forward(self, input, earlier):
        """Outputs (..., out) for `input` (..., in) and `earlier` (..., skipped)."""
        weights = self.linear.weight, self.skip.weight
        return _gated_skip(input, earlier, *weights, self.gate.weight, self.gate.bias)


class DenseBlock(Module):
    """A `dense_block` with its linear layers "0", "1", ….

    Parameters
    ----------
    in_features, growth, layers : int
        Each layer adds `growth` features to those it sees.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    >>> DenseBlock(3, 2, 4, rng=np.random.default_rng(0))(np.ones((5, 3))).shape
    (5, 11)
    """

    def __init__(self, in_features, growth, layers, *, rng, dtype=None):
        super().__init__()
        check_positive(layers, "layers", integer=True)
        check_positive(in_features, "in_features", integer=True)
        check_positive(growth, "growth", integer=True)
        for i in range(layers):
            seen = in_features + i * growth
            setattr(self, str(i), Linear(seen, growth, rng=rng, dtype=dtype))

    def forward(self, input):
        """Outputs (..., in + layers · growth) for `input` (..., in)."""
        for _, layer in self.named_children():
            input = _dense_layer(input, layer.weight, layer.bias)
        return input
