r"""Convolution in NumPy: the definition, and four faster ways to the same numbers.

Arrays are channels-first: `input` (N, C, L), (N, C, H, W) or (N, C, D, H, W), or one
example without N; `weight` (F, C, k…). Here the kernel moves with stride 1 over what is
there, without padding, so an axis of length n leaves n − k + 1 places.

What libraries call convolution, and so do `conv1d`, `conv2d` and `conv3d`, is
cross-correlation: the kernel is not flipped. The operation of mathematics, which flips
it, is `convolve`. Their results differ unless the kernel is its own mirror image.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlbook_lib.common.checks import as_float, check_in, check_positive, require

COLUMN_BYTES = 2**26
"""The most memory that unfolded windows may take at once, 64 MB."""
ROW_BYTES = 2**21
"""What the windows of a few output rows may take, so that they stay in the cache."""


def as_sizes(value, name, ndim=2, low=1):
    """A size for each axis: a whole number stands for `ndim` equal ones.

    Parameters
    ----------
    value : int or sequence of int
    name : str
        What the caller calls it.
    ndim : int
        The number of axes, so that the result has shape (ndim,).
    low : int
        The smallest size that makes sense.

    Returns
    -------
    tuple of int

    >>> as_sizes(3, "kernel_size"), as_sizes((3, 1), "kernel_size")
    ((3, 3), (3, 1))
    """
    several = isinstance(value, (tuple, list))
    sizes = tuple(value) if several else (value,) * ndim
    require(
        len(sizes) == ndim
        and all(
            isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= low
            for n in sizes
        ),
        f"{name} must be a whole number from {low} on, or {ndim} of them in a tuple, "
        f"not {value!r}; try {max(low, 1)}",
        ValueError if several or isinstance(value, int) else TypeError,
    )
    return tuple(int(n) for n in sizes)


def taps(kernel_size, output_size, stride=1, dilation=1):
    r"""What each tap of a kernel sees while the kernel visits all places.

    Tap :math:`m` meets the inputs :math:`is+md` for :math:`i=0,1,\dots`: a shifted view
    of the input, as large as the output. A sum over windows is a sum of such views.

    Parameters
    ----------
    kernel_size, output_size : tuple of int
        One entry for each of the last axes.
    stride, dilation : int or tuple of int
        Steps between places, :math:`s`, and between taps, :math:`d`.

    Returns
    -------
    list of pairs
        The tap, a tuple of ints, and the index that cuts its view out of an array of
        shape (..., H, W).

    >>> for tap, seen in taps((3,), (4,)):
    ...     print(tap, np.arange(6)[seen])
    (0,) [0 1 2 3]
    (1,) [1 2 3 4]
    (2,) [2 3 4 5]
    """
    kernel_size = as_sizes(kernel_size, "kernel_size", ndim=np.size(kernel_size))
    ndim = len(kernel_size)
    axes = [
        as_sizes(output_size, "output_size", ndim),
        as_sizes(stride, "stride", ndim),
        as_sizes(dilation, "dilation", ndim),
    ]
    found = []
    for tap in np.ndindex(kernel_size):
        each = zip(tap, *axes, strict=True)
        seen = [slice(m * d, m * d + (n - 1) * s + 1, s) for m, n, s, d in each]
        found.append((tap, (..., *seen)))
    return found


def conv_shape(input, weight, bias=None):
    """The shape of what a convolution gives; refuses arrays that do not fit.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
        One to three axes after the channels. The batch may be empty.
    weight : array_like (F, C, ...)
        As many axes after the channels, none longer than the input's.
    bias : array_like (F,), optional

    Returns
    -------
    tuple of int
        (N, F, ...) or (F, ...), with n − k + 1 places along each axis.

    Raises
    ------
    ValueError
        If channels or ranks differ, or the kernel is larger than the input.

    >>> conv_shape(np.ones((8, 3, 28, 28)), np.ones((6, 3, 5, 5)))
    (8, 6, 24, 24)
    >>> conv_shape(np.ones((8, 28, 28, 3)), np.ones((6, 3, 5, 5)))
    Traceback (most recent call last):
    ValueError: conv_shape: input has 28 channels but weight expects 3 (input
    (8, 28, 28, 3), weight (6, 3, 5, 5)); is input channels-first, (N, C, ...)?
    """
    weight = as_float(weight, "weight", ndim=(3, 4, 5))
    ndim = weight.ndim - 2
    input = as_float(input, "input", ndim=(ndim + 1, ndim + 2), empty=True)
    channels, *size = input.shape[-ndim - 1 :]
    shapes = f"(input {input.shape}, weight {weight.shape})"
    require(
        channels == weight.shape[1],
        f"input has {channels} channels but weight expects {weight.shape[1]} {shapes}; "
        "is input channels-first, (N, C, ...)?",
    )
    places = [n - k + 1 for n, k in zip(size, weight.shape[2:], strict=True)]
    require(
        min(places) > 0,
        f"the kernel is larger than the input {shapes}; pad the input or take a "
        "smaller kernel",
    )
    if bias is not None:
        shape = as_float(bias, "bias", ndim=1).shape
        require(shape == weight.shape[:1], f"bias has shape {shape}, not one a kernel")
    return *input.shape[: -ndim - 1], len(weight), *places


def conv_nd(input, weight, bias=None):
    r"""Cross-correlation along any number of axes, tap by tap.

    .. math:: S_{n,f}(\mathbf i)=b_f+\sum_c\sum_{\mathbf m}I_{n,c}(\mathbf i+\mathbf m)
              \,K_{f,c}(\mathbf m)

    For each tap :math:`\mathbf m` one matrix (F, C) multiplies one shifted view of the
    input, with all places side by side: no array is larger than input or output.

    Parameters
    ----------
    input : array_like (N, C, ...) or (C, ...)
    weight : array_like (F, C, ...)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, ...) or (F, ...)

    Source: Goodfellow, Bengio and Courville (2016), section 9.5. Where texts differ:
    some set this sum equal to true convolution; it is so only for kernels that are
    their own mirror image, and it does not commute.

    >>> conv_nd([[[1.0, 2.0, 4.0, 8.0]]], [[[1.0, 10.0]]])
    array([[[21., 42., 84.]]])
    """
    shape = conv_shape(input, weight, bias)
    input, weight = np.asarray(input), np.asarray(weight)
    if input.ndim < weight.ndim:
        return conv_nd(input[None], weight, bias)[0]
    x = np.swapaxes(input, 0, 1)  # (C, N, ...)
    shift = weight.dtype.type(0) if bias is None else np.asarray(bias)[:, None]
    dtype = np.result_type(x, weight, shift)
    y = np.zeros((shape[1], shape[0] * np.prod(shape[2:])), dtype)
    for tap, seen in taps(weight.shape[2:], shape[2:]):
        y += weight[(..., *tap)] @ x[seen].reshape(len(x), -1)  # (F, N · places)
    y += shift
    return np.swapaxes(y.reshape(shape[1], shape[0], *shape[2:]), 0, 1)


def conv_nd_backward(dy, input, weight, bias=None):
    r"""Gradients of `conv_nd`: the same taps, each matrix transposed.

    .. math:: \frac{\partial J}{\partial K_{f,c}(\mathbf m)}=\sum_{n,\mathbf i}
              \mathrm{d}y_{n,f}(\mathbf i)\,I_{n,c}(\mathbf i+\mathbf m),\qquad
              \frac{\partial J}{\partial I_{n,c}(\mathbf j)}=\sum_{f,\mathbf m}
              \mathrm{d}y_{n,f}(\mathbf j-\mathbf m)\,K_{f,c}(\mathbf m)

    Parameters
    ----------
    dy : array_like (N, F, ...) or (F, ...)
    input, weight, bias
        As given to `conv_nd`.

    Returns
    -------
    dinput : ndarray (N, C, ...) or (C, ...)
    dweight : ndarray (F, C, ...)
    dbias : ndarray (F,), or None where there is no bias

    >>> conv_nd_backward([[[1.0, 0.0, 0.0]]], [[[1.0, 2.0, 4.0, 8.0]]], [[[1.0, 10.0]]])
    (array([[[ 1., 10.,  0.,  0.]]]), array([[[1., 2.]]]), None)
    """
    dy, shape = as_float(dy, "dy", empty=True), conv_shape(input, weight, bias)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    input, weight = np.asarray(input), np.asarray(weight)
    if input.ndim < weight.ndim:
        dinput, *others = conv_nd_backward(dy[None], input[None], weight, bias)
        return dinput[0], *others
    x, dweight = np.swapaxes(input, 0, 1), np.zeros_like(weight)
    dx = np.zeros(x.shape, dy.dtype)
    dy = np.swapaxes(dy, 0, 1).reshape(len(weight), -1)  # (F, N · places)
    for tap, seen in taps(weight.shape[2:], shape[2:]):
        dx[seen] += (weight[(..., *tap)].T @ dy).reshape(dx[seen].shape)
        dweight[(..., *tap)] = dy @ x[seen].reshape(len(x), -1).T
    dbias = None if bias is None else dy.sum(axis=1)
    return np.swapaxes(dx, 0, 1), dweight, dbias


def conv1d(input, weight, bias=None):
    r"""Cross-correlation of series, :math:`z_j=\sum_ik_ix_{j+i}` for one channel.

    Parameters
    ----------
    input : array_like (N, C, L) or (C, L)
    weight : array_like (F, C, k)
        The same k taps at every place: a dense layer would need L · (L − k + 1).
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, L − k + 1) or (F, L − k + 1)

    >>> conv1d([[0.0, 0.0, 1.0, 0.0]], [[[1.0, 2.0]]])
    array([[0., 2., 1.]])
    """
    as_float(weight, "weight", ndim=3)
    return conv_nd(input, weight, bias)


def conv1d_backward(dy, input, weight, bias=None):
    """Gradients of `conv1d`, as `conv_nd_backward` gives them: (N, C, L), (F, C, k)
    and (F,)."""
    as_float(weight, "weight", ndim=3)
    return conv_nd_backward(dy, input, weight, bias)


def conv2d(input, weight, bias=None):
    r"""Cross-correlation of images, :math:`S(i,j)=\sum_m\sum_nI(i+m,j+n)K(m,n)`.

    Parameters
    ----------
    input : array_like (N, C, H, W) or (C, H, W)
    weight : array_like (F, C, kH, kW)
        Each kernel spans all channels, so a colour image needs kernels with a depth,
        but they still move along two axes: this is no three-dimensional convolution.
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1), or without N

    >>> conv2d(np.eye(3)[None], np.eye(2)[None, None])
    array([[[2., 0.],
            [0., 2.]]])
    """
    as_float(weight, "weight", ndim=4)
    return conv_nd(input, weight, bias)


def conv2d_backward(dy, input, weight, bias=None):
    """Gradients of `conv2d`, as `conv_nd_backward` gives them: (N, C, H, W),
    (F, C, kH, kW) and (F,)."""
    as_float(weight, "weight", ndim=4)
    return conv_nd_backward(dy, input, weight, bias)


def conv3d(input, weight, bias=None):
    """Cross-correlation of volumes or films: the kernel moves along depth as well.

    Parameters
    ----------
    input : array_like (N, C, D, H, W) or (C, D, H, W)
    weight : array_like (F, C, kD, kH, kW)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, D − kD + 1, H − kH + 1, W − kW + 1), or without N

    >>> conv3d(np.ones((1, 2, 3, 4, 5)), np.ones((7, 2, 2, 2, 2))).shape
    (1, 7, 2, 3, 4)
    """
    as_float(weight, "weight", ndim=5)
    return conv_nd(input, weight, bias)


def conv3d_backward(dy, input, weight, bias=None):
    """Gradients of `conv3d`, as `conv_nd_backward` gives them: (N, C, D, H, W),
    (F, C, kD, kH, kW) and (F,)."""
    as_float(weight, "weight", ndim=5)
    return conv_nd_backward(dy, input, weight, bias)


def convolve(input, kernel, mode="full"):
    r"""The convolution of mathematics, which flips the kernel and therefore commutes.

    .. math:: S(\mathbf i)=\sum_{\mathbf m}I(\mathbf i-\mathbf m)\,K(\mathbf m)
              =\sum_{\mathbf m}I(\mathbf m)\,K(\mathbf i-\mathbf m)

    Parameters
    ----------
    input : array_like (...)
        A series, an image, a volume: no batch, no channels.
    kernel : array_like (...)
        As many axes.
    mode : {"full", "same", "valid"}
        All places where the two overlap, n + k − 1 of them; as many as the input has,
        from the middle; or only those where the kernel lies inside, n − k + 1.

    Returns
    -------
    ndarray (...)

    Where conventions differ: if the kernel is the longer one, `numpy.convolve` swaps
    the two for the modes "same" and "valid"; here the first is always the input.

    >>> convolve([1.0, 0.0, 0.0, 2.0], [1.0, 10.0])
    array([ 1., 10.,  0.,  2., 20.])
    """
    input = as_float(input, "input")
    kernel = as_float(kernel, "kernel", ndim=input.ndim)
    check_in(mode, "mode", ("full", "same", "valid"))
    inside = [
        _places(n, k, mode) for n, k in zip(input.shape, kernel.shape, strict=True)
    ]
    require(
        all(cut.stop > cut.start for cut in inside),
        f"the kernel {kernel.shape} is larger than the input {input.shape}; take "
        "mode='full'",
    )
    full = [n + k - 1 for n, k in zip(input.shape, kernel.shape, strict=True)]
    y = np.zeros(full, np.result_type(input, kernel))
    for tap, seen in taps(kernel.shape, input.shape):
        y[seen] += kernel[tap] * input
    return y[tuple(inside)]


def _places(n, k, mode):
    """Which of the n + k − 1 places along an axis a mode keeps."""
    first, count = {
        "full": (0, n + k - 1),
        "same": ((k - 1) // 2, n),
        "valid": (k - 1, n - k + 1),
    }[mode]
    return slice(first, first + count)


def convolve_backward(dy, input, kernel, mode="full"):
    """Gradients of `convolve` with respect to both of its arrays.

    Parameters
    ----------
    dy : array_like (...)
        Of the shape that `convolve` gives.
    input, kernel, mode
        As given to `convolve`.

    Returns
    -------
    dinput : ndarray (...)
    dkernel : ndarray (...)

    >>> convolve_backward([0.0, 1.0, 0.0], [5.0, 7.0], [1.0, 10.0])
    (array([10.,  1.]), array([7., 5.]))
    """
    dy, y = as_float(dy, "dy"), convolve(input, kernel, mode)  # checks them, too
    require(dy.shape == y.shape, f"dy has shape {dy.shape} but the output {y.shape}")
    input, kernel = np.asarray(input), np.asarray(kernel)
    sizes = list(zip(input.shape, kernel.shape, strict=True))
    full = np.zeros([n + k - 1 for n, k in sizes], dy.dtype)
    full[tuple(_places(n, k, mode) for n, k in sizes)] = dy
    dinput, dkernel = np.zeros_like(input), np.zeros_like(kernel)
    for tap, seen in taps(kernel.shape, input.shape):
        dinput += kernel[tap] * full[seen]
        dkernel[tap] = (full[seen] * input).sum()
    return dinput, dkernel


def conv2d_loops(input, weight, bias=None):
    """`conv2d` by its definition: one window after the other.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1)

    >>> conv2d_loops(np.eye(3)[None, None], np.eye(2)[None, None])
    array([[[[2., 0.],
             [0., 2.]]]])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=4)
    y = np.zeros(conv_shape(input, weight, bias), np.result_type(input, weight))
    kh, kw = weight.shape[2:]
    for n, f, i, j in np.ndindex(y.shape):
        window = input[n, :, i : i + kh, j : j + kw]  # (C, kH, kW)
        y[n, f, i, j] = (window * weight[f]).sum()
    return y if bias is None else y + np.asarray(bias)[:, None, None]


def toeplitz_matrix(weight, size):
    """The matrix that multiplies a flattened image as the kernels would slide over it.

    Parameters
    ----------
    weight : array_like (F, C, kH, kW)
    size : tuple of int
        Height and width of the image, (H, W).

    Returns
    -------
    ndarray (F * places, C * H * W)
        A row for each kernel and place, almost all of it zeros; along its diagonals
        one weight is shared by all places. Made of Toeplitz blocks, block by block
        Toeplitz again.

    >>> toeplitz_matrix([[[[1.0, 2.0]]]], (1, 4))
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    """
    weight = as_float(weight, "weight", ndim=4)
    image = np.broadcast_to(np.zeros((), weight.dtype), as_sizes(size, "size"))
    f, oh, ow = conv_shape(np.repeat(image[None], weight.shape[1], 0), weight)
    kh, kw = weight.shape[2:]
    matrix = np.zeros((f, oh, ow, weight.shape[1], *image.shape), weight.dtype)
    for i, j in np.ndindex(oh, ow):
        matrix[:, i, j, :, i : i + kh, j : j + kw] = weight
    return matrix.reshape(f * oh * ow, -1)


def conv2d_toeplitz(input, weight, bias=None):
    """`conv2d` as a product with `toeplitz_matrix`, a dense layer with shared weights.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1)

    >>> conv2d_toeplitz(np.eye(3)[None, None], np.eye(2)[None, None])[0, 0, 0]
    array([2., 0.])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    as_float(weight, "weight", ndim=4)
    shape = conv_shape(input, weight, bias)
    flat = input.reshape(len(input), np.prod(input.shape[1:]))
    y = (flat @ toeplitz_matrix(weight, input.shape[2:]).T).reshape(shape)
    return y if bias is None else y + np.asarray(bias)[:, None, None]


def im2col(input, kernel_size):
    """Every window of an image as a column, side by side.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    kernel_size : int or (int, int)

    Returns
    -------
    ndarray (N, C * kH * kW, places)
        kH · kW times as many numbers as the image.

    >>> im2col(np.arange(4.0).reshape(1, 1, 1, 4), (1, 2))
    array([[[0., 1., 2.],
            [1., 2., 3.]]])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    kernel_size = as_sizes(kernel_size, "kernel_size")
    require(
        all(k <= n for k, n in zip(kernel_size, input.shape[2:], strict=True)),
        f"kernel_size {kernel_size} is larger than the input {input.shape}; pad it",
    )
    windows = sliding_window_view(input, kernel_size, axis=(2, 3))
    n, c, oh, ow, kh, kw = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def conv2d_im2col(input, weight, bias=None):
    """`conv2d` as one matrix product with the columns of `im2col`.

    If the columns would take more than `COLUMN_BYTES`, the task is cut in two: half of
    the images, or half of the output of one image, and so on.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1)

    Source: Chellapilla, Puri and Simard (2006).

    >>> conv2d_im2col(np.eye(3)[None, None], np.eye(2)[None, None])[0, 0, 0]
    array([2., 0.])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=4)
    n, f, *places = shape = conv_shape(input, weight, bias)
    numbers = n * np.prod(places) * weight[0].size
    if numbers * input.itemsize > COLUMN_BYTES and n * np.prod(places) > 1:
        axis = 0 if n > 1 else 2 + int(np.argmax(places))
        half, overlap = shape[axis] // 2, ((1, f, *weight.shape[2:])[axis] - 1)
        first, rest = [slice(None)] * 4, [slice(None)] * 4
        first[axis], rest[axis] = slice(half + overlap * (axis > 0)), slice(half, None)
        parts = [conv2d_im2col(input[tuple(i)], weight, bias) for i in (first, rest)]
        return np.concatenate(parts, axis)
    y = weight.reshape(f, -1) @ im2col(input, weight.shape[2:])  # (N, F, places)
    y = y.reshape(shape)
    return y if bias is None else y + np.asarray(bias)[:, None, None]


def batch_last(x):
    """The same numbers in the order (..., N) in memory, from (N, ...).

    Neighbours in memory then belong to the same place of different examples, and a
    whole row of an image is one long run for all of them. An array that lies so
    already, such as the result of `conv2d_by_rows`, is not copied.

    Parameters
    ----------
    x : array_like (N, ...)

    Returns
    -------
    ndarray (..., N)

    >>> batch_last([[1.0, 2.0], [3.0, 4.0]])
    array([[1., 3.],
           [2., 4.]])
    """
    x = np.atleast_1d(as_float(x, "x", empty=True))
    last = np.moveaxis(x, 0, -1)
    if last.flags.c_contiguous:
        return last
    out = np.empty(last.shape, x.dtype)
    flat, rows = out.reshape(-1, len(x)), x.reshape(len(x), -1)
    for i in range(0, len(flat), 784):  # in blocks that fit into the fastest cache
        for j in range(0, len(x), 8):
            flat[i : i + 784, j : j + 8] = rows[j : j + 8, i : i + 784].T
    return out


def conv2d_by_rows(input, weight, bias=None):
    """`conv2d` with the batch last in memory and a few output rows at a time.

    The windows of these rows, `ROW_BYTES` of them, are copied, multiplied and
    overwritten while they are in the cache.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1)
        A view of an array that lies batch-last in memory.

    >>> conv2d_by_rows(np.eye(3)[None, None], np.eye(2)[None, None])[0, 0, 0]
    array([2., 0.])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=4)
    n, f, oh, ow = conv_shape(input, weight, bias)
    windows, columns, step = _row_windows(batch_last(input), weight)
    shift = weight.dtype.type(0) if bias is None else np.asarray(bias)[:, None]
    y = np.empty((f, oh * ow * n), np.result_type(columns, shift))
    for h in range(0, oh, step):
        rows = windows[:, :, :, h : h + step]  # (C, kH, kW, step, OW, N)
        cols = columns[: rows.size].reshape(rows.shape)
        np.copyto(cols, rows)
        part = y[:, h * ow * n : (h + step) * ow * n]
        np.matmul(weight.reshape(f, -1), cols.reshape(weight[0].size, -1), out=part)
        part += shift
    return np.moveaxis(y.reshape(f, oh, ow, n), -1, 0)


def _row_windows(x, weight):
    """Windows (C, kH, kW, OH, OW, N) as a view, room for those of a few rows, and how
    many rows these are."""
    windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))
    windows = windows.transpose(0, 4, 5, 1, 2, 3)
    dtype = np.result_type(x, weight)
    row = weight[0].size * windows.shape[4] * windows.shape[5]
    step = min(windows.shape[3], max(1, ROW_BYTES // max(1, row * dtype.itemsize)))
    return windows, np.empty(step * row, dtype), step


def conv2d_by_rows_backward(dy, input, weight, bias=None):
    """Gradients of `conv2d_by_rows`, again a few output rows at a time.

    Parameters
    ----------
    dy : array_like (N, F, H − kH + 1, W − kW + 1)
    input, weight, bias
        As given to `conv2d_by_rows`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight : ndarray (F, C, kH, kW)
    dbias : ndarray (F,), or None where there is no bias
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=4)
    n, f, oh, ow = shape = conv_shape(input, weight, bias)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    x = batch_last(input)
    windows, columns, step = _row_windows(x, weight)
    flat, (kh, kw) = np.ascontiguousarray(weight.reshape(f, -1).T), weight.shape[2:]
    dx, dflat = np.zeros(x.shape, columns.dtype), np.zeros_like(flat)
    dy = batch_last(dy).reshape(f, -1)  # (F, OH · OW · N)
    for h in range(0, oh, step):
        rows = windows[:, :, :, h : h + step]
        part = dy[:, h * ow * n : (h + step) * ow * n]
        cols = columns[: rows.size].reshape(rows.shape)
        np.copyto(cols, rows)
        dflat += cols.reshape(len(flat), -1) @ part.T
        np.matmul(flat, part, out=cols.reshape(len(flat), -1))
        for i, j in np.ndindex(kh, kw):
            dx[:, h + i : h + i + rows.shape[3], j : j + ow] += cols[:, i, j]
    dbias = None if bias is None else dy.sum(axis=1)
    return np.moveaxis(dx, -1, 0), dflat.T.reshape(weight.shape), dbias


def edge_detector(image):
    r"""Each pixel minus its left neighbour, :math:`z_{ij}=I_{ij}-I_{i,j-1}`.

    It answers where brightness *changes* from left to right, not where it is high: as a
    cross-correlation its kernel is (−1, 1), as a true convolution (1, −1).

    Parameters
    ----------
    image : array_like (..., H, W)

    Returns
    -------
    ndarray (..., H, W − 1)

    >>> edge_detector([[0.0, 0.0, 5.0, 5.0, 0.0]])
    array([[ 0.,  5.,  0., -5.]])
    """
    image = as_float(image, "image")
    require(
        image.ndim and image.shape[-1] > 1,
        f"image {image.shape} has no neighbours from left to right; it should be "
        "(..., H, W) with W above 1",
    )
    return image[..., 1:] - image[..., :-1]


def edge_counts(height, width):
    """What `edge_detector` costs in four forms, for an image of shape (height, width).

    Parameters
    ----------
    height, width : int

    Returns
    -------
    dict of str to int
        ``convolution``: two products and a sum for each output. ``dense``: entries of
        the full matrix, as many products; ``dense operations``: products and sums.
        ``sparse``: its entries that are not 0. ``subtraction``: one for each output.

    >>> edge_counts(280, 320)["convolution"], edge_counts(280, 320)["dense"]
    (267960, 8003072000)
    """
    check_positive(height, "height", integer=True)
    check_positive(width, "width", integer=True)
    inputs, outputs = height * width, height * (width - 1)
    return {
        "convolution": 3 * outputs,
        "dense": inputs * outputs,
        "dense operations": 2 * inputs * outputs,
        "sparse": 2 * outputs,
        "subtraction": outputs,
    }
