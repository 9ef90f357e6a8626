"""The gradient itself, in PyTorch: random steps, and a price on lost ones."""

import torch

from dlbook_lib.optimization.adaptive_rates.pytorch import with_grads
from dlbook_lib.recurrent.unfolding.pytorch import state_slope

__all__ = [
    "info_flow_penalty",
    "info_flow_penalty_exact",
    "one_step_back",
    "random_step_",
    "unit_vectors",
]


def random_step_(parameters, max_norm, *, rng):
    """As in scratch, of parameters (...); `rng` is a torch.Generator."""
    found = with_grads(parameters)
    total = torch.nn.utils.get_total_norm([p.grad for p in found]).item()
    if total <= max_norm:
        return total
    drawn = [torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in found]
    length = sum(d.square().sum() for d in drawn).sqrt()
    for p, d in zip(found, drawn, strict=True):
        p.grad = (d * (max_norm / length)).to(p)
    return total


def unit_vectors(x):
    """As in scratch: (..., H) to (..., H)."""
    largest = x.abs().amax(-1, keepdim=True)
    return torch.nn.functional.normalize(x / largest.where(largest != 0, 1), dim=-1)


def one_step_back(w_hh, output, dstates, nonlinearity="tanh"):
    """As in scratch: (T, N, H) twice, and ratios (T, N)."""
    before = state_slope(output, nonlinearity) * unit_vectors(dstates)
    after = before @ w_hh
    return before, after, torch.where(dstates.any(2), after.norm(dim=2), 1)


def info_flow_penalty(w_hh, output, dstates, nonlinearity="tanh", reduction="mean"):
    """As in scratch: of W (H, H), states and their gradients (T, N, H)."""
    ratio = one_step_back(w_hh, output, dstates, nonlinearity)[2]
    loss = (ratio - 1).square().sum(0)
    return loss if reduction == "none" else getattr(loss, reduction)()


def info_flow_penalty_exact(loss, states, w_hh, nonlinearity="tanh"):
    """As in scratch: `states` are T tensors (N, H) of the graph of `loss`."""
    g = torch.stack(torch.autograd.grad(loss, states, create_graph=True))
    return info_flow_penalty(w_hh, torch.stack(list(states)), g, nonlinearity)
