"""Layers that pool, as `torch.nn` has them; they can be differentiated twice."""

from dlbook_lib.common.checks import check_in, check_positive, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.pooling import second_derivatives as tensors
from dlbook_lib.convolutional.pooling.scratch import max_pool2d
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.autodiff.modules import Module


class MaxPool2d(Module):
    """`max_pool2d`; plain windows of 2 by 2 by `max_pool2d_by_halves`, which is faster.

    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4)).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
    """

    ndim, pool = 2, staticmethod(tensors.max_pool2d)

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    ):
        super().__init__()
        kernel = as_sizes(kernel_size, "kernel_size", self.ndim)
        stride = kernel if stride is None else as_sizes(stride, "stride", self.ndim)
        padding = as_sizes(padding, "padding", self.ndim, low=0)
        dilation = as_sizes(dilation, "dilation", self.ndim)
        check_in(ceil_mode, "ceil_mode", (False, True))
        check_in(return_indices, "return_indices", (False, True))
        fits = self.ndim == 2 or not return_indices
        require(fits, "return_indices wants MaxPool2d; there are none here")
        self.options = kernel, stride, padding, dilation, ceil_mode
        self.return_indices = return_indices

    def forward(self, input):
        """The largest numbers (N, C, …) of `input` (N, C, …); with `return_indices` a
        pair of them and of whole numbers."""
        if self.options == ((2, 2), (2, 2), (0, 0), (1, 1), False):
            y = tensors.max_pool2d_by_halves(input)
        else:
            y = self.pool(input, *self.options)
        if not self.return_indices:
            return y
        return y, max_pool2d(raw(input), *self.options, True)[1]


class MaxPool1d(MaxPool2d):
    """`max_pool1d`: (N, C, L) to (N, C, places)."""

    ndim = 1
    pool = staticmethod(tensors.max_pool1d)


class MaxPool3d(MaxPool2d):
    """`max_pool3d`: (N, C, D, H, W) to (N, C, OD, OH, OW)."""

    ndim = 3
    pool = staticmethod(tensors.max_pool3d)


class AvgPool2d(Module):
    """`avg_pool2d`.

    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(16.0).reshape(1, 1, 4, 4)).ravel().tolist()
    [2.5, 4.5, 10.5, 12.5]
    """

    ndim, pool = 2, staticmethod(tensors.avg_pool2d)

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
    ):
        super().__init__()
        kernel = as_sizes(kernel_size, "kernel_size", self.ndim)
        stride = kernel if stride is None else as_sizes(stride, "stride", self.ndim)
        padding = as_sizes(padding, "padding", self.ndim, low=0)
        check_in(ceil_mode, "ceil_mode", (False, True))
        check_in(count_include_pad, "count_include_pad", (False, True))
        self.options = kernel, stride, padding, ceil_mode, count_include_pad

    def forward(self, input):
        """The means (N, C, …) of `input` (N, C, …)."""
        return self.pool(input, *self.options)


class AvgPool1d(AvgPool2d):
    """`avg_pool1d`: (N, C, L) to (N, C, places)."""

    ndim = 1
    pool = staticmethod(tensors.avg_pool1d)


class AvgPool3d(AvgPool2d):
    """`avg_pool3d`: (N, C, D, H, W) to (N, C, OD, OH, OW)."""

    ndim = 3
    pool = staticmethod(tensors.avg_pool3d)


class LPPool2d(Module):
    """`lp_pool2d`: (N, C, H, W) to (N, C, OH, OW)."""

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        check_positive(norm_type, "norm_type")
        as_sizes(kernel_size, "kernel_size")
        check_in(ceil_mode, "ceil_mode", (False, True))
        self.options = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input):
        """The norms (N, C, OH, OW) of `input` (N, C, H, W)."""
        return tensors.lp_pool2d(input, *self.options)


class AdaptiveAvgPool2d(Module):
    """`adaptive_avg_pool2d` to `output_size`, in which None keeps an axis.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d((1, None))(np.ones((2, 3, 4, 5))).shape
    (2, 3, 1, 5)
    """

    pool = staticmethod(tensors.adaptive_avg_pool2d)

    def __init__(self, output_size):
        super().__init__()
        several = isinstance(output_size, (tuple, list)) and len(output_size) == 2
        each = output_size if several else (output_size, output_size)
        filled = tuple(1 if n is None else n for n in each)
        as_sizes(filled, "output_size")
        self.output_size = output_size

    def forward(self, input):
        """Outputs (N, C, OH, OW) for `input` (N, C, H, W)."""
        return self.pool(input, self.output_size)


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """`adaptive_max_pool2d` to `output_size`: (N, C, H, W) to (N, C, OH, OW)."""

    pool = staticmethod(tensors.adaptive_max_pool2d)


class MaxUnpool2d(Module):
    """`max_unpool2d` with the indices that `MaxPool2d` gives: (N, C, OH, OW) to
    (N, C, H, W)."""

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        kernel = as_sizes(kernel_size, "kernel_size")
        stride = kernel if stride is None else as_sizes(stride, "stride")
        self.options = kernel, stride, as_sizes(padding, "padding", low=0)

    def forward(self, input, indices, output_size=None):
        """`input` (N, C, OH, OW) put back to `indices` (N, C, OH, OW)."""
        return tensors.max_unpool2d(input, indices, *self.options, output_size)
