"""Kernels that are not trained, in PyTorch; the twin of `features`.

`rng` is a `torch.Generator`.
"""

import math

import torch
from torch.nn.functional import adaptive_avg_pool2d, conv2d, unfold

from dlbook_lib.convolutional.convolution.pytorch import as_sizes


def random_kernels(out_channels, in_channels, kernel_size, *, rng, dtype=float):
    """As in scratch: (out, in, kH, kW)."""
    shape = out_channels, in_channels, *as_sizes(kernel_size, "")
    w = torch.randn(shape, generator=rng, dtype=torch.float64)
    w = w - w.mean(dim=(1, 2, 3), keepdim=True)
    w = w / (w**2).sum(dim=(1, 2, 3), keepdim=True).sqrt()
    return w.to(dtype)


def conv_features(input, weight, bias=None, pool=2, nonlinearity="relu"):
    """As in scratch: (N, C, H, W) to (N, F · pool · pool)."""
    bend = {"relu": torch.relu, "abs": torch.abs, "square": torch.square}
    y = bend[nonlinearity](conv2d(input, weight, bias))
    return adaptive_avg_pool2d(y, pool).flatten(1)


def linear_readout(features, target, alpha=1.0):
    """As in scratch: (N, D) and (N, K) to (K, D) and (K,), by one larger system."""
    middle, mean = features.mean(dim=0), target.mean(dim=0)
    x, d = features - middle, features.shape[1]
    wide = torch.cat([x, math.sqrt(alpha) * torch.eye(d).to(x)])
    goal = torch.cat([target - mean, x.new_zeros(d, target.shape[1])])
    weight = torch.linalg.lstsq(wide, goal)[0].T
    return weight, mean - weight @ middle


def extract_patches(images, size, count, *, rng):
    """As in scratch: (N, C, H, W) to (count, C · kH · kW)."""
    (kh, kw), (n, _, height, width) = as_sizes(size, ""), images.shape
    windows = images.unfold(2, kh, 1).unfold(3, kw, 1)  # (N, C, OH, OW, kH, kW)
    ends = n, height - kh + 1, width - kw + 1
    which, i, j = (torch.randint(end, (count,), generator=rng) for end in ends)
    return windows[which, :, i, j].flatten(1)


def normalize_patches(patches, eps=10.0):
    """As in scratch: (N, D) to (N, D)."""
    var, mean = torch.var_mean(patches, dim=1, correction=0, keepdim=True)
    return (patches - mean) / (var + eps).sqrt()


def zca_whitening(patches, eps=0.1):
    """As in scratch: (N, D) to (D,) and (D, D)."""
    covariance = patches.T.cov(correction=0).reshape(2 * (patches.shape[1],))
    variance, v = torch.linalg.eigh(covariance)
    return patches.mean(dim=0), (v / (variance.clamp(min=0) + eps).sqrt()) @ v.T


def square_distances(x, centroids):
    """As in scratch: (..., D) and (K, D) to (..., K), from the differences."""
    return ((x[..., None, :] - centroids) ** 2).sum(dim=-1)


def kmeans(patches, centroids, steps=10):
    """As in scratch: (N, D) and (K, D) to (K, D) and (steps,)."""
    centroids, cost = centroids.clone(), []
    for _ in range(steps):
        distance, nearest = square_distances(patches, centroids).min(dim=1)
        cost.append(distance.mean())
        for k in nearest.unique():
            centroids[k] = patches[nearest == k].mean(dim=0)
    return centroids, torch.stack(cost)


def triangle(z):
    """As in scratch: (..., K) to (..., K)."""
    return torch.relu(z.mean(dim=-1, keepdim=True) - z)


def kmeans_features(images, centroids, mean, matrix, size, pool=2, eps=10.0):
    """As in scratch: (N, C, H, W) to (N, K · pool · pool)."""
    kh, kw = as_sizes(size, "")
    found = []
    for image in images:
        patches = unfold(image[None], (kh, kw))[0].T
        white = (normalize_patches(patches, eps) - mean) @ matrix
        code = triangle(square_distances(white, centroids).sqrt())
        places = image.shape[1] - kh + 1, image.shape[2] - kw + 1
        found.append(adaptive_avg_pool2d(code.T.reshape(1, -1, *places), pool))
    return torch.cat(found).flatten(1)
