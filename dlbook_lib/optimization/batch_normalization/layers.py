"""Layers that normalise, as `torch.nn` has them; they can be differentiated twice."""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_number,
    check_positive,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.autodiff.modules import Buffer, Module, Parameter
from dlbook_lib.optimization.batch_normalization import second_derivatives as tensors


class BatchNorm1d(Module):
    r"""Batch normalisation of units (N, C) or series (N, C, L).

    Parameters
    ----------
    num_features : int
        C.
    eps : float
    momentum : float or None
        As in `track_`; None averages over all batches so far, each counted alike.
    affine : bool
        Whether it has a `weight` (C,), which starts at 1, and a `bias` (C,), at 0.
    track_running_stats : bool
        Whether it keeps `running_mean`, `running_var` (C,) and `num_batches_tracked`
        () for use; without them it takes the batch's own in `eval` too.
    dtype : dtype, optional
        float64 unless given.

    The running statistics are buffers, as in torch: no gradient moves them, so they are
    not among `parameters()`, but they stand in `state_dict` and load from torch's.

    >>> norm = BatchNorm1d(1)
    >>> norm(np.array([[1.0], [3.0]])).data.round(4).tolist()
    [[-1.0], [1.0]]
    >>> norm.eval().state_dict()["running_mean"]
    array([0.2])
    """

    dims = 2, 3

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        *,
        dtype=None,
    ):
        super().__init__()
        check_positive(num_features, "num_features", integer=True)
        check_positive(eps, "eps")
        if momentum is not None:
            check_number(momentum, "momentum", 0, 1)
        check_in(affine, "affine", (True, False))
        check_in(track_running_stats, "track_running_stats", (True, False))
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        zeros, ones = np.zeros(num_features, dtype), np.ones(num_features, dtype)
        self.weight = Parameter(ones) if affine else None
        self.bias = Parameter(zeros) if affine else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(zeros.copy())
            self.running_var = Buffer(ones.copy())
            self.num_batches_tracked = Buffer(np.array(0))

    def _statistics(self):
        """The running ones (C,), or None twice where a batch gives its own."""
        stats = raw(self.running_mean), raw(self.running_var)
        if self.training or stats[0] is None:
            return stats
        return stats[0].copy(), stats[1].copy()  # the next batch moves the others

    def forward(self, input):
        """Values (N, C, ...) for `input` (N, C, ...)."""
        shape = as_float(raw(input), "input", empty=True).shape
        require(
            len(shape) in self.dims and shape[1] == self.num_features,
            f"input {shape} must be (N, C, ...) with {self.num_features} channels and "
            f"{' or '.join(map(str, self.dims))} dimensions",
        )
        return self._normalized(input)

    def _normalized(self, input):
        """The same for an input of the right shape."""
        mean, var = self._statistics()
        by_batch = self.training or mean is None
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.data += 1
            if momentum is None:
                momentum = 1 / int(self.num_batches_tracked.data)
        share = 0.0 if momentum is None else momentum
        return tensors.batch_norm(
            input, mean, var, self.weight, self.bias, by_batch, share, self.eps
        )

    def extra_repr(self):
        """Sizes and options, as torch prints them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm2d(BatchNorm1d):
    """Batch normalisation of images (N, C, H, W); see `BatchNorm1d`.

    >>> BatchNorm2d(3, momentum=None)
    BatchNorm2d(3, eps=1e-05, momentum=None, affine=True, track_running_stats=True)
    """

    dims = (4,)


class InstanceNorm1d(BatchNorm1d):
    """Instance normalisation of series (N, C, L), or of one, (C, L).

    Parameters as those of `BatchNorm1d`, with other defaults. As in torch, a momentum
    of None leaves the running statistics as they are, and nothing is counted.

    >>> InstanceNorm1d(2)(np.array([[1.0, 3.0], [10.0, 30.0]])).round(4)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    dims = (3,)

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        *,
        dtype=None,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, dtype=dtype
        )

    def forward(self, input):
        """Values (N, C, ...) or (C, ...), as `input`."""
        array = as_float(raw(input), "input", empty=True)
        if array.ndim + 1 in self.dims:
            alone = array if raw(input) is input else input
            return super().forward(alone[None])[0]
        return super().forward(input)

    def _normalized(self, input):
        """The same for an input (N, C, ...)."""
        mean, var = self._statistics()
        own = self.training or mean is None
        share = 0.0 if self.momentum is None else self.momentum
        return tensors.instance_norm(
            input, mean, var, self.weight, self.bias, own, share, self.eps
        )


class InstanceNorm2d(InstanceNorm1d):
    """Instance normalisation of images (N, C, H, W), or of one, (C, H, W).

    >>> InstanceNorm2d(3)(np.zeros((8, 3, 4, 4))).shape
    (8, 3, 4, 4)
    """

    dims = (4,)


class LayerNorm(Module):
    """Layer normalisation over the last axes, of lengths `normalized_shape`.

    Parameters
    ----------
    normalized_shape : int or tuple of int
    eps : float
    elementwise_affine : bool
        Whether it has a `weight`, which starts at 1, of shape `normalized_shape`.
    bias : bool
        Whether it then has a `bias`, which starts at 0, of that shape too.
    dtype : dtype, optional
        float64 unless given.

    >>> LayerNorm(2)(np.array([[1.0, 3.0]])).data.round(4)
    array([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape,
        eps=1e-5,
        elementwise_affine=True,
        bias=True,
        *,
        dtype=None,
    ):
        super().__init__()
        shape = normalized_shape
        shape = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
        require(shape, "normalized_shape is empty; give the length of the last axis")
        for length in shape:
            check_positive(length, "normalized_shape", integer=True)
        check_positive(eps, "eps")
        check_in(elementwise_affine, "elementwise_affine", (True, False))
        check_in(bias, "bias", (True, False))
        self.normalized_shape, self.eps = shape, eps
        self.elementwise_affine = elementwise_affine
        both = elementwise_affine and bias
        ones, zeros = np.ones(shape, dtype), np.zeros(shape, dtype)
        self.weight = Parameter(ones) if elementwise_affine else None
        self.bias = Parameter(zeros) if both else None

    def forward(self, input):
        """Values (..., *normalized_shape), as `input`."""
        return tensors.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )

    def extra_repr(self):
        """Sizes and options, as torch prints them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Group normalisation of (N, C, ...).

    Parameters
    ----------
    num_groups, num_channels : int
        The first must divide the second, C.
    eps : float
    affine : bool
        Whether it has a `weight` (C,), which starts at 1, and a `bias` (C,), at 0.
    dtype : dtype, optional
        float64 unless given.

    >>> GroupNorm(2, 6)
    GroupNorm(2, 6, eps=1e-05, affine=True)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, *, dtype=None):
        super().__init__()
        check_positive(num_groups, "num_groups", integer=True)
        check_positive(num_channels, "num_channels", integer=True)
        check_positive(eps, "eps")
        check_in(affine, "affine", (True, False))
        require(
            num_channels % num_groups == 0,
            f"num_channels must be divisible by num_groups, not {num_channels} by "
            f"{num_groups}; try 1 group",
        )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, input):
        """Values (N, C, ...) for `input` (N, C, ...)."""
        shape = as_float(raw(input), "input", empty=True).shape
        require(
            shape[1:2] == (self.num_channels,),
            f"input {shape} must be (N, C, ...) with {self.num_channels} channels",
        )
        return tensors.group_norm(
            input, self.num_groups, self.weight, self.bias, self.eps
        )

    def extra_repr(self):
        """Sizes and options, as torch prints them."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}"
        )
