r"""Strides, padding, dilation and groups in NumPy; layers without sharing; gradients.

Three operations suffice for training: the forward map, and the gradients with respect
to its input and to its kernel. They stand in `by_taps` and, for images that lie
batch-last, in `by_rows`. The transposed convolution is in `transposed`.

Arrays are channels-first, (N, C, L) or (N, C, H, W), or one example without N.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, check_in, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes, batch_last, taps
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_operands
from dlbook_lib.convolutional.strides_and_gradients.by_rows import (
    correlate_by_rows,
    to_input_by_rows,
    to_weight_by_rows,
)
from dlbook_lib.convolutional.strides_and_gradients.by_taps import (
    correlate_by_taps,
    to_input_by_taps,
    to_weight_by_taps,
    with_border,
    without_border,
)

PAD_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""Torch's names of what is put around an array, and NumPy's."""


def output_size(input_size, kernel_size, stride=1, padding=0, dilation=1):
    r"""How many places a kernel visits, :math:`\lfloor(n+2p-d(k-1)-1)/s\rfloor+1`.

    Parameters
    ----------
    input_size : int or tuple of int
        One axis, or several.
    kernel_size, stride, padding, dilation : int or tuple of int
        :math:`k`, :math:`s`, :math:`p` on either side, and :math:`d`.

    Returns
    -------
    int or tuple of int
        As `input_size`, of the same shape.

    Raises
    ------
    ValueError
        If the kernel is larger than the padded input.

    >>> output_size(224, 11, stride=4, padding=2), output_size((5, 9), 3, padding=1)
    (55, (5, 9))
    >>> output_size(4, 5)
    Traceback (most recent call last):
    ValueError: output_size: the kernel spans 5 but the padded input has only 4 (input
    4, kernel 5, padding 0, dilation 1); pad more or take a smaller kernel
    """
    ndim = len(input_size) if isinstance(input_size, (tuple, list)) else 1
    places = []
    for n, k, s, p, d in zip(
        as_sizes(input_size, "input_size", ndim),
        as_sizes(kernel_size, "kernel_size", ndim),
        as_sizes(stride, "stride", ndim),
        as_sizes(padding, "padding", ndim, low=0),
        as_sizes(dilation, "dilation", ndim),
        strict=True,
    ):
        require(
            d * (k - 1) + 1 <= n + 2 * p,
            f"the kernel spans {d * (k - 1) + 1} but the padded input has only "
            f"{n + 2 * p} (input {n}, kernel {k}, padding {p}, dilation {d}); pad more "
            "or take a smaller kernel",
        )
        places.append((n + 2 * p - d * (k - 1) - 1) // s + 1)
    return tuple(places) if isinstance(input_size, (tuple, list)) else places[0]


def pad(input, pad, mode="constant", value=None):
    """Put numbers around an array, along its last axes.

    Parameters
    ----------
    input : array_like (...)
    pad : sequence of int
        How many before and after along the last axis, then along the last but one, …;
        not below 0, which torch takes for cutting off.
    mode : {"constant", "reflect", "replicate", "circular"}
        `value`; the array mirrored at its border, which does not stand twice; its
        border again and again; or the array from its other end.
    value : float, optional
        For the mode "constant"; 0 if it is not given.

    Returns
    -------
    ndarray (...)

    >>> pad([1.0, 2.0, 3.0], (2, 1), mode="reflect")
    array([3., 2., 1., 2., 3., 2.])
    """
    input = as_float(input, "input", empty=True)
    check_in(mode, "mode", tuple(PAD_MODES))
    given = len(pad) if isinstance(pad, (tuple, list)) else 0
    require(
        given % 2 == 0 and 0 < given <= 2 * input.ndim,
        f"pad must be pairs of numbers, before and after, for at most {input.ndim} "
        f"axes, not {pad!r}; try (1, 1)",
    )
    around = _around(input.ndim, as_sizes(pad, "pad", given, low=0))
    most = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(mode)
    for n, p in zip(input.shape, around, strict=True):
        require(
            not most or max(p) == 0 or max(p) <= most(n),
            f"pad {p} asks for more than mode={mode!r} finds on an axis of length {n}; "
            "try mode='replicate'",
        )
    if mode != "constant":
        require(value is None, f"value goes with mode='constant', not with {mode!r}")
        return np.pad(input, around, PAD_MODES[mode])
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(value is None or kind, f"value must be a number, not {value!r}", TypeError)
    return np.pad(input, around, constant_values=0 if value is None else value)


def _around(ndim, pad):
    """Pairs of before and after for each axis, from torch's order: the last first."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


def pad_backward(dy, input, pad, mode="constant", value=None):
    """Gradient of `pad`: each number gathers `dy` from all places it was copied to.

    Parameters
    ----------
    dy : array_like (...)
        Of the shape of the padded array.
    input, pad, mode, value
        As given to `pad`.

    Returns
    -------
    ndarray (...)

    >>> pad_backward([1.0, 10.0, 100.0, 1000.0], [5.0, 7.0], (2, 0), mode="replicate")
    array([ 111., 1000.])
    """
    dy, shape = as_float(dy, "dy", empty=True), _pad(input, pad, mode, value).shape
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    for axis, (before, after) in enumerate(_around(np.ndim(input), pad)):
        n = np.shape(input)[axis]
        if mode == "constant":
            dy = np.take(dy, range(before, before + n), axis)
        elif before or after:
            source = np.pad(np.arange(n), (before, after), PAD_MODES[mode])
            moved = np.moveaxis(dy, axis, 0)
            dx = np.zeros((n, *moved.shape[1:]), dy.dtype)
            np.add.at(dx, source, moved)
            dy = np.moveaxis(dx, 0, axis)
    return dy


_pad = pad  # where an argument is called pad as well


def conv_plan(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """What a convolution has to do along each axis; refuses what does not fit.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (F, C / groups, ...)
    bias : array_like (F,), optional
    stride, dilation : int or tuple of int
    padding : int or tuple of int, or {"same", "valid"}
        "same" keeps the size, with the larger part at the end, and wants stride 1.
    groups : int
        Must divide C and F.

    Returns
    -------
    stride, dilation : tuple of int
    around : list of pairs
        How many zeros before and after along each axis.
    places : tuple of int

    >>> conv_plan(np.ones((1, 2, 9)), np.ones((4, 2, 4)), padding="same")
    ((1,), (1,), [(1, 2)], (9,))
    """
    check_operands(input, weight, bias, groups)
    kernel = np.shape(weight)[2:]
    ndim = len(kernel)
    size = as_sizes(np.shape(input)[-ndim:], "input size", ndim)
    stride = as_sizes(stride, "stride", ndim)
    dilation = as_sizes(dilation, "dilation", ndim)
    if isinstance(padding, str):
        check_in(padding, "padding", ("same", "valid"))
        if padding == "same":
            ones = set(stride) == {1}
            require(ones, f"padding='same' wants stride 1, not {stride}; give a number")
            spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            around = [(span // 2, span - span // 2) for span in spans]
            return stride, dilation, around, size
        padding = 0
    padding = as_sizes(padding, "padding", ndim, low=0)
    places = output_size(size, kernel, stride, padding, dilation)
    return stride, dilation, [(p, p) for p in padding], places


def conv_nd(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    r"""Cross-correlation along any number of axes, with all options.

    .. math:: S(\mathbf i)=b+\sum_c\sum_{\mathbf m}I_c(\mathbf is+\mathbf md-\mathbf p)
              \,K_c(\mathbf m)

    A stride gives what stride 1 would give, at every `stride`-th place. With groups,
    kernels of one group see the channels of that group only; with as many groups as
    channels the convolution is called depthwise.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (F, C / groups, ...)
    bias : array_like (F,), optional
    stride, padding, dilation, groups
        As in `conv_plan`.

    Returns
    -------
    ndarray (N, F, ...) or (F, ...)

    Source: Dumoulin and Visin (2016); Goodfellow, Bengio and Courville (2016), 9.5.

    >>> conv_nd([[[1.0, 2.0, 4.0, 8.0]]], [[[1.0, 10.0]]], stride=2, padding=1)
    array([[[10., 42.,  8.]]])
    """
    options = stride, padding, dilation, groups
    stride, dilation, around, places = conv_plan(input, weight, bias, *options)
    input, weight = np.asarray(input), np.asarray(weight)
    if input.ndim < weight.ndim:
        return conv_nd(input[None], weight, bias, *options)[0]
    x = with_border(input, around)
    y = correlate_by_taps(x, weight, places, stride, dilation, groups)
    return y if bias is None else y + np.reshape(bias, (-1, *(1 for _ in places)))


def conv_nd_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Gradients of `conv_nd` with respect to input, weight and bias.

    Parameters
    ----------
    dy : array_like (N, F, ...) or (F, ...)
    input, weight, bias, stride, padding, dilation, groups
        As given to `conv_nd`.

    Returns
    -------
    dinput : ndarray (N, C, ...) or (C, ...)
    dweight : ndarray (F, C / groups, ...)
    dbias : ndarray (F,), or None where there is no bias

    >>> conv_nd_backward([[[1.0, 1.0]]], [[[1.0, 2.0, 4.0]]], [[[5.0]]], stride=2)
    (array([[[5., 0., 5.]]]), array([[[5.]]]), None)
    """
    options, dy = (stride, padding, dilation, groups), as_float(dy, "dy", empty=True)
    stride, dilation, around, places = conv_plan(input, weight, bias, *options)
    input, weight = np.asarray(input), np.asarray(weight)
    shape = (*input.shape[: 1 - weight.ndim], len(weight), *places)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    if input.ndim < weight.ndim:
        first, *rest = conv_nd_backward(dy[None], input[None], weight, bias, *options)
        return first[0], *rest
    x = with_border(input, around)
    dx = to_input_by_taps(dy, weight, x.shape[2:], stride, dilation, groups)
    dweight = to_weight_by_taps(dy, x, weight.shape[2:], stride, dilation, groups)
    dbias = (
        None if bias is None else dy.swapaxes(0, 1).reshape(shape[1], -1).sum(axis=1)
    )
    return without_border(dx, around), dweight, dbias


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution of series, `conv_nd` along one axis: (N, C, L) to (N, F, places).

    >>> conv1d(np.ones((2, 4, 10)), np.ones((6, 2, 3)), stride=2, groups=2).shape
    (2, 6, 4)
    """
    as_float(weight, "weight", ndim=3)
    return conv_nd(input, weight, bias, stride, padding, dilation, groups)


def conv1d_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Gradients of `conv1d`, as `conv_nd_backward` gives them: (N, C, L), (F, C, k)."""
    as_float(weight, "weight", ndim=3)
    return conv_nd_backward(dy, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution of images, `conv_nd` along two axes: (N, C, H, W) to (N, F, OH, OW).

    >>> conv2d(np.ones((1, 3, 32, 32)), np.ones((8, 3, 3, 3)), padding="same").shape
    (1, 8, 32, 32)
    """
    as_float(weight, "weight", ndim=4)
    return conv_nd(input, weight, bias, stride, padding, dilation, groups)


def conv2d_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Gradients of `conv2d`, as `conv_nd_backward` gives them: (N, C, H, W),
    (F, C, kH, kW)."""
    as_float(weight, "weight", ndim=4)
    return conv_nd_backward(dy, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution of volumes, `conv_nd` along three axes: (N, C, D, H, W) to
    (N, F, OD, OH, OW).

    >>> conv3d(np.ones((1, 2, 4, 4, 4)), np.ones((3, 2, 3, 3, 3)), padding=1).shape
    (1, 3, 4, 4, 4)
    """
    as_float(weight, "weight", ndim=5)
    return conv_nd(input, weight, bias, stride, padding, dilation, groups)


def conv3d_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
):
    """Gradients of `conv3d`: (N, C, D, H, W), (F, C / groups, kD, kH, kW) and (F,)."""
    as_float(weight, "weight", ndim=5)
    return conv_nd_backward(dy, input, weight, bias, stride, padding, dilation, groups)


def conv2d_by_rows(input, weight, bias=None, stride=1, padding=0, dilation=1):
    """`conv2d` with the batch last in memory and a few output rows at a time.

    Each step is one product with columns of half a megabyte, as in `correlate_by_rows`.
    An input that lies batch-last already, such as another layer's output, is copied
    only to be padded.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional
    stride, padding, dilation
        As in `conv_plan`.

    Returns
    -------
    ndarray (N, F, OH, OW) or (F, OH, OW)
        A view of an array that lies batch-last in memory.

    >>> conv2d_by_rows(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), padding=1)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """
    weight = as_float(weight, "weight", ndim=4)
    options = stride, padding, dilation
    stride, dilation, around, _ = conv_plan(input, weight, bias, *options)
    if np.ndim(input) == 3:
        return conv2d_by_rows(np.asarray(input)[None], weight, bias, *options)[0]
    y = correlate_by_rows(_bordered_batch_last(input, around), weight, stride, dilation)
    if bias is not None:
        bias = np.asarray(bias)[:, None, None, None]
        y = np.add(y, bias, out=y if y.dtype == np.result_type(y, bias) else None)
    return np.moveaxis(y, -1, 0)


def _bordered_batch_last(input, around):
    """The input (N, C, H, W) as (C, H, W, N) in memory, with a border of zeros."""
    x, (top, left) = batch_last(input), (low for low, _ in around)
    if not np.any(around):
        return x
    c, *size, n = x.shape
    size = [m + low + high for m, (low, high) in zip(size, around, strict=True)]
    padded = np.zeros((c, *size, n), x.dtype)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    return padded


def conv2d_by_rows_backward(
    dy, input, weight, bias=None, stride=1, padding=0, dilation=1
):
    """Gradients of `conv2d_by_rows`, again a few output rows at a time.

    Parameters
    ----------
    dy : array_like (N, F, OH, OW) or (F, OH, OW)
    input, weight, bias, stride, padding, dilation
        As given to `conv2d_by_rows`.

    Returns
    -------
    dinput : ndarray (N, C, H, W) or (C, H, W)
    dweight : ndarray (F, C, kH, kW)
    dbias : ndarray (F,), or None where there is no bias
    """
    dy, weight = as_float(dy, "dy", empty=True), as_float(weight, "weight", ndim=4)
    options = stride, padding, dilation
    stride, dilation, around, places = conv_plan(input, weight, bias, *options)
    shape = (*np.shape(input)[:-3], len(weight), *places)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    if np.ndim(input) == 3:
        arguments = dy[None], np.asarray(input)[None], weight, bias, *options
        first, *rest = conv2d_by_rows_backward(*arguments)
        return first[0], *rest
    x = _bordered_batch_last(input, around)  # (C, H, W, N)
    dy = batch_last(dy)  # (F, OH, OW, N)
    dweight = to_weight_by_rows(dy, x, weight.shape[2:], stride, dilation)
    dx = to_input_by_rows(dy, weight, x.shape[1:3], stride, dilation)
    dx = np.moveaxis(dx, -1, 0)
    dbias = None if bias is None else dy.reshape(len(dy), -1).sum(axis=1)
    return without_border(dx, around), dweight, dbias


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Every window that a kernel would see, as a column.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int or (int, int)

    Returns
    -------
    ndarray (N, C * kH * kW, places) or without N

    >>> unfold(np.arange(4.0).reshape(1, 1, 4), (1, 2), stride=2)
    array([[0., 2.],
           [1., 3.]])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    kernel = as_sizes(kernel_size, "kernel_size")
    padding = as_sizes(padding, "padding", low=0)
    places = output_size(input.shape[-2:], kernel, stride, padding, dilation)
    x = np.pad(input, [(0, 0)] * (input.ndim - 2) + [(p, p) for p in padding])
    columns = np.empty((*x.shape[:-2], *kernel, *places), x.dtype)
    for (i, j), seen in taps(kernel, places, stride, dilation):
        columns[..., i, j, :, :] = x[seen]
    rows, count = input.shape[-3] * np.prod(kernel), np.prod(places)
    return columns.reshape(*x.shape[:-3], rows, count)


def unfold_backward(dy, input, kernel_size, dilation=1, padding=0, stride=1):
    """Gradient of `unfold`: `fold` of `dy` (N, C * kH * kW, places)."""
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    dy = as_float(dy, "dy", ndim=input.ndim - 1, empty=True)
    options = kernel_size, dilation, padding, stride
    dx = fold(dy, input.shape[-2:], *options)
    require(dx.shape == input.shape, f"dy {dy.shape} does not fit input {input.shape}")
    return dx


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Put columns back where `unfold` takes them from; what overlaps is summed.

    Parameters
    ----------
    input : array_like (N, C * kH * kW, places) or without N
    output_size : int or (int, int)
        Height and width of the image.
    kernel_size, dilation, padding, stride : int or (int, int)

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)

    >>> fold([[1.0, 2.0], [10.0, 20.0]], (1, 3), (1, 2))
    array([[[ 1., 12., 20.]]])
    """
    input = as_float(input, "input", ndim=(2, 3), empty=True)
    size = as_sizes(output_size, "output_size")
    kernel = as_sizes(kernel_size, "kernel_size")
    padding = as_sizes(padding, "padding", low=0)
    places = _output_size(size, kernel, stride, padding, dilation)
    *lead, rows, count = input.shape
    require(
        rows and rows % np.prod(kernel) == 0 and count == np.prod(places),
        f"input {input.shape} does not hold windows of {kernel} at {places} places; it "
        f"should be (N, channels · {np.prod(kernel)}, {np.prod(places)})",
    )
    columns = input.reshape(*lead, rows // np.prod(kernel), *kernel, *places)
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    x = np.zeros((*columns.shape[:-4], *padded), input.dtype)
    for (i, j), seen in taps(kernel, places, stride, dilation):
        x[seen] += columns[..., i, j, :, :]
    (top, left), (height, width) = padding, size
    return x[..., top : top + height, left : left + width]


_output_size = output_size  # where an argument is called output_size as well


def fold_backward(dy, input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Gradient of `fold`: `unfold` of `dy` (N, C, H, W)."""
    shape = fold(input, output_size, kernel_size, dilation, padding, stride).shape
    dy = as_float(dy, "dy", empty=True)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    return unfold(dy, kernel_size, dilation, padding, stride)


def locally_connected2d(input, weight, bias=None, stride=1):
    r"""A convolution without sharing: every place has a kernel of its own.

    .. math:: S_f(i,j)=b_f(i,j)+\sum_c\sum_{m,n}I_c(is+m,js+n)\,K_{f,c}(m,n,i,j)

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW, OH, OW)
    bias : array_like (F, OH, OW), optional
    stride : int or (int, int)

    Returns
    -------
    ndarray (N, F, OH, OW)

    Source: Goodfellow, Bengio and Courville (2016), section 9.5, equation 9.9.

    >>> weight = np.arange(3.0).reshape(1, 1, 1, 1, 1, 3)
    >>> locally_connected2d(np.full((1, 1, 1, 3), 5.0), weight)
    array([[[[ 0.,  5., 10.]]]])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=6)
    shapes = f"(input {input.shape}, weight {weight.shape})"
    places = output_size(input.shape[2:], weight.shape[2:4], stride)
    require(
        (input.shape[1], *places) == (weight.shape[1], *weight.shape[4:]),
        f"weight is for other channels or places than {input.shape[1]} and {places} "
        f"{shapes}; it should be (F, C, kH, kW, OH, OW)",
    )
    y = np.zeros((len(input), len(weight), *places), np.result_type(input, weight))
    for (i, j), seen in taps(weight.shape[2:4], places, stride):
        y += np.einsum("fchw,nchw->nfhw", weight[:, :, i, j], input[seen])
    if bias is not None:
        bias = as_float(bias, "bias", ndim=3)
        fits = bias.shape == y.shape[1:]
        require(fits, f"bias has shape {bias.shape}, not {y.shape[1:]} {shapes}")
        y = y + bias
    return y


def locally_connected2d_backward(dy, input, weight, bias=None, stride=1):
    """Gradients of `locally_connected2d` with respect to its three arrays.

    Parameters
    ----------
    dy : array_like (N, F, OH, OW)
    input, weight, bias, stride
        As given to `locally_connected2d`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight : ndarray (F, C, kH, kW, OH, OW)
    dbias : ndarray (F, OH, OW), or None where there is no bias
    """
    dy = as_float(dy, "dy", empty=True)
    shape = locally_connected2d(input, weight, bias, stride).shape  # checks them, too
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    input, weight = np.asarray(input), np.asarray(weight)
    dinput, dweight = np.zeros_like(input), np.zeros_like(weight)
    for (i, j), seen in taps(weight.shape[2:4], shape[2:], stride):
        dinput[seen] += np.einsum("fchw,nfhw->nchw", weight[:, :, i, j], dy)
        dweight[:, :, i, j] = np.einsum("nfhw,nchw->fchw", dy, input[seen])
    return dinput, dweight, None if bias is None else dy.sum(axis=0)
