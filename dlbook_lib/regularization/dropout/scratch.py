r"""Dropout and DropConnect in NumPy, as functions and as layers.

Here `p` is the probability to *drop* a unit, as in torch; many texts write `p` for the
probability to keep it. What is kept is divided by 1 − p while training (inverted
dropout), so that nothing is scaled in use. Ensembles that are trained one by one are in
`ensembles`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw, register
from dlbook_lib.feedforward.autodiff.modules import Linear, Module
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward


def dropout_mask(shape, p=0.5, *, rng, dtype=float):
    r"""What dropout multiplies by: 0 with probability p, else :math:`1/(1-p)`.

    Parameters
    ----------
    shape : tuple of int
    p : float
        Probability to drop; 1 drops everything.
    rng : numpy.random.Generator
    dtype : dtype
        Precision of the mask.

    Returns
    -------
    ndarray of the given shape
        Its mean is 1 for p < 1.

    Raises
    ------
    ValueError
        If `p` is no probability.

    Source: Srivastava et al. (2014), section 4; scaled in training, section 10.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> dropout_mask((2, 4), 0.5, rng=numpy_generator(0))
    array([[2., 0., 0., 0.],
           [2., 2., 2., 2.]])
    """
    check_number(p, "p", 0, 1)
    check_rng(rng)
    is_float = np.issubdtype(dtype, np.inexact)
    require(is_float, f"dtype must be floating, not {dtype}; try float", TypeError)
    for size in shape if isinstance(shape, (tuple, list)) else (shape,):
        check_positive(size, "each size in shape", integer=True, zero=True)
    scale = np.dtype(dtype).type(1 / (1 - p) if p < 1 else 0)
    return (rng.random(shape) >= p) * scale


def dropout_mask_from_bytes(shape, p=0.5, *, rng, dtype=float):
    r"""The same distribution as `dropout_mask`, from one random byte for each unit.

    A 64-bit draw serves eight units. Let :math:`256p=e+r` with a whole number `e` and
    :math:`0\le r<1`. A byte below `e` drops its unit, one above keeps it, and one equal
    to `e` (one in 256) drops it with probability `r`, by a draw of its own. Together
    that is :math:`\frac e{256}+\frac r{256}=p`, without rounding.

    Parameters
    ----------
    shape : tuple of int
    p, rng, dtype
        As for `dropout_mask`; the draws differ.

    Returns
    -------
    ndarray of the given shape

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> mask = dropout_mask_from_bytes((1000, 1000), 0.3, rng=numpy_generator(0))
    >>> round((mask == 0).mean(), 2)
    np.float64(0.3)
    """
    check_number(p, "p", 0, 1)
    check_rng(rng)
    is_float = np.issubdtype(dtype, np.inexact)
    require(is_float, f"dtype must be floating, not {dtype}; try float", TypeError)
    for size in shape if isinstance(shape, (tuple, list)) else (shape,):
        check_positive(size, "each size in shape", integer=True, zero=True)
    units = int(np.prod(shape))
    words = rng.integers(2**64 - 1, size=-(-units // 8), dtype=np.uint64, endpoint=True)
    byte = words.view(np.uint8)[:units]
    edge, rest = divmod(256 * float(p), 1)
    keep = byte >= int(edge)
    if rest:
        ties = np.flatnonzero(byte == int(edge))
        keep[ties] = rng.random(len(ties)) >= rest
    mask = keep.astype(dtype)
    mask *= mask.dtype.type(1 / (1 - p) if p < 1 else 0)
    return mask.reshape(shape)


def masked(input, mask):
    r"""Units times their mask, :math:`\mathbf h\odot\boldsymbol\mu`.

    Parameters
    ----------
    input, mask : array_like (...)
        Of one shape; 0 times infinity is NaN, as in torch.

    Returns
    -------
    ndarray (...)

    >>> masked([1.0, 3.0], [0.0, 2.0])
    array([0., 6.])
    """
    input = as_float(input, "input", empty=True)
    mask = as_float(mask, "mask", empty=True)
    check_same_shape(input=input, mask=mask)
    with np.errstate(invalid="ignore"):
        return input * mask


def masked_backward(dy, input, mask):
    """Gradient of `masked` with respect to `input` (...): `dy` (...) times the mask.

    >>> masked_backward([1.0, 1.0], [1.0, 3.0], [0.0, 2.0])
    array([0., 2.])
    """
    dy, mask = as_float(dy, "dy", empty=True), as_float(mask, "mask", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input, mask=mask)
    with np.errstate(invalid="ignore"):
        return dy * mask


masked_units = register(masked, masked_backward, operations.mul)


def dropout(input, p=0.5, training=True, *, rng, draw=dropout_mask):
    r"""Drop each number with probability p, divide the others by 1 − p.

    Parameters
    ----------
    input : array_like (...) or Tensor (...)
    p : float
        Probability to drop. Where conventions differ: in the paper p is the
        probability to keep, and the weights are scaled in use instead.
    training : bool
        In use nothing changes.
    rng : numpy.random.Generator
    draw : {dropout_mask, dropout_mask_from_bytes}
        What draws the mask.

    Returns
    -------
    ndarray (...), or Tensor (...) for a Tensor

    Source: Srivastava et al. (2014).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> dropout([1.0, 2.0, 3.0, 4.0], rng=numpy_generator(0))
    array([2., 0., 0., 0.])
    """
    check_number(p, "p", 0, 1)
    require(callable(draw), f"draw must be a function, not {draw!r}", TypeError)
    if not isinstance(input, Tensor):
        input = as_float(input, "input", empty=True)
    if not training:
        return input
    dtype = raw(input).real.dtype
    return masked_units(input, draw(input.shape, p, rng=rng, dtype=dtype))


class Dropout(Module):
    """`dropout` as a layer: random after `train()`, nothing at all after `eval()`.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> layer = Dropout(0.5, rng=numpy_generator(0))
    >>> layer(np.ones(4)), layer.eval()(np.ones(4))
    (array([2., 0., 0., 0.]), array([1., 1., 1., 1.]))
    """

    def __init__(self, p=0.5, *, rng, draw=dropout_mask):
        check_number(p, "p", 0, 1)
        self.p, self.rng, self.draw = p, rng, draw

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return dropout(input, self.p, self.training, rng=self.rng, draw=self.draw)

    def extra_repr(self):
        """The probability to drop."""
        return f"p={self.p}"


def masked_linear(input, weight, mask, bias=None):
    r"""A linear layer whose weights are masked, :math:`(W\odot M)\mathbf x+\mathbf b`.

    Parameters
    ----------
    input : array_like (..., in)
    weight : array_like (out, in)
    mask : array_like (out, in) or (..., out, in)
        One for all examples, or one for each.
    bias : array_like (out,), optional

    Returns
    -------
    ndarray (..., out)

    Source: Wan et al. (2013), section 3, who draw a mask for each example.

    >>> masked_linear([[1.0, 2.0]], [[3.0, 4.0]], [[0.0, 2.0]], [0.5])
    array([[16.5]])
    """
    input = as_float(input, "input", empty=True)
    mask = as_float(mask, "mask", empty=True)
    weight = as_float(weight, "weight", ndim=2)
    out, width = weight.shape
    bias = np.zeros(out, weight.dtype) if bias is None else as_float(bias, "bias")
    each = (*input.shape[:-1], out, width)
    fits = input.shape[-1:] == (width,) and mask.shape in (weight.shape, each)
    require(
        fits and bias.shape == (out,),
        f"shapes do not fit (input {input.shape}, weight {weight.shape}, mask "
        f"{mask.shape}, bias {bias.shape}); is weight (out, in), and is there one mask "
        "for all examples or one for each?",
    )
    if mask.ndim == 2:
        return input @ (weight * mask).T + bias
    return ((weight * mask) @ input[..., None])[..., 0] + bias


def masked_linear_backward(dy, input, weight, mask, bias=None):
    r"""Gradients of `masked_linear`; a dropped weight gets none.

    Parameters
    ----------
    dy : array_like (..., out)
    input, weight, mask, bias
        As given to `masked_linear`.

    Returns
    -------
    dinput : ndarray (..., in)
    dweight : ndarray (out, in)
    dmask : None
        The mask is data.
    dbias : ndarray (out,), or None if there is no bias

    >>> masked_linear_backward([[1.0]], [[1.0, 2.0]], [[3.0, 4.0]], [[0.0, 2.0]])
    (array([[0., 8.]]), array([[0., 4.]]), None, None)
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=masked_linear(input, weight, mask, bias))
    input, weight, mask = map(np.asarray, (input, weight, mask))
    batch = tuple(range(input.ndim - 1))
    if mask.ndim == 2:
        dinput = dy @ (weight * mask)
        dweight = np.tensordot(dy, input, (batch, batch)) * mask
    else:
        dinput = (dy[..., None, :] @ (weight * mask))[..., 0, :]
        dweight = (dy[..., :, None] * input[..., None, :] * mask).sum(axis=batch)
    return dinput, dweight, None, None if bias is None else dy.sum(axis=batch)


def _masked_linear(input, weight, mask, bias=None):
    """The definition of `masked_linear`, from (..., in) to (..., out)."""
    if mask.ndim == 2:
        return operations.linear(input, weight * mask, bias)
    column = operations.unsqueeze(input, -1)
    scores = operations.squeeze(operations.matmul(weight * mask, column), -1)
    return scores if bias is None else scores + bias


masked_linear_units = register(masked_linear, masked_linear_backward, _masked_linear)
linear_units = register(linear, linear_backward, operations.linear)


def drop_connect(input, weight, bias=None, p=0.5, training=True, *, rng):
    """DropConnect: drop weights instead of units, anew for each example.

    Parameters
    ----------
    input : array_like (..., in)
    weight : array_like (out, in)
    bias : array_like (out,), optional
    p : float
        Probability to drop a weight; those kept are divided by 1 − p.
    training : bool
        In use it is the plain linear layer. Where conventions differ: the paper then
        draws the scores from a Gaussian with the moments of those in training.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (..., out), or Tensor (..., out) if an argument is a Tensor

    Source: Wan et al. (2013).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> drop_connect(np.ones((3, 4)), np.ones((1, 4)), rng=numpy_generator(0))
    array([[2.],
           [8.],
           [6.]])
    """
    check_number(p, "p", 0, 1)
    x, w = as_float(raw(input), "input", empty=True), as_float(raw(weight), "weight")
    if not training:
        return linear_units(input, weight, bias)
    mask = dropout_mask((*x.shape[:-1], *w.shape), p, rng=rng, dtype=w.dtype)
    return masked_linear_units(input, weight, mask, bias)


class DropConnect(Module):
    """`drop_connect` as a layer, between parameters of a `Linear`.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> from dlbook_lib.feedforward.autodiff.modules import Linear
    >>> rng = numpy_generator(0)
    >>> DropConnect(Linear(4, 3, rng=rng), 0.5, rng=rng)(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, linear, p=0.5, *, rng):
        is_linear = isinstance(linear, Linear)
        require(is_linear, f"linear must be a Linear, not {linear!r}", TypeError)
        check_number(p, "p", 0, 1)
        self.linear, self.p, self.rng = linear, p, rng

    def forward(self, input):
        """Outputs (..., out) for `input` (..., in)."""
        weight, bias = self.linear.weight, self.linear.bias
        return drop_connect(input, weight, bias, self.p, self.training, rng=self.rng)
