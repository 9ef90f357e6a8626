"""Networks that change their size, in PyTorch; the twin of `sizes`.

Pruning is that of `torch.nn.utils.prune`, and candidates climb by `torch.optim.Rprop`;
`rng` is a `torch.Generator`.
"""

import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.utils import prune


def keep_mask(scores, amount, mask=None):
    """As in scratch: (...) to (...)."""
    mask = torch.ones_like(scores) if mask is None else mask
    kept = mask.flatten().nonzero()[:, 0]
    count = amount if isinstance(amount, int) else round(amount * len(kept))
    order = scores.flatten()[kept].argsort(stable=True)
    mask = mask.to(scores).flatten().clone()
    mask[kept[order[:count]]] = 0
    return mask.reshape(scores.shape)


def keep_masks(scores, amount, masks=None):
    """As in scratch: lists of (...)."""
    if masks is not None:
        masks = torch.cat([m.flatten() for m in masks])
    every = keep_mask(torch.cat([s.flatten() for s in scores]), amount, masks)
    parts = every.split([s.numel() for s in scores])
    return [p.reshape(s.shape) for p, s in zip(parts, scores, strict=True)]


class PrunedLinear(nn.Module):
    """As in scratch: (..., in_features) to (..., out_features)."""

    def __init__(self, linear, mask):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.weight_orig = linear.weight
        self.register_buffer("weight_mask", mask.to(linear.weight))

    @property
    def weight(self):
        """As in scratch: (out_features, in_features)."""
        return self.weight_orig * self.weight_mask

    def forward(self, input):
        """As in scratch: (..., out_features)."""
        return nn.functional.linear(input, self.weight, self.bias)


def magnitude(weight):
    """As in scratch: (...) to (...)."""
    return weight.abs()


def prune_layers(net, amount, scope="global", importance=magnitude):
    """As in scratch, by `torch.nn.utils.prune`: layers stay ``nn.Linear``."""
    places = [(m, "weight") for m in net.modules() if isinstance(m, nn.Linear)]
    scores = {p: importance(p[0].weight.detach()) for p in places}
    method = prune.L1Unstructured
    if scope == "global":
        prune.global_unstructured(places, method, scores, amount=amount)
    else:
        for layer, name in places:
            prune.l1_unstructured(layer, name, amount, scores[layer, name])
    return net


def uniform(rows, columns, *, rng):
    """As in scratch: (rows, columns)."""
    shape = rows, columns
    drawn = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
    return 2 * drawn - 1


def has_flattened(losses, window, slope):
    """As in scratch: a list or (T,) to a bool."""
    if len(losses) <= window:
        return False
    return bool(abs(losses[-1] - losses[-1 - window]) < slope * losses[0])


def add_unit(net, *, rng):
    """As in scratch: a module with a wider weight (n + 1, in)."""
    first, last = net[0], net[-1]
    inputs, units = first.in_features, first.out_features + 1
    row = uniform(1, inputs + 1, rng=rng) * inputs**-0.5
    column = uniform(last.out_features, 1, rng=rng) * units**-0.5
    for layer, name, new, dim in (
        (first, "weight", row[:, :inputs], 0),
        (first, "bias", row[:, inputs], 0),
        (last, "weight", column, 1),
    ):
        old = getattr(layer, name).detach()
        setattr(layer, name, nn.Parameter(torch.cat([old, new.to(old)], dim=dim)))
    first.out_features = last.in_features = units
    return net


def dynamic_node_creation(
    net, input, target, *, lr, steps, window, slope, max_units, goal=0.0, rng
):
    """As in scratch: lists of the loss and the width at each step."""
    losses, units, born = [], [], 0
    optimizer = torch.optim.SGD(net.parameters(), lr)
    for i in range(steps):
        loss = mse_loss(net(input), target)
        losses.append(loss.item())
        units.append(net[0].out_features)
        if losses[-1] <= goal:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if units[-1] < max_units and has_flattened(losses[born:], window, slope):
            add_unit(net, rng=rng)
            optimizer, born = torch.optim.SGD(net.parameters(), lr), i + 1
    return losses, units


def candidate_score(value, residual):
    """As in scratch: (N, C) and (N, O) to (C,)."""
    covariance = (value - value.mean(dim=0)).T @ (residual - residual.mean(dim=0))
    return covariance.abs().sum(dim=1)


def train_candidates(features, residual, weight, *, steps):
    """As in scratch: (C, F), by torch's own optimizer."""
    weight = weight.clone().requires_grad_()
    optimizer = torch.optim.Rprop([weight], lr=0.1, maximize=True)
    for _ in range(steps):
        optimizer.zero_grad()
        candidate_score(torch.tanh(features @ weight.T), residual).sum().backward()
        optimizer.step()
    return weight.detach()


class CascadeCorrelation:
    """As in scratch: (N, in) to (N, out)."""

    def __init__(self, candidates=16, steps=100, *, rng):
        self.candidates, self.steps, self.rng = candidates, steps, rng
        self.frozen, self.errors = [], []

    def features(self, input):
        """As in scratch: (N, 1 + in + units)."""
        seen = torch.column_stack([torch.ones_like(input[:, :1]), input])
        for weight in self.frozen:
            seen = torch.column_stack([seen, torch.tanh(seen @ weight)])
        return seen

    def __call__(self, input):
        """As in scratch: (N, out)."""
        return self.features(input) @ self.weight.T

    def fit(self, input, target, units, tolerance=0.8):
        """As in scratch: to targets (N, out)."""
        self.frozen, self.errors = [], []
        seen = self.features(input)
        while True:
            self.weight = torch.linalg.lstsq(seen, target).solution.T
            residual = seen @ self.weight.T - target
            self.errors.append(float((residual**2).mean()))
            done = residual.abs().max() < tolerance
            if done or len(self.frozen) == units:
                return self
            start = uniform(self.candidates, seen.shape[1], rng=self.rng).to(seen)
            weights = train_candidates(seen, residual, start, steps=self.steps)
            values = torch.tanh(seen @ weights.T)  # (N, candidates)
            best = candidate_score(values, residual).argmax()
            self.frozen.append(weights[best])
            seen = torch.column_stack([seen, values[:, best]])
