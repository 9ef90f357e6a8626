"""Modules in PyTorch: richer recurrent networks; `rng` is a `torch.Generator`.

Cells and layers are those of torch, or of earlier pages where they take an `rng`.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from dlbook_lib.recurrent.backpropagation_through_time.layers_pytorch import Embedding
from dlbook_lib.recurrent.backpropagation_through_time.pytorch import sequence_nll
from dlbook_lib.recurrent.recurrent_architectures.pytorch import (
    beam_search,
    recursive_states,
    with_stop,
)
from dlbook_lib.recurrent.unfolding.layers_pytorch import RNNCell, _linear
from dlbook_lib.recurrent.unfolding.pytorch import unroll


class RecursiveNet(nn.Module):
    """As in scratch: (n, H) to (2 * n - 1, H)."""

    def __init__(self, size, *, rng, dtype=float):
        super().__init__()
        self.compose = _linear(2 * size, size, rng=rng, dtype=dtype)

    def forward(self, leaves, tree):
        """As in scratch: states (2 * n - 1, H)."""
        return recursive_states(leaves, tree, self.compose.weight, self.compose.bias)


def both_ways(forward_cell, backward_cell, input):
    """As in scratch: (T, N, 2 * H)."""
    ahead = unroll(forward_cell, input)
    back = unroll(backward_cell, input.flip(0))[::-1]
    return torch.cat([torch.stack(list(ahead)), torch.stack(list(back))], -1)


class BiRNN(nn.Module):
    """As in scratch: (T, N, D) to (T, N, O)."""

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
        options = {"rng": rng, "dtype": dtype}
        self.forward_cell = cell(input_size, hidden_size, **options)
        self.backward_cell = cell(input_size, hidden_size, **options)
        self.output = _linear(2 * hidden_size, output_size, **options)

    def forward(self, input):
        """As in scratch: outputs (T, N, O)."""
        return self.output(both_ways(self.forward_cell, self.backward_cell, input))


class DeepRNN(nn.Module):
    """As in scratch: (T, N, D) to (T, N, O)."""

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
        options = {"rng": rng, "dtype": dtype}
        blocks = "input", "transition", "output"
        extra = {block: depth - 1 if block in where else 0 for block in blocks}

        def layers(n, size=hidden_size):
            pairs = pairwise([size] + [hidden_size] * n)
            return Layers(*[_linear(a, b, **options) for a, b in pairs])

        self.input = layers(extra["input"], input_size)
        wide = hidden_size if extra["input"] else input_size
        self.cell = RNNCell(wide, hidden_size, **options)
        self.transition = layers(extra["transition"])
        square = hidden_size, hidden_size
        self.skip = _linear(*square, False, **options) if skip else None
        self.hidden = layers(extra["output"])
        self.output = _linear(hidden_size, output_size, **options)

    def step(self, input, hx):
        """As in scratch: the next state (N, H)."""
        h = self.cell(input, hx)
        return self.transition(h, None if self.skip is None else self.skip(hx))

    def forward(self, input):
        """As in scratch: outputs (T, N, O)."""
        hx = input.new_zeros(input.shape[1], self.output.in_features)
        states = unroll(self.step, self.input(input), hx)
        return self.output(self.hidden(torch.stack(list(states))))


class Layers(nn.Module):
    """As in scratch: (..., ·) to (..., H)."""

    def __init__(self, *layers):
        super().__init__()
        self.count = len(layers)
        for i, each in enumerate(layers):
            self.add_module(str(i), each)

    def forward(self, input, extra=None):
        """As in scratch: values (..., H)."""
        for i in range(self.count):
            scores = self.get_submodule(str(i))(input)
            if extra is not None and i == self.count - 1:
                scores = scores + extra
            input = scores.tanh()
        return input


def over_frames(module, input):
    """As in scratch: (T, N, ...) to (T, N, ...)."""
    return module(input.flatten(0, 1)).unflatten(0, input.shape[:2])


class Seq2Seq(nn.Module):
    """As in scratch: sources (T, N) to targets (T', N)."""

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
        options = {"rng": rng, "dtype": dtype}
        self.start, self.stop = start, stop
        self.source = Embedding(source_size, encoder.input_size, **options)
        self.target = Embedding(target_size, decoder.input_size, **options)
        self.encoder, self.decoder = encoder, decoder
        shown = decoder.proj_size or decoder.hidden_size
        self.output = _linear(shown, target_size, **options)

    def encode(self, source, lengths=None):
        """As in scratch, for `source` (T, N)."""
        vectors = self.source(source)
        if lengths is not None:
            vectors = pack_padded_sequence(vectors, lengths, enforce_sorted=False)
        return self.encoder(vectors)[1]

    def forward(self, source, given, lengths=None):
        """As in scratch: scores (T', N, V)."""
        output, _ = self.decoder(self.target(given), self.encode(source, lengths))
        return self.output(output)

    def loss(self, source, target, lengths=None, target_lengths=None):
        """As in scratch: a number."""
        given, wanted, ends = with_stop(target, self.start, self.stop, target_lengths)
        return sequence_nll(self(source, given, lengths), wanted, ends)

    @torch.no_grad()
    def step(self, token, state):
        """As in scratch: (V,) and the state."""
        token = torch.tensor([[token]], device=self.output.weight.device)
        output, state = self.decoder(self.target(token), state)
        return self.output(output)[0, 0].log_softmax(0), state

    @torch.no_grad()
    def translate(self, source, beam_size=1, max_length=50, alpha=0.0):
        """As in scratch: a list, for `source` (T,)."""
        source = torch.as_tensor(source, device=self.output.weight.device)
        state = self.encode(source[:, None])
        found, _ = beam_search(
            self.step, state, self.start, self.stop, beam_size, max_length, alpha
        )[0]
        return found[:-1] if found[-1] == self.stop else found
