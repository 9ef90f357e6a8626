r"""Pooling in NumPy, with a backward half for each kind.

Images are (N, C, H, W) or (C, H, W); each channel is pooled by itself. A window is
gone through tap by tap, as in `taps`: one pass over arrays of the output's size for
each place of the window.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_between,
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import as_sizes, batch_last, taps


def pool_plan(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    r"""What a pooling has to do along both axes; refuses what does not fit.

    There are :math:`\lfloor(n+2p-d(k-1)-1)/s\rfloor+1` places; with `ceil_mode` the
    quotient is rounded up, unless the last window would begin beyond the image; so a
    window may be larger than the image, by less than a stride.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, dilation : int or (int, int)
        The stride is the kernel size unless given; at most half of a window is padding.
    ceil_mode : bool

    Returns
    -------
    kernel, stride, dilation, places : tuple of int
        Each of shape (2,).
    around : list of pairs
        What has to be put before and after, so that every window is whole.

    >>> pool_plan(np.ones((1, 5, 6)), 2, ceil_mode=True)
    ((2, 2), (2, 2), (1, 1), (3, 3), [(0, 1), (0, 0)])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    kernel = as_sizes(kernel_size, "kernel_size")
    stride = kernel if stride is None else as_sizes(stride, "stride")
    padding = as_sizes(padding, "padding", low=0)
    dilation = as_sizes(dilation, "dilation")
    check_in(ceil_mode, "ceil_mode", (False, True))
    size = as_sizes(input.shape[-2:], "input size")
    places, around = [], []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = d * (k - 1) + 1
        count = (n + 2 * p - span + (s - 1) * ceil_mode) // s + 1
        count -= ceil_mode and (count - 1) * s >= n + p
        require(
            count > 0 and 2 * p <= span,
            f"a window of {span} does not fit: the input {input.shape} has {n} and "
            f"padding {p} on either side, of which a window may hold half; try less",
        )
        places.append(count)
        around.append((p, max(0, (count - 1) * s + span - n - p)))
    return kernel, stride, dilation, tuple(places), around


def _bordered(x, around, value=0):
    """`x` (..., H, W) with a border along its last two axes."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + around, constant_values=value)


def _unbordered(x, around, shape):
    """What lies inside of that border."""
    (top, _), (left, _) = around
    return x[..., top : top + shape[-2], left : left + shape[-1]]


def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    r"""The largest number of each window, :math:`\max_{m,n}I(is+md,js+nd)`.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, dilation, ceil_mode
        As in `pool_plan`; what is padded never wins. A window that holds nothing else
        is refused; torch answers −∞.
    return_indices : bool
        Hand back where the winners stand, too, counted along the rows of one channel.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)
        With `return_indices` a pair of it and of whole numbers in the same shape. The
        first of several largest wins; NaN is larger than anything, as in torch.

    Source: Zhou and Chellappa (1988); Goodfellow, Bengio and Courville (2016), 9.3.

    >>> x = np.array([[[1.0, 2, 5, 3], [4, 0, 1, 5]]])
    >>> max_pool2d(x, 2, return_indices=True)
    (array([[[4., 5.]]]), array([[[4, 2]]]))
    """
    options = kernel_size, stride, padding, dilation, ceil_mode
    kernel, stride, dilation, places, around = pool_plan(input, *options)
    check_in(return_indices, "return_indices", (False, True))
    input = np.asarray(input)
    x = _bordered(input, around, -np.inf)
    number = np.arange(np.prod(input.shape[-2:])).reshape(input.shape[-2:])
    number = _bordered(number, around, -1)  # of each pixel; -1 is no pixel
    best = np.full((*x.shape[:-2], *places), -np.inf, x.dtype)
    winner = np.full(best.shape, -1)
    for _, seen in taps(kernel, places, stride, dilation):
        better = (x[seen] > best) | np.isnan(x[seen]) | (winner < 0)
        better &= number[seen] >= 0
        np.copyto(best, x[seen], where=better)
        np.copyto(winner, number[seen], where=better)
    sentence = f"a window of {kernel} holds only padding {around}; pad less"
    require((winner >= 0).all(), sentence)
    return (best, winner) if return_indices else best


def max_pool2d_backward(
    dy,
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """Gradient of `max_pool2d`: each `dy` goes to the winner of its window.

    Parameters
    ----------
    dy : array_like (N, C, OH, OW) or (C, OH, OW)
        Gradient with respect to the largest numbers; indices have none.
    input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As given to `max_pool2d`.

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)

    >>> x = np.array([[[1.0, 2, 5, 3], [4, 0, 1, 5]]])
    >>> max_pool2d_backward([[[10.0, 20.0]]], x, 2)
    array([[[ 0.,  0., 20.,  0.],
            [10.,  0.,  0.,  0.]]])
    """
    options = kernel_size, stride, padding, dilation, ceil_mode
    dy, winner = as_float(dy, "dy", empty=True), max_pool2d(input, *options, True)[1]
    check_in(return_indices, "return_indices", (False, True))
    require(
        dy.shape == winner.shape,
        f"dy has shape {dy.shape} but the output has {winner.shape}",
    )
    kernel, stride, dilation, places, around = pool_plan(input, *options)
    shape = np.shape(input)
    number = np.arange(np.prod(shape[-2:])).reshape(shape[-2:])
    number = _bordered(number, around, -1)
    dx = np.zeros((*shape[:-2], *number.shape), dy.dtype)
    for _, seen in taps(kernel, places, stride, dilation):
        dx[seen] += np.where(winner == number[seen], dy, 0)
    return _unbordered(dx, around, shape)


def max_pool2d_by_halves(input):
    """`max_pool2d` of windows of 2 by 2: first of pairs of columns, then of rows.

    Two passes of `np.maximum` and no index, one channel at a time, which stays in the
    cache. What remains for the gradient is who has won, one byte instead of a number.
    The corners of the windows are copied apart first: then every pass runs through
    memory in order. Batch-last in memory, as from `conv2d_by_rows`, nothing else is
    copied.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
        What is left over of an odd height or width is dropped.

    Returns
    -------
    y : ndarray (N, C, H // 2, W // 2) or without N
        A view of an array that lies batch-last in memory.
    pull : callable
        ``pull(dy)`` gives the gradient (N, C, H, W) or (C, H, W).

    >>> y, pull = max_pool2d_by_halves([[[1.0, 2, 5, 3], [4, 0, 1, 5]]])
    >>> y, pull(y)
    (array([[[4., 5.]]]), array([[[0., 0., 5., 0.],
            [4., 0., 0., 0.]]]))
    """
    (oh, ow), input = pool_plan(input, 2)[3], np.asarray(input)
    if input.ndim == 3:
        y, pull = max_pool2d_by_halves(input[None])
        return y[0], lambda dy: pull(np.asarray(dy)[None])[0]
    x = _corners(batch_last(input))
    y = np.empty((len(x), oh, ow, len(input)), x.dtype)
    left, top = np.empty(y.shape[:1] + x.shape[2:], bool), np.empty(y.shape, bool)
    corners = a, b = np.empty(x.shape[1:], x.dtype)  # left and right columns
    for c in range(len(x)):
        corners[...] = x[c]
        np.greater_equal(a, b, out=left[c])
        np.maximum(a, b, out=a)  # (2, OH, OW, N)
        np.greater_equal(a[0], a[1], out=top[c])
        np.maximum(a[0], a[1], out=y[c])
    saved = input.shape, left, top
    return np.moveaxis(y, -1, 0), lambda dy: max_pool2d_by_halves_backward(dy, *saved)


def _corners(x):
    """A view (C, 2, 2, H // 2, W // 2, N) of `x` (C, H, W, N): column, row, window."""
    channels, h, w, n = x.shape
    even = x[:, : h // 2 * 2, : w // 2 * 2]
    windows = even.reshape(channels, h // 2, 2, w // 2, 2, n)
    return windows.transpose(0, 4, 2, 1, 3, 5)


def max_pool2d_by_halves_backward(dy, shape, left, top):
    """Gradient of `max_pool2d_by_halves`: the winner of a window takes all of `dy`.

    Top against bottom, then left against right; in a tie the first wins. NaN wins
    nothing here, so the gradient of a window that holds one is of no use; nor is that
    of a window whose `dy` is infinite, which is NaN, not infinite for the winner alone.

    Parameters
    ----------
    dy : array_like (N, C, H // 2, W // 2)
    shape : tuple of int
        That of the input, (N, C, H, W).
    left : ndarray of bool (C, 2, H // 2, W // 2, N)
        Where the left one of two columns has won, in the upper row and in the lower.
    top : ndarray of bool (C, H // 2, W // 2, N)
        Where the upper one of two rows has won.

    Returns
    -------
    ndarray (N, C, H, W)
        A view of an array that lies batch-last in memory.

    >>> left, top = np.array([[[[[True]]], [[[False]]]]]), np.array([[[[False]]]])
    >>> max_pool2d_by_halves_backward([[[[10.0]]]], (1, 1, 2, 2), left, top)
    array([[[[ 0.,  0.],
             [ 0., 10.]]]])
    """
    dy, (n, channels, h, w) = as_float(dy, "dy", empty=True), shape
    wanted = n, channels, h // 2, w // 2
    require(dy.shape == wanted, f"dy has shape {dy.shape} but the output has {wanted}")
    dy, odd = batch_last(dy), h % 2 or w % 2
    dx = (np.zeros if odd else np.empty)((channels, h, w, n), dy.dtype)
    rows = np.empty(left.shape[1:], dy.dtype)
    corners = a, b = np.empty((2, *rows.shape), dy.dtype)
    places = _corners(dx)
    for c in range(channels):
        np.multiply(dy[c], top[c], out=rows[0])
        np.subtract(dy[c], rows[0], out=rows[1])
        np.multiply(rows, left[c], out=a)
        np.subtract(rows, a, out=b)
        places[c] = corners
    return np.moveaxis(dx, -1, 0)


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of each window.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    kernel_size, stride, padding, ceil_mode
        As in `pool_plan`.
    count_include_pad : bool
        Whether zeros of the padding count. What `ceil_mode` adds never does.
    divisor_override : int, optional
        What the sum is divided by instead.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)

    >>> avg_pool2d(np.ones((1, 2, 4)), (2, 3), padding=(0, 1)).round(2)
    array([[[0.67, 0.67]]])
    """
    options = kernel_size, stride, padding, 1, ceil_mode
    kernel, stride, _, places, around = pool_plan(input, *options)
    share = _shares(input, options, count_include_pad, divisor_override)
    require(share is not None, _BAD_COUNT.format(count_include_pad, divisor_override))
    x = _bordered(np.asarray(input), around)
    y = np.zeros((*x.shape[:-2], *places), x.dtype)
    for _, seen in taps(kernel, places, stride):
        y += x[seen]
    return y * share.astype(x.real.dtype)


_BAD_COUNT = (
    "count_include_pad must be True or False, not {!r}, and divisor_override a whole "
    "number other than 0, not {!r}; leave them out"
)


def _shares(input, options, count_include_pad, divisor_override):
    """What a number counts for in the mean of each window (OH, OW); None if unclear."""
    kernel, stride, _, places, around = pool_plan(input, *options)
    override = divisor_override
    whole = isinstance(override, (int, np.integer)) and not isinstance(override, bool)
    if type(count_include_pad) is not bool or not (override is None or whole):
        return None
    if override is not None:
        return np.full(places, 1 / override) if override else None
    border = [(p, p) for p in as_sizes(options[2], "padding", low=0)]
    ones = np.ones(np.shape(input)[-2:])
    ones = _bordered(ones, border, 1 if count_include_pad else 0)
    late = [(0, max(0, end - p)) for (p, end) in around]
    ones, count = _bordered(ones, late), np.zeros(places)
    for _, seen in taps(kernel, places, stride):
        count += ones[seen]
    return 1 / count


def avg_pool2d_backward(
    dy,
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Gradient of `avg_pool2d`: each number of a window gets the same share of `dy`.

    Parameters
    ----------
    dy : array_like (N, C, OH, OW) or (C, OH, OW)
    input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As given to `avg_pool2d`.

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)

    >>> avg_pool2d_backward([[[6.0, 9.0]]], np.ones((1, 1, 5)), (1, 3), stride=2)
    array([[[2., 2., 5., 3., 3.]]])
    """
    dy = as_float(dy, "dy", empty=True)
    options = kernel_size, stride, padding, 1, ceil_mode
    kernel, stride, _, places, around = pool_plan(input, *options)
    share = _shares(input, options, count_include_pad, divisor_override)
    require(share is not None, _BAD_COUNT.format(count_include_pad, divisor_override))
    shape = np.shape(input)
    require(
        dy.shape == (*shape[:-2], *places),
        f"dy has shape {dy.shape} but the output has {(*shape[:-2], *places)}",
    )
    each = dy * share.astype(dy.dtype)
    size = [
        n + max(0, low + high)
        for n, (low, high) in zip(shape[-2:], around, strict=True)
    ]
    dx = np.zeros((*shape[:-2], *size), dy.dtype)
    for _, seen in taps(kernel, places, stride):
        dx[seen] += each
    return _unbordered(dx, around, shape)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    r"""The norm of each window, :math:`\bigl(\sum x^p\bigr)^{1/p}`.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    norm_type : float
        :math:`p`: 1 sums, 2 measures length, and a large one comes near the maximum of
        numbers that are not negative.
    kernel_size, stride, ceil_mode
        As in `pool_plan`.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)

    Where conventions differ: like torch, this takes no absolute values, so odd p wants
    numbers that are not negative. A window that `ceil_mode` cuts off counts as if
    what is missing were like the rest of it.

    >>> lp_pool2d([[[3.0, 4.0]]], 2, (1, 2))
    array([[[5.]]])
    """
    check_positive(norm_type, "norm_type")
    kernel = pool_plan(input, kernel_size, stride, 0, 1, ceil_mode)[0]
    p, input = float(norm_type), np.asarray(input)
    with np.errstate(invalid="ignore"):
        mean = avg_pool2d(input**p, kernel_size, stride, 0, ceil_mode)
        return (mean * float(np.prod(kernel))) ** (1 / p)


def lp_pool2d_backward(dy, input, norm_type, kernel_size, stride=None, ceil_mode=False):
    r"""Gradient of `lp_pool2d`: `dy` times :math:`(x/y)^{p-1}`, summed over windows.

    Parameters
    ----------
    dy : array_like (N, C, OH, OW) or (C, OH, OW)
    input, norm_type, kernel_size, stride, ceil_mode
        As given to `lp_pool2d`.

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)
        0, as in torch, from a window whose norm is 0; for p above 1 it has a kink.

    >>> lp_pool2d_backward([[[1.0]]], [[[3.0, 4.0]]], 2, (1, 2))
    array([[[0.6, 0.8]]])
    """
    dy = as_float(dy, "dy", empty=True)
    y = lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)
    require(
        dy.shape == y.shape, f"dy has shape {dy.shape} but the output has {y.shape}"
    )
    kernel, p = as_sizes(kernel_size, "kernel_size"), float(norm_type)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = dy * np.where(y == 0, y, y ** (1 - p)) * float(np.prod(kernel))
        spread = avg_pool2d_backward(each, input, kernel, stride, 0, ceil_mode)
        return spread * np.asarray(input) ** (p - 1)


def adaptive_windows(size, places):
    """Where the windows begin and end that cut an axis into `places` parts.

    Parameters
    ----------
    size, places : int

    Returns
    -------
    list of slice
        From ⌊i · size / places⌋ to ⌈(i + 1) · size / places⌉, for i = 0, 1, …; they
        overlap where it does not come out even. Of shape (places,).

    >>> [(w.start, w.stop) for w in adaptive_windows(7, 3)]
    [(0, 3), (2, 5), (4, 7)]
    """
    check_positive(size, "size", integer=True)
    check_positive(places, "places", integer=True)
    ends = range(places)
    return [slice(i * size // places, -(-(i + 1) * size // places)) for i in ends]


def adaptive_plan(input, output_size):
    """The windows along both axes for an output of a given size.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        None in the place of a number keeps the input's.

    Returns
    -------
    rows, columns : list of slice
        As `adaptive_windows` gives them, of shape (OH,) and (OW,).
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    several = isinstance(output_size, (tuple, list)) and len(output_size) == 2
    given = output_size if several else (output_size, output_size)
    filled = [
        n if places is None else places
        for n, places in zip(input.shape[-2:], given, strict=True)
    ]
    places = as_sizes(tuple(filled), "output_size")
    sizes = zip(input.shape[-2:], places, strict=True)
    return tuple(adaptive_windows(n, m) for n, m in sizes)


def adaptive_avg_pool2d(input, output_size):
    """The means of as many windows as are asked for, whatever the size of the input.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        As in `adaptive_plan`; 1 is `global_avg_pool2d`.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)

    >>> adaptive_avg_pool2d(np.arange(6.0).reshape(1, 1, 6), (1, 4))
    array([[[0.5, 1.5, 3.5, 4.5]]])
    """
    rows, columns = adaptive_plan(input, output_size)
    input = np.asarray(input)
    y = np.empty((*input.shape[:-2], len(rows), len(columns)), input.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[..., i, j] = input[..., row, column].mean(axis=(-2, -1))
    return y


def adaptive_avg_pool2d_backward(dy, input, output_size):
    """Gradient of `adaptive_avg_pool2d`, from `dy` (N, C, OH, OW) to (N, C, H, W)."""
    rows, columns = adaptive_plan(input, output_size)
    dy = as_float(dy, "dy", empty=True)
    shape = *np.shape(input)[:-2], len(rows), len(columns)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    dx = np.zeros(np.shape(input), dy.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            count = (row.stop - row.start) * (column.stop - column.start)
            dx[..., row, column] += dy[..., i : i + 1, j : j + 1] / count
    return dx


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The largest numbers of as many windows as are asked for.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        As in `adaptive_plan`; 1 is `global_max_pool2d`.
    return_indices : bool
        As in `max_pool2d`; but of several NaN the first wins, in torch the last.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)
        With `return_indices` a pair of it and of whole numbers in the same shape.

    >>> adaptive_max_pool2d(np.arange(6.0).reshape(1, 1, 6), (1, 4))
    array([[[1., 2., 4., 5.]]])
    """
    rows, columns = adaptive_plan(input, output_size)
    check_in(return_indices, "return_indices", (False, True))
    input = np.asarray(input)
    winner = np.empty((*input.shape[:-2], len(rows), len(columns)), int)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = input[..., row, column]
            height, width = window.shape[-2:]
            flat = window.reshape(*window.shape[:-2], height * width)
            first = flat.argmax(axis=-1)
            at = (row.start + first // width) * input.shape[-1] + column.start
            winner[..., i, j] = at + first % width
    y = _gather(input, winner)
    return (y, winner) if return_indices else y


def _gather(x, indices):
    """The numbers of `x` (..., H, W) at `indices` (..., OH, OW) into each channel."""
    flat = x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])
    chosen = indices.reshape(*indices.shape[:-2], indices.shape[-2] * indices.shape[-1])
    return np.take_along_axis(flat, chosen, axis=-1).reshape(indices.shape)


def adaptive_max_pool2d_backward(dy, input, output_size, return_indices=False):
    """Gradient of `adaptive_max_pool2d`, `dy` (N, C, OH, OW) to the winners, which a
    number can be of several windows."""
    dy = as_float(dy, "dy", empty=True)
    y, winner = adaptive_max_pool2d(input, output_size, True)
    check_in(return_indices, "return_indices", (False, True))
    require(
        dy.shape == y.shape, f"dy has shape {dy.shape} but the output has {y.shape}"
    )
    dx = np.zeros((y[..., 0, 0].size, np.prod(np.shape(input)[-2:])), dy.dtype)
    channel = np.arange(len(dx))[:, None]
    count = np.prod(y.shape[-2:])
    np.add.at(dx, (channel, winner.reshape(-1, count)), dy.reshape(-1, count))
    return dx.reshape(np.shape(input))


def global_avg_pool2d(input):
    """The mean of each channel: (N, C, H, W) to (N, C, 1, 1), or without N.

    Source: Lin, Chen and Yan (2014), section 3.2.

    >>> global_avg_pool2d(np.arange(4.0).reshape(1, 2, 2))
    array([[[1.5]]])
    """
    return adaptive_avg_pool2d(input, 1)


def global_avg_pool2d_backward(dy, input):
    """Gradient of `global_avg_pool2d`, from `dy` (N, C, 1, 1) to (N, C, H, W)."""
    return adaptive_avg_pool2d_backward(dy, input, 1)


def global_max_pool2d(input):
    """The largest number of each channel: (N, C, H, W) to (N, C, 1, 1), or without N.

    >>> global_max_pool2d(np.arange(4.0).reshape(1, 2, 2))
    array([[[3.]]])
    """
    return adaptive_max_pool2d(input, 1)


def global_max_pool2d_backward(dy, input):
    """Gradient of `global_max_pool2d`, from `dy` (N, C, 1, 1) to (N, C, H, W)."""
    return adaptive_max_pool2d_backward(dy, input, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    r"""Put largest numbers back to where they stood; everything else is 0.

    Parameters
    ----------
    input : array_like (N, C, OH, OW) or (C, OH, OW)
    indices : array_like of int (N, C, OH, OW) or (C, OH, OW)
        As `max_pool2d` gives them.
    kernel_size, stride, padding : int or (int, int)
    output_size : (int, int), optional
        Height and width; :math:`(n-1)s-2p+k` if it is not given. The last two numbers
        count if more are given. Where conventions differ: torch wants them less than a
        stride away from that.

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)
        Where two windows have the same winner, the number of the later one.

    Source: Zeiler and Fergus (2014), section 2.1.

    >>> max_unpool2d([[[4.0, 5.0]]], [[[4, 2]]], 2)
    array([[[0., 0., 5., 0.],
            [4., 0., 0., 0.]]])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    indices = as_labels(indices, "indices", empty=True)
    check_same_shape(input=input, indices=indices)
    kernel = as_sizes(kernel_size, "kernel_size")
    padding = as_sizes(padding, "padding", low=0)
    stride = kernel if stride is None else as_sizes(stride, "stride")
    if output_size is None:
        each = zip(input.shape[-2:], kernel, stride, padding, strict=True)
        output_size = [(n - 1) * s - 2 * p + k for n, k, s, p in each]
    several = isinstance(output_size, (tuple, list))
    size = as_sizes(output_size[-2:] if several else output_size, "output_size")
    as_labels(indices, "indices", classes=np.prod(size), empty=True)
    y = np.zeros((*input.shape[:-2], np.prod(size)), input.dtype)
    count = np.prod(input.shape[-2:])
    flat = [a.reshape(*a.shape[:-2], count) for a in (indices, input)]
    np.put_along_axis(y, *flat, axis=-1)
    return y.reshape(*input.shape[:-2], *size)


def max_unpool2d_backward(
    dy, input, indices, kernel_size, stride=None, padding=0, output_size=None
):
    """Gradient of `max_unpool2d` with respect to `input`: `dy` (N, C, H, W) at the
    indices."""
    dy = as_float(dy, "dy", empty=True)
    options = kernel_size, stride, padding, output_size
    shape = max_unpool2d(input, indices, *options).shape  # checks them, too
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    return _gather(dy, np.asarray(indices))


def stochastic_pool2d(input, kernel_size, stride=None, noise=None):
    r"""Draw one number of each window, a large one more often than a small one.

    .. math:: p_i=\frac{a_i}{\sum_k a_k},\qquad y=a_l\text{ with }l\sim p
              \quad\text{in training},\qquad y=\sum_ip_ia_i\quad\text{in use}

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
        Activations that are not negative, as behind a rectifier.
    kernel_size, stride
        As in `pool_plan`.
    noise : array_like (N, C, OH, OW) or (C, OH, OW), optional
        Uniform in [0, 1): it makes the draw, so that value and gradient agree about
        it. None for use.

    Returns
    -------
    ndarray (N, C, OH, OW) or (C, OH, OW)

    Source: Zeiler and Fergus (2013), equations 4 to 6.

    >>> stochastic_pool2d([[[1.0, 3.0]]], (1, 2)), stochastic_pool2d(
    ...     [[[1.0, 3.0]]], (1, 2), noise=[[[0.2]]]
    ... )
    (array([[[2.5]]]), array([[[1.]]]))
    """
    kernel, stride, _, places, _ = pool_plan(input, kernel_size, stride)
    input = np.asarray(input)
    check_between(input.real, "input", 0, np.inf)
    window = np.stack([input[seen] for _, seen in taps(kernel, places, stride)])
    total = window.sum(axis=0)
    if noise is None:
        return (window**2).sum(axis=0) / np.where(total == 0, 1, total)
    noise = as_float(noise, "noise", empty=True)
    check_between(noise, "noise", 0, 1)
    require(
        noise.shape == total.shape,
        f"noise has shape {noise.shape} but the output has {total.shape}",
    )
    return np.take_along_axis(window, _drawn(window, noise), axis=0)[0]


def _drawn(window, noise):
    """Which tap of `window` (taps, ...) the noise (...) chooses, as (1, ...)."""
    below = np.cumsum(window.real, axis=0) <= noise * window.real.sum(axis=0)
    return np.minimum(below.sum(axis=0), len(window) - 1)[None]


def stochastic_pool2d_backward(dy, input, kernel_size, stride=None, noise=None):
    """Gradient of `stochastic_pool2d`: `dy` goes to the number that was drawn.

    Parameters
    ----------
    dy : array_like (N, C, OH, OW) or (C, OH, OW)
    input, kernel_size, stride, noise
        As given to `stochastic_pool2d`. Without noise the gradient is that of the
        weighted mean, the weights included.

    Returns
    -------
    ndarray (N, C, H, W) or (C, H, W)
    """
    dy = as_float(dy, "dy", empty=True)
    y = stochastic_pool2d(input, kernel_size, stride, noise)
    require(
        dy.shape == y.shape, f"dy has shape {dy.shape} but the output has {y.shape}"
    )
    kernel, stride, _, places, _ = pool_plan(input, kernel_size, stride)
    input = np.asarray(input)
    window = np.stack([input[seen] for _, seen in taps(kernel, places, stride)])
    if noise is None:
        total = window.sum(axis=0)
        each = dy * (2 * window - y) / np.where(total == 0, 1, total)
    else:
        tap = np.arange(len(window)).reshape(-1, *(1 for _ in y.shape))
        each = np.where(tap == _drawn(window, np.asarray(noise)), dy, 0)
    dx = np.zeros(input.shape, dy.dtype)
    for share, (_, seen) in zip(each, taps(kernel, places, stride), strict=True):
        dx[seen] += share
    return dx
