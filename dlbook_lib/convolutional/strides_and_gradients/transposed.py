r"""Transposed convolution in NumPy: the gradient of a convolution as a forward map.

Each number of the input spreads a kernel over the output, so that maps grow where a
convolution with strides has made them smaller. Its own gradient is a convolution.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_operands
from dlbook_lib.convolutional.strides_and_gradients.by_taps import (
    correlate_by_taps,
    to_input_by_taps,
    to_weight_by_taps,
    with_border,
    without_border,
)


def transpose_plan(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    r"""What a transposed convolution has to do along each axis; refuses what does not
    fit. Its output has :math:`(n-1)s-2p+d(k-1)+1` places, and `output_padding` more; at
    least one, where torch also answers with none.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (C, F / groups, ...)
    bias : array_like (F,), optional
    stride, padding, output_padding, dilation : int or tuple of int
        `output_padding` must be below the stride or the dilation: a convolution with
        stride s maps s sizes to one, and it says which of them is meant.
    groups : int

    Returns
    -------
    stride, dilation : tuple of int
    around : list of pairs
        What is cut off before and after.
    size : tuple of int
        Before that is cut off.

    >>> transpose_plan(np.ones((1, 2, 5)), np.ones((2, 3, 4)), stride=2, padding=1)
    ((2,), (1,), [(1, 1)], (12,))
    """
    check_operands(input, weight, bias, groups, transposed=True)
    kernel = np.shape(weight)[2:]
    ndim = len(kernel)
    places = as_sizes(np.shape(input)[-ndim:], "input size", ndim)
    stride = as_sizes(stride, "stride", ndim)
    dilation = as_sizes(dilation, "dilation", ndim)
    padding = as_sizes(padding, "padding", ndim, low=0)
    extra = as_sizes(output_padding, "output_padding", ndim, low=0)
    require(
        all(e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)),
        f"output_padding {extra} must be below stride {stride} or dilation {dilation}",
    )
    each = zip(places, kernel, stride, dilation, extra, strict=True)
    size = tuple((n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, e in each)
    require(
        all(n > 2 * p for n, p in zip(size, padding, strict=True)),
        f"padding {padding} leaves nothing of {size} (input {np.shape(input)}, weight "
        f"{np.shape(weight)}); pad less",
    )
    return stride, dilation, [(p, p) for p in padding], size


def conv_transpose_nd(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    r"""The transpose of `conv_nd`: each input number spreads a kernel over the output.

    With :math:`A` the matrix of a convolution this is :math:`A^{\mathsf T}`, so that
    :math:`\langle Ax,y\rangle=\langle x,A^{\mathsf T}y\rangle`. It is no inverse,
    although it is called deconvolution here and there.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (C, F / groups, ...)
        As the weight of the convolution it transposes.
    bias : array_like (F,), optional
    stride, padding, output_padding, groups, dilation
        As in `transpose_plan`; torch has `groups` before `dilation` here.

    Returns
    -------
    ndarray (N, F, ...) or (F, ...)

    Source: Dumoulin and Visin (2016), section 4.

    >>> conv_transpose_nd([[[1.0, 2.0]]], [[[1.0, 10.0, 100.0]]], stride=2)
    array([[[  1.,  10., 102.,  20., 200.]]])
    """
    options = stride, padding, output_padding, groups, dilation
    stride, dilation, around, size = transpose_plan(input, weight, bias, *options)
    input, weight = np.asarray(input), np.asarray(weight)
    if input.ndim < weight.ndim:
        return conv_transpose_nd(input[None], weight, bias, *options)[0]
    y = to_input_by_taps(input, weight, size, stride, dilation, groups)
    y = without_border(y, around)
    return y if bias is None else y + np.reshape(bias, (-1, *(1 for _ in size)))


def conv_transpose_nd_backward(
    dy,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Gradients of `conv_transpose_nd`: the first of them is a convolution again.

    Parameters
    ----------
    dy : array_like (N, F, ...) or (F, ...)
    input, weight, bias, stride, padding, output_padding, groups, dilation
        As given to `conv_transpose_nd`.

    Returns
    -------
    dinput : ndarray (N, C, ...) or (C, ...)
    dweight : ndarray (C, F / groups, ...)
    dbias : ndarray (F,), or None where there is no bias
    """
    options = stride, padding, output_padding, groups, dilation
    dy = as_float(dy, "dy", empty=True)
    stride, dilation, around, size = transpose_plan(input, weight, bias, *options)
    input, weight = np.asarray(input), np.asarray(weight)
    left = [n - low - high for n, (low, high) in zip(size, around, strict=True)]
    shape = (*input.shape[: 1 - weight.ndim], weight.shape[1] * groups, *left)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    if input.ndim < weight.ndim:
        arguments = dy[None], input[None], weight, bias, *options
        first, *rest = conv_transpose_nd_backward(*arguments)
        return first[0], *rest
    full = with_border(dy, around)
    dinput = correlate_by_taps(full, weight, input.shape[2:], stride, dilation, groups)
    dweight = to_weight_by_taps(input, full, weight.shape[2:], stride, dilation, groups)
    dbias = (
        None if bias is None else dy.swapaxes(0, 1).reshape(shape[1], -1).sum(axis=1)
    )
    return dinput, dweight, dbias


def conv_transpose1d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """`conv_transpose_nd` along one axis: (N, C, L) and (C, F / groups, k) to
    (N, F, places)."""
    as_float(weight, "weight", ndim=3)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd(input, weight, bias, *options)


def conv_transpose1d_backward(
    dy,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Gradients of `conv_transpose1d`: (N, C, L), (C, F / groups, k) and (F,)."""
    as_float(weight, "weight", ndim=3)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd_backward(dy, input, weight, bias, *options)


def conv_transpose2d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """`conv_transpose_nd` along two axes: (N, C, H, W) and (C, F / groups, kH, kW) to
    (N, F, OH, OW)."""
    as_float(weight, "weight", ndim=4)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd(input, weight, bias, *options)


def conv_transpose2d_backward(
    dy,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Gradients of `conv_transpose2d`: (N, C, H, W), (C, F / groups, kH, kW), (F,)."""
    as_float(weight, "weight", ndim=4)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd_backward(dy, input, weight, bias, *options)


def conv_transpose3d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """`conv_transpose_nd` along three axes: (N, C, D, H, W) and
    (C, F / groups, kD, kH, kW) to (N, F, OD, OH, OW).

    >>> conv_transpose3d(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))).max()
    np.float64(8.0)
    """
    as_float(weight, "weight", ndim=5)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd(input, weight, bias, *options)


def conv_transpose3d_backward(
    dy,
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """Gradients of `conv_transpose3d`: (N, C, D, H, W), (C, F / groups, kD, kH, kW)
    and (F,)."""
    as_float(weight, "weight", ndim=5)
    options = stride, padding, output_padding, groups, dilation
    return conv_transpose_nd_backward(dy, input, weight, bias, *options)
