"""Fast convolutions and model cells, differentiated any number of times, for Tensors.

Each name is that of a function in `scratch`, `winograd` or `features`, on Tensors
instead of arrays: the pair there gives the gradient. What a fast convolution computes
is a convolution, so the direct one gives its gradient's gradient.
"""

import math

from dlbook_lib.convolutional.convolution.second_derivatives import convolve
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    features,
    scratch,
    winograd,
)
from dlbook_lib.convolutional.strides_and_gradients.second_derivatives import (
    conv_of_tensors,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, register


def _conv2d_of_tensors(input, weight, bias=None, padding=0, tile=2):
    """The definition of `fft_conv2d` and both of `winograd`, for (N, C, H, W)."""
    return conv_of_tensors(input, weight, bias, 1, padding)


def _separable_conv2d_of_tensors(input, columns, rows):
    """The definition of `separable_conv2d`: the kernel whole, for (..., H, W)."""
    *lead, height, width = input.shape
    kernel = operations.einsum("rh,rw->hw", columns, rows)
    x = operations.reshape(input, math.prod(lead), 1, height, width)
    y = conv_of_tensors(x, kernel[None, None])
    return operations.reshape(y, *lead, *y.shape[2:])


def _gabor_of_tensors(
    x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """The definition of `gabor`, for coordinates (...)."""
    turn = operations.cos(tau), operations.sin(tau)
    given = alpha, beta_x, beta_y, f, phi, x0, y0, *turn  # those that are data: floats
    each = (n if isinstance(n, Tensor) else float(n) for n in given)
    alpha, beta_x, beta_y, f, phi, x0, y0, cos, sin = each
    x, y = x - x0, y - y0
    along, across = x * cos + y * sin, y * cos - x * sin
    bump = operations.exp(-(beta_x * along**2 + beta_y * across**2))
    return alpha * bump * operations.cos(f * along + phi)


def _simple_cell_of_tensors(image, weight):
    """The definition of `simple_cell`, for (..., H, W) and (H, W)."""
    return operations.sum(image * weight, (-2, -1))


def _complex_cell_of_tensors(image, weight0, weight1):
    """The definition of `complex_cell`; flat where it answers 0, as its gradient is."""
    s0, s1 = simple_cell(image, weight0), simple_cell(image, weight1)
    energy = s0 * s0 + s1 * s1
    silent = energy == 0
    root = operations.sqrt(operations.where(silent, 1.0, energy))
    return operations.where(silent, 0.0, root)


def _triangle_of_tensors(z):
    """The definition of `triangle`, for distances (..., K)."""
    return operations.relu(operations.mean(z, -1, keepdim=True) - z)


def _registered(module, name, reference):
    """The pair of a module as an operation of any order."""
    pair = getattr(module, name), getattr(module, f"{name}_backward")
    return register(*pair, reference=reference)


fft_convolve = _registered(scratch, "fft_convolve", convolve)
fft_conv2d = _registered(scratch, "fft_conv2d", _conv2d_of_tensors)
winograd_conv2d = _registered(winograd, "winograd_conv2d", _conv2d_of_tensors)
winograd_conv2d_by_rows = _registered(
    winograd, "winograd_conv2d_by_rows", _conv2d_of_tensors
)
separable_conv2d = _registered(
    scratch, "separable_conv2d", _separable_conv2d_of_tensors
)
gabor = _registered(scratch, "gabor", _gabor_of_tensors)
simple_cell = _registered(scratch, "simple_cell", _simple_cell_of_tensors)
complex_cell = _registered(scratch, "complex_cell", _complex_cell_of_tensors)
triangle = _registered(features, "triangle", _triangle_of_tensors)
