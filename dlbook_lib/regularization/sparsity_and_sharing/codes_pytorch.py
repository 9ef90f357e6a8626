"""Sparse codes in PyTorch; the twin of `codes`. `rng` is a `torch.Generator`."""

import torch
from torch import nn

from dlbook_lib.regularization.norm_penalties.projections_pytorch import length
from dlbook_lib.regularization.sparsity_and_sharing.pytorch import _linear


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

    def __init__(self, in_features, units, activation="sigmoid", *, rng, dtype=float):
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
    size = length(weight, 0)[0]
    size = size.where(size > 0, torch.ones_like(size))
    return weight / size, size


def omp(input, weight, k):
    """As in scratch: (N, in) and (in, m) to (N, m)."""
    unit, size = unit_atoms(weight)
    code = input.new_zeros(len(input), len(size))
    small = 10 * max(unit.shape) * torch.finfo(code.dtype).eps * length(input, 1)
    for x, h, little in zip(input, code, small, strict=True):
        taken, left = [], x
        for _ in range(k):
            match = (left @ unit).abs()
            if match.max() <= little:
                break
            taken.append(int(match.argmax()))
            h[taken] = torch.linalg.lstsq(unit[:, taken], x[:, None]).solution[:, 0]
            left = x - unit @ h
    return code / size


def omp_by_shared_products(input, weight, k):
    """As in scratch: (N, in) and (in, m) to (N, m)."""
    unit, size = unit_atoms(weight)
    gram, match = unit.T @ unit, input @ unit  # (m, m), (N, m)
    code, busy = torch.zeros_like(match), torch.arange(len(input), device=input.device)
    small = torch.finfo(code.dtype).eps ** 0.5 * length(input, 1)[:, 0]
    taken, left = busy.new_zeros(len(input), 0), match
    for _ in range(k):
        go = left.abs().amax(dim=1) > small[busy]
        busy, left, taken = busy[go], left[go], taken[go]
        taken = torch.cat([taken, left.abs().argmax(dim=1, keepdim=True)], dim=1)
        known = match[busy].gather(1, taken)
        system = gram[taken[:, :, None], taken[:, None, :]]  # (n, t, t)
        code[busy[:, None], taken] = torch.linalg.solve(system, known)
        left = match[busy] - code[busy] @ gram  # (n, m)
    return code / size


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
