r"""Kernels that are applied fast, and kernels that brains have, in NumPy.

Fourier and separable convolution give the numbers of the direct one with fewer
products; `winograd` has a third way. Simple cells are linear filters, well described
by Gabor functions; complex cells add their squares. `features` has kernels that are
not trained.
"""

import math

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
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
    if lengths is None:
        lengths = [fast_length(size) for size in x.shape[2:]]
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


# ---- simple and complex cells --------------------------------------------------------


def grid(size):
    """Coordinates x, to the right, and y, downwards, of pixels around the middle, 0.

    Parameters
    ----------
    size : int or (int, int)
        Height and width, in pixels.

    Returns
    -------
    x, y : ndarray (H, W)
        In pixels.

    >>> x, y = grid((2, 3))
    >>> x[0].tolist(), y[:, 0].tolist()
    ([-1.0, 0.0, 1.0], [-0.5, 0.5])
    """
    height, width = as_sizes(size, "size")
    across, down = (np.arange(n) - (n - 1) / 2 for n in (width, height))
    return tuple(np.meshgrid(across, down))


def gabor(
    x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    r"""A plane wave under a Gaussian: the weights of a simple cell.

    .. math:: w&=\alpha\,e^{-\beta_xx'^2-\beta_yy'^2}\cos(fx'+\phi)\\
              x'&=(x-x_0)\cos\tau+(y-y_0)\sin\tau,\quad
              y'=-(x-x_0)\sin\tau+(y-y_0)\cos\tau

    Parameters
    ----------
    x, y : array_like (...)
        Coordinates, in pixels.
    alpha : float
        Height.
    beta_x, beta_y : float
        How fast it falls, along the wave and across, in 1 / pixels².
    f, phi : float
        Frequency, in radians per pixel, and phase, in radians.
    x0, y0 : float
        The middle, in pixels.
    tau : float
        Direction of the wave, in radians.

    Returns
    -------
    ndarray (...)

    Source: Goodfellow, Bengio and Courville (2016), section 9.10, equations 9.16 to
    9.18.

    >>> x, y = grid(3)
    >>> gabor(x, y, f=np.pi)[1].round(3)
    array([-0.905,  1.   , -0.905])
    """
    x, y = as_float(x, "x", empty=True), as_float(y, "y", empty=True)
    check_same_shape(x=x, y=y)
    alpha, beta_x, beta_y, f, phi, x0, y0, tau = as_numbers(
        alpha=alpha, beta_x=beta_x, beta_y=beta_y, f=f, phi=phi, x0=x0, y0=y0, tau=tau
    )
    along, across = turned(x - x0, y - y0, tau)
    wave = np.cos(f * along + phi)
    return alpha * np.exp(-beta_x * along**2 - beta_y * across**2) * wave


def as_numbers(**values):
    """Python's own floats, which leave float32 as it is, from numbers or arrays ().

    >>> list(as_numbers(f=np.array(0.5), phi=1))
    [0.5, 1.0]
    """
    for name, value in values.items():
        is_array = isinstance(value, np.ndarray) and value.ndim == 0
        value = value.item() if is_array else value
        check_number(value, name)
        yield float(value)


def turned(x, y, tau):
    """Coordinates (...) of the same points on axes turned by `tau` radians.

    >>> [z.round(12).tolist() for z in turned(np.ones(1), np.zeros(1), np.pi / 2)]
    [[0.0], [-1.0]]
    """
    x, y = as_float(x, "x", empty=True), as_float(y, "y", empty=True)
    check_same_shape(x=x, y=y)
    (tau,) = as_numbers(tau=tau)
    c, s = math.cos(tau), math.sin(tau)
    return x * c + y * s, y * c - x * s


def gabor_slopes(
    x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """Derivatives of `gabor` with respect to its ten arguments, place by place.

    Parameters
    ----------
    x, y, alpha, beta_x, beta_y, f, phi, x0, y0, tau
        As given to `gabor`.

    Returns
    -------
    ndarray (10, ...)

    >>> gabor_slopes(np.zeros(5), np.zeros(5)).shape
    (10, 5)
    """
    value = gabor(x, y, alpha, beta_x, beta_y, f, phi, x0, y0, tau)
    alpha, beta_x, beta_y, f, phi, x0, y0, tau = map(
        float, (alpha, beta_x, beta_y, f, phi, x0, y0, tau)
    )
    along, across = turned(np.asarray(x) - x0, np.asarray(y) - y0, tau)
    bump = np.exp(-beta_x * along**2 - beta_y * across**2)
    wave, slope = np.cos(f * along + phi), -np.sin(f * along + phi)
    dalong = alpha * bump * (f * slope - 2 * beta_x * along * wave)
    dacross = -2 * beta_y * across * value
    dphase, dtau = alpha * bump * slope, dalong * across - dacross * along
    dx, dy = turned(dalong, dacross, -tau)
    dbeta = [-(along**2) * value, -(across**2) * value]
    rest = [dphase * along, dphase, -dx, -dy, dtau]
    return np.stack([dx, dy, bump * wave, *dbeta, *rest])


def gabor_backward(
    dw, x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """Gradients of `gabor` for its ten arguments.

    Parameters
    ----------
    dw : array_like (...)
        Of the shape of x and y; what is called dy elsewhere.
    x, y, alpha, beta_x, beta_y, f, phi, x0, y0, tau
        As given to `gabor`.

    Returns
    -------
    tuple of ten
        Arrays (...) for x and y, numbers for the others.

    >>> gabor_backward(1.0, 0.0, 0.0)[2]
    np.float64(1.0)
    """
    slopes = gabor_slopes(x, y, alpha, beta_x, beta_y, f, phi, x0, y0, tau)
    dw = as_float(dw, "dw", empty=True)
    check_same_shape(dw=dw, x=x)
    dx, dy, *rest = dw * slopes
    return dx, dy, *(np.sum(part) for part in rest)


def gabor_start(kernel):
    """A first guess at the Gabor function that a kernel (H, W) resembles.

    Middle and width are those of its squares, frequency and direction are the peak of
    its spectrum, and height and phase then follow.

    Returns
    -------
    ndarray (8,)
        From alpha to tau, in the order of `gabor`.

    >>> x, y = grid(15)
    >>> abs(gabor_start(gabor(x, y, 2.0, 0.05, 0.05, 1.2))).round(1).tolist()
    [2.0, 0.1, 0.1, 1.2, 0.0, 0.0, 0.0, 0.0]
    """
    kernel = as_float(kernel, "kernel", ndim=2)
    (x, y), wide = grid(kernel.shape), [16 * n for n in kernel.shape]
    weight = kernel**2 / max((kernel**2).sum(), np.finfo(kernel.dtype).tiny)
    power = np.abs(np.fft.fft2(kernel - kernel.mean(), wide))[:, : wide[1] // 2]
    down, across = np.unravel_index(power.argmax(), power.shape)
    fx = 2 * np.pi * across / wide[1]
    fy = 2 * np.pi * (down / wide[0] - (2 * down >= wide[0]))
    f, tau = math.hypot(fx, fy), math.atan2(fy, fx)
    x0, y0 = (weight * x).sum(), (weight * y).sum()
    along, far = turned(x - x0, y - y0, tau)
    beta_x, beta_y = (0.25 / max((weight * u**2).sum(), 0.1) for u in (along, far))
    bump = np.exp(-beta_x * along**2 - beta_y * far**2)
    waves = np.stack([bump * np.cos(f * along), -bump * np.sin(f * along)])
    a, b = np.linalg.lstsq(waves.reshape(2, -1).T, kernel.ravel())[0]
    return np.array(
        [math.hypot(a, b), beta_x, beta_y, f, math.atan2(b, a), x0, y0, tau]
    )


def fit_gabor(kernel, start=None, steps=200):
    r"""Fit a Gabor function to a kernel by damped least squares.

    .. math:: \Delta\theta=(JJ^{\mathsf T}+\lambda\operatorname{diag}
              JJ^{\mathsf T})^{-1}Jr

    The damping :math:`\lambda` falls after a step that lowers the squared residual
    :math:`r`, and rises after one that does not and is taken back.

    Parameters
    ----------
    kernel : array_like (H, W)
    start : array_like (8,), optional
        By default `gabor_start`.
    steps : int

    Returns
    -------
    params : ndarray (8,)
        From alpha to tau, in the order of `gabor`.
    share : float
        How much of the squares of the kernel the fit explains: 1 for all.

    Source: Levenberg (1944), Marquardt (1963); Jones and Palmer (1987) fitted cells.

    >>> x, y = grid(11)
    >>> params, share = fit_gabor(gabor(x, y, 0.5, 0.1, 0.2, 1.0, 0.3, 1.0, -1.0, 0.7))
    >>> params.round(6).tolist(), round(share, 6)
    ([0.5, 0.1, 0.2, 1.0, 0.3, 1.0, -1.0, 0.7], 1.0)
    """
    kernel = as_float(kernel, "kernel", ndim=2)
    check_positive(steps, "steps", integer=True)
    params = gabor_start(kernel) if start is None else as_float(start, "start", ndim=1)
    require(params.shape == (8,), f"start must be 8 numbers, not {params.shape}")
    (x, y), damping = grid(kernel.shape), 1e-2
    residual = (kernel - gabor(x, y, *params.tolist())).ravel()
    for _ in range(steps):
        slopes = gabor_slopes(x, y, *params.tolist())[2:].reshape(8, -1)
        squares = slopes @ slopes.T
        damped = squares + damping * np.diag(squares.diagonal() + 1e-12)
        trial = params + np.linalg.solve(damped, slopes @ residual)
        if min(trial[1:3]) >= 0:
            left = (kernel - gabor(x, y, *trial.tolist())).ravel()
            if left @ left < residual @ residual:
                params, residual, damping = trial, left, max(damping / 5, 1e-12)
                continue
        damping *= 4
        if damping > 1e9:  # no step, however small, leads down
            break
    total = max((kernel**2).sum(), np.finfo(kernel.dtype).tiny)
    return params, float(1 - residual @ residual / total)


def grating(size, f=1.0, phi=0.0, tau=0.0):
    r"""A plane wave :math:`\cos(fx'+\phi)`, to be shown to a cell.

    Parameters
    ----------
    size : int or (int, int)
        Height and width, in pixels.
    f, phi, tau : float
        As for `gabor`.

    Returns
    -------
    ndarray (H, W)

    >>> grating((1, 3), np.pi)
    array([[-1.,  1., -1.]])
    """
    f, phi, tau = as_numbers(f=f, phi=phi, tau=tau)
    return np.cos(f * turned(*grid(size), tau)[0] + phi)


def quadrature_pair(
    size, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """Two Gabor functions a quarter of a wave apart, for `complex_cell`.

    Parameters
    ----------
    size : int or (int, int)
    alpha, beta_x, beta_y, f, phi, x0, y0, tau : float
        As for `gabor`; the second has phi + π / 2.

    Returns
    -------
    ndarray (2, H, W)

    >>> quadrature_pair((1, 3), f=np.pi / 2).round(3).tolist()
    [[[0.0, 1.0, 0.0]], [[0.905, 0.0, -0.905]]]
    """
    x, y = grid(size)
    first = gabor(x, y, alpha, beta_x, beta_y, f, phi, x0, y0, tau)
    later = float(phi) + math.pi / 2
    return np.stack([first, gabor(x, y, alpha, beta_x, beta_y, f, later, x0, y0, tau)])


def simple_cell(image, weight):
    r"""A linear filter, :math:`s(I)=\sum_x\sum_yw(x,y)\,I(x,y)`.

    Parameters
    ----------
    image : array_like (..., H, W)
    weight : array_like (H, W)

    Returns
    -------
    ndarray (...)

    >>> simple_cell(np.eye(2), [[1.0, 2.0], [3.0, 4.0]])
    array(5.)
    """
    image, weight = as_float(image, "image", empty=True), as_float(weight, "weight")
    require(
        weight.ndim == 2 and image.shape[-2:] == weight.shape,
        f"image {image.shape} must be (..., H, W) for a weight (H, W), not "
        f"{weight.shape}",
    )
    return np.asarray(np.einsum("...hw,hw->...", image, weight))


def simple_cell_backward(dy, image, weight):
    """Gradients of `simple_cell`: for `dy` (...), image (..., H, W) and weight (H, W).

    >>> simple_cell_backward(2.0, np.eye(2), [[1.0, 2.0], [3.0, 4.0]])[0]
    array([[2., 4.],
           [6., 8.]])
    """
    y, dy = simple_cell(image, weight), as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=y)
    axes = tuple(range(dy.ndim))
    return np.multiply.outer(dy, weight), np.tensordot(dy, image, (axes, axes))


def complex_cell(image, weight0, weight1):
    r"""The energy of two simple cells, :math:`c(I)=\sqrt{s_0(I)^2+s_1(I)^2}`.

    With a `quadrature_pair` it does not change with the phase of a wave.

    Parameters
    ----------
    image : array_like (..., H, W)
    weight0, weight1 : array_like (H, W)

    Returns
    -------
    ndarray (...)

    Source: Adelson and Bergen (1985); Goodfellow, Bengio and Courville (2016),
    equation 9.19.

    >>> complex_cell([[3.0, 4.0]], [[1.0, 0.0]], [[0.0, 1.0]])
    array(5.)
    """
    return np.asarray(
        np.hypot(simple_cell(image, weight0), simple_cell(image, weight1))
    )


def complex_cell_backward(dy, image, weight0, weight1):
    """Gradients of `complex_cell`, for `dy` (...); 0 where it answers 0.

    >>> complex_cell_backward(1.0, [[3.0, 4.0]], [[1.0, 0.0]], [[0.0, 1.0]])[0]
    array([[0.6, 0.8]])
    """
    s0, s1 = simple_cell(image, weight0), simple_cell(image, weight1)
    dy, energy = as_float(dy, "dy", empty=True), np.hypot(s0, s1)
    check_same_shape(dy=dy, output=energy)
    share = dy / np.where(energy == 0, energy.dtype.type(1), energy)
    dimage, dweight0 = simple_cell_backward(share * s0, image, weight0)
    more, dweight1 = simple_cell_backward(share * s1, image, weight1)
    return dimage + more, dweight0, dweight1
