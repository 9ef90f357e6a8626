"""Adversarial examples and tangents in PyTorch; `rng` is a `torch.Generator`.

Directional derivatives are found in forward mode, Jacobians by `torch.func`. Torch 2.13
differentiates such a derivative wrongly through `layer_norm`, and `batch_norm` in
training (https://github.com/pytorch/pytorch/issues/196700). Written out as a mean and a
variance they are right, so write them out below a tangent penalty.
"""

import torch
from torch.nn import functional as F

from dlbook_lib.regularization.augmentation_and_noise.pytorch import gaussian_blur


def lengths(input):
    """As in scratch: (N, ...) to (N, 1, ...)."""
    flat = input.flatten(1) if input.ndim > 1 else input[:, None]
    size = torch.linalg.vector_norm(flat, dim=1)
    return size.view(-1, *(1 for _ in input.shape[1:]))


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
    loss = F.kl_div(log_q, p, reduction="none").sum(-1)
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


def image_slopes(images, sigma=0.0):
    """As in scratch: (..., H, W) to two of (..., H, W)."""
    if sigma:
        images = gaussian_blur(images, sigma)
    x = F.pad(images, (1, 1, 1, 1))
    right = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
    down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
    return right / 2, down / 2


MOTIONS = {
    "right": lambda u, v: (torch.ones_like(u), torch.zeros_like(v)),
    "down": lambda u, v: (torch.zeros_like(u), torch.ones_like(v)),
    "rotation": lambda u, v: (v, -u),
    "scale": lambda u, v: (u, v),
    "stretch": lambda u, v: (u, -v),
    "shear": lambda u, v: (v, u),
}
"""As in scratch."""


def tangent_vectors(images, kinds=(*MOTIONS, "thickness"), sigma=0.9):
    """As in scratch: (N, H, W) to (N, K, H, W)."""
    slope_u, slope_v = image_slopes(images, sigma)
    rows, columns = (
        torch.arange(n, dtype=images.dtype, device=images.device) - (n - 1) / 2
        for n in images.shape[1:]
    )
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    found = []
    for kind in kinds:
        if kind == "thickness":
            found.append(slope_u**2 + slope_v**2)
        else:
            right, down = MOTIONS[kind](u, v)
            found.append(-right * slope_u - down * slope_v)
    return torch.stack(found, dim=1)


def tangent_distance(input, other, tangents=None, other_tangents=None, ridge=0.0):
    """As in scratch: a float, for two examples (...)."""
    gap = (input - other).flatten()
    ways = [gap.new_zeros(0, len(gap))]
    if tangents is not None:
        ways.append(tangents.flatten(1))
    if other_tangents is not None:
        ways.append(-other_tangents.flatten(1))
    ways = torch.cat(ways)
    if len(ways) == 0:
        return gap.norm().item()
    spring = ridge**0.5 * torch.eye(len(ways), dtype=gap.dtype, device=gap.device)
    goal = torch.cat([gap, gap.new_zeros(len(ways))])
    wide = torch.cat([ways.T, spring])
    steps = torch.linalg.lstsq(wide, -goal, driver="gelsd").solution
    return (gap + steps @ ways).norm().item()


def flat_planes(input, tangents=None):
    """As in scratch: (N, n) and (N, K, n)."""
    flat = input.flatten(1)
    return flat, flat[:, None][:, :0] if tangents is None else tangents.flatten(2)


def tangent_distances_by_gram(
    input, other, tangents=None, other_tangents=None, ridge=1e-6
):
    """As in scratch: (M, ...) and (N, ...) to (M, N)."""
    x, tx = flat_planes(input, tangents)
    y, ty = flat_planes(other, other_tangents)

    def from_one(x, tx):
        def to_one(y, ty):
            gap, ways = x - y, torch.cat([tx, -ty])
            gram, h = ways @ ways.T, ways @ gap
            spring = ridge * torch.eye(len(ways), dtype=gap.dtype, device=gap.device)
            steps = -torch.linalg.solve(gram + spring, h)
            squared = gap @ gap + steps @ (gram @ steps + 2 * h)
            return squared.clamp(min=0).sqrt()

        return torch.vmap(to_one)(y, ty)

    return torch.stack([from_one(*one) for one in zip(x, tx, strict=True)])


def directional_derivative(f, input, v):
    """As in scratch, in forward mode: (N, ...) and (N, ...) to (N, ...)."""
    return torch.func.jvp(f, (input,), (v,))[1]


def tangent_prop_penalty(f, input, tangents):
    """As in scratch: a number, for (N, ...) and (N, K, ...)."""
    each = [directional_derivative(f, input, v) for v in tangents.unbind(1)]
    return sum(change.square().sum() for change in each) / len(input)


def double_backprop_penalty(losses, input):
    """As in scratch: a number, for inputs (N, ...)."""
    x = input.detach().requires_grad_()
    (slope,) = torch.autograd.grad(total_loss(losses, x), x, create_graph=True)
    return slope.square().sum() / len(input)


def local_directions(points):
    """As in scratch: (M, n) to (min(M, n), n) and (min(M, n),)."""
    centred = points - points.mean(dim=0)
    _, spread, directions = torch.linalg.svd(centred, full_matrices=False)
    return directions, spread.square() / spread.square().sum()


def manifold_tangents(encode, input, k):
    """As in scratch: (N, ...) to (N, k, ...) and (N, k)."""
    one = torch.func.jacrev(lambda x: encode(x[None])[0])
    jacobian = torch.vmap(one)(input).detach().flatten(2)  # (N, H, n)
    _, values, directions = torch.linalg.svd(jacobian, full_matrices=False)
    return directions[:, :k].reshape(len(input), k, *input.shape[1:]), values[:, :k]
