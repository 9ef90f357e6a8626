"""Modules in PyTorch: torch's own where it has them; `rng` is a `torch.Generator`."""

from torch import nn

from dlbook_lib.recurrent.backpropagation_through_time.pytorch import one_hot
from dlbook_lib.recurrent.unfolding.layers_pytorch import _drawn, _linear

__all__ = ["RNN", "CharRNN", "Embedding", "check_same_dtype"]


class RNN(nn.RNN):
    """As in scratch; torch's own, started by `rng`: (T, N, D)."""

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
        options = num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *options, dtype=dtype)
        _drawn(self, hidden_size**-0.5, rng)


class Embedding(nn.Embedding):
    """As in scratch; torch's own, drawn by `rng`: (...) to (..., E)."""

    def __init__(self, num_embeddings, embedding_dim, *, rng, dtype=float):
        super().__init__(num_embeddings, embedding_dim, dtype=dtype)
        nn.init.normal_(self.weight, generator=rng)


def check_same_dtype(module, name, dtype):
    """As in scratch, but it checks nothing: torch itself mixes no (...) of two."""


class CharRNN(nn.Module):
    """As in scratch: letters (T, N) to scores (T, N, V), and the state."""

    def __init__(self, rnn, vocab_size, embedding=False, *, rng, dtype=float):
        super().__init__()
        self.vocab_size, self.dtype, self.embedding = vocab_size, dtype, None
        if embedding:
            wide = rnn.input_size
            self.embedding = Embedding(vocab_size, wide, rng=rng, dtype=dtype)
        self.rnn = rnn
        shown = getattr(rnn, "proj_size", 0) or rnn.hidden_size
        self.output = _linear(shown, vocab_size, rng=rng, dtype=dtype)

    def forward(self, input, hx=None):
        """As in scratch: letters (T, N)."""
        if self.embedding is None:
            vectors = one_hot(input, self.vocab_size, self.dtype)
        else:
            vectors = self.embedding(input)
        output, hx = self.rnn(vectors, hx)
        return self.output(output), hx
