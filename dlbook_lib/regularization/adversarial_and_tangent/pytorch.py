"""Adversarial examples and virtual ones in PyTorch; `rng` is a `torch.Generator`."""

import torch
from torch.nn import functional as F

from dlbook_lib.regularization.norm_penalties.projections_pytorch import length


def lengths(input):
    """As in scratch: (N, ...) to (N, 1, ...)."""
    flat = input.flatten(1) if input.ndim > 1 else input[:, None]
    return length(flat, 1).view(-1, *(1 for _ in input.shape[1:]))


def steepest(gradient, norm="linf"):
    """As in scratch: (N, ...) to (N, ...)."""
    if norm == "linf":
        return gradient.sign()
    size = lengths(gradient)
    return gradient / torch.where(size > 0, size, 1)


def project_to_ball(step, eps, norm="linf"):
    """As in scratch: (N, ...) to (N, ...)."""
    if norm == "linf":
        return step.clamp(-eps, eps)
    return steepest(step, "l2") * lengths(step).clamp(max=eps)


def draw_in_ball(shape, eps, norm="linf", *, rng, dtype=float):
    """As in scratch: of the given shape (N, ...)."""
    kind = {"dtype": torch.float64 if dtype is float else dtype, "device": rng.device}
    if norm == "linf":
        return eps * (2 * torch.rand(shape, generator=rng, **kind) - 1)
    way = steepest(torch.randn(shape, generator=rng, **kind), "l2")
    share = torch.rand((shape[0], *(1 for _ in shape[1:])), generator=rng, **kind)
    return eps * share ** (1 / max(1, way[:1].numel())) * way


def total_loss(losses, input):
    """As in scratch: a number, for inputs (N, ...)."""
    return losses(input).sum()


def input_gradient(losses, input):
    """As in scratch: (N, ...) to (N, ...)."""
    x = input.detach().requires_grad_()
    return torch.autograd.grad(total_loss(losses, x), x)[0]


def uphill(gradient, input, norm="linf", targeted=False):
    """As in scratch: (N, ...) to (N, ...)."""
    step = steepest(gradient(input), norm)
    return -step if targeted else step


def input_range(input, clip=None):
    """As in scratch: two numbers, for inputs (N, ...)."""
    return (-torch.inf, torch.inf) if clip is None else tuple(clip)


def fgsm(gradient, input, eps, clip=None, targeted=False):
    """As in scratch: (N, ...) to (N, ...)."""
    step = eps * uphill(gradient, input, "linf", targeted)
    return (input + step).clamp(*input_range(input, clip))


def pgd(
    gradient,
    input,
    eps,
    lr,
    steps,
    norm="linf",
    clip=None,
    targeted=False,
    *,
    rng=None,
):
    """As in scratch: (N, ...) to (N, ...)."""

    def inside(step):
        x = input + project_to_ball(step, eps, norm)
        return x.clamp(*input_range(input, clip))

    x = input
    if rng is not None:
        step = draw_in_ball(input.shape, eps, norm, rng=rng, dtype=input.dtype)
        x = inside(step.to(input.device))
    for _ in range(steps):
        x = inside(x + lr * uphill(gradient, x, norm, targeted) - input)
    return x


def adversarial_loss(losses, input, attack, alpha=0.5):
    """As in scratch: a number, for inputs (N, ...)."""
    worse = attack(lambda x: input_gradient(losses, x), input).detach()
    return alpha * losses(input).mean() + (1 - alpha) * losses(worse).mean()


def kl_divergence(input, target, reduction="mean"):
    """As in scratch, by torch's `kl_div`: (..., C) to a number or (...)."""
    log_q, p = F.log_softmax(input, -1), F.softmax(target, -1)
    loss = F.kl_div(log_q, p, reduction="none")
    loss = torch.where(p == 0, 0, loss).sum(-1)
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


def answers(scores, input):
    """As in scratch: (N, ...) to (N, C)."""
    with torch.no_grad():
        return scores(input)


def virtual_perturbation(scores, input, start, eps, xi=1e-3, steps=1):
    """As in scratch: (N, ...) and (N, ...) to (N, ...)."""
    before, way = answers(scores, input), steepest(start, "l2")
    for _ in range(steps):
        slope = input_gradient(
            lambda x: kl_divergence(scores(x), before, "none"), input + xi * way
        )
        way = steepest(slope, "l2")
    return eps * way


def vat_loss(scores, input, eps, xi=1e-3, steps=1, *, rng):
    """As in scratch: a number, for inputs (N, ...)."""
    kind = {"dtype": input.dtype, "device": rng.device}
    start = torch.randn(input.shape, generator=rng, **kind).to(input.device)
    step = virtual_perturbation(scores, input, start, eps, xi, steps)
    return kl_divergence(scores(input + step), answers(scores, input))
