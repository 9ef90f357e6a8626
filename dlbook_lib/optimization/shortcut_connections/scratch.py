r"""Shortcuts in NumPy: residual, highway and gated layers, dense concatenation.

Every path is a dense layer with :math:`f=\operatorname{relu}`, on inputs (..., in) with
any batch shape, and weights (out, in). Each function comes with its backward half.

Two forms are both called gated: a highway layer has its gates *outside* of f and the
input itself on the shortcut; the gated skip has its gates *inside*, on weighted sums.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, as_floats, check_same_shape
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
    dy, input = as_float(dy, "dy", empty=True), np.asarray(input)
    weight, bias = np.asarray(weight), np.asarray(bias)
    check_same_shape(dy=dy, output=y)
    direct, dhidden = np.split(dy, input.shape[-1:], axis=-1)
    dscore = relu_backward(dhidden, linear(input, weight, bias))
    dinput, dweight, dbias = linear_backward(dscore, input, weight, bias)
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
