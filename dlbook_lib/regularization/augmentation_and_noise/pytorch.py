"""Noise and augmentation in PyTorch, around `affine_grid` and `grid_sample`.

`rng` is a `torch.Generator`. torch warns unless `align_corners` is given; as in scratch
it is False wherever images are moved.
"""

import math

import torch
from torch import nn
from torch.nn.functional import affine_grid, grid_sample, nll_loss, one_hot

__all__ = [
    "GaussianNoise",
    "add_noise",
    "affine_grid",
    "affine_matrices",
    "base_grid",
    "color_jitter",
    "elastic",
    "elastic_field",
    "flip",
    "flip_labels",
    "gaussian_blur",
    "grid_sample",
    "label_noise_nll",
    "mixup",
    "neighbours",
    "noisy_weights",
    "pixel_position",
    "rotate",
    "scale",
    "shift",
    "smooth_labels",
    "torch_smoothing",
    "warp",
]


def add_noise(input, std=0.1, *, rng):
    """As in scratch: (...) to (...)."""
    kind = {"dtype": input.dtype, "device": rng.device}
    noise = torch.randn(input.shape, generator=rng, **kind)
    return input + std * noise.to(input.device)


class GaussianNoise(nn.Module):
    """As in scratch: (...) to (...)."""

    def __init__(self, std=0.1, *, rng):
        super().__init__()
        self.std, self.rng = std, rng

    def forward(self, input):
        """As in scratch: outputs (...)."""
        return add_noise(input, self.std, rng=self.rng) if self.training else input

    def extra_repr(self):
        """As in scratch."""
        return f"std={self.std}"


def noisy_weights(parameters, variance=0.01, *, rng):
    """As in scratch: a list of (...)."""
    return [add_noise(p.detach(), variance**0.5, rng=rng) for p in parameters]


def flip_labels(target, classes, epsilon=0.1, *, rng):
    """As in scratch: (...) to (...)."""
    drawn = {"generator": rng, "device": rng.device}
    wrong = (torch.rand(target.shape, **drawn) < epsilon).to(target.device)
    move = torch.randint(1, classes, target.shape, **drawn).to(target.device)
    return torch.where(wrong, (target + move) % classes, target)


def smooth_labels(target, classes, epsilon=0.1, *, dtype=float):
    """As in scratch: (...) to (..., k)."""
    hit = one_hot(target, classes).to(torch.float64 if dtype is float else dtype)
    return (1 - epsilon) * hit + epsilon / (classes - 1) * (1 - hit)


def torch_smoothing(epsilon, classes):
    """As in scratch: a number."""
    return epsilon * classes / (classes - 1)


def label_noise_nll(input, target, epsilon=0.1, reduction="mean"):
    """As in scratch: (N, k) and (N,) to () or (N,)."""
    other = epsilon / (input.shape[-1] - 1)
    right = math.log1p(-epsilon - other) + input.log_softmax(dim=1)
    wrong = right.new_tensor(math.log(other) if other else -math.inf)
    return nll_loss(torch.logaddexp(right, wrong), target, reduction=reduction)


def base_grid(height, width, align_corners=None):
    """As in scratch: (H, W, 3)."""
    y, x = (
        (2 * torch.arange(n, dtype=torch.float64) + 1 - n)
        / max(n - 1 if align_corners else n, 1)
        for n in (height, width)
    )
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def pixel_position(x, size, padding_mode="zeros", align_corners=None):
    """As in scratch: (...) to two (...); the slope by autograd."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        low, span = (0, size - 1) if align_corners else (-0.5, size)
        place = low + (leaf + 1) * (span / 2)
        if padding_mode == "reflection" and span:
            away = (place - low).abs().remainder(2 * span)
            place = low + torch.minimum(away, 2 * span - away)
        ends = (-2, size + 1) if padding_mode == "zeros" else (0, size - 1)
        (slope,) = torch.autograd.grad(place.sum(), leaf)
    if padding_mode != "zeros":
        slope = slope * ((place > 0) & (place < size - 1))
    return place.detach().clamp(*ends), slope


def neighbours(position, size):
    """As in scratch: two tuples of (...)."""
    first = position.floor()
    part, found = position - first, []
    for index, weight, slope in ((first, 1 - part, -1), (first + 1, part, 1)):
        inside = ((index >= 0) & (index < size)).to(position.dtype)
        index = index.clamp(0, size - 1).long()
        found.append((index, weight * inside, slope * inside))
    return found


def affine_matrices(input, angle=0.0, factor=1.0, right=0.0, down=0.0):
    """As in scratch: (N, 2, 3)."""
    angle, factor, right, down = (
        torch.as_tensor(v, dtype=input.dtype, device=input.device).expand(len(input))
        for v in (angle, factor, right, down)
    )
    high, wide = input.shape[-2] / 2, input.shape[-1] / 2
    cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
    rows = [
        [cos, -sin * high / wide, (sin * down - cos * right) / wide],
        [sin * wide / high, cos, (-sin * right - cos * down) / high],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def warp(input, theta, padding_mode="zeros"):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    images = input if input.ndim == 4 else input[:, None]
    grid = affine_grid(theta, images.shape, align_corners=False)
    out = grid_sample(images, grid, padding_mode=padding_mode, align_corners=False)
    return out.view(input.shape)


def shift(input, right=0.0, down=0.0, padding_mode="zeros"):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    return warp(input, affine_matrices(input, right=right, down=down), padding_mode)


def rotate(input, angle, padding_mode="zeros"):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    return warp(input, affine_matrices(input, angle=angle), padding_mode)


def scale(input, factor, padding_mode="zeros"):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    return warp(input, affine_matrices(input, factor=factor), padding_mode)


def flip(input, flipped=True):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    flipped = torch.as_tensor(flipped, device=input.device)
    flipped = flipped.view(-1, *(1 for _ in input.shape[1:]))
    return torch.where(flipped, input.flip(-1), input)


def gaussian_blur(input, sigma):
    """As in scratch: (..., H, W) to (..., H, W)."""
    reach = int(4 * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1, dtype=input.dtype, device=input.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    out = input.reshape(-1, 1, *input.shape[-2:])
    for k in (kernel, kernel.mT):
        out = nn.functional.conv2d(out, k, padding="same")
    return out.view(input.shape)


def elastic_field(size, alpha=8.0, sigma=3.0, *, rng):
    """As in scratch: (N, 2, H, W)."""
    n, height, width = size
    kind = {"dtype": torch.float64, "device": rng.device}
    drawn = torch.rand((n, 2, height, width), generator=rng, **kind)
    return alpha * gaussian_blur(2 * drawn - 1, sigma)


def elastic(input, field, padding_mode="zeros"):
    """As in scratch: (N, H, W) or (N, C, H, W)."""
    h, w = input.shape[-2:]
    step = field.movedim(1, 3) * (2 / torch.tensor([w, h]).to(field))
    grid = (base_grid(h, w)[..., :2].to(step) + step).to(input)
    images = input if input.ndim == 4 else input[:, None]
    out = grid_sample(images, grid, padding_mode=padding_mode, align_corners=False)
    return out.view(input.shape)


def color_jitter(input, brightness=1.0, contrast=1.0, saturation=1.0):
    """As in scratch: (N, 3, H, W)."""
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = luma.to(input).view(3, 1, 1)

    def grey(x):
        return (luma * x).sum(dim=1, keepdim=True)

    def mean(x):
        return grey(x).mean(dim=(1, 2, 3), keepdim=True)

    pairs = (brightness, torch.zeros_like), (contrast, mean), (saturation, grey)
    for factor, other in pairs:
        factor = torch.as_tensor(factor, dtype=input.dtype, device=input.device)
        factor = factor.view(-1, 1, 1, 1)
        input = (factor * input + (1 - factor) * other(input)).clamp(0, 1)
    return input


def mixup(input, target, weight, order):
    """As in scratch: (N, ...) and (N, ...)."""
    mixed = []
    for x in (input, target):
        share = torch.as_tensor(weight, dtype=x.dtype, device=x.device)
        share = share.view(-1, *(1 for _ in x.shape[1:]))
        mixed.append(torch.lerp(x[order], x, share))
    return tuple(mixed)
