"""Sharing, sparsity and the size of a network in PyTorch; `rng` is a `torch.Generator`.

Pruning is that of `torch.nn.utils.prune`, and candidates climb by `torch.optim.Rprop`.
"""

import torch
from torch import nn
from torch.nn.functional import conv1d, cross_entropy, mse_loss
from torch.nn.utils import prune


def principal_components(input, k):
    """As in scratch: (N, D) to (D,) and (k, D)."""
    mean = input.mean(dim=0)
    components = torch.linalg.svd(input - mean, full_matrices=False).Vh[:k]
    largest = components.abs().argmax(dim=1, keepdim=True)
    return mean, components * components.gather(1, largest).sign()


def _linear(in_features, out_features, *, rng, dtype=None):
    """A linear layer whose start comes from `rng`, within torch's own bounds."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features, dtype=dtype)
    for parameter in layer.parameters():
        bound = in_features**-0.5
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return layer


class SemiSupervisedNet(nn.Module):
    """As in scratch: (N, in_features) to (N, classes) and (N, in_features)."""

    def __init__(self, in_features, width, classes, *, rng, dtype=None):
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

    def __init__(self, in_features, width, classes, *, rng, dtype=None):
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


def code_l1_penalty(code, alpha=1.0):
    """As in scratch: (N, m) to a tensor ()."""
    return alpha / len(code) * code.abs().sum()


def kl_sparsity(code, rho=0.05):
    """As in scratch: (N, m) to a tensor ()."""
    mean = code.mean(dim=0)
    aim = torch.full_like(mean, rho)
    entropy = torch.special.xlogy(aim, aim) + torch.special.xlogy(1 - aim, 1 - aim)
    return (entropy - rho * mean.log() - (1 - rho) * torch.log1p(-mean)).sum()


def active_fraction(code, threshold=0.0):
    """As in scratch: (...) to a number."""
    return float((code.abs() > threshold).double().mean())


class SparseAutoencoder(nn.Module):
    """As in scratch: (N, in_features) to (N, in_features)."""

    def __init__(self, in_features, units, activation="sigmoid", *, rng, dtype=None):
        super().__init__()
        self.encoder = _linear(in_features, units, rng=rng, dtype=dtype)
        self.activation = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[activation]()
        self.decoder = _linear(units, in_features, rng=rng, dtype=dtype)

    def code(self, input):
        """As in scratch: (N, units)."""
        return self.activation(self.encoder(input))

    def forward(self, input):
        """As in scratch: (N, in_features)."""
        return self.decoder(self.code(input))

    def cost(self, input, strength=0.0, penalty="kl", rho=0.05):
        """As in scratch: a tensor () for `input` (N, in_features)."""
        code = self.code(input)
        error = ((self.decoder(code) - input) ** 2).sum() * (0.5 / len(input))
        if not strength:
            return error
        sparse = kl_sparsity(code, rho) if penalty == "kl" else code_l1_penalty(code)
        return error + strength * sparse


def unit_atoms(weight):
    """As in scratch: (in, m) to (in, m) and (m,)."""
    length = weight.norm(dim=0)
    length = length.where(length > 0, torch.ones_like(length))
    return weight / length, length


def omp(input, weight, k):
    """As in scratch: (N, in) and (in, m) to (N, m)."""
    unit, length = unit_atoms(weight)
    code = input.new_zeros(len(input), len(length))
    small = 10 * max(unit.shape) * torch.finfo(code.dtype).eps
    for x, h in zip(input, code, strict=True):
        taken, left = [], x
        for _ in range(k):
            match = (left @ unit).abs()
            if match.max() <= small * x.norm():
                break
            taken.append(int(match.argmax()))
            h[taken] = torch.linalg.lstsq(unit[:, taken], x[:, None]).solution[:, 0]
            left = x - unit @ h
    return code / length


def omp_by_shared_products(input, weight, k):
    """As in scratch: (N, in) and (in, m) to (N, m)."""
    unit, length = unit_atoms(weight)
    gram, match = unit.T @ unit, input @ unit  # (m, m), (N, m)
    code, busy = torch.zeros_like(match), torch.arange(len(input), device=input.device)
    small = torch.finfo(code.dtype).eps ** 0.5 * input.norm(dim=1)
    taken, left = busy.new_zeros(len(input), 0), match
    for _ in range(k):
        go = left.abs().amax(dim=1) > small[busy]
        busy, left, taken = busy[go], left[go], taken[go]
        taken = torch.cat([taken, left.abs().argmax(dim=1, keepdim=True)], dim=1)
        known = match[busy].gather(1, taken)
        system = gram[taken[:, :, None], taken[:, None, :]]  # (n, t, t)
        code[busy[:, None], taken] = torch.linalg.solve(system, known)
        left = match[busy] - code[busy] @ gram  # (n, m)
    return code / length


def learn_dictionary(input, units, k=1, *, steps, rng):
    """As in scratch: (in, units) and (steps,)."""
    weight, errors = first_atoms(input.shape[1], units, rng=rng).to(input), []
    for _ in range(steps):
        code = omp_by_shared_products(input, weight, k)
        errors.append(((input - code @ weight.T) ** 2).sum(dim=1).mean())
        used = code.abs().sum(dim=0) > 0
        fitted = torch.linalg.lstsq(code[:, used], input).solution.T
        weight[:, used] = unit_atoms(fitted)[0]
    return weight, torch.stack(errors)


def first_atoms(in_features, units, *, rng):
    """As in scratch: (in_features, units)."""
    shape, where = (in_features, units), rng.device
    atoms = torch.randn(shape, generator=rng, device=where, dtype=torch.float64)
    return atoms / atoms.norm(dim=0)


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
