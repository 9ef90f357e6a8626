"""Convolution in PyTorch: torch's own, and the other forms from its building blocks.

Torch's `conv2d` chooses among several kernels of its own, blocked for the cache like
`conv2d_by_rows`; the forms below give the same numbers.
"""

from itertools import product

import torch
from torch.nn.functional import conv1d, conv2d, conv3d, unfold

__all__ = [
    "as_sizes",
    "batch_last",
    "conv1d",
    "conv2d",
    "conv2d_by_rows",
    "conv2d_im2col",
    "conv2d_loops",
    "conv2d_toeplitz",
    "conv3d",
    "conv_nd",
    "conv_shape",
    "convolve",
    "edge_counts",
    "edge_detector",
    "im2col",
    "taps",
    "toeplitz_matrix",
]


def as_sizes(value, name, ndim=2, low=1):
    """As in scratch: a tuple of shape (ndim,); nothing is checked."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * ndim


def taps(kernel_size, output_size, stride=1, dilation=1):
    """As in scratch: pairs of a tap and an index into (..., H, W)."""
    ndim = len(kernel_size)
    stride, dilation = as_sizes(stride, "", ndim), as_sizes(dilation, "", ndim)
    found = []
    for tap in product(*map(range, kernel_size)):
        each = zip(tap, output_size, stride, dilation, strict=True)
        seen = [slice(m * d, m * d + (n - 1) * s + 1, s) for m, n, s, d in each]
        found.append((tap, (..., *seen)))
    return found


def conv_shape(input, weight, bias=None):
    """As in scratch: (N, F, ...); torch finds out on a device without numbers."""
    return tuple(conv_nd(input.to("meta"), weight.to("meta")).shape)


def conv_nd(input, weight, bias=None):
    """As in scratch: torch's function for the axes of `weight` (F, C, ...)."""
    return (conv1d, conv2d, conv3d)[weight.ndim - 3](input, weight, bias)


def convolve(input, kernel, mode="full"):
    """As in scratch, for one to three axes (...): torch's with the kernel flipped."""
    sizes = list(zip(input.shape, kernel.shape, strict=True))
    flipped = kernel.flip(tuple(range(kernel.ndim)))[None, None]
    around = [k - 1 for _, k in reversed(sizes) for _ in range(2)]
    y = conv_nd(torch.nn.functional.pad(input, around)[None, None], flipped)[0, 0]
    places = {
        "full": [slice(0, n + k - 1) for n, k in sizes],
        "same": [slice((k - 1) // 2, (k - 1) // 2 + n) for n, k in sizes],
        "valid": [slice(k - 1, n) for n, k in sizes],
    }
    return y[tuple(places[mode])]


def conv2d_loops(input, weight, bias=None):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW), window by window."""
    kh, kw = weight.shape[2:]
    n, _, h, w = input.shape
    rows = []
    for i, j in product(range(h - kh + 1), range(w - kw + 1)):
        window = input[:, None, :, i : i + kh, j : j + kw]  # (N, 1, C, kH, kW)
        rows.append((window * weight).sum(dim=(2, 3, 4)))
    y = torch.stack(rows, dim=-1).reshape(n, len(weight), h - kh + 1, w - kw + 1)
    return y if bias is None else y + bias[:, None, None]


def toeplitz_matrix(weight, size):
    """As in scratch: (F · places, C · H · W), whose columns answer single pixels."""
    pixels = weight.shape[1] * size[0] * size[1]
    single = torch.eye(pixels).to(weight).reshape(pixels, -1, *size)
    return conv2d(single, weight).reshape(pixels, -1).T


def conv2d_toeplitz(input, weight, bias=None):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW) through one matrix."""
    y = input.flatten(1) @ toeplitz_matrix(weight, tuple(input.shape[2:])).T
    y = y.reshape(conv_shape(input, weight))
    return y if bias is None else y + bias[:, None, None]


def im2col(input, kernel_size):
    """As in scratch: (N, C, H, W) to (N, C · kH · kW, places), torch's `unfold`."""
    return unfold(input, kernel_size)


def conv2d_im2col(input, weight, bias=None):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW), one image at a time."""
    each = [weight.flatten(1) @ im2col(x[None], weight.shape[2:]) for x in input]
    y = torch.cat(each).reshape(conv_shape(input, weight))
    return y if bias is None else y + bias[:, None, None]


def batch_last(x):
    """As in scratch: (N, ...) to (..., N)."""
    return x.movedim(0, -1).contiguous()


def conv2d_by_rows(input, weight, bias=None):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW), batch-last inside."""
    x, (kh, kw) = batch_last(input), weight.shape[2:]
    rows = []
    for h in range(x.shape[1] - kh + 1):
        windows = x[:, h : h + kh].unfold(2, kw, 1)  # (C, kH, OW, N, kW)
        columns = windows.permute(0, 1, 4, 2, 3).flatten(0, 2)
        rows.append(torch.einsum("fc,cwn->nfw", weight.flatten(1), columns))
    y = torch.stack(rows, dim=2)
    return y if bias is None else y + bias[:, None, None]


def edge_detector(image):
    """As in scratch: (..., H, W) to (..., H, W − 1)."""
    return image.diff(dim=-1)


def edge_counts(height, width):
    """As in scratch, for an image of shape (height, width)."""
    inputs, outputs = height * width, height * (width - 1)
    return {
        "convolution": 3 * outputs,
        "dense": inputs * outputs,
        "dense operations": 2 * inputs * outputs,
        "sparse": 2 * outputs,
        "subtraction": outputs,
    }
