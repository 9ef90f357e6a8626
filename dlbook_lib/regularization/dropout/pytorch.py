"""Bagging, boosting and dropout in PyTorch; `rng` is a `torch.Generator`.

`torch.nn.functional.dropout` takes no generator, so it is written here; a test holds it
against torch's own.
"""

from itertools import product

import torch
from torch import nn
from torch.nn.functional import linear


def dropout_mask(shape, p=0.5, *, rng, dtype=float):
    """As in scratch: of the given shape, 0 or 1 / (1 - p)."""
    drawn = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
    kind = torch.float64 if dtype is float else dtype
    return (drawn >= p).to(kind) * (1 / (1 - p) if p < 1 else 0.0)


def dropout_mask_from_bytes(shape, p=0.5, *, rng, dtype=float):
    """As in scratch: of the given shape, from a byte for each unit."""
    kind, where = torch.float64 if dtype is float else dtype, rng.device
    byte = torch.empty(shape, dtype=torch.uint8, device=where)
    byte.random_(0, 256, generator=rng)
    edge, rest = divmod(256 * float(p), 1)
    keep = byte.short() >= int(edge)
    if rest:
        ties = byte.short() == int(edge)
        drawn = torch.rand(
            int(ties.sum()), generator=rng, device=where, dtype=torch.float64
        )
        keep[ties] = drawn >= rest
    return keep.to(kind) * (1 / (1 - p) if p < 1 else 0.0)


def masked(input, mask):
    """As in scratch: (...) times (...)."""
    return input * mask


def dropout(input, p=0.5, training=True, *, rng, draw=dropout_mask):
    """As in scratch: (...) to (...)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be between 0 and 1, not {p}")
    if not training:
        return input
    mask = draw(input.shape, p, rng=rng, dtype=input.dtype)
    return masked(input, mask.to(input.device))


class Dropout(nn.Module):
    """As in scratch: (...) to (...)."""

    def __init__(self, p=0.5, *, rng, draw=dropout_mask):
        super().__init__()
        self.p, self.rng, self.draw = p, rng, draw

    def forward(self, input):
        """As in scratch: outputs (...)."""
        return dropout(input, self.p, self.training, rng=self.rng, draw=self.draw)

    def extra_repr(self):
        """As in scratch."""
        return f"p={self.p}"


def masked_linear(input, weight, mask, bias=None):
    """As in scratch: (..., in) to (..., out)."""
    if mask.ndim == 2:
        return linear(input, weight * mask, bias)
    scores = torch.einsum("...oi,...i->...o", weight * mask, input)
    return scores if bias is None else scores + bias


def drop_connect(input, weight, bias=None, p=0.5, training=True, *, rng):
    """As in scratch: (..., in) to (..., out)."""
    if not training:
        return linear(input, weight, bias)
    shape = (*input.shape[:-1], *weight.shape)
    mask = dropout_mask(shape, p, rng=rng, dtype=weight.dtype)
    return masked_linear(input, weight, mask.to(weight.device), bias)


class DropConnect(nn.Module):
    """As in scratch: (..., in) to (..., out)."""

    def __init__(self, linear, p=0.5, *, rng):
        super().__init__()
        self.linear, self.p, self.rng = linear, p, rng

    def forward(self, input):
        """As in scratch: outputs (..., out)."""
        weight, bias = self.linear.weight, self.linear.bias
        return drop_connect(input, weight, bias, self.p, self.training, rng=self.rng)


def all_masks(n):
    """As in scratch: (2**n, n)."""
    return torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def mask_probability(mask, p=0.5):
    """As in scratch: (..., n) to (...)."""
    return ((1 - p) * mask + p * (1 - mask)).prod(dim=-1)


def mask_ensemble(predict, input, p=0.5):
    """As in scratch: (2**n, ..., C) and (2**n,)."""
    masks = all_masks(input.shape[-1]).to(input)
    probability = mask_probability(masks, p)
    masks, probability = masks[probability > 0], probability[probability > 0]
    scale = 1 / (1 - p) if p < 1 else 0.0
    return torch.stack([predict(input * (m * scale)) for m in masks]), probability


def arithmetic_mean(output, probability):
    """As in scratch: (M, ..., C) to (..., C)."""
    return torch.tensordot(probability, output, dims=1)


def geometric_mean(output, probability):
    """As in scratch: (M, ..., C) to (..., C)."""
    return arithmetic_mean(output.log(), probability).softmax(dim=-1)


def ensemble_mse(v, c, k):
    """As in scratch: a number."""
    return v / k + (k - 1) / k * c


def bootstrap(n, k, *, rng):
    """As in scratch: (k, n)."""
    return torch.randint(n, (k, n), generator=rng, device=rng.device)


def majority_vote(scores):
    """As in scratch: (k, N, C) to (N,)."""
    votes = nn.functional.one_hot(scores.argmax(dim=-1), scores.shape[-1])
    return votes.sum(dim=0).argmax(dim=-1)


class Bagging:
    """As in scratch; members take and give tensors (N, ...)."""

    def __init__(self, fit_member, k=10, *, rng):
        self.fit_member, self.k, self.rng = fit_member, k, rng

    def fit(self, input, target, rows=None):
        """As in scratch: (N, ...) and (N, ...)."""
        self.rows = (
            bootstrap(len(input), self.k, rng=self.rng) if rows is None else rows
        )
        self.members = [self.fit_member(input[r], target[r]) for r in self.rows]
        return self

    def predict(self, input):
        """As in scratch: (N, ...)."""
        return torch.stack([member(input) for member in self.members]).mean(dim=0)

    def vote(self, input):
        """As in scratch: (N,)."""
        return majority_vote(torch.stack([m(input) for m in self.members]))


def fit_stump(input, target, weight):
    """As in scratch: feature, threshold, sign, error."""
    x, order = input.sort(dim=0, stable=True)  # (N, D)
    gain = (weight * target)[order]
    edge = gain.flip(0).cumsum(dim=0).flip(0)
    edge[1:] -= gain.cumsum(dim=0)[:-1]
    edge[0, 1:] = 0  # the same constant for every feature
    edge[1:][x[1:] == x[:-1]] = 0
    i, j = divmod(int(edge.abs().argmax()), edge.shape[1])
    threshold = float(x[i - 1, j] / 2 + x[i, j] / 2) if i else -torch.inf
    threshold = threshold if threshold < x[i, j] else float(x[i - 1, j])
    sign = 1.0 if edge[i, j] > 0 else -1.0
    wrong = stump(input, j, threshold, sign) != target
    return j, threshold, sign, float(weight[wrong].sum())


def stump(input, feature, threshold, sign):
    """As in scratch: (N, D) to (N,)."""
    return sign * torch.where(input[:, feature] > threshold, 1.0, -1.0).to(input)


def adaboost_stumps(input, target, rounds=10):
    """As in scratch: a list of stumps with their α and error."""
    weight, stumps = torch.full_like(target, 1 / len(target)), []
    for _ in range(rounds):
        *cut, error = fit_stump(input, target, weight)
        if error >= 0.5:
            break
        odds = (1 - error) / max(error, torch.finfo(weight.dtype).eps)
        alpha = 0.5 * torch.tensor(odds, dtype=torch.float64).log().item()
        stumps.append((alpha, *cut, error))
        if error == 0:
            break
        weight = weight * torch.exp(-alpha * target * stump(input, *cut))
        weight = weight / weight.sum()
    return stumps


def adaboost_score(input, stumps):
    """As in scratch: (N, D) to (N,)."""
    score = torch.zeros(len(input), dtype=input.dtype, device=input.device)
    for alpha, *cut, _ in stumps:
        score += alpha * stump(input, *cut)
    return score
