"""Hidden units in PyTorch: mostly torch's own; autograd derives every backward half.

A stack of networks is a list of weights (S, out, in) and a list of biases (S, out), as
in scratch; an activation is a single function, since its backward half is not needed.
"""

from itertools import pairwise

import torch
from torch import absolute, cos, nn, sigmoid, tanh
from torch.nn import PReLU
from torch.nn.functional import (
    cross_entropy,
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    linear,
    prelu,
    relu,
    silu,
    softplus,
)

from dlbook_lib.common.rng import torch_generator

__all__ = [
    "ACTIVATIONS",
    "LowRankLinear",
    "Maxout",
    "PReLU",
    "RBFLayer",
    "absolute",
    "activation_bakeoff",
    "cos",
    "dead_fraction",
    "elu",
    "gelu",
    "gradient_by_layer",
    "hardtanh",
    "init_stack",
    "leaky_relu",
    "low_rank_linear",
    "maxout",
    "prelu",
    "rbf",
    "sequential_tasks",
    "silu",
    "stack_accuracy",
    "stack_scores",
    "tanh",
    "train_stack",
]

ACTIVATIONS = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "absolute": absolute,
    "elu": elu,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hardtanh": hardtanh,
    "cos": cos,
}
"""Element-wise activations by name; autograd has their backward halves."""


def maxout(input, k):
    """As in scratch: (..., units · k) to (..., units)."""
    return input.unflatten(-1, (-1, k)).max(dim=-1).values


def rbf(input, weight, sigma):
    """As in scratch: (..., in), (units, in), (units,) to (..., units)."""
    away = (input[..., None, :] - weight) / sigma[:, None]
    return torch.exp(-away.square().sum(dim=-1))


def low_rank_linear(input, left, right, bias=None):
    """As in scratch: (..., in) to (..., out) through (..., rank)."""
    return linear(linear(input, right), left, bias)


class Maxout(nn.Module):
    """As in scratch: (..., in) to (..., units); `rng` is a `torch.Generator`."""

    def __init__(self, in_features, units, k=2, *, rng):
        super().__init__()
        bound, self.k = in_features**-0.5, k
        self.weight = nn.Parameter(torch.empty(units * k, in_features))
        self.bias = nn.Parameter(torch.empty(units * k))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=rng)

    def forward(self, input):
        """As in scratch: values (..., units)."""
        return maxout(linear(input, self.weight, self.bias), self.k)


class RBFLayer(nn.Module):
    """As in scratch: (..., in) to (..., units)."""

    def __init__(self, in_features, units, sigma=1.0, *, rng):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(units, in_features, generator=rng))
        self.sigma = nn.Parameter(torch.full((units,), float(sigma)))

    def forward(self, input):
        """As in scratch: values (..., units)."""
        return rbf(input, self.weight, self.sigma)


class LowRankLinear(nn.Module):
    """As in scratch: (..., in) to (..., out)."""

    def __init__(self, in_features, out_features, rank, *, rng):
        super().__init__()
        near, far = in_features**-0.5, rank**-0.5
        self.left = nn.Parameter(torch.empty(out_features, rank))
        self.right = nn.Parameter(torch.empty(rank, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        for parameter, bound in (
            (self.right, near),
            (self.left, far),
            (self.bias, far),
        ):
            nn.init.uniform_(parameter, -bound, bound, generator=rng)

    def forward(self, input):
        """As in scratch: scores (..., out)."""
        return low_rank_linear(input, self.left, self.right, self.bias)


def init_stack(sizes, seeds, init="he", bias=0.0, k=1):
    """As in scratch: lists of (S, out, in) and (S, out); other draws, same spread."""
    draw = {
        "he": lambda w, rng: nn.init.kaiming_normal_(
            w, nonlinearity="relu", generator=rng
        ),
        "xavier": lambda w, rng: nn.init.xavier_normal_(w, generator=rng),
        "torch": lambda w, rng: nn.init.kaiming_uniform_(w, a=5**0.5, generator=rng),
    }[init]
    rngs = [torch_generator(seed) for seed in seeds]
    weights, biases = [], []
    for layer, (n, units) in enumerate(pairwise(sizes), start=2):
        pieces, start = (1, 0.0) if layer == len(sizes) else (k, bias)
        each = [
            torch.cat([draw(torch.empty(units, n), rng) for _ in range(pieces)])
            for rng in rngs
        ]
        weights.append(torch.stack(each))
        biases.append(torch.full((len(rngs), units * pieces), float(start)))
    return weights, biases


def stack_scores(input, weights, biases, activation):
    """As in scratch: a list of (S, N, out)."""
    scores = []
    for weight, bias in zip(weights, biases, strict=True):
        below = activation(scores[-1]) if scores else input
        scores.append(below @ weight.mT + bias[:, None, :])
    return scores


def train_stack(
    weights, biases, activation, input, target, *, lr, epochs, batch_size=100, rng
):
    """As in scratch, in place on leaf tensors; the losses (steps, S)."""
    parameters = [p.requires_grad_() for p in (*weights, *biases)]
    networks, losses = len(weights[0]), []
    rate = torch.as_tensor(lr, dtype=input.dtype, device=input.device)
    rate = rate.expand(networks)
    for _ in range(epochs):
        order = torch.randperm(len(input), generator=rng).to(target.device)
        for rows in order.split(batch_size):
            outputs = stack_scores(input[rows], weights, biases, activation)[-1]
            labels = target[rows].expand(networks, -1)
            loss = cross_entropy(outputs.mT, labels, reduction="none")  # (networks, B)
            loss = loss.mean(dim=1)
            gradients = torch.autograd.grad(loss.sum(), parameters)
            with torch.no_grad():
                for p, g in zip(parameters, gradients, strict=True):
                    p -= rate.view(-1, *(1 for _ in p.shape[1:])) * g
            losses.append(loss.detach())
    return torch.stack(losses)


def stack_accuracy(input, target, weights, biases, activation):
    """As in scratch: one share for each network, (S,)."""
    with torch.no_grad():
        outputs = stack_scores(input, weights, biases, activation)[-1]
        return (outputs.argmax(dim=-1) == target).to(input.dtype).mean(dim=-1)


def dead_fraction(score):
    """As in scratch: (..., N, units) to (...)."""
    return (score <= 0).all(dim=-2).to(score.dtype).mean(dim=-1)


def gradient_by_layer(dy, input, weights, biases, activation):
    """As in scratch, by autograd: root mean squares (layers, S)."""
    weights = [w.detach().requires_grad_() for w in weights]
    scores = stack_scores(input, weights, biases, activation)
    found = torch.autograd.grad(scores[-1], scores, dy)
    return torch.stack([d.square().mean(dim=(1, 2)).sqrt() for d in found])


def activation_bakeoff(
    names, train, valid, test, *, hidden, lrs, seeds, epochs, rng, init="he"
):
    """As in scratch, on the device of the data; accuracies are (seeds,)."""
    x, y = train
    sizes, found = [x.shape[1], *hidden, int(y.max()) + 1], {}
    for name in names:
        f = ACTIVATIONS[name]
        weights, biases = init_stack(sizes, list(seeds) * len(lrs), init)
        weights, biases = [w.to(x) for w in weights], [b.to(x) for b in biases]
        lr = torch.tensor(lrs).repeat_interleave(len(seeds)).to(x)
        train_stack(weights, biases, f, x, y, lr=lr, epochs=epochs, rng=rng)
        on_valid, on_test = (
            stack_accuracy(*part, weights, biases, f).view(len(lrs), -1)
            for part in (valid, test)
        )
        best = int(on_valid.mean(dim=1).argmax())
        found[name] = lrs[best], on_test[best]
    return found


def sequential_tasks(
    activation, tasks, *, hidden, lr, epochs, seeds, rng, k=1, init="he"
):
    """As in scratch: accuracies (T, T, S) on task j after task i."""
    x, y = tasks[0][:2]
    sizes = [x.shape[1], *hidden, int(y.max()) + 1]
    weights, biases = init_stack(sizes, seeds, init, k=k)
    weights, biases = [w.to(x) for w in weights], [b.to(x) for b in biases]
    rows = []
    for x, y, *_ in tasks:
        train_stack(weights, biases, activation, x, y, lr=lr, epochs=epochs, rng=rng)
        now = [stack_accuracy(*t[2:], weights, biases, activation) for t in tasks]
        rows.append(torch.stack(now))
    return torch.stack(rows)
