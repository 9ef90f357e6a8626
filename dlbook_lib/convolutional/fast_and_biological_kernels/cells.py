r"""Kernels that brains have, in NumPy: simple and complex cells, Gabor functions.

A simple cell is a linear filter, well described by a Gabor function; a complex cell
adds the squares of two. Coordinates x and y are in pixels, (H, W).
"""

import math

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import as_sizes


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
        require(math.isfinite(value), f"{name} must be finite, not {value}")
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
    check_finite(kernel, "kernel")
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
    check_finite(kernel, "kernel")
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
