"""Tangents in PyTorch; the twin of `tangents`.

Directional derivatives are found in forward mode, Jacobians by `torch.func`. Torch 2.13
differentiates such a derivative wrongly through `layer_norm`, and `batch_norm` in
training (https://github.com/pytorch/pytorch/issues/196700). Written out as a mean and a
variance they are right, so write them out below a tangent penalty.
"""

import torch
from torch.nn import functional as F

from dlbook_lib.regularization.adversarial_and_tangent.pytorch import total_loss
from dlbook_lib.regularization.augmentation_and_noise.pytorch import gaussian_blur
from dlbook_lib.regularization.norm_penalties.projections_pytorch import length


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
        return length(gap).item()
    spring = ridge**0.5 * torch.eye(len(ways), dtype=gap.dtype, device=gap.device)
    goal = torch.cat([gap, gap.new_zeros(len(ways))])
    wide = torch.cat([ways.T, spring])
    steps = torch.linalg.lstsq(wide, -goal, driver="gelsd").solution
    return length(gap + steps @ ways).item()


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
    share = (spread / spread[0]).square()
    return directions, share / share.sum()


def manifold_tangents(encode, input, k):
    """As in scratch: (N, ...) to (N, k, ...) and (N, k)."""
    one = torch.func.jacrev(lambda x: encode(x[None])[0])
    jacobian = torch.vmap(one)(input).detach().flatten(2)  # (N, H, n)
    _, values, directions = torch.linalg.svd(jacobian, full_matrices=False)
    return directions[:, :k].reshape(len(input), k, *input.shape[1:]), values[:, :k]
