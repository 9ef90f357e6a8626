r"""Kernels that are applied fast, in NumPy: the numbers of the direct convolution.

Fourier and separable convolution take fewer products than the direct one; `winograd`
has a third way. `cells` has kernels that brains have, `features` those that are not
trained.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_in,
    check_number,
    check_positive,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import COLUMN_BYTES, as_sizes
from dlbook_lib.convolutional.strides_and_gradients.scratch import conv_plan


def fast_length(n):
    """The smallest number from `n` on that is a product of 2s, 3s and 5s.

    A fast Fourier transform cuts its length into prime factors, and is fastest where
    these are small. For a length of shape ().

    >>> fast_length(31), fast_length(257)
    (32, 270)
    """
    check_positive(n, "n", integer=True)
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return int(n)
        n += 1


def fft_convolve(input, kernel, mode="full"):
    r"""`convolve` through the Fourier transform, :math:`\mathcal F^{-1}(\mathcal
    Fx\odot\mathcal Fw)`.

    Parameters
    ----------
    input, kernel : array_like (...)
        Of as many axes: no batch, no channels.
    mode : {"full", "same", "valid"}
        As in `convolve`: n + k − 1, n, or n − k + 1 places along each axis.

    Returns
    -------
    ndarray (...)

    The transform takes its arrays for one period of a periodic function. Zeros at the
    end, to a length of at least n + k − 1, keep one period from reaching the next.

    >>> fft_convolve([1.0, 0.0, 0.0, 2.0], [1.0, 10.0]).round(12) + 0.0
    array([ 1., 10.,  0.,  2., 20.])
    """
    input, kernel = as_real(input, "input"), as_real(kernel, "kernel")
    inside, axes = kept_places(input, kernel, mode), tuple(range(input.ndim))
    sizes = zip(input.shape, kernel.shape, strict=True)
    lengths = [fast_length(n + k - 1) for n, k in sizes]
    spectra = (np.fft.rfftn(x, lengths, axes) for x in (input, kernel))
    return np.fft.irfftn(np.multiply(*spectra), lengths, axes)[inside]


def kept_places(input, kernel, mode="full"):
    """Which of the n + k − 1 places of a convolution a mode keeps, as an index.

    Parameters
    ----------
    input, kernel : array_like (...)
    mode : {"full", "same", "valid"}

    Returns
    -------
    tuple of slices

    >>> kept_places(np.ones(5), np.ones(3), "same")
    (slice(1, 6, None),)
    """
    check_in(mode, "mode", ("full", "same", "valid"))
    shape, taps_ = as_float(input, "input").shape, as_float(kernel, "kernel").shape
    require(
        len(shape) == len(taps_) > 0,
        f"input {shape} and kernel {taps_} must have as many axes, at least one",
    )
    require(
        mode != "valid" or all(n >= k for n, k in zip(shape, taps_, strict=True)),
        f"the kernel {taps_} is larger than the input {shape}; take mode='full'",
    )
    first = {"full": lambda k: 0, "same": lambda k: (k - 1) // 2}
    count = {"full": lambda n, k: n + k - 1, "same": lambda n, k: n}
    first = [first.get(mode, lambda k: k - 1)(k) for k in taps_]
    sizes = zip(shape, taps_, strict=True)
    counts = [count.get(mode, lambda n, k: n - k + 1)(n, k) for n, k in sizes]
    return tuple(slice(a, a + n) for a, n in zip(first, counts, strict=True))


def as_real(x, name, **options):
    """`x` as an array (...) of real floating-point numbers; `options` of `as_float`.

    >>> as_real([1j], "x")
    Traceback (most recent call last):
    ValueError: as_real: x must be real, not complex128; try x.real
    """
    x = as_float(x, name, **options)
    require(np.isrealobj(x), f"{name} must be real, not {x.dtype}; try {name}.real")
    return x


def fft_convolve_backward(dy, input, kernel, mode="full"):
    r"""Gradients of `fft_convolve`: products with the conjugate, which turns round.

    Parameters
    ----------
    dy : array_like (...)
        Of the shape that `fft_convolve` gives.
    input, kernel, mode
        As given to `fft_convolve`.

    Returns
    -------
    dinput : ndarray (...)
    dkernel : ndarray (...)

    >>> dx, dk = fft_convolve_backward([0.0, 1.0, 0.0], [5.0, 7.0], [1.0, 10.0])
    >>> dx.round(12), dk.round(12)
    (array([10.,  1.]), array([7., 5.]))
    """
    dy = as_real(dy, "dy")
    input, kernel = as_real(input, "input"), as_real(kernel, "kernel")
    inside, axes = kept_places(input, kernel, mode), tuple(range(input.ndim))
    shape = tuple(cut.stop - cut.start for cut in inside)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    sizes = zip(input.shape, kernel.shape, strict=True)
    full = np.zeros([n + k - 1 for n, k in sizes], dy.dtype)
    full[inside] = dy
    lengths = [fast_length(n) for n in full.shape]
    spectrum, found = np.fft.rfftn(full, lengths, axes), []
    for x, other in ((input, kernel), (kernel, input)):
        product = spectrum * np.fft.rfftn(other, lengths, axes).conj()
        back = np.fft.irfftn(product, lengths, axes)
        found.append(back[tuple(slice(n) for n in x.shape)])
    return tuple(found)


def fft_conv2d(input, weight, bias=None, padding=0):
    r"""`conv2d` with stride 1 through the Fourier transform: batches and channels.

    .. math:: Y_f=\mathcal F^{-1}\Bigl(\sum_c\mathcal FX_c\odot
              \overline{\mathcal FK_{f,c}}\Bigr)

    The conjugate stands for cross-correlation. Each transform is used many times: that
    of an image by all kernels, that of a kernel by all images.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
    bias : array_like (F,), optional
    padding : int or (int, int), or {"same", "valid"}
        The zeros of the mode "full" are (kH − 1, kW − 1).

    Returns
    -------
    ndarray (N, F, OH, OW)

    Source: Mathieu, Henaff and LeCun (2014), section 2.

    >>> fft_conv2d(np.eye(3)[None, None], np.eye(2)[None, None])[0, 0].round(12) + 0.0
    array([[2., 0.],
           [0., 2.]])
    """
    input = as_real(input, "input", ndim=4, empty=True)
    weight = as_real(weight, "weight")
    _, _, around, places = conv_plan(input, weight, bias, 1, padding)
    x = np.pad(input, [(0, 0), (0, 0), *around])
    y = correlate_by_fft(x, weight)[..., : places[0], : places[1]]
    return y if bias is None else y + np.asarray(bias)[:, None, None]


def correlate_by_fft(x, weight, lengths=None):
    """Circular correlation of each of N images with each of F kernels.

    If the spectra would take more than `COLUMN_BYTES`, the task is cut in two: half of
    the images, of the kernels, or of the channels.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
    weight : ndarray (F, C, kH, kW)
    lengths : (int, int), optional
        The period, at least (H, W).

    Returns
    -------
    ndarray (N, F, *lengths)
        Below H − kH + 1 and W − kW + 1 nothing has come round from the other end.

    >>> y = correlate_by_fft(np.eye(3)[None, None], np.eye(2)[None, None])[0, 0]
    >>> abs(y).round(12)
    array([[2., 0., 0.],
           [0., 2., 0.],
           [0., 0., 2.]])
    """
    x = as_real(x, "x", ndim=4, empty=True)
    weight = as_real(weight, "weight", ndim=4, empty=True)
    (n, c), f = x.shape[:2], len(weight)
    channels = c == weight.shape[1]
    require(channels, f"x has {c} channels but weight expects {weight.shape[1]}")
    fast = tuple(fast_length(size) for size in x.shape[2:])
    lengths = as_sizes(fast if lengths is None else lengths, "lengths")
    least = np.maximum(x.shape, weight.shape)[2:]
    require(all(lengths >= least), f"lengths {lengths} must be {least} or more")
    if (n * c + f * c + n * f) * np.prod(lengths) * x.itemsize > COLUMN_BYTES:
        if n == max(n, f, c) > 1:
            parts = np.array_split(x, 2)
            return np.concatenate([correlate_by_fft(p, weight, lengths) for p in parts])
        if f == max(f, c) > 1:
            parts = np.array_split(weight, 2)
            return np.concatenate([correlate_by_fft(x, p, lengths) for p in parts], 1)
        if c > 1:
            halves = np.array_split(x, 2, 1), np.array_split(weight, 2, 1)
            first, second = zip(*halves, strict=True)
            y = correlate_by_fft(*first, lengths)
            y += correlate_by_fft(*second, lengths)
            return y
    spectra = [np.fft.rfft2(a, lengths).transpose(2, 3, 0, 1) for a in (x, weight)]
    product = spectra[0] @ spectra[1].conj().swapaxes(2, 3)  # (N, F) at each frequency
    return np.fft.irfft2(product.transpose(2, 3, 0, 1), lengths)


def fft_conv2d_backward(dy, input, weight, bias=None, padding=0):
    """Gradients of `fft_conv2d`; those of input and weight are convolutions as well.

    Parameters
    ----------
    dy : array_like (N, F, OH, OW)
    input, weight, bias, padding
        As given to `fft_conv2d`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight : ndarray (F, C, kH, kW)
    dbias : ndarray (F,), or None where there is no bias
    """
    dy = as_real(dy, "dy", empty=True)
    input = as_real(input, "input", ndim=4, empty=True)
    weight = as_real(weight, "weight")
    _, _, around, places = conv_plan(input, weight, bias, 1, padding)
    shape = len(input), len(weight), *places
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    (top, _), (left, _), (height, width) = *around, input.shape[2:]
    kh, kw = weight.shape[2:]
    wide = np.pad(dy, [(0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)])
    flipped = weight[:, :, ::-1, ::-1].swapaxes(0, 1)  # (C, F, kH, kW)
    dx = correlate_by_fft(wide, flipped)[..., top : top + height, left : left + width]
    x = np.pad(input, [(0, 0), (0, 0), *around]).swapaxes(0, 1)
    dweight = correlate_by_fft(x, dy.swapaxes(0, 1))[..., :kh, :kw].swapaxes(0, 1)
    return dx, dweight, None if bias is None else dy.sum(axis=(0, 2, 3))


# ---- separable kernels ---------------------------------------------------------------


def separable_factors(kernel, rank=1):
    r"""The nearest sum of products of a column and a row, :math:`\sum_r u_rv_r^T`.

    Parameters
    ----------
    kernel : array_like (kH, kW)
    rank : int
        How many products, at most min(kH, kW).

    Returns
    -------
    columns : ndarray (rank, kH)
    rows : ndarray (rank, kW)
        Singular vectors times the root of their singular value. No other sum of as
        many products is closer, by the squared differences (Eckart and Young, 1936).

    >>> u, v = separable_factors(np.outer([1.0, 2.0, 1.0], [1.0, 0.0, -1.0]))
    >>> (u.T @ v).round(12) + 0.0
    array([[ 1.,  0., -1.],
           [ 2.,  0., -2.],
           [ 1.,  0., -1.]])
    """
    kernel = as_float(kernel, "kernel", ndim=2)
    check_positive(rank, "rank", integer=True)
    check_finite(kernel, "kernel")
    most = min(kernel.shape)
    require(rank <= most, f"rank must be at most {most} for a kernel {kernel.shape}")
    u, s, vt = np.linalg.svd(kernel, full_matrices=False)
    root = np.sqrt(s[:rank])
    return u[:, :rank].T * root[:, None], vt[:rank] * root[:, None]


def separable_rank(kernel, tol=None):
    """How many products of a column and a row a kernel takes; 1 if it is separable.

    Parameters
    ----------
    kernel : array_like (kH, kW)
    tol : float, optional
        Singular values count if they are larger than this share of the largest one;
        by default the longer side times the precision of the kernel.

    Returns
    -------
    int

    >>> separable_rank(np.outer([1.0, 2.0], [3.0, 4.0, 5.0])), separable_rank(np.eye(3))
    (1, 3)
    """
    kernel = as_float(kernel, "kernel", ndim=2)
    if tol is None:
        tol = max(kernel.shape) * float(np.finfo(kernel.dtype).eps)
    check_number(tol, "tol", 0)
    check_finite(kernel, "kernel")
    s = np.linalg.svd(kernel, compute_uv=False)
    return int((s > tol * s[0]).sum())


def separable_multiplies(kernel_size, rank=1):
    """Multiplications for one output place, by the whole kernel and in two passes.

    Parameters
    ----------
    kernel_size : int or tuple of int
        One entry for each axis, of shape (axes,).
    rank : int

    Returns
    -------
    dict
        "direct", the product of the sizes, and "separable", rank times their sum.

    >>> separable_multiplies(7)
    {'direct': 49, 'separable': 14}
    """
    several = isinstance(kernel_size, (tuple, list))
    ndim = max(1, len(kernel_size)) if several else 2
    sizes = as_sizes(kernel_size, "kernel_size", ndim)
    check_positive(rank, "rank", integer=True)
    return {"direct": int(np.prod(sizes)), "separable": rank * sum(sizes)}


def separable_conv2d(input, columns, rows):
    r"""Cross-correlation with :math:`\sum_ru_rv_r^T`, in two one-dimensional passes.

    Parameters
    ----------
    input : array_like (..., H, W)
    columns : array_like (rank, kH)
    rows : array_like (rank, kW)

    Returns
    -------
    ndarray (..., H − kH + 1, W − kW + 1)

    >>> separable_conv2d(np.eye(3), [[1.0, 1.0]], [[1.0, 10.0]])
    array([[11.,  1.],
           [10., 11.]])
    """
    input, columns, rows, places = separable_plan(input, columns, rows)
    y = np.zeros((*input.shape[:-2], *places), np.result_type(input, columns, rows))
    for u, v in zip(columns, rows, strict=True):
        across = _slide(input, v, -1)  # (..., H, OW)
        y += _slide(across, u, -2)
    return y


def separable_plan(input, columns, rows):
    """The arrays (..., H, W), (rank, kH) and (rank, kW), and the places (OH, OW).

    >>> separable_plan(np.eye(3), [[1.0, 1.0]], [[1.0, 10.0]])[3]
    (2, 2)
    """
    input = as_float(input, "input", empty=True)
    columns, rows = as_float(columns, "columns", ndim=2), as_float(rows, "rows", ndim=2)
    shapes = f"(input {input.shape}, columns {columns.shape}, rows {rows.shape})"
    require(input.ndim >= 2, f"input must have 2 dimensions or more {shapes}")
    same = len(columns) == len(rows)
    require(
        same, f"there must be as many columns as rows {shapes}; are they (rank, k)?"
    )
    kernel = columns.shape[1], rows.shape[1]
    places = tuple(n - k + 1 for n, k in zip(input.shape[-2:], kernel, strict=True))
    require(min(places) > 0, f"the kernel is larger than the input {shapes}; pad it")
    return input, columns, rows, places


def _slide(x, taps_, axis):
    """A one-dimensional pass along an axis: the sum of shifted views of (..., H, W)."""
    x, y = np.moveaxis(x, axis, -1), 0
    count = x.shape[-1] - len(taps_) + 1
    for i, tap in enumerate(taps_):
        y = y + tap * x[..., i : i + count]
    return np.moveaxis(y, -1, axis)


def separable_conv2d_backward(dy, input, columns, rows):
    """Gradients of `separable_conv2d`.

    Parameters
    ----------
    dy : array_like (..., H − kH + 1, W − kW + 1)
    input, columns, rows
        As given to `separable_conv2d`.

    Returns
    -------
    dinput : ndarray (..., H, W)
    dcolumns : ndarray (rank, kH)
    drows : ndarray (rank, kW)
    """
    input, columns, rows, places = separable_plan(input, columns, rows)
    dy, shape = as_float(dy, "dy", empty=True), (*input.shape[:-2], *places)
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    dinput, dcolumns, drows = (
        np.zeros_like(x, dtype=dy.dtype) for x in (input, columns, rows)
    )
    oh, ow = places
    for r, (u, v) in enumerate(zip(columns, rows, strict=True)):
        across = _slide(input, v, -1)
        dacross = np.zeros_like(across)
        for i, tap in enumerate(u):
            dcolumns[r, i] = (dy * across[..., i : i + oh, :]).sum()
            dacross[..., i : i + oh, :] += tap * dy
        for j, tap in enumerate(v):
            drows[r, j] = (dacross * input[..., j : j + ow]).sum()
            dinput[..., j : j + ow] += tap * dacross
    return dinput, dcolumns, drows
