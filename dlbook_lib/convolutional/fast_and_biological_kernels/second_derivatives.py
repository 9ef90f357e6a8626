"""Fast convolutions and model cells that can be differentiated any number of times,
for Tensors.

Each name is that of a function in `scratch`, `winograd`, `cells` or `features`, on
Tensors instead of arrays: the pair there gives the gradient. What a fast convolution
computes is a convolution, so the direct one gives its gradient's gradient.
"""

import math

from dlbook_lib.convolutional.convolution.second_derivatives import convolve
from dlbook_lib.convolutional.fast_and_biological_kernels import (
    cells,
    features,
    scratch,
    winograd,
)
from dlbook_lib.convolutional.strides_and_gradients.second_derivatives import (
    conv_of_tensors,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, register


def _conv2d(input, weight, bias=None, padding=0, tile=2):
    """The definition of `fft_conv2d` and both of `winograd`, for (N, C, H, W)."""
    return conv_of_tensors(input, weight, bias, 1, padding)


def _separable_conv2d(input, columns, rows):
    """The definition of `separable_conv2d`: the kernel whole, for (..., H, W)."""
    *lead, height, width = input.shape
    kernel = operations.einsum("rh,rw->hw", columns, rows)
    x = operations.reshape(input, math.prod(lead), 1, height, width)
    y = conv_of_tensors(x, kernel[None, None])
    return operations.reshape(y, *lead, *y.shape[2:])


def _gabor(
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


def _simple_cell(image, weight):
    """The definition of `simple_cell`, for (..., H, W) and (H, W)."""
    return operations.sum(image * weight, (-2, -1))


def _complex_cell(image, weight0, weight1):
    """The definition of `complex_cell`; flat where it answers 0, as its gradient is."""
    s0, s1 = simple_cell(image, weight0), simple_cell(image, weight1)
    energy = s0 * s0 + s1 * s1
    silent = energy == 0
    root = operations.sqrt(operations.where(silent, 1.0, energy))
    return operations.where(silent, 0.0, root)


def _triangle(z):
    """The definition of `triangle`, for distances (..., K)."""
    return operations.relu(operations.mean(z, -1, keepdim=True) - z)


fft_convolve = register(scratch.fft_convolve, scratch.fft_convolve_backward, convolve)
fft_conv2d = register(scratch.fft_conv2d, scratch.fft_conv2d_backward, _conv2d)
winograd_conv2d = register(
    winograd.winograd_conv2d, winograd.winograd_conv2d_backward, _conv2d
)
winograd_conv2d_by_rows = register(
    winograd.winograd_conv2d_by_rows, winograd.winograd_conv2d_by_rows_backward, _conv2d
)
separable_conv2d = register(
    scratch.separable_conv2d, scratch.separable_conv2d_backward, _separable_conv2d
)
gabor = register(cells.gabor, cells.gabor_backward, _gabor)
simple_cell = register(cells.simple_cell, cells.simple_cell_backward, _simple_cell)
complex_cell = register(cells.complex_cell, cells.complex_cell_backward, _complex_cell)
triangle = register(features.triangle, features.triangle_backward, _triangle)
