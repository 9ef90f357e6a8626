"""Layers with shortcuts, as Modules; they can be differentiated twice.

Each owns the `Linear` layers whose numbers the function of its name takes.
"""

from dlbook_lib.common.checks import check_in, check_number, check_positive
from dlbook_lib.feedforward.autodiff.engine import no_grad
from dlbook_lib.feedforward.autodiff.modules import Linear, Module
from dlbook_lib.optimization.shortcut_connections import second_derivatives as tensors


class ResidualBlock(Module):
    """A `residual` layer with two linear ones, "linear1" and "linear2", in its branch.

    Parameters
    ----------
    in_features, width : int
    out_features : int, optional
        Where it differs from `in_features`, the shortcut has a third, "projection",
        without a bias.
    zero_start : bool
        Start `linear2` at 0, so that the block begins as its shortcut.
    rng : numpy.random.Generator
    dtype : dtype

    >>> import numpy as np
    >>> block = ResidualBlock(3, 8, zero_start=True, rng=np.random.default_rng(0))
    >>> block(np.array([[1.0, 2.0, 3.0]])).data
    array([[1., 2., 3.]])
    """

    def __init__(
        self,
        in_features,
        width,
        out_features=None,
        zero_start=False,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_in(zero_start, "zero_start", (True, False))
        out = in_features if out_features is None else out_features
        self.linear1 = Linear(in_features, width, rng=rng, dtype=dtype)
        self.linear2 = Linear(width, out, rng=rng, dtype=dtype)
        self.projection = None
        if out != in_features:
            self.projection = Linear(in_features, out, False, rng=rng, dtype=dtype)
        if zero_start:
            with no_grad():
                for parameter in self.linear2.parameters():
                    parameter.zero_()

    def forward(self, input):
        """Outputs (..., out_features) for `input` (..., in_features)."""
        one, two, short = self.linear1, self.linear2, self.projection
        short = None if short is None else short.weight
        return tensors.residual(
            input, one.weight, one.bias, two.weight, two.bias, short
        )


class HighwayLayer(Module):
    """A `highway` layer with its linear layers "linear" and "gate".

    Parameters
    ----------
    features : int
    gate_bias : float
        Where the biases of the gates start; negative, so that the input passes.
    rng : numpy.random.Generator
    dtype : dtype

    >>> import numpy as np
    >>> HighwayLayer(3, rng=np.random.default_rng(0))(np.ones((5, 3))).shape
    (5, 3)
    """

    def __init__(self, features, gate_bias=-2.0, *, rng, dtype=float):
        super().__init__()
        check_number(gate_bias, "gate_bias")
        self.linear = Linear(features, features, rng=rng, dtype=dtype)
        self.gate = Linear(features, features, rng=rng, dtype=dtype)
        self.gate.bias.data[...] = gate_bias

    def forward(self, input):
        """Outputs (..., features) for `input` (..., features)."""
        layer, gate = self.linear, self.gate
        return tensors.highway(input, layer.weight, layer.bias, gate.weight, gate.bias)


class GatedSkipLayer(Module):
    """A `gated_skip` with its linear layers "linear", "skip" and "gate".

    Parameters
    ----------
    in_features, skip_features, out_features : int
    rng : numpy.random.Generator
    dtype : dtype

    >>> import numpy as np
    >>> layer = GatedSkipLayer(3, 2, 4, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 3)), np.ones((5, 2))).shape
    (5, 4)
    """

    def __init__(self, in_features, skip_features, out_features, *, rng, dtype=float):
        super().__init__()
        self.linear = Linear(in_features, out_features, False, rng=rng, dtype=dtype)
        self.skip = Linear(skip_features, out_features, False, rng=rng, dtype=dtype)
        self.gate = Linear(skip_features, out_features, rng=rng, dtype=dtype)

    def forward(self, input, earlier):
        """Outputs (..., out) for `input` (..., in) and `earlier` (..., skipped)."""
        weights = self.linear.weight, self.skip.weight
        return tensors.gated_skip(
            input, earlier, *weights, self.gate.weight, self.gate.bias
        )


class DenseBlock(Module):
    """A `dense_block` with its linear layers "0", "1", ….

    Parameters
    ----------
    in_features, growth, layers : int
        Each layer adds `growth` features to those it sees.
    rng : numpy.random.Generator
    dtype : dtype

    >>> import numpy as np
    >>> DenseBlock(3, 2, 4, rng=np.random.default_rng(0))(np.ones((5, 3))).shape
    (5, 11)
    """

    def __init__(self, in_features, growth, layers, *, rng, dtype=float):
        super().__init__()
        check_positive(layers, "layers", integer=True)
        check_positive(in_features, "in_features", integer=True)
        check_positive(growth, "growth", integer=True)
        for i in range(layers):
            seen = in_features + i * growth
            setattr(self, str(i), Linear(seen, growth, rng=rng, dtype=dtype))

    def forward(self, input):
        """Outputs (..., in + layers · growth) for `input` (..., in)."""
        for _, layer in self.named_children():
            input = tensors.dense_layer(input, layer.weight, layer.bias)
        return input
