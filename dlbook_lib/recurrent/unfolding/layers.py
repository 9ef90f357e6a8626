"""Modules: layers that see a window of time, cells with a state, and their patterns."""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.autodiff.modules import (
    Linear,
    Module,
    Parameter,
    Sequential,
)
from dlbook_lib.recurrent.unfolding import second_derivatives as tensors
from dlbook_lib.recurrent.unfolding.scratch import as_values


class TimeDelay(Module):
    r"""A layer of units that see k steps: `weight` (out, in, k) and `bias` (out,).

    Both start uniform in :math:`\pm1/\sqrt{\text{in}\cdot k}`, as torch's Conv1d.

    Parameters
    ----------
    in_features, out_features, kernel_size, dilation : int
    rng : numpy.random.Generator
    dtype : dtype

    >>> layer = TimeDelay(4, 8, 3, rng=np.random.default_rng(0))
    >>> layer(np.ones((15, 2, 4))).shape
    (13, 2, 8)
    """

    def __init__(
        self,
        in_features,
        out_features,
        kernel_size,
        dilation=1,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_positive(in_features, "in_features", integer=True)
        check_positive(out_features, "out_features", integer=True)
        check_positive(kernel_size, "kernel_size", integer=True)
        check_positive(dilation, "dilation", integer=True)
        check_rng(rng)
        self.kernel_size, self.dilation = kernel_size, dilation
        shape = out_features, in_features, kernel_size
        bound = (in_features * kernel_size) ** -0.5
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype))

    def forward(self, input):
        """Scores (T - (k - 1) dilation, N, out) for `input` (T, N, in)."""
        return tensors.time_delay(input, self.weight, self.bias, self.dilation)


class TDNN(Module):
    r"""A time-delay network: layers of windows with tanh between them.

    Its output at a step depends on `receptive_field` steps and no more; what lies
    before them is as if it had never been.

    Parameters
    ----------
    sizes : list of int
        Features of the input, of each hidden layer, and of the output.
    kernel_sizes : list of int
        Taps of each layer, one fewer than `sizes`.
    dilations : list of int, optional
        1 for each layer unless given.
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = TDNN([16, 8, 3], [3, 5], rng=np.random.default_rng(0))  # 1989, without
    >>> net.receptive_field, net(np.ones((15, 1, 16))).shape  # its last, summing layer
    (7, (9, 1, 3))
    """

    def __init__(self, sizes, kernel_sizes, dilations=None, *, rng, dtype=float):
        super().__init__()
        given = {"sizes": sizes, "kernel_sizes": kernel_sizes, "dilations": dilations}
        for name, x in given.items():
            is_list = isinstance(x, (list, tuple)) or (x is None and name[0] == "d")
            require(is_list, f"{name} must be a list of numbers, not {x!r}", TypeError)
        dilations = [1] * len(kernel_sizes) if dilations is None else dilations
        require(
            len(sizes) - 1 == len(kernel_sizes) == len(dilations) > 0,
            f"sizes {sizes} need {len(sizes) - 1} kernel_sizes and dilations, not "
            f"{kernel_sizes} and {dilations}",
        )
        layers = zip(sizes[:-1], sizes[1:], kernel_sizes, dilations, strict=True)
        self.layers = Sequential(
            *(TimeDelay(*layer, rng=rng, dtype=dtype) for layer in layers)
        )

    @property
    def receptive_field(self):
        """How many steps of the input an output sees."""
        return 1 + sum((m.kernel_size - 1) * m.dilation for m in self.layers)

    def forward(self, input):
        """Scores (T - receptive_field + 1, N, out) for `input` (T, N, in)."""
        first, *rest = self.layers
        score = first(input)
        for layer in rest:
            score = layer(score.tanh())
        return score


class RNNCellBase(Module):
    r"""What recurrent cells share: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.

    All start uniform in :math:`\pm1/\sqrt H`.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    bias : bool
    rng : numpy.random.Generator
    dtype : dtype

    Attributes
    ----------
    gates : int
        How many blocks of H rows the weights have; a subclass says it.
    """

    gates = 1

    def __init__(self, input_size, hidden_size, bias=True, *, rng, dtype=float):
        super().__init__()
        check_positive(input_size, "input_size", integer=True)
        check_positive(hidden_size, "hidden_size", integer=True)
        check_in(bias, "bias", (True, False))
        check_rng(rng)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, bound = self.gates * hidden_size, hidden_size**-0.5
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            start = rng.uniform(-bound, bound, shape).astype(dtype)
            kept = bias or name.startswith("weight")
            setattr(self, name, Parameter(start) if kept else None)

    def start(self, input):
        """A state (N, H) or (H,) of zeros for `input` (N, D) or (D,)."""
        x = as_float(raw(input), "input", ndim=(1, 2), empty=True)
        return np.zeros((*x.shape[:-1], self.hidden_size), x.dtype)

    def weights(self):
        """The four parameters, None for a bias that is not there."""
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self):
        """Sizes, as torch prints them."""
        bias = "" if self.bias else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(RNNCellBase):
    r"""`rnn_cell` with its parameters, so many whatever the length of the sequence.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    bias : bool
    nonlinearity : {"tanh", "relu"}
    rng : numpy.random.Generator
    dtype : dtype

    >>> cell = RNNCell(3, 5, rng=np.random.default_rng(0))
    >>> sum(p.numel() for p in cell.parameters()), cell(np.ones((4, 3))).shape
    (50, (4, 5))
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        nonlinearity="tanh",
        *,
        rng,
        dtype=float,
    ):
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """The next state (N, H) or (H,) after `input` (N, D) or (D,) and `hx`."""
        hx = self.start(input) if hx is None else hx
        return tensors.rnn_cell(input, hx, *self.weights(), self.nonlinearity)

    def extra_repr(self):
        """Sizes and options, as torch prints them."""
        usual = self.nonlinearity == "tanh"
        other = "" if usual else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + other


PATTERNS = "many to many", "many to one", "one to many", "encoder first"


class VanillaRNN(Module):
    r"""A state and an output layer: :math:`\mathbf o=\mathbf c+V\mathbf h`.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
    pattern : {"many to many", "many to one", "one to many", "encoder first"}
        An output for each input, as in tracking; one after the last, as for the action
        in a film; `steps` of them from one input, as for the caption of a picture; or
        `steps` of them once all has been read, as in translation. While there is
        nothing to read, the input is 0.
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = VanillaRNN(2, 5, 1, "encoder first", rng=np.random.default_rng(0))
    >>> net(np.ones((7, 3, 2)), 4).shape
    (4, 3, 1)
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        pattern="many to many",
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_in(pattern, "pattern", PATTERNS)
        self.pattern = pattern
        self.cell = RNNCell(input_size, hidden_size, rng=rng, dtype=dtype)
        self.output = Linear(hidden_size, output_size, rng=rng, dtype=dtype)

    def forward(self, input, steps=1):
        """Outputs (T, N, out), (N, out) or (steps, N, out) for `input` (T, N, in).

        With "one to many" `input` is (N, in). `steps` counts for this pattern and
        "encoder first"; the others have as many as the input has.
        """
        one = self.pattern == "one to many"
        shape = as_float(raw(input), "input", ndim=2 if one else 3).shape
        input = as_values(input, "input")
        check_positive(steps, "steps", integer=True)
        inputs = [input] if one else list(input)
        if one or self.pattern == "encoder first":
            silence = np.zeros(shape[-2:], input.dtype)
            inputs += [silence] * (steps - 1)
        states, h = [], None
        for x in inputs:
            h = self.cell(x, h)
            states.append(h)
        kept = {"many to one": 1, "encoder first": steps}.get(self.pattern, len(states))
        output = self.output(operations.stack(states[-kept:]))
        return output[0] if self.pattern == "many to one" else output
