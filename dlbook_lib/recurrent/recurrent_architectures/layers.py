"""Modules: networks over trees, in both directions, deeper, over films, and from one
sequence to another."""

from itertools import pairwise

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_in,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import no_grad, raw
from dlbook_lib.feedforward.autodiff.modules import Linear, Module
from dlbook_lib.feedforward.output_units.scratch import log_softmax
from dlbook_lib.recurrent.backpropagation_through_time.layers import (
    Embedding,
    check_same_dtype,
)
from dlbook_lib.recurrent.backpropagation_through_time.second_derivatives import (
    sequence_nll,
)
from dlbook_lib.recurrent.recurrent_architectures import second_derivatives as tensors
from dlbook_lib.recurrent.recurrent_architectures.scratch import (
    beam_search,
    check_search,
    with_stop,
)
from dlbook_lib.recurrent.unfolding.layers import RNNCell
from dlbook_lib.recurrent.unfolding.packing import pack_padded_sequence
from dlbook_lib.recurrent.unfolding.scratch import as_values, unroll


class RecursiveNet(Module):
    """`recursive_states` with its parameters, as many for every tree.

    Parameters
    ----------
    size : int
        H.
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = RecursiveNet(3, rng=np.random.default_rng(0))
    >>> net(np.ones((4, 3)), ((0, 1), (2, 3))).shape
    (7, 3)
    """

    def __init__(self, size, *, rng, dtype=float):
        super().__init__()
        check_positive(size, "size", integer=True)
        self.compose = Linear(2 * size, size, rng=rng, dtype=dtype)

    def forward(self, leaves, tree):
        """States (2 * n - 1, H) for leaves (n, H) of a tree."""
        weight, bias = self.compose.weight, self.compose.bias
        return tensors.recursive_states(leaves, tree, weight, bias)


def both_ways(forward_cell, backward_cell, input):
    r"""Read from the front and from the back; each place then knows all others.

    Parameters
    ----------
    forward_cell, backward_cell : callable
        ``h = cell(x, h)``, such as a `RNNCell`.
    input : array_like or Tensor (T, N, D)

    Returns
    -------
    Tensor (T, N, 2 * H)
        :math:`[\mathbf h^{(t)},\mathbf g^{(t)}]`.

    Source: Schuster and Paliwal (1997).

    >>> sums = both_ways(lambda x, h: x + (0 if h is None else h), lambda x, h: x * 10,
    ...     np.array([[[1.0]], [[2.0]]]))
    >>> sums.tolist()
    [[[1.0, 10.0]], [[3.0, 20.0]]]
    """
    as_float(raw(input), "input", ndim=3)
    input = as_values(input, "input")
    ahead = unroll(forward_cell, input)
    one = not isinstance(ahead[0], (tuple, list))
    sentence = "cells must hand on one state, not two as an LSTMCell; try a GRUCell"
    require(one, sentence, TypeError)
    back = unroll(backward_cell, operations.flip(input, 0))[::-1]
    return operations.cat([operations.stack(ahead), operations.stack(back)], -1)


class BiRNN(Module):
    r"""Outputs from both: :math:`\mathbf o=\mathbf c+V[\mathbf h,\mathbf g]`.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        D, H (of each direction) and O.
    cell : type
        `RNNCell`, `GRUCell` or the like: ``cell(D, H, rng=rng, dtype=dtype)``.
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = BiRNN(3, 5, 2, rng=np.random.default_rng(0))
    >>> net(np.ones((7, 4, 3))).shape
    (7, 4, 2)
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        cell=RNNCell,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        is_class = callable(cell) and not isinstance(cell, Module)
        sentence = f"cell must be a class such as RNNCell, not {cell!r}"
        require(is_class, sentence, TypeError)
        options = {"rng": rng, "dtype": dtype}
        self.forward_cell = cell(input_size, hidden_size, **options)
        self.backward_cell = cell(input_size, hidden_size, **options)
        self.output = Linear(2 * hidden_size, output_size, **options)

    def forward(self, input):
        """Outputs (T, N, O) for `input` (T, N, D)."""
        return self.output(both_ways(self.forward_cell, self.backward_cell, input))


BLOCKS = "input", "transition", "output"


class DeepRNN(Module):
    r"""A recurrent network whose three blocks can each be a small network.

    From the input to the state, from state to state, from the state to the output: each
    block is a layer, or `depth` layers where it stands in `where`, with tanh between.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        D, H and O.
    where : tuple of {"input", "transition", "output"}
    depth : int
        Layers of a deep block.
    skip : bool
        Whether the old state also leads straight into the last layer of a deep
        transition, so that a step is again one layer long on the shortest path.
    rng : numpy.random.Generator
    dtype : dtype

    Source: Pascanu et al. (2014), section 3, figure 2 (DT, DO and DT(S)).

    >>> net = DeepRNN(3, 5, 2, ("transition",), skip=True, rng=np.random.default_rng(0))
    >>> net(np.ones((7, 4, 3))).shape
    (7, 4, 2)
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        where=(),
        depth=2,
        skip=False,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_positive(depth, "depth", integer=True)
        is_list = isinstance(where, (tuple, list))
        require(is_list, f"where must be a tuple of blocks, not {where!r}", TypeError)
        for block in where:
            check_in(block, "where", BLOCKS)
        check_in(skip, "skip", (True, False))
        sentence = "skip goes round a deep transition; put 'transition' into where"
        require(not skip or "transition" in where, sentence)
        options = {"rng": rng, "dtype": dtype}
        extra = {block: depth - 1 if block in where else 0 for block in BLOCKS}

        def layers(n, size=hidden_size):
            sizes = [size] + [hidden_size] * n
            pairs = pairwise(sizes)
            return Layers(*[Linear(a, b, **options) for a, b in pairs])

        self.input = layers(extra["input"], input_size)
        wide = hidden_size if extra["input"] else input_size
        self.cell = RNNCell(wide, hidden_size, **options)
        self.transition = layers(extra["transition"])
        self.skip = Linear(hidden_size, hidden_size, False, **options) if skip else None
        self.hidden = layers(extra["output"])
        self.output = Linear(hidden_size, output_size, **options)

    def step(self, input, hx):
        """The next state (N, H) after `input` (N, D or H) and the state `hx` (N, H)."""
        h = self.cell(input, hx)
        if self.skip is None:
            return self.transition(h)
        return self.transition(h, self.skip(hx))

    def forward(self, input):
        """Outputs (T, N, O) for `input` (T, N, D)."""
        x = as_float(raw(input), "input", ndim=3)
        hx = np.zeros((x.shape[1], self.output.in_features), x.dtype)
        states = unroll(self.step, self.input(input), hx)
        return self.output(self.hidden(operations.stack(states)))


class Layers(Module):
    """Linear layers with tanh after each; none of them is the identity.

    Parameters
    ----------
    *layers : Linear
        Their names are "0", "1", ….

    >>> Layers()(np.ones((2, 3))).shape
    (2, 3)
    """

    def __init__(self, *layers):
        super().__init__()
        self.count = len(layers)
        for i, layer in enumerate(layers):
            require(isinstance(layer, Linear), f"{layer!r} is no Linear", TypeError)
            setattr(self, str(i), layer)

    def forward(self, input, extra=None):
        """Values (..., H) for `input` (..., ·); `extra` (..., H) joins the last."""
        for i in range(self.count):
            scores = getattr(self, str(i))(input)
            if extra is not None and i == self.count - 1:
                scores = scores + extra
            input = operations.tanh(scores)
        return input


def over_frames(module, input):
    """Apply a module, such as a convolutional network, to every step of a sequence.

    Parameters
    ----------
    module : callable
        From (N, ...) to (N, ...).
    input : array_like or Tensor (T, N, ...)
        Such as films, (T, N, C, H, W).

    Returns
    -------
    Tensor (T, N, ...)
        Ready for a recurrent network.

    >>> over_frames(lambda x: x.sum((1, 2)), np.ones((3, 4, 2, 5))).shape
    (3, 4)
    """
    shape = as_float(raw(input), "input").shape
    require(len(shape) > 1, f"input must be (T, N, ...), not of shape {shape}")
    steps, count = shape[:2]
    frames = operations.reshape(input, (steps * count, *shape[2:]))
    output = module(frames)
    return operations.reshape(output, (steps, count, *output.shape[1:]))


class Seq2Seq(Module):
    r"""An encoder reads a sequence into a state, from which a decoder writes another.

    Together they model :math:`P(\mathbf y^{(1)},\dots,\mathbf y^{(n_y)}\mid\mathbf
    x^{(1)},\dots,\mathbf x^{(n_x)})`, whose lengths need not be equal.

    Parameters
    ----------
    encoder, decoder : Module
        Recurrent layers ``output, hx = rnn(input, hx)`` of one hidden size and depth,
        such as two `GRU`; what they read are vectors of `input_size` numbers.
    source_size, target_size : int
        How many symbols there are, the two special ones included.
    start, stop : int
        Symbols of the target: what the decoder reads first, what ends its output.
    rng : numpy.random.Generator
    dtype : dtype

    Source: Sutskever et al. (2014), section 2; Cho et al. (2014), section 2.2.

    >>> from dlbook_lib.recurrent.gated_units.layers import GRU
    >>> rng = np.random.default_rng(0)
    >>> net = Seq2Seq(GRU(3, 8, rng=rng), GRU(3, 8, rng=rng), 6, 5, rng=rng)
    >>> net(np.array([[2], [3], [4]]), np.array([[0], [2]])).shape  # (T', N, V)
    (2, 1, 5)
    >>> len(net.translate([2, 3, 4], beam_size=3, max_length=10)) <= 10
    True
    """

    def __init__(
        self,
        encoder,
        decoder,
        source_size,
        target_size,
        start=0,
        stop=1,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        for name, rnn in ("encoder", encoder), ("decoder", decoder):
            is_rnn = isinstance(rnn, Module) and hasattr(rnn, "num_layers")
            require(is_rnn, f"{name} must be recurrent layers, not {rnn!r}", TypeError)
            require(not rnn.bidirectional, f"{name} must run in one direction")
            sentence = f"{name} is batch_first, but sequences are (T, N): time first"
            require(not rnn.batch_first, sentence)
            check_same_dtype(rnn, name, dtype)
        names = "hidden_size", "proj_size", "num_layers"
        a, b = ([getattr(rnn, n) for n in names] for rnn in (encoder, decoder))
        sentence = f"encoder and decoder differ in {', '.join(names)}: {a}, {b}"
        require(a == b, sentence)
        check_positive(source_size, "source_size", integer=True)
        check_positive(target_size, "target_size", integer=True)
        check_search(start, stop, 1)
        sentence = f"start {start} and stop {stop} must differ, below {target_size}"
        require(start != stop and max(start, stop) < target_size, sentence)
        check_rng(rng)
        options = {"rng": rng, "dtype": dtype}
        self.start, self.stop = start, stop
        self.source = Embedding(source_size, encoder.input_size, **options)
        self.target = Embedding(target_size, decoder.input_size, **options)
        self.encoder, self.decoder = encoder, decoder
        shown = decoder.proj_size or decoder.hidden_size
        self.output = Linear(shown, target_size, **options)

    def encode(self, source, lengths=None):
        """The state after all of `source` (T, N) of these lengths (N,) is read."""
        vectors = self.source(source)
        if lengths is not None:
            vectors = pack_padded_sequence(vectors, lengths, enforce_sorted=False)
        return self.encoder(vectors)[1]

    def forward(self, source, given, lengths=None):
        """Scores (T', N, V) of what comes next, for `source` (T, N) and the true
        symbols so far, `given` (T', N); `lengths` (N,) are those of the source."""
        output, _ = self.decoder(self.target(given), self.encode(source, lengths))
        return self.output(output)

    def loss(self, source, target, lengths=None, target_lengths=None):
        """The mean of −log P(target | source), in nats, for `target` (T', N).

        The stop after each is counted too; `lengths` and `target_lengths` are (N,).
        """
        given, wanted, ends = with_stop(target, self.start, self.stop, target_lengths)
        return sequence_nll(self(source, given, lengths), wanted, ends)

    def step(self, token, state):
        """Log-probabilities (V,) of what follows a symbol, and the state after it."""
        with no_grad():
            output, state = self.decoder(self.target(np.array([[token]])), state)
            scores = raw(self.output(output))[0, 0]
        return log_softmax(scores, 0), state

    def translate(self, source, beam_size=1, max_length=50, alpha=0.0):
        """The best target (list of int) that is found for one `source` (T,)."""
        source = as_labels(source, "source")
        require(source.ndim == 1, f"source must be (T,), not of shape {source.shape}")
        with no_grad():
            state = self.encode(source[:, None])
        found, _ = beam_search(
            self.step, state, self.start, self.stop, beam_size, max_length, alpha
        )[0]
        return found[:-1] if found[-1] == self.stop else found
