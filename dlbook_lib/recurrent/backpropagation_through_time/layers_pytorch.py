"""Modules in PyTorch: torch's own where it has them; `rng` is a `torch.Generator`."""

import torch
from torch import nn

from dlbook_lib.recurrent.backpropagation_through_time.pytorch import one_hot

__all__ = ["RNN", "CharRNN", "Embedding"]


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
        dtype="float64",
    ):
        options = num_layers, nonlinearity, bias, batch_first, dropout, bidirectional
        kind = getattr(torch, dtype)
        super().__init__(input_size, hidden_size, *options, dtype=kind)
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=rng)


class Embedding(nn.Embedding):
    """As in scratch; torch's own, drawn by `rng`: (...) to (..., E)."""

    def __init__(self, num_embeddings, embedding_dim, *, rng, dtype="float64"):
        super().__init__(num_embeddings, embedding_dim, dtype=getattr(torch, dtype))
        nn.init.normal_(self.weight, generator=rng)


class CharRNN(nn.Module):
    """As in scratch: letters (T, N) to scores (T, N, V), and the state."""

    def __init__(self, rnn, vocab_size, embedding=False, *, rng, dtype="float64"):
        super().__init__()
        self.vocab_size, self.dtype, self.embedding = vocab_size, dtype, None
        if embedding:
            wide = rnn.input_size
            self.embedding = Embedding(vocab_size, wide, rng=rng, dtype=dtype)
        self.rnn = rnn
        shown = getattr(rnn, "proj_size", 0) or rnn.hidden_size
        self.output = nn.Linear(shown, vocab_size, dtype=getattr(torch, dtype))
        for p in self.output.parameters():
            bound = shown**-0.5
            nn.init.uniform_(p, -bound, bound, generator=rng)

    def forward(self, input, hx=None):
        """As in scratch: letters (T, N)."""
        if self.embedding is None:
            vectors = one_hot(input, self.vocab_size, self.dtype)
        else:
            vectors = self.embedding(input)
        output, hx = self.rnn(vectors, hx)
        return self.output(output), hx
