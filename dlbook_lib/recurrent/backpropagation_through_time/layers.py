"""Modules: recurrent layers, vectors of letters, and a model that writes text."""

from functools import partial

import numpy as np

from dlbook_lib.common.checks import (
    check_in,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff.modules import Linear, Module, Parameter
from dlbook_lib.recurrent.backpropagation_through_time import (
    second_derivatives as tensors,
)
from dlbook_lib.recurrent.backpropagation_through_time.kernels import RNNBase
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    one_hot,
    rnn_inputs_in_one_product,
)
from dlbook_lib.recurrent.unfolding.second_derivatives import rnn_step


class RNN(RNNBase):
    r"""`rnn` in layers, both directions, and any lengths; weights named as torch's.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    nonlinearity : {"tanh", "relu"}
    bias, batch_first : bool
    dropout : float
    bidirectional : bool
    rng : numpy.random.Generator
    dtype : dtype
        As in `RNNBase`.

    >>> net = RNN(3, 4, num_layers=2, bidirectional=True, rng=np.random.default_rng(0))
    >>> output, h_n = net(np.ones((7, 5, 3)))
    >>> output.shape, h_n.shape, list(net.state_dict())[4]
    ((7, 5, 8), (4, 5, 4), 'weight_ih_l0_reverse')
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        *,
        rng,
        dtype=float,
    ):
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
        options = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, rng=rng, dtype=dtype)
        self.nonlinearity = nonlinearity
        self.kernel = partial(rnn_inputs_in_one_product, nonlinearity=nonlinearity)
        self.cell = partial(rnn_step, nonlinearity=nonlinearity)


class Embedding(Module):
    """A table of vectors, `weight` (num_embeddings, embedding_dim), from N(0, 1).

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and E.
    rng : numpy.random.Generator
    dtype : dtype

    >>> Embedding(10, 3, rng=np.random.default_rng(0))(np.array([[1, 2]])).shape
    (1, 2, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, *, rng, dtype=float):
        super().__init__()
        check_positive(num_embeddings, "num_embeddings", integer=True)
        check_positive(embedding_dim, "embedding_dim", integer=True)
        check_rng(rng)
        drawn = rng.normal(size=(num_embeddings, embedding_dim))
        self.weight = Parameter(drawn.astype(dtype))

    def forward(self, input):
        """Vectors (..., E) for indices (...)."""
        return tensors.embedding(input, self.weight)

    def extra_repr(self):
        """Sizes, as torch prints them."""
        return ", ".join(map(str, self.weight.shape))


def check_same_dtype(module, name, dtype):
    """Refuse a `module` with parameters (...) of another dtype: one wins, unasked.

    >>> check_same_dtype(RNN(1, 1, rng=np.random.default_rng(0)), "rnn", "float32")
    Traceback (most recent call last):
    ValueError: check_same_dtype: rnn holds float64 but dtype is float32;
    build both with one
    """
    wanted, found = np.dtype(dtype), {p.dtype for p in module.parameters()}
    for other in found - {wanted}:
        sentence = f"{name} holds {other} but dtype is {wanted}; build both with one"
        require(False, sentence)


class CharRNN(Module):
    r"""A language model of letters: what comes next, given all that came before.

    Parameters
    ----------
    rnn : Module
        The recurrent layers, such as an `RNN`: ``output, hx = rnn(input, hx)``.
    vocab_size : int
        V, how many letters there are.
    embedding : bool
        Whether letters go in as learned vectors; otherwise as one-hot ones, and
        `rnn.input_size` must be V.
    rng : numpy.random.Generator
    dtype : dtype

    >>> rng = np.random.default_rng(0)
    >>> net = CharRNN(RNN(4, 8, rng=rng), 4, rng=rng)
    >>> net(np.array([[0], [1], [2]]))[0].shape
    (3, 1, 4)
    """

    def __init__(self, rnn, vocab_size, embedding=False, *, rng, dtype=float):
        super().__init__()
        check_positive(vocab_size, "vocab_size", integer=True)
        check_in(embedding, "embedding", (True, False))
        is_module = isinstance(rnn, Module) and hasattr(rnn, "hidden_size")
        require(is_module, f"rnn must be recurrent layers, not {rnn!r}", TypeError)
        ahead = getattr(rnn, "bidirectional", False)
        require(not ahead, "rnn is bidirectional: it would see the letters to come")
        turned = getattr(rnn, "batch_first", False)
        require(not turned, "rnn is batch_first, but letters are (T, N): time first")
        check_same_dtype(rnn, "rnn", dtype)
        require(
            embedding or rnn.input_size == vocab_size,
            f"rnn takes {rnn.input_size} features but one-hot letters have "
            f"{vocab_size}; pass embedding=True",
        )
        options = {"rng": rng, "dtype": dtype}
        self.vocab_size, self.dtype, self.embedding = vocab_size, dtype, None
        if embedding:
            self.embedding = Embedding(vocab_size, rnn.input_size, **options)
        self.rnn = rnn
        shown = getattr(rnn, "proj_size", 0) or rnn.hidden_size
        self.output = Linear(shown, vocab_size, **options)

    def forward(self, input, hx=None):
        """Scores (T, N, V) of the next letters, and the state, for `input` (T, N)."""
        if self.embedding is None:
            vectors = one_hot(input, self.vocab_size, self.dtype)
        else:
            vectors = self.embedding(input)
        output, hx = self.rnn(vectors, hx)
        return self.output(output), hx
