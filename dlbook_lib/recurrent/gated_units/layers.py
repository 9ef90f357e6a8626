"""Modules: gated cells for one step, and gated layers for whole sequences.

The layers take torch's weights unchanged; what they share stands in
`dlbook_lib.recurrent.backpropagation_through_time.kernels`.
"""

import numpy as np  # noqa: F401 (the examples)

from dlbook_lib.common.checks import (
    check_in,
    check_number,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw
from dlbook_lib.feedforward.autodiff.modules import Module, Parameter
from dlbook_lib.recurrent.backpropagation_through_time.kernels import RNNBase
from dlbook_lib.recurrent.gated_units import second_derivatives as tensors
from dlbook_lib.recurrent.gated_units.at_once import (
    gru_at_once,
    lstm_at_once,
    ugrnn_at_once,
)
from dlbook_lib.recurrent.unfolding.layers import RNNCellBase


class UGRNNCell(RNNCellBase):
    """`ugrnn_cell` with its parameters; see `RNNCellBase`.

    >>> UGRNNCell(3, 5, rng=np.random.default_rng(0))(np.ones((4, 3))).shape
    (4, 5)
    """

    gates = 2

    def forward(self, input, hx=None):
        """The next state (N, H) or (H,) after `input` (N, D) or (D,) and `hx`."""
        hx = self.start(input) if hx is None else hx
        return tensors.ugrnn_cell(input, hx, *self.weights())


class GRUCell(RNNCellBase):
    """`gru_cell` with its parameters.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    reset : {"after", "before"}
        Torch knows "after" alone.
    rng : numpy.random.Generator
    dtype : dtype

    >>> GRUCell(3, 5, rng=np.random.default_rng(0))(np.ones((4, 3))).shape
    (4, 5)
    """

    gates = 3

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        *,
        reset="after",
        rng,
        dtype=float,
    ):
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)
        check_in(reset, "reset", ("after", "before"))
        self.reset = reset

    def forward(self, input, hx=None):
        """The next state (N, H) or (H,) after `input` (N, D) or (D,) and `hx`."""
        hx = self.start(input) if hx is None else hx
        return tensors.gru_cell(input, hx, *self.weights(), self.reset)


class LSTMCell(RNNCellBase):
    """`lstm_cell` with its parameters.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    peephole, forget : bool
        With peepholes there is a parameter `peephole` (3, H) more, without forget gates
        the weights have three blocks. Torch has neither option.
    forget_bias : float, optional
        As `set_forget_bias` does.
    rng : numpy.random.Generator
    dtype : dtype

    >>> h, c = LSTMCell(3, 5, rng=np.random.default_rng(0))(np.ones((4, 3)))
    >>> h.shape, c.shape
    ((4, 5), (4, 5))
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        *,
        peephole=False,
        forget=True,
        forget_bias=None,
        rng,
        dtype=float,
    ):
        check_in(peephole, "peephole", (True, False))
        check_in(forget, "forget", (True, False))
        self.gates, self.forget = 4 if forget else 3, forget
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)
        self.peephole, bound = None, hidden_size**-0.5
        if peephole:
            start = rng.uniform(-bound, bound, (self.gates - 1, hidden_size))
            self.peephole = Parameter(start.astype(dtype))
        if forget_bias is not None:
            set_forget_bias(self, forget_bias)

    def forward(self, input, hx=None):
        """The next h and c (N, H) or (H,) after `input` (N, D) or (D,) and (h, c)."""
        hx = (self.start(input),) * 2 if hx is None else hx
        pair = isinstance(hx, (tuple, list)) and len(hx) == 2
        require(pair, "hx must be a tuple (h, c)", TypeError)
        check_same_shape(h=raw(hx[0]), c=raw(hx[1]))
        state = operations.stack([Tensor(x) if raw(x) is x else x for x in hx])
        options = *self.weights(), self.peephole, self.forget
        state = tensors.lstm_cell(input, state, *options)
        return state[0], state[1]


class UGRNN(RNNBase):
    """Layers of `ugrnn_cell`, in both directions if wanted; see `RNNBase`.

    >>> output, h = UGRNN(3, 5, 2, rng=np.random.default_rng(0))(np.ones((7, 4, 3)))
    >>> output.shape, h.shape
    ((7, 4, 5), (2, 4, 5))
    """

    gates = 2
    kernel, cell = staticmethod(ugrnn_at_once), staticmethod(tensors.ugrnn_step)


class GRU(RNNBase):
    """Layers of `gru_cell`, in both directions if wanted; see `RNNBase`.

    The reset gate stands after the product, as in torch, whose weights load unchanged.

    >>> output, h = GRU(3, 5, 2, rng=np.random.default_rng(0))(np.ones((7, 4, 3)))
    >>> output.shape, h.shape
    ((7, 4, 5), (2, 4, 5))
    """

    gates = 3
    kernel, cell = staticmethod(gru_at_once), staticmethod(tensors.gru_step)


class LSTM(RNNBase):
    """Layers of `lstm_cell`, in both directions if wanted; see `RNNBase`.

    Torch's weights load unchanged.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As for `RNNBase`.
    proj_size : int
        How wide h is, if not 0: what a layer shows goes through a weight
        (proj_size, H), so that it is narrower than the memory.
    forget_bias : float, optional
        As `set_forget_bias` does.
    rng : numpy.random.Generator
    dtype : dtype

    Source for projections: Sak, Senior and Beaufays (2014), section 2.2.

    >>> output, (h, c) = LSTM(3, 5, 2, rng=np.random.default_rng(0))(np.ones((7, 4, 3)))
    >>> output.shape, h.shape, c.shape
    ((7, 4, 5), (2, 4, 5), (2, 4, 5))
    """

    gates, state_names = 4, ("h", "c")
    kernel, cell = staticmethod(lstm_at_once), staticmethod(tensors.lstm_step)

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        *,
        forget_bias=None,
        rng,
        dtype=float,
    ):
        self.proj_size = proj_size
        options = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, rng=rng, dtype=dtype)
        if forget_bias is not None:
            set_forget_bias(self, forget_bias)


# -------------------------------------------------------------------- about modules


def param_ratio(*modules):
    """How many parameters modules have, as multiples of the first one's.

    Cells with one, two, three and four blocks of weights, of one size, stand in the
    ratio 1 : 2 : 3 : 4.

    Parameters
    ----------
    *modules : Module
        No arrays (N, D).

    Returns
    -------
    list of float

    >>> rng = np.random.default_rng(0)
    >>> param_ratio(UGRNNCell(3, 5, rng=rng), LSTMCell(3, 5, rng=rng))
    [1.0, 2.0]
    """
    for module in modules:
        is_module = isinstance(module, Module)
        require(is_module, f"{module!r} is no Module; build one", TypeError)
    counts = [sum(p.numel() for p in module.parameters()) for module in modules]
    require(counts and counts[0], "the first module has no parameters to compare with")
    return [count / counts[0] for count in counts]


def set_forget_bias(module, value=1.0):
    """Start the forget gates of an `LSTM` or `LSTMCell` open, so that they keep.

    Parameters
    ----------
    module : LSTM or LSTMCell
    value : float
        What the two biases (4 H,) of each layer add up to for f: `value` and 0. With
        torch's own start it is about 0, half of the memory is lost at each step, and
        so is half of the gradient.

    Source: Gers, Schmidhuber and Cummins (2000); Jozefowicz, Zaremba and Sutskever
    (2015), section 4.

    >>> cell = LSTMCell(1, 1, rng=np.random.default_rng(0))
    >>> set_forget_bias(cell, 2.0)
    >>> float(cell.bias_ih.data[1] + cell.bias_hh.data[1])
    2.0
    """
    check_number(value, "value")
    kinds = LSTM, LSTMCell
    is_lstm = isinstance(module, kinds) and getattr(module, "forget", True)
    sentence = f"module must be an LSTM or LSTMCell with forget gates, not {module!r}"
    require(is_lstm, sentence, TypeError)
    require(module.bias, f"{module!r} has no biases; build it with bias=True")
    h = module.hidden_size
    for name, bias in module.named_parameters():
        if name.startswith("bias"):
            bias.data[h : 2 * h] = value if "ih" in name else 0
