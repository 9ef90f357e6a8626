r"""Noise and augmentation in NumPy.

Images are (N, H, W) or (N, C, H, W), a pixel is a small square. Coordinates are those
of torch: x to the right, y downwards, from −1 to 1 across an image. Images are moved
with ``align_corners=False``, where −1 and 1 are the edges of the outermost pixels; with
True they are the centres of these pixels. Beyond an image everything is 0, or what
`padding_mode` says.
"""

import math

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_labels,
    as_share,
    check_between,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_reduction,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401 (Tensor's +)
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw
from dlbook_lib.feedforward.autodiff.modules import Module
from dlbook_lib.feedforward.output_units.scratch import log_softmax, softmax


def add_noise(input, std=0.1, *, rng):
    r"""Independent Gaussian noise on every number, :math:`\mathbf x+\sigma\epsilon`.

    Parameters
    ----------
    input : array_like (...) or Tensor (...)
    std : float
        Standard deviation, in units of `input`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (...), or Tensor (...) whose gradient passes through unchanged

    Source: Goodfellow, Bengio and Courville (2016), section 7.4.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> add_noise(np.zeros(3), 0.1, rng=numpy_generator(0)).round(2)
    array([ 0.01, -0.01,  0.06])
    """
    check_positive(std, "std", zero=True)
    check_rng(rng)
    if not isinstance(input, Tensor):
        input = as_float(input, "input", empty=True)
    noise = float(std) * rng.standard_normal(input.shape)
    return input + noise.astype(raw(input).real.dtype)


class GaussianNoise(Module):
    """`add_noise` as a layer: noise after `train()`, none after `eval()`.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> GaussianNoise(0.1, rng=numpy_generator(0)).eval()(np.zeros(3))
    array([0., 0., 0.])
    """

    def __init__(self, std=0.1, *, rng):
        check_positive(std, "std", zero=True)
        self.std, self.rng = std, rng

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return add_noise(input, self.std, rng=self.rng) if self.training else input

    def extra_repr(self):
        """The standard deviation."""
        return f"std={self.std}"


def noisy_weights(parameters, variance=0.01, *, rng):
    r"""A copy of parameters with noise :math:`\mathcal N(0,\eta I)`, for one step.

    Parameters
    ----------
    parameters : list of ndarray (...)
        They are not changed: take the gradient at the copy and the step here.
    variance : float
        :math:`\eta`, in squared units of the parameters.
    rng : numpy.random.Generator

    Returns
    -------
    list of ndarray (...)

    Source: Goodfellow, Bengio and Courville (2016), section 7.5.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> noisy_weights([np.zeros(2)], 0.01, rng=numpy_generator(0))[0].round(2)
    array([ 0.01, -0.01])
    """
    check_positive(variance, "variance", zero=True)
    parameters = as_floats(parameters, "parameters")
    return [add_noise(p, variance**0.5, rng=rng) for p in parameters]


def flip_labels(target, classes, epsilon=0.1, *, rng):
    r"""Labels of which a share :math:`\epsilon` is replaced by another class.

    Parameters
    ----------
    target : array_like of int (...)
    classes : int
    epsilon : float
        Probability of a wrong label; every wrong class is as likely.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int (...)

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> flip_labels([0, 0, 0, 0], 3, 0.5, rng=numpy_generator(0))
    array([0, 2, 2, 2])
    """
    check_positive(classes, "classes", integer=True)
    target = as_labels(target, "target", classes=classes, empty=True)
    check_number(epsilon, "epsilon", 0, 1)
    require(
        classes > 1, f"classes must be 2 or more, not {classes}; nothing to flip to"
    )
    check_rng(rng)
    wrong = rng.random(target.shape) < epsilon
    other = (target + rng.integers(1, classes, size=target.shape)) % classes
    return np.where(wrong, other, target)


def smooth_labels(target, classes, epsilon=0.1, *, dtype=float):
    r"""Targets :math:`1-\epsilon` for the label, :math:`\frac\epsilon{k-1}` for others.

    Parameters
    ----------
    target : array_like of int (...)
    classes : int
        k.
    epsilon : float
        What the label gives away.
    dtype : dtype
        Precision of the result: that of the scores it is compared with.

    Returns
    -------
    ndarray (..., k)

    Where conventions differ: torch's ``label_smoothing`` spreads over all k classes,
    the label among them; `torch_smoothing` translates.

    Source: Szegedy et al. (2016), section 7, over all classes as in torch;
    Goodfellow, Bengio and Courville (2016), section 7.5.1, as here.

    >>> smooth_labels([0, 2], 3, 0.2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.1, 0.8]])
    """
    check_positive(classes, "classes", integer=True)
    target = as_labels(target, "target", classes=classes, empty=True)
    check_number(epsilon, "epsilon", 0, 1)
    require(
        classes > 1, f"classes must be 2 or more, not {classes}; none to share with"
    )
    is_float = np.issubdtype(dtype, np.inexact)
    require(is_float, f"dtype must be floating, not {dtype}; try float", TypeError)
    table = np.full((classes, classes), epsilon / (classes - 1), dtype)
    np.fill_diagonal(table, 1 - epsilon)
    return table[target]


def torch_smoothing(epsilon, classes):
    r"""What torch calls ``label_smoothing`` for these targets, of shape ().

    Torch's targets are :math:`1-s+\frac sk` and :math:`\frac sk`, so
    :math:`s=\epsilon\frac k{k-1}`. It is at most 1, for an epsilon of
    :math:`\frac{k-1}k`: more than an even share torch does not give away.

    >>> round(torch_smoothing(0.09, 10), 12)
    0.1
    """
    check_positive(classes, "classes", integer=True)
    require(
        classes > 1, f"classes must be 2 or more, not {classes}; none to share with"
    )
    check_number(epsilon, "epsilon", 0, (classes - 1) / classes)
    return epsilon * classes / (classes - 1)


def label_noise_nll(input, target, epsilon=0.1, reduction="mean"):
    r"""Negative log-likelihood if labels are wrong with probability :math:`\epsilon`.

    With :math:`p=\mathrm{softmax}(\mathbf z)_y` it is :math:`-\log q` in nats for
    :math:`q=(1-\epsilon)p+\frac\epsilon{k-1}(1-p)`.

    Parameters
    ----------
    input : array_like (N, k)
        Scores of the true classes.
    target : array_like of int (N,)
        Labels as they were observed.
    epsilon : float
        Below :math:`(k-1)/k`, where labels would tell nothing.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    ndarray () or (N,)

    Source: Goodfellow, Bengio and Courville (2016), section 7.5.1.

    >>> label_noise_nll([[100.0, 0.0]], [1], 0.1).round(4)
    np.float64(2.3026)
    """
    input = as_float(input, "input", ndim=2, empty=True)
    classes = input.shape[1]
    target = as_labels(target, "target", classes=classes, empty=True)
    check_same_shape(target=target, rows_of_input=input[:, 0])
    check_number(epsilon, "epsilon", 0)
    known = epsilon * classes < classes - 1
    require(known, f"epsilon must be below (k - 1) / k, not {epsilon!r}")
    log_p = np.take_along_axis(log_softmax(input, 1), target[:, None], 1)[:, 0]
    other = epsilon / (classes - 1)
    wrong = math.log(other) if other else -np.inf
    with np.errstate(under="ignore"):
        loss = -np.logaddexp(math.log1p(-epsilon - other) + log_p, wrong)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def label_noise_nll_backward(dy, input, target, epsilon=0.1, reduction="mean"):
    r"""Gradient of `label_noise_nll` with respect to `input` (N, k).

    It is that of cross-entropy, :math:`\mathrm{softmax}(\mathbf z)-\mathbf e_y`, times
    the probability :math:`1-\frac\epsilon{(k-1)q}` that the label can be trusted.

    >>> label_noise_nll_backward(1.0, [[0.0, 0.0]], [1], 0.1)
    array([[ 0.4, -0.4]])
    """
    loss = label_noise_nll(input, target, epsilon, "none")
    input, target = np.asarray(input), np.asarray(target)
    share = as_share(dy, loss, reduction)
    other = epsilon / (input.shape[1] - 1)
    with np.errstate(under="ignore"):
        trust = -np.expm1(loss + (math.log(other) if other else -np.inf))
    away = softmax(input, 1)
    away[np.arange(len(target)), target] -= 1
    return (share * trust)[:, None] * away


def affine_grid(theta, size, align_corners=None):
    r"""Where each output pixel looks: :math:`\theta\,(x,y,1)^{\mathsf T}`.

    Parameters
    ----------
    theta : array_like (N, 2, 3)
        From coordinates in the output to coordinates in the input.
    size : tuple of int
        (N, C, H, W) of the output; torch has volumes (N, C, D, H, W) too.
    align_corners : bool, optional
        Whether ±1 are centres of pixels, or edges. None is False, as in torch.

    Returns
    -------
    ndarray (N, H, W, 2)

    Source: Jaderberg et al. (2015), section 3.2.

    >>> affine_grid([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]], (1, 1, 1, 2))
    array([[[[0., 0.],
             [1., 0.]]]])
    """
    theta = as_float(theta, "theta", empty=True)
    is_size = len(size) == 4 if isinstance(size, tuple) else False
    require(is_size, f"size must be a tuple (N, C, H, W), not {size!r}")
    require(
        theta.shape == (size[0], 2, 3),
        f"theta has shape {theta.shape} but size {size} needs {(size[0], 2, 3)}; pass "
        "a 2 x 3 matrix for each image",
    )
    return base_grid(*size[2:], align_corners).astype(theta.dtype) @ theta.mT[:, None]


def affine_grid_backward(dy, theta, size, align_corners=None):
    """Gradient of `affine_grid` with respect to `theta` (N, 2, 3); dy (N, H, W, 2).

    >>> affine_grid_backward(np.ones((1, 1, 2, 2)), np.ones((1, 2, 3)), (1, 1, 1, 2))
    array([[[0., 0., 2.],
            [0., 0., 2.]]])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, grid=affine_grid(theta, size, align_corners))
    base = base_grid(*size[2:], align_corners).astype(dy.dtype)
    return np.einsum("nhwi,hwj->nij", dy, base)


def base_grid(height, width, align_corners=None):
    """Coordinates (x, y, 1) of the pixels' centres, (H, W, 3).

    >>> base_grid(1, 2)[..., 0], base_grid(1, 2, align_corners=True)[..., 0]
    (array([[-0.5,  0.5]]), array([[-1.,  1.]]))
    """
    check_positive(height, "height", integer=True)
    check_positive(width, "width", integer=True)
    y, x = (
        (2 * np.arange(n) + 1 - n) / max(n - 1 if align_corners else n, 1)
        for n in (height, width)
    )
    x, y = np.meshgrid(x, y)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def pixel_position(x, size, padding_mode="zeros", align_corners=None):
    """Which pixel, counted from 0, a coordinate falls on, and its slope.

    Parameters
    ----------
    x : array_like (...)
        From −1 to 1 within the image.
    size : int
        The number of pixels.
    padding_mode : {"zeros", "border", "reflection"}
        Beyond the image: 0, the outermost pixel, or a mirror (at the edge of this
        pixel, or at its centre with `align_corners`).
    align_corners : bool, optional

    Returns
    -------
    position, slope : ndarray (...)

    >>> pixel_position([-0.5, 0.0, 1.5], 2, "reflection")[0]
    array([0. , 0.5, 1. ])
    """
    x = as_float(x, "x", empty=True)
    check_finite(x, "x")
    check_positive(size, "size", integer=True)
    check_in(padding_mode, "padding_mode", ("zeros", "border", "reflection"))
    low, span = (0, size - 1) if align_corners else (-0.5, size)
    x, slope = low + (x + 1) * (span / 2), np.full_like(x, span / 2)
    if padding_mode == "zeros":
        return np.clip(x, -2, size + 1), slope  # further out is no different
    if padding_mode == "reflection" and span:
        turns, rest = np.divmod(abs(x - low), span)
        slope *= np.where(x < low, -1, 1) * np.where(turns % 2, -1, 1)
        x = low + np.where(turns % 2, span - rest, rest)
    slope *= (x > 0) & (x < size - 1)
    return np.clip(x, 0, size - 1), slope


def neighbours(position, size):
    """The two pixels next to a position, as (index, weight, slope of the weight).

    Parameters
    ----------
    position : ndarray (...)
    size : int

    Returns
    -------
    list of two tuples of ndarray (...)
        A pixel beyond the image has weight 0.

    >>> [(int(i), float(w)) for i, w, _ in neighbours(np.array(1.25), 2)]
    [(1, 0.75), (1, 0.0)]
    """
    position = as_float(position, "position", empty=True)
    check_finite(position, "position")
    check_positive(size, "size", integer=True)
    first = np.floor(position)
    part = position - first
    pairs = (first, 1 - part, -1), (first + 1, part, 1)
    found = []
    for index, weight, slope in pairs:
        inside = ((index >= 0) & (index < size)).astype(position.dtype)
        index = np.clip(index, 0, size - 1).astype(int)
        found.append((index, weight * inside, slope * inside))
    return found


def grid_sample(input, grid, padding_mode="zeros", align_corners=None):
    """Bilinear samples of images at given places.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    grid : array_like (N, P, Q, 2)
        Coordinates (x, y) of each sample.
    padding_mode : {"zeros", "border", "reflection"}
    align_corners : bool, optional
        None is False, as in torch.

    Returns
    -------
    ndarray (N, C, P, Q)

    Where conventions differ: torch has a third argument before these, `mode`, and
    volumes too; here it is "bilinear" always, so name `padding_mode` when you pass it.

    Source: Jaderberg et al. (2015), section 3.3.

    >>> grid_sample([[[[1.0, 3.0]]]], [[[[0.0, 0.0], [1.0, 0.0]]]])
    array([[[[2. , 1.5]]]])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    grid = as_float(grid, "grid", ndim=4, empty=True)
    (n, c, h, w), images = input.shape, np.arange(len(input))[:, None, None]
    require(
        grid.shape[0] == n and grid.shape[3] == 2,
        f"grid and input do not fit (grid {grid.shape}, input {input.shape}); pass "
        "(N, P, Q, 2) places for (N, C, H, W) images",
    )
    x, _ = pixel_position(grid[..., 0], w, padding_mode, align_corners)
    y, _ = pixel_position(grid[..., 1], h, padding_mode, align_corners)
    out = np.zeros((*grid.shape[:3], c), input.dtype)  # (N, P, Q, C)
    for i, weight_y, _ in neighbours(y, h):
        for j, weight_x, _ in neighbours(x, w):
            weight = (weight_y * weight_x).astype(input.real.dtype)
            out += weight[..., None] * input[images, :, i, j]
    return np.moveaxis(out, 3, 1)


def grid_sample_backward(dy, input, grid, padding_mode="zeros", align_corners=None):
    """Gradients of `grid_sample` with respect to the images and the places.

    Parameters
    ----------
    dy : array_like (N, C, P, Q)
    input, grid, padding_mode, align_corners
        As given to `grid_sample`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dgrid : ndarray (N, P, Q, 2)

    >>> dy, row = np.ones((1, 1, 1, 1)), [[[[1.0, 3.0]]]]
    >>> grid_sample_backward(dy, row, [[[[0.0, 0.0]]]])
    (array([[[[0.5, 0.5]]]]), array([[[[ 2., -1.]]]]))
    """
    dy = as_float(dy, "dy", empty=True)
    sampled = grid_sample(input, grid, padding_mode, align_corners)
    check_same_shape(dy=dy, output=sampled)
    input, grid, dy = np.asarray(input), np.asarray(grid), np.moveaxis(dy, 1, 3)
    (n, c, h, w), images = input.shape, np.arange(len(input))[:, None, None]
    x, slope_x = pixel_position(grid[..., 0], w, padding_mode, align_corners)
    y, slope_y = pixel_position(grid[..., 1], h, padding_mode, align_corners)
    dinput, dgrid = np.zeros((n, h, w, c), input.dtype), np.zeros_like(grid)
    for i, weight_y, side_y in neighbours(y, h):
        for j, weight_x, side_x in neighbours(x, w):
            pull = (dy * input[images, :, i, j]).sum(axis=-1)  # (N, P, Q)
            dgrid[..., 0] += pull * weight_y * side_x * slope_x
            dgrid[..., 1] += pull * side_y * weight_x * slope_y
            np.add.at(dinput, (images, i, j), (weight_y * weight_x)[..., None] * dy)
    return np.moveaxis(dinput, 3, 1), dgrid


def affine_matrices(input, angle=0.0, factor=1.0, right=0.0, down=0.0):
    r"""The `theta` that turns images, enlarges them, then moves them.

    Parameters
    ----------
    input : array_like (N, H, W) or (N, C, H, W)
        Only its shape matters.
    angle : float or array_like (N,)
        Radians, counter-clockwise as seen, about the centre.
    factor : float or array_like (N,)
        Above 0; 2 doubles lengths.
    right, down : float or array_like (N,)
        Pixels.

    Returns
    -------
    ndarray (N, 2, 3)
        From output to input: the inverse of what happens to the picture.

    >>> affine_matrices(np.zeros((1, 4, 4)), right=1.0)
    array([[[ 1. ,  0. , -0.5],
            [ 0. ,  1. ,  0. ]]])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    given = {"angle": angle, "factor": factor, "right": right, "down": down}
    each = [as_float(v, k, empty=True) for k, v in given.items()]
    for name, value in zip(given, each, strict=True):
        fits = value.shape in ((), input.shape[:1]) and np.isfinite(value).all()
        require(fits, f"{name} must be a number, or one for each image, not {value!r}")
    angle, factor, *move = (np.broadcast_to(v, len(input)) for v in each)
    require((factor > 0).all(), f"factor must be above 0, not {factor.min(initial=1)}")
    half = np.array(input.shape[:-3:-1]) / 2  # W / 2, H / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.moveaxis(turn / factor, -1, 0) * half / half[:, None]  # (N, 2, 2)
    away = back @ (np.stack(move, axis=1) / half)[..., None]
    return np.concatenate([back, -away], axis=2).astype(input.dtype) + 0.0


def warp(input, theta, padding_mode="zeros"):
    """Images (N, H, W) or (N, C, H, W), resampled as `theta` (N, 2, 3) says.

    >>> warp([[[1.0, 3.0]]], [[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    array([[[3., 1.]]])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    images = input if input.ndim == 4 else input[:, None]
    grid = affine_grid(theta, images.shape, align_corners=False)
    out = grid_sample(images, grid, padding_mode, align_corners=False)
    return out.reshape(input.shape)


def shift(input, right=0.0, down=0.0, padding_mode="zeros"):
    """Move images (N, H, W) or (N, C, H, W) by pixels, also fractions of them.

    >>> shift([[[1.0, 2.0, 3.0]]], right=1.0).round(12)
    array([[[0., 1., 2.]]])
    """
    return warp(input, affine_matrices(input, right=right, down=down), padding_mode)


def rotate(input, angle, padding_mode="zeros"):
    """Turn images (N, H, W) or (N, C, H, W) counter-clockwise by `angle` radians.

    >>> rotate([[[1.0, 2.0], [3.0, 4.0]]], np.pi / 2).round(12)
    array([[[2., 4.],
            [1., 3.]]])
    """
    return warp(input, affine_matrices(input, angle=angle), padding_mode)


def scale(input, factor, padding_mode="zeros"):
    """Enlarge images (N, H, W) or (N, C, H, W) by `factor` about their centres.

    >>> scale([[[0.0, 4.0, 0.0]]], 2.0)
    array([[[2., 4., 2.]]])
    """
    return warp(input, affine_matrices(input, factor=factor), padding_mode)


def flip(input, flipped=True):
    """Mirror images (N, H, W) or (N, C, H, W) left to right, all or some, (N,).

    >>> flip([[[1.0, 2.0]], [[3.0, 4.0]]], [True, False]).tolist()
    [[[2.0, 1.0]], [[3.0, 4.0]]]
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    flipped = np.asarray(flipped)
    fits = flipped.dtype == bool and flipped.shape in ((), input.shape[:1])
    require(fits, f"flipped must be True or False, or (N,) of them, not {flipped!r}")
    flipped = flipped.reshape(-1, *(1 for _ in input.shape[1:]))
    return np.where(flipped, input[..., ::-1], input)


def gaussian_blur(input, sigma):
    r"""Smooth images (..., H, W) by a Gaussian of width `sigma` pixels, 0 beyond them.

    Two matrix products, one along each axis; the kernel ends at :math:`4\sigma`.

    >>> gaussian_blur([[0.0, 1.0, 0.0]], 0.5).round(3)
    array([[0.084, 0.619, 0.084]])
    """
    input = as_float(input, "input", empty=True)
    check_positive(sigma, "sigma")
    require(input.ndim > 1, f"input {input.shape} is no image; pass (..., H, W)")
    reach = int(4 * sigma + 0.5)
    total = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).sum()
    away = [
        abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in input.shape[-2:]
    ]
    rows, columns = (
        (np.exp(-(d**2) / (2 * sigma**2)) * (d <= reach) / total).astype(input.dtype)
        for d in away
    )
    return rows @ input @ columns


def elastic_field(size, alpha=8.0, sigma=3.0, *, rng):
    """Random smooth displacements: uniform noise, blurred, times `alpha`.

    Parameters
    ----------
    size : tuple of int
        (N, H, W).
    alpha : float
        Strength: pixels times the noise before smoothing, uniform in ±1.
    sigma : float
        Smoothness in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (N, 2, H, W)
        Pixels to the right and down, from output to input.

    Source: Simard, Steinkraus and Platt (2003), section 2.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> elastic_field((5, 28, 28), rng=numpy_generator(0)).shape
    (5, 2, 28, 28)
    """
    check_positive(alpha, "alpha", zero=True)
    is_size = len(size) == 3 if isinstance(size, tuple) else False
    require(is_size, f"size must be a tuple (N, H, W), not {size!r}")
    for number in size:
        check_positive(number, "each number in size", integer=True, zero=True)
    check_rng(rng)
    n, height, width = size
    noise = rng.uniform(-1, 1, size=(n, 2, height, width))
    return alpha * gaussian_blur(noise, sigma)


def elastic(input, field, padding_mode="zeros"):
    """Images (N, H, W) or (N, C, H, W), each pixel looked up elsewhere.

    Parameters
    ----------
    input : array_like (N, H, W) or (N, C, H, W)
    field : array_like (N, 2, H, W)
        How far to the right and down each output pixel looks, in pixels.
    padding_mode : {"zeros", "border", "reflection"}

    Returns
    -------
    ndarray (N, H, W) or (N, C, H, W)

    Source: Simard, Steinkraus and Platt (2003), section 2.

    >>> right = np.stack([np.ones((1, 1, 3)), np.zeros((1, 1, 3))], axis=1)
    >>> elastic([[[1.0, 2.0, 3.0]]], right).round(12)
    array([[[2., 3., 0.]]])
    """
    input = as_float(input, "input", ndim=(3, 4), empty=True)
    field = as_float(field, "field", ndim=4, empty=True)
    n, (h, w) = len(input), input.shape[-2:]
    require(
        field.shape == (n, 2, h, w),
        f"field has shape {field.shape} but images {input.shape} need {(n, 2, h, w)}; "
        "pass steps to the right and down for each pixel",
    )
    step = np.moveaxis(field, 1, 3) * (2 / np.array([w, h]))
    grid = (base_grid(h, w)[..., :2] + step).astype(input.real.dtype)
    images = input if input.ndim == 4 else input[:, None]
    return grid_sample(images, grid, padding_mode, False).reshape(input.shape)


def color_jitter(input, brightness=1.0, contrast=1.0, saturation=1.0):
    r"""Brighten images, then stretch contrast, then saturation, within 0 and 1.

    Each is a mix :math:`fx+(1-f)x_0`, cut off at 0 and 1: with black for brightness,
    the image's mean grey for contrast, each pixel's own grey for saturation.

    Parameters
    ----------
    input : array_like (N, 3, H, W)
        Red, green and blue, between 0 and 1. Grey is 0.299 R + 0.587 G + 0.114 B.
    brightness, contrast, saturation : float or array_like (N,)
        The factor f; 1.0 changes nothing, 0.0 leaves x₀ alone.

    Returns
    -------
    ndarray (N, 3, H, W)

    >>> color_jitter(np.full((1, 3, 1, 1), 0.4), brightness=2.0).ravel()
    array([0.8, 0.8, 0.8])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    require(input.shape[1] == 3, f"input {input.shape} is not (N, 3, H, W), in colour")
    check_between(input, "input", 0, 1)
    luma = np.array([0.299, 0.587, 0.114], input.dtype)[:, None, None]
    black = lambda x: np.zeros_like(x)  # noqa: E731
    grey = lambda x: (luma * x).sum(axis=1, keepdims=True)  # noqa: E731
    mean = lambda x: grey(x).mean(axis=(1, 2, 3), keepdims=True)  # noqa: E731
    for factor, other in ((brightness, black), (contrast, mean), (saturation, grey)):
        factor = as_float(factor, "factor", empty=True).astype(input.dtype)
        fits = factor.shape in ((), input.shape[:1]) and (factor >= 0).all()
        require(fits, f"factors must be numbers from 0 on, one or (N,), not {factor!r}")
        factor = factor.reshape(-1, 1, 1, 1)
        input = np.clip(factor * input + (1 - factor) * other(input), 0, 1)
    return input


def mixup(input, target, weight, order):
    r"""Mix each example with another, and their targets likewise.

    :math:`\lambda\mathbf x_i+(1-\lambda)\mathbf x_{\pi(i)}`, the same for targets.

    Parameters
    ----------
    input : array_like (N, ...)
    target : array_like (N, ...)
        Numbers or class probabilities, not labels.
    weight : float or array_like (N,)
        :math:`\lambda`, between 0 and 1; in the paper drawn from a Beta(α, α).
    order : array_like of int (N,)
        :math:`\pi`, as from ``rng.permutation(N)``.

    Returns
    -------
    input : ndarray (N, ...)
    target : ndarray (N, ...)

    Source: Zhang et al. (2018).

    >>> mixup([[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], 0.75, [1, 0])[0]
    array([[0.25],
           [0.75]])
    """
    input, target = (as_float(a, k) for a, k in ((input, "input"), (target, "target")))
    require(
        input.ndim and target.ndim,
        f"input {input.shape} and target {target.shape} are no examples; pass (N, ...)",
    )
    order = as_labels(order, "order", classes=len(input))
    weight = as_float(weight, "weight")
    check_between(weight, "weight", 0, 1)
    require(
        len(input) == len(target)
        and order.shape == input.shape[:1]
        and weight.shape in ((), order.shape),
        f"lengths differ (input {input.shape}, target {target.shape}, weight "
        f"{weight.shape}, order {order.shape}); pass one of each for each example",
    )
    mixed = []
    for x in (input, target):
        share = weight.astype(x.dtype).reshape(-1, *(1 for _ in x.shape[1:]))
        mixed.append(share * x + (1 - share) * x[order])
    return tuple(mixed)
