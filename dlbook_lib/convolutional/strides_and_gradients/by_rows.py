"""The three operations of a convolution, with the batch last and few places at a time.

Arrays are (C, H, W, N) in memory, so that a row of an image is one long run for all
examples. What the kernels see at the places of a few output rows is copied into columns
that stay in the processor's cache, `PIECE_BYTES` of them, multiplied and overwritten.
"""

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PIECE_BYTES = 2**19
"""What the columns may take, half a megabyte, so that all three stay in the cache."""


def pieces(places, most):
    """Cut the places of a batch into pieces of at most `most`, in their order.

    Parameters
    ----------
    places : tuple of int
        Rows, columns and examples, (OH, OW, N).
    most : int
        At least one place of one example is in a piece.

    Returns
    -------
    iterator of tuple of slice
        Whole rows if one fits into a piece, else whole places, else some examples.

    >>> [n.stop - n.start for n in next(pieces((10, 10, 8), 200))]
    [2, 10, 8]
    >>> [n.stop - n.start for n in next(pieces((10, 10, 8), 50))]
    [1, 6, 8]
    """
    step, left = [], max(1, most)
    for size in reversed(places):
        step.insert(0, min(size, left) or 1)
        left = left // size if size and left >= size else 1
    starts = [range(0, n, s) for n, s in zip(places, step, strict=True)]
    for at in product(*starts):
        yield tuple(
            slice(i, min(i + s, n)) for i, s, n in zip(at, step, places, strict=True)
        )


def columns(x, kernel, stride, dilation, dtype):
    """What a kernel sees, as a view, and the pieces in which to copy it.

    Parameters
    ----------
    x : ndarray (C, H, W, N)
    kernel, stride, dilation : tuple of int (2,)
    dtype : data type of the columns

    Yields
    ------
    at : tuple of slice
        A piece of the places (OH, OW, N).
    seen : ndarray (C, kH, kW, …)
        The view of `x` that belongs to it.
    cols : ndarray (C, kH, kW, …)
        Memory for a copy, the same each time; what it holds is up to the caller.
    """
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    (sh, sw), (dh, dw) = stride, dilation
    windows = sliding_window_view(x, spans, axis=(1, 2))
    windows = windows[:, ::sh, ::sw, :, ::dh, ::dw].transpose(0, 4, 5, 1, 2, 3)
    rows, places = len(x) * kernel[0] * kernel[1], windows.shape[3:]
    most = PIECE_BYTES // (max(1, rows) * np.dtype(dtype).itemsize)
    room = None
    for at in pieces(places, most):
        seen = windows[:, :, :, *at]
        room = np.empty(seen.size, dtype) if room is None else room
        yield at, seen, room[: seen.size].reshape(seen.shape)


def correlate_by_rows(x, weight, stride=(1, 1), dilation=(1, 1)):
    """The forward map: one product of matrices for each piece.

    Parameters
    ----------
    x : ndarray (C, H, W, N)
        Already padded.
    weight : ndarray (F, C, kH, kW)
    stride, dilation : tuple of int (2,)

    Returns
    -------
    ndarray (F, OH, OW, N)

    >>> x = np.arange(4.0).reshape(1, 1, 4, 1)
    >>> correlate_by_rows(x, np.array([[[[1.0, 10.0]]]])).ravel()
    array([10., 21., 32.])
    """
    f, dtype = len(weight), np.result_type(x, weight)
    flat = weight.reshape(f, -1)
    y = np.empty((f, *_places(x, weight, stride, dilation)), dtype)
    for at, seen, cols in columns(x, weight.shape[2:], stride, dilation, dtype):
        np.copyto(cols, seen)
        part = y[:, *at].reshape(f, -1)  # a view: the piece is one run in memory
        np.matmul(flat, cols.reshape(flat.shape[1], -1), out=part)
    return y


def _places(x, weight, stride, dilation):
    """Rows, columns and examples of what comes out, (OH, OW, N)."""
    each = zip(x.shape[1:3], weight.shape[2:], stride, dilation, strict=True)
    return (*((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in each), x.shape[3])


def to_input_by_rows(dy, weight, size, stride=(1, 1), dilation=(1, 1)):
    """Its transpose: a product for each piece, whose columns are then summed.

    Parameters
    ----------
    dy : ndarray (F, OH, OW, N)
    weight : ndarray (F, C, kH, kW)
    size : tuple of int
        Of the padded input, (H, W).
    stride, dilation : tuple of int (2,)

    Returns
    -------
    ndarray (C, H, W, N)

    >>> dy = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    >>> to_input_by_rows(dy, np.array([[[[1.0, 10.0]]]]), (1, 3)).ravel()
    array([ 1., 12., 20.])
    """
    (f, c, kh, kw), dtype = weight.shape, np.result_type(dy, weight)
    flat = np.ascontiguousarray(weight.reshape(f, -1).T)
    dx = np.zeros((c, *size, dy.shape[-1]), dtype)
    (sh, sw), (dh, dw) = stride, dilation
    for at, _, cols in columns(dx, (kh, kw), stride, dilation, dtype):
        np.matmul(flat, dy[:, *at].reshape(f, -1), out=cols.reshape(len(flat), -1))
        rows, (left, right), n = at[0], (at[1].start, at[1].stop), at[2]
        for r, j in np.ndindex(cols.shape[3], kw):  # all kernel rows at once
            top = (rows.start + r) * sh
            row = slice(top, top + (kh - 1) * dh + 1, dh)
            column = slice(left * sw + j * dw, (right - 1) * sw + j * dw + 1, sw)
            dx[:, row, column, n] += cols[:, :, j, r]
    return dx


def to_weight_by_rows(dy, x, kernel, stride=(1, 1), dilation=(1, 1)):
    """The kernel's gradient: columns against `dy`, summed over the pieces.

    Parameters
    ----------
    dy : ndarray (F, OH, OW, N)
    x : ndarray (C, H, W, N)
        Already padded.
    kernel, stride, dilation : tuple of int (2,)

    Returns
    -------
    ndarray (F, C, kH, kW)

    >>> x, dy = np.arange(4.0).reshape(1, 1, 4, 1), np.ones((1, 1, 3, 1))
    >>> to_weight_by_rows(dy, x, (1, 2)).ravel()
    array([3., 6.])
    """
    f, dtype = len(dy), np.result_type(dy, x)
    dw = np.zeros((len(x) * kernel[0] * kernel[1], f), dtype)
    for at, seen, cols in columns(x, kernel, stride, dilation, dtype):
        np.copyto(cols, seen)
        dw += cols.reshape(len(dw), -1) @ dy[:, *at].reshape(f, -1).T
    return dw.T.reshape(f, len(x), *kernel)
