"""Ensembles in PyTorch; the twin of `ensembles`. `rng` is a `torch.Generator`."""

from itertools import product

import torch
from torch.nn.functional import one_hot


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
    counts = probability != 0
    log = arithmetic_mean(output[counts].log(), probability[counts])
    return log.softmax(dim=-1)


def ensemble_mse(v, c, k):
    """As in scratch: a number."""
    return v / k + (k - 1) / k * c


def bootstrap(n, k, *, rng):
    """As in scratch: (k, n)."""
    return torch.randint(n, (k, n), generator=rng, device=rng.device)


def majority_vote(scores):
    """As in scratch: (k, N, C) to (N,)."""
    votes = one_hot(scores.argmax(dim=-1), scores.shape[-1])
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
