"""Richer recurrent networks in PyTorch; `rng` is a `torch.Generator`.

Cells and layers are those of torch, or of earlier pages where they take an `rng`.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence

from dlbook_lib.recurrent.backpropagation_through_time.pytorch import (
    Embedding,
    sequence_nll,
)
from dlbook_lib.recurrent.unfolding.pytorch import RNNCell, unroll


def check_search(start, stop, max_length):
    """As in scratch; no shapes."""
    if min(start, stop) < 0 or max_length < 1:
        raise ValueError(
            f"check_search: start {start}, stop {stop}, {max_length} steps"
        )


def as_log_probs(log_probs, stop):
    """As in scratch: (V,)."""
    if log_probs.ndim != 1 or stop >= len(log_probs) or log_probs.max() > 1e-6:
        raise ValueError("as_log_probs: log_probs must be logarithms, of all symbols")
    return log_probs


def greedy_decode(step, state, start, stop, max_length=50):
    """As in scratch; `step` gives tensors (V,)."""
    check_search(start, stop, max_length)
    tokens, total, token = [], 0.0, start
    while not tokens or (token != stop and len(tokens) < max_length):
        log_probs, state = step(token, state)
        log_probs = as_log_probs(log_probs, stop)
        token = int(log_probs.argmax())
        tokens.append(token)
        total += float(log_probs[token])
    return tokens, total


def normalized(log_prob, length, alpha=0.0):
    """As in scratch: a number, or (...)."""
    return log_prob / length ** float(alpha)


def beam_search(step, state, start, stop, beam_size=5, max_length=50, alpha=0.0):
    """As in scratch; `step` gives tensors (V,)."""
    check_search(start, stop, max_length)
    alive, found = [(0.0, [], state)], []
    for _ in range(max_length):
        grown = []
        for total, tokens, state in alive:
            log_probs, after = step(tokens[-1] if tokens else start, state)
            as_log_probs(log_probs, stop)
            for token, log_prob in enumerate(log_probs.tolist()):
                grown.append((total + log_prob, [*tokens, token], after))
        grown.sort(key=lambda each: (-each[0], each[1]))
        best = [g for g in grown[: beam_size - len(found)] if g[0] > -torch.inf]
        found += [each for each in best if each[1][-1] == stop]
        alive = [each for each in best if each[1][-1] != stop]
        if not alive:
            break
    scored = [(t, float(normalized(p, len(t), alpha))) for p, t, _ in found + alive]
    return sorted(scored, key=lambda each: (-each[1], each[0]))


def chain_tree(n):
    """As in scratch: nested pairs."""
    tree = 0
    for leaf in range(1, n):
        tree = tree, leaf
    return tree


def balanced_tree(n, first=0):
    """As in scratch: nested pairs."""
    if n == 1:
        return first
    half = n // 2
    return balanced_tree(half, first), balanced_tree(n - half, first + half)


def merges(tree):
    """As in scratch: (n - 1, 2)."""
    order, todo = [], [tree]
    while todo:
        node = todo.pop()
        order.append(node)
        if isinstance(node, tuple):
            todo += node
    leaves = sum(not isinstance(node, tuple) for node in order)
    rows, ids = [], []
    for node in reversed(order):
        if isinstance(node, tuple):
            rows.append([ids.pop(), ids.pop()][::-1])
            ids.append(leaves + len(rows) - 1)
        else:
            ids.append(node)
    return torch.tensor(rows, dtype=torch.long).view(-1, 2)


def tree_depth(tree):
    """As in scratch: a whole number."""
    rows = merges(tree).tolist()
    depth = [0] * (len(rows) + 1)
    for left, right in rows:
        depth.append(1 + max(depth[left], depth[right]))
    return depth[-1]


def recursive_states(leaves, tree, weight, bias):
    """As in scratch: (2 * n - 1, H)."""
    states = list(leaves)
    for left, right in merges(tree).tolist():
        both = torch.cat([states[left], states[right]])
        states.append(linear(both, weight, bias).tanh())
    return torch.stack(states)


def _layer(in_features, out_features, bias=True, *, rng, dtype="float64"):
    """A `torch.nn.Linear`, (out, in), started by `rng`."""
    made = nn.Linear(in_features, out_features, bias, dtype=getattr(torch, dtype))
    for p in made.parameters():
        nn.init.uniform_(p, -(in_features**-0.5), in_features**-0.5, generator=rng)
    return made


class RecursiveNet(nn.Module):
    """As in scratch: (n, H) to (2 * n - 1, H)."""

    def __init__(self, size, *, rng, dtype="float64"):
        super().__init__()
        self.compose = _layer(2 * size, size, rng=rng, dtype=dtype)

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
        dtype="float64",
    ):
        super().__init__()
        options = {"rng": rng, "dtype": dtype}
        self.forward_cell = cell(input_size, hidden_size, **options)
        self.backward_cell = cell(input_size, hidden_size, **options)
        self.output = _layer(2 * hidden_size, output_size, **options)

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
        dtype="float64",
    ):
        super().__init__()
        options = {"rng": rng, "dtype": dtype}
        blocks = "input", "transition", "output"
        extra = {block: depth - 1 if block in where else 0 for block in blocks}

        def layers(n, size=hidden_size):
            pairs = pairwise([size] + [hidden_size] * n)
            return Layers(*[_layer(a, b, **options) for a, b in pairs])

        self.input = layers(extra["input"], input_size)
        wide = hidden_size if extra["input"] else input_size
        self.cell = RNNCell(wide, hidden_size, **options)
        self.transition = layers(extra["transition"])
        self.skip = _layer(hidden_size, hidden_size, False, **options) if skip else None
        self.hidden = layers(extra["output"])
        self.output = _layer(hidden_size, output_size, **options)

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


def with_stop(target, start, stop, lengths=None):
    """As in scratch: (T + 1, N) twice, and (N,)."""
    target = torch.as_tensor(target)
    steps, count = target.shape
    lengths = torch.full((count,), steps) if lengths is None else torch.tensor(lengths)
    ended = torch.arange(steps)[:, None] >= lengths
    known = target.masked_fill(ended, stop)
    first, last = torch.full((1, count), start), torch.full((1, count), stop)
    return torch.cat([first, known]), torch.cat([known, last]), lengths + 1


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
        dtype="float64",
    ):
        super().__init__()
        options = {"rng": rng, "dtype": dtype}
        self.start, self.stop = start, stop
        self.source = Embedding(source_size, encoder.input_size, **options)
        self.target = Embedding(target_size, decoder.input_size, **options)
        self.encoder, self.decoder = encoder, decoder
        self.output = _layer(decoder.hidden_size, target_size, **options)

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
        output, state = self.decoder(self.target(torch.tensor([[token]])), state)
        return self.output(output)[0, 0].log_softmax(0), state

    @torch.no_grad()
    def translate(self, source, beam_size=1, max_length=50, alpha=0.0):
        """As in scratch: a list, for `source` (T,)."""
        state = self.encode(torch.as_tensor(source)[:, None])
        found, _ = beam_search(
            self.step, state, self.start, self.stop, beam_size, max_length, alpha
        )[0]
        return found[:-1] if found[-1] == self.stop else found
