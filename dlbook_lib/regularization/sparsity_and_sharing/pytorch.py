"""Sharing across inputs, tasks and weights in PyTorch; `rng` is a `torch.Generator`."""

import torch
from torch import nn
from torch.nn.functional import conv1d, cross_entropy


def principal_components(input, k):
    """As in scratch: (N, D) to (D,) and (k, D)."""
    mean = input.mean(dim=0)
    components = torch.linalg.svd(input - mean, full_matrices=False).Vh[:k]
    largest = components.abs().argmax(dim=1, keepdim=True)
    return mean, components * components.gather(1, largest).sign()


def _linear(in_features, out_features, *, rng, dtype=float):
    """A linear layer whose start comes from `rng`, within torch's own bounds."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features, dtype=dtype)
    for parameter in layer.parameters():
        bound = in_features**-0.5
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return layer


class SemiSupervisedNet(nn.Module):
    """As in scratch: (N, in_features) to (N, classes) and (N, in_features)."""

    def __init__(self, in_features, width, classes, *, rng, dtype=float):
        super().__init__()
        first = _linear(in_features, width, rng=rng, dtype=dtype)
        self.encoder = nn.Sequential(first, nn.Tanh())
        self.classifier = _linear(width, classes, rng=rng, dtype=dtype)
        self.decoder = _linear(width, in_features, rng=rng, dtype=dtype)

    def forward(self, input):
        """As in scratch: (N, classes) and (N, in_features)."""
        code = self.encoder(input)
        return self.classifier(code), self.decoder(code)


def hybrid_cost(net, input, target, unlabelled, strength=1.0):
    """As in scratch: a tensor ()."""
    everything = torch.cat([input, unlabelled])
    scores, reconstruction = net(everything)
    error = ((reconstruction - everything) ** 2).sum() * (0.5 / len(everything))
    return cross_entropy(scores[: len(input)], target) + strength * error


class MultiTaskNet(nn.Module):
    """As in scratch: (N, in_features) to a list of (N, classes)."""

    def __init__(self, in_features, width, classes, *, rng, dtype=float):
        super().__init__()
        first = _linear(in_features, width, rng=rng, dtype=dtype)
        self.trunk = nn.Sequential(first, nn.ReLU())
        heads = [_linear(width, n, rng=rng, dtype=dtype) for n in classes]
        self.heads = nn.ModuleList(heads)

    def forward(self, input):
        """As in scratch: a list of (N, classes)."""
        shared = self.trunk(input)
        return [head(shared) for head in self.heads]


def multitask_loss(outputs, targets, weights=None):
    """As in scratch: a tensor ()."""
    weights = [1.0] * len(outputs) if weights is None else weights
    terms = zip(outputs, targets, weights, strict=True)
    return sum(w * cross_entropy(scores, target) for scores, target, w in terms)


def tie_penalty(input, other, alpha=1.0):
    """As in scratch: (...) and (...) to a tensor ()."""
    return alpha * ((input - other) ** 2).sum()


def slide(input, weight):
    """As in scratch, by `conv1d`: (..., L) to (..., L - K + 1)."""
    rows = input.reshape(-1, 1, input.shape[-1])
    places = input.shape[-1] - len(weight) + 1
    return conv1d(rows, weight[None, None]).reshape(*input.shape[:-1], places)
