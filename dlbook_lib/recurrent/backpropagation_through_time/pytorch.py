"""Back-propagation through time in PyTorch: torch's kernel, and autograd's way back."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dlbook_lib.recurrent.unfolding.packing_pytorch import packed_places
from dlbook_lib.recurrent.unfolding.pytorch import rnn_cell, state_slope

__all__ = [
    "bigram_bits",
    "bits_per_character",
    "bptt",
    "decode",
    "detached",
    "draw",
    "embedding",
    "encode",
    "one_hot",
    "packed_nll",
    "packed_terms",
    "rnn",
    "rnn_inputs_in_one_product",
    "sample",
    "score_gradients",
    "sequence_nll",
    "step_contributions",
    "steps_that_count",
    "text_columns",
]


def rnn(
    input,
    hx,
    w_ih,
    w_hh,
    b_ih=None,
    b_hh=None,
    nonlinearity="tanh",
    batch_first=False,
):
    """As in scratch, by torch's kernel: (T, N, D) to (T, N, H)."""
    weights = [w_ih, w_hh] if b_ih is None else [w_ih, w_hh, b_ih, b_hh]
    kernel = torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu
    options = b_ih is not None, 1, 0.0, False, False, batch_first
    return kernel(input, hx[None], weights, *options)[0]


def score_gradients(dy, output, w_hh, nonlinearity="tanh"):
    """As in scratch: (T, N, H) to (T, N, H)."""
    slope, dh, da = state_slope(output, nonlinearity), torch.zeros_like(dy[0]), []
    for t in reversed(range(len(dy))):
        da.insert(0, slope[t] * (dh + dy[t]))
        dh = da[0] @ w_hh
    return torch.stack(da)


def step_contributions(
    dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"
):
    """As in scratch, by autograd: each step has weights of its own; (T, H, D) first."""
    b_ih, b_hh = (w_hh.new_zeros(len(w_hh)) if b is None else b for b in (b_ih, b_hh))
    own = [
        w.detach().expand(len(input), *w.shape).clone().requires_grad_()
        for w in (w_ih, w_hh, b_ih, b_hh)
    ]
    states = []
    for x, *weights in zip(input, *own, strict=True):
        hx = rnn_cell(x, hx, *weights, nonlinearity)
        states.append(hx)
    return torch.autograd.grad(torch.stack(states), own[:3], dy)


def rnn_inputs_in_one_product(
    input, batch_sizes, states, weights, reverse=False, nonlinearity="tanh"
):
    """As in scratch, with autograd for `pull`: rows (K, D) to (K, H)."""
    leaves = [x.detach().requires_grad_() for x in (input, states[0], *weights)]
    x, h, w_ih, w_hh, *biases = leaves
    with torch.enable_grad():
        rows = list((x @ w_ih.T + sum(biases)).split([int(n) for n in batch_sizes]))
        for t in sorted(range(len(rows)), reverse=reverse):
            n = len(rows[t])
            rows[t] = getattr(torch, nonlinearity)(rows[t] + h[:n] @ w_hh.T)
            h = torch.cat([rows[t], h[n:]])
        output = torch.cat(rows)

    def pull(doutput, dends):
        pairs = (output, h), leaves, (doutput, *dends)
        dx, dh, *rest = torch.autograd.grad(*pairs, retain_graph=True)
        return dx, (dh,), tuple(rest)

    return output.detach(), (h.detach(),), pull


def sequence_nll(input, target, lengths=None, reduction="mean"):
    """As in scratch: scores (T, N, C), targets (T, N)."""
    input, target = steps_that_count(input, target, lengths)
    loss = cross_entropy(input.mT, target, reduction="none").sum(0)
    return loss if reduction == "none" else getattr(loss, reduction)()


def steps_that_count(input, target, lengths=None):
    """As in scratch: (T, N, C) and (T, N)."""
    if lengths is None:
        return input, target
    lengths = torch.as_tensor(lengths, device=target.device)
    real = torch.arange(len(input), device=target.device)[:, None] < lengths
    return input, torch.where(real, target, -100)


def packed_nll(input, target, batch_sizes, reduction="mean"):
    """As in scratch: scores (K, C), targets (K,), sizes (T,)."""
    nll, rows = packed_terms(input, target, batch_sizes)
    loss = nll.new_zeros(int(batch_sizes[0])).index_add(0, rows, nll)
    return loss if reduction == "none" else getattr(loss, reduction)()


def packed_terms(input, target, batch_sizes):
    """As in scratch: (K,) both."""
    rows = packed_places(batch_sizes)[1]
    return cross_entropy(input, target, reduction="none"), rows


def detached(hx):
    """As in scratch: a tensor (L, N, H), or a tuple of them."""
    return tuple(map(detached, hx)) if isinstance(hx, tuple) else hx.detach()


def bptt(net, loss, input, target, k, hx=None):
    """As in scratch: `input` and `target` (T, N, ...)."""
    total = 0.0
    for start in range(0, len(input), k):
        piece = slice(start, start + k)
        output, hx = net(input[piece], hx)
        cost = loss(output, target[piece])
        cost.backward()
        total, hx = total + cost.item(), detached(hx)
    return total, hx


def encode(text, alphabet):
    """As in scratch: a tensor of int (T,)."""
    return torch.tensor([alphabet.index(letter) for letter in text], dtype=torch.long)


def decode(letters, alphabet):
    """As in scratch: `letters` (T,)."""
    return "".join(alphabet[i] for i in letters)


def text_columns(indices, count):
    """As in scratch: (K,) to (T, N) twice."""
    steps = (len(indices) - 1) // count
    both = indices[: steps * count], indices[1 : steps * count + 1]
    return tuple(x.reshape(count, steps).T for x in both)


def one_hot(input, num_classes, dtype=float):
    """As in scratch: (...) to (..., num_classes)."""
    return nn.functional.one_hot(input, num_classes).to(dtype)


def embedding(input, weight):
    """As in scratch: (...) to (..., E)."""
    return nn.functional.embedding(input, weight)


def draw(input, temperature=1.0, *, rng):
    """As in scratch: scores (C,) to an int."""
    if temperature == 0:
        return int(input.argmax())
    p = (input.double() / temperature).softmax(0)
    return int(torch.multinomial(p.to(rng.device), 1, generator=rng))


@torch.no_grad()
def sample(net, start, steps, temperature=1.0, *, rng):
    """As in scratch: letters (T,) to letters (steps,)."""
    written, next_input, hx = [], start[:, None], None
    for _ in range(steps):
        scores, hx = net(next_input, hx)
        written.append(draw(scores[-1, 0], temperature, rng=rng))
        next_input = start.new_tensor([[written[-1]]])
    return start.new_tensor(written)


def bits_per_character(input, target):
    """As in scratch: scores (..., V), targets (...)."""
    nats = cross_entropy(input.reshape(-1, input.shape[-1]), target.reshape(-1))
    return nats.item() / torch.tensor(2.0, dtype=torch.float64).log().item()


def bigram_bits(text, test, num_classes, smoothing=1.0):
    """As in scratch: letters (T,)."""
    kind = {"device": text.device, "dtype": torch.float64}
    count = torch.full((num_classes, num_classes), smoothing, **kind)
    ones = torch.ones(len(text) - 1, **kind)
    count = count.index_put((text[:-1], text[1:]), ones, accumulate=True)
    p = count / count.sum(1, keepdim=True)
    return float(-p[test[:-1], test[1:]].log2().mean())
