r"""Kernels that are not trained: random ones, and the centroids of k-means.

Either makes features on which a linear layer is all that learns from labels. Images are
channels-first, (N, C, H, W); patches are rows, (N, C · kH · kW).
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_finite,
    check_in,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import COLUMN_BYTES, as_sizes
from dlbook_lib.convolutional.pooling.scratch import adaptive_avg_pool2d
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_dtype
from dlbook_lib.convolutional.strides_and_gradients.scratch import conv2d, unfold


def random_kernels(out_channels, in_channels, kernel_size, *, rng, dtype=float):
    """Normal numbers, each kernel with mean 0 and length 1: (out, in, kH, kW).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> w = random_kernels(4, 3, 5, rng=numpy_generator(0))
    >>> w.shape, (w**2).sum(axis=(1, 2, 3)).round(12).tolist()
    ((4, 3, 5, 5), [1.0, 1.0, 1.0, 1.0])
    """
    check_positive(out_channels, "out_channels", integer=True)
    check_positive(in_channels, "in_channels", integer=True)
    check_rng(rng)
    check_dtype(dtype)
    kernel = as_sizes(kernel_size, "kernel_size")
    few = in_channels * np.prod(kernel) > 1
    require(few, "a kernel of one number has mean 0 only if it is 0; take a larger one")
    w = rng.normal(size=(out_channels, in_channels, *kernel))
    w -= w.mean(axis=(1, 2, 3), keepdims=True)
    w /= np.sqrt((w**2).sum(axis=(1, 2, 3), keepdims=True))
    return w.astype(dtype)


def conv_features(input, weight, bias=None, pool=2, nonlinearity="relu"):
    """Features for a linear layer: convolve, bend, average over pool x pool regions.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, kH, kW)
        Random, made by hand, or taken from anywhere.
    bias : array_like (F,), optional
    pool : int or (int, int)
        Regions along each axis.
    nonlinearity : {"relu", "abs", "square"}

    Returns
    -------
    ndarray (N, F · pool · pool)

    Source: Jarrett et al. (2009), section 2; Saxe et al. (2011) take the square.

    >>> conv_features(np.eye(4)[None, None], np.ones((1, 1, 1, 1)), pool=2)
    array([[0.5, 0. , 0. , 0.5]])
    """
    check_in(nonlinearity, "nonlinearity", ("relu", "abs", "square"))
    y = conv2d(input, weight, bias)
    require(y.ndim == 4, f"input {np.shape(input)} must be (N, C, H, W)")
    bend = {"relu": lambda x: np.maximum(x, 0), "abs": np.abs, "square": np.square}
    pooled = adaptive_avg_pool2d(bend[nonlinearity](y), pool)
    return pooled.reshape(len(pooled), np.prod(pooled.shape[1:], dtype=int))


def linear_readout(features, target, alpha=1.0):
    r"""A linear layer by least squares with an L2 penalty: the only part that learns.

    .. math:: \min_{W,b}\ \sum_n\lVert Wx_n+b-t_n\rVert^2+\alpha\lVert W\rVert^2

    Parameters
    ----------
    features : array_like (N, D)
    target : array_like (N, K)
        Such as 1 for the class and 0 for the others.
    alpha : float

    Returns
    -------
    weight : ndarray (K, D)
    bias : ndarray (K,)

    >>> weight, bias = linear_readout([[0.0], [1.0]], [[1.0], [3.0]], alpha=0.5)
    >>> weight, bias
    (array([[1.]]), array([1.5]))
    """
    x, t = as_float(features, "features", ndim=2), as_float(target, "target", ndim=2)
    require(
        len(x) == len(t), f"there are {len(x)} rows of features, {len(t)} of target"
    )
    check_positive(alpha, "alpha")
    middle, mean = x.mean(axis=0), t.mean(axis=0)
    x, t, alpha = x - middle, t - mean, float(alpha)
    if x.shape[1] <= len(x):
        weight = np.linalg.solve(
            x.T @ x + alpha * np.eye(x.shape[1], dtype=x.dtype), x.T @ t
        ).T
    else:  # fewer examples than features: the same by a smaller system
        weight = (
            np.linalg.solve(x @ x.T + alpha * np.eye(len(x), dtype=x.dtype), t).T @ x
        )
    return weight, mean - weight @ middle


def extract_patches(images, size, count, *, rng):
    """`count` patches, each from a random place of a random image, as rows.

    Parameters
    ----------
    images : array_like (N, C, H, W)
    size : int or (int, int)
    count : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (count, C · kH · kW)

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> extract_patches(np.ones((2, 3, 8, 8)), 5, 7, rng=numpy_generator(0)).shape
    (7, 75)
    """
    images, (kh, kw) = as_float(images, "images", ndim=4), as_sizes(size, "size")
    check_positive(count, "count", integer=True)
    check_rng(rng)
    n, c, height, width = images.shape
    fits = kh <= height and kw <= width
    require(fits, f"patches {kh} x {kw} do not fit into images {images.shape}")
    windows = np.lib.stride_tricks.sliding_window_view(images, (kh, kw), axis=(2, 3))
    ends = n, height - kh + 1, width - kw + 1
    which, i, j = (rng.integers(end, size=count) for end in ends)
    return windows[which, :, i, j].reshape(count, c * kh * kw)


def normalize_patches(patches, eps=10.0):
    r"""Each patch with mean 0 and nearly variance 1.

    .. math:: (p-\bar p)/\sqrt{\operatorname{var}p+\varepsilon}

    Parameters
    ----------
    patches : array_like (N, D)
    eps : float
        Keeps even patches from becoming noise. 10 is for pixels from 0 to 255; divide
        it by 255² for pixels from 0 to 1.

    Returns
    -------
    ndarray (N, D)

    Source: Coates, Ng and Lee (2011), section 3.2.

    >>> normalize_patches([[1.0, 3.0], [5.0, 5.0]], eps=0.0625).round(3)
    array([[-0.97,  0.97],
           [ 0.  ,  0.  ]])
    """
    patches = as_float(patches, "patches", ndim=2, empty=True)
    check_positive(eps, "eps")
    p = patches - patches.mean(axis=1, keepdims=True)
    return p / np.sqrt((p**2).mean(axis=1, keepdims=True) + float(eps))


def zca_whitening(patches, eps=0.1):
    r"""The mean and the matrix that make patches uncorrelated and leave them patches.

    .. math:: P=V(\Lambda+\varepsilon I)^{-1/2}V^{\mathsf T}

    where :math:`V\Lambda V^{\mathsf T}` is the covariance (divided by N). Of all
    matrices that whiten, the symmetric one changes the patches least.

    Parameters
    ----------
    patches : array_like (N, D)
    eps : float
        Added to the variances, so that directions of mere noise are not blown up.

    Returns
    -------
    mean : ndarray (D,)
    matrix : ndarray (D, D)
        White patches are ``(patches - mean) @ matrix``.

    Source: Bell and Sejnowski (1997); Coates and Ng (2012), section 2.

    >>> mean, matrix = zca_whitening([[3.0, 0.0], [-3.0, 0.0]], eps=1.0)
    >>> matrix.round(3)
    array([[0.316, 0.   ],
           [0.   , 1.   ]])
    """
    patches = as_float(patches, "patches", ndim=2)
    check_positive(eps, "eps")
    check_finite(patches, "patches")
    mean = patches.mean(axis=0)
    centred = patches - mean
    variance, v = np.linalg.eigh(centred.T @ centred / len(patches))
    scale = 1 / np.sqrt(np.maximum(variance, 0) + float(eps))
    return mean, (v * scale) @ v.T


def square_distances(x, centroids):
    r"""From each point to each centroid, :math:`\lVert x\rVert^2-2x\cdot c+\lVert
    c\rVert^2`.

    Parameters
    ----------
    x : array_like (..., D)
    centroids : array_like (K, D)

    Returns
    -------
    ndarray (..., K)
        Not below 0. The mean of the centroids is taken off first: the squares of
        numbers far from 0 would leave no digits for what lies between them.

    >>> square_distances([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]])
    array([[25.,  1.]])
    """
    x, centroids = as_float(x, "x", empty=True), as_float(centroids, "centroids")
    require(
        x.ndim > 0 and centroids.ndim == 2 and x.shape[-1] == centroids.shape[1],
        f"x {x.shape} must be (..., D) and centroids {centroids.shape} (K, D)",
    )
    middle = centroids.mean(axis=0)
    x, centroids = x - middle, centroids - middle
    d = x @ centroids.T
    d *= -2
    d += (x**2).sum(axis=-1, keepdims=True)
    d += (centroids**2).sum(axis=1)
    return np.maximum(d, 0, out=d)


def kmeans(patches, centroids, steps=10):
    """Lloyd's algorithm: to the nearest centroid, to the mean of what is near, again.

    Parameters
    ----------
    patches : array_like (N, D)
    centroids : array_like (K, D)
        Where to start, such as some of the patches.
    steps : int

    Returns
    -------
    centroids : ndarray (K, D)
        One to which nothing is near stays where it is.
    cost : ndarray (steps,)
        Mean squared distance to the nearest one before each step; it never rises.

    Source: Lloyd (1982); Coates, Ng and Lee (2011) for patches.

    >>> kmeans([[0.0], [1.0], [9.0]], [[0.0], [1.0]], steps=3)
    (array([[0.5],
           [9. ]]), array([21.33333333,  5.66666667,  0.16666667]))
    """
    patches = as_float(patches, "patches", ndim=2)
    centroids = as_float(centroids, "centroids", ndim=2).copy()
    check_positive(steps, "steps", integer=True)
    check_finite(patches, "patches")
    room = max(1, COLUMN_BYTES // (max(centroids.shape) * patches.itemsize))
    cost = np.zeros(steps, patches.dtype)
    for step in range(steps):
        sums, counts = np.zeros_like(centroids), np.zeros(len(centroids), patches.dtype)
        for i in range(0, len(patches), room):  # so many patches at a time
            part = patches[i : i + room]
            distance = square_distances(part, centroids)
            nearest = distance.argmin(axis=1)
            cost[step] += distance[range(len(part)), nearest].sum() / len(patches)
            np.add.at(sums, nearest, part)
            counts += np.bincount(nearest, minlength=len(centroids))
        found = counts > 0
        centroids[found] = sums[found] / counts[found, None]
    return centroids, cost


def triangle(z):
    r"""How much nearer than on average, :math:`\max(0,\bar z-z_k)`, from distances.

    Parameters
    ----------
    z : array_like (..., K)

    Returns
    -------
    ndarray (..., K)
        About half of the numbers are 0.

    Source: Coates, Ng and Lee (2011), section 3.3.

    >>> triangle([1.0, 2.0, 6.0])
    array([2., 1., 0.])
    """
    z = as_float(z, "z", empty=True)
    require(z.ndim > 0 and z.shape[-1] > 0, f"z {z.shape} must be (..., K)")
    return np.maximum(z.mean(axis=-1, keepdims=True) - z, 0)


def triangle_backward(dy, z):
    """Gradient of `triangle`, for `dy` and `z` (..., K).

    >>> triangle_backward([3.0, 0.0, 0.0], [1.0, 2.0, 6.0])
    array([-2.,  1.,  1.])
    """
    dy, y = as_float(dy, "dy", empty=True), triangle(z)
    check_same_shape(dy=dy, z=z)
    through = dy * (y > 0)
    return through.mean(axis=-1, keepdims=True) - through


def kmeans_features(images, centroids, mean, matrix, size, pool=2, eps=10.0):
    """Every patch of an image, normalised, white, as a triangle code; then averaged.

    Parameters
    ----------
    images : array_like (N, C, H, W)
    centroids : array_like (K, D)
        From `kmeans`, with D = C · kH · kW.
    mean, matrix : array_like (D,), (D, D)
        From `zca_whitening`.
    size : int or (int, int)
        Of the patches.
    pool : int or (int, int)
        Regions along each axis to average over; the paper has sums.
    eps : float
        As for `normalize_patches`.

    Returns
    -------
    ndarray (N, K · pool · pool)

    Source: Coates, Ng and Lee (2011), section 3.3.

    >>> images, few = np.ones((2, 1, 6, 6)), np.eye(4)[:3]
    >>> kmeans_features(images, few, np.zeros(4), np.eye(4), 2).shape
    (2, 12)
    """
    images, (kh, kw) = as_float(images, "images", ndim=4), as_sizes(size, "size")
    arrays = as_floats([centroids, mean, matrix], "centroids, mean and matrix")
    centroids, mean, matrix = arrays
    d = images.shape[1] * kh * kw
    shapes = [x.shape for x in arrays]
    fits = centroids.ndim == 2 and shapes == [(len(centroids), d), (d,), (d, d)]
    require(fits, f"for patches of {d} numbers centroids, mean and matrix are {shapes}")
    found = []
    for image in images:
        patches = unfold(image, (kh, kw)).T  # (places, D)
        white = (normalize_patches(patches, eps) - mean) @ matrix
        code = triangle(np.sqrt(square_distances(white, centroids)))
        places = [n - k + 1 for n, k in zip(image.shape[1:], (kh, kw), strict=True)]
        found.append(adaptive_avg_pool2d(code.T.reshape(1, -1, *places), pool).ravel())
    return np.stack(found)
