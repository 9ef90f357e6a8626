"""Kernels that brains have, in PyTorch; the twin of `cells`."""

import math

import torch

from dlbook_lib.convolutional.convolution.pytorch import as_sizes


def grid(size):
    """As in scratch: x and y (H, W)."""
    axes = [torch.arange(n).double() - (n - 1) / 2 for n in as_sizes(size, "")]
    y, x = torch.meshgrid(*axes, indexing="ij")
    return x, y


def gabor(
    x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """As in scratch; parameters may be tensors () or broadcast with x and y (...)."""
    along, across = turned(x - x0, y - y0, tau)
    bump = torch.exp(-beta_x * along**2 - beta_y * across**2)
    return alpha * bump * torch.cos(f * along + phi)


def as_numbers(**values):
    """As in scratch: numbers of tensors ()."""
    return (float(value) for value in values.values())


def turned(x, y, tau):
    """As in scratch: (...) to (...)."""
    lib = torch if isinstance(tau, torch.Tensor) else math
    c, s = lib.cos(tau), lib.sin(tau)
    return x * c + y * s, y * c - x * s


def gabor_slopes(
    x, y, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """As in scratch: (10, ...); each place gets parameters of its own."""
    numbers = alpha, beta_x, beta_y, f, phi, x0, y0, tau
    own = [x.clone(), y.clone(), *(torch.full_like(x, number) for number in numbers)]
    own = [a.detach().requires_grad_() for a in own]
    return torch.stack(torch.autograd.grad(gabor(*own).sum(), own))


def gabor_start(kernel):
    """As in scratch: (H, W) to (8,)."""
    (x, y), wide = grid(kernel.shape), [16 * n for n in kernel.shape]
    weight = kernel**2 / (kernel**2).sum().clamp(min=torch.finfo(kernel.dtype).tiny)
    power = torch.fft.fft2(kernel - kernel.mean(), wide).abs()[:, : wide[1] // 2]
    down, across = divmod(int(power.argmax()), power.shape[1])
    fx = 2 * math.pi * across / wide[1]
    fy = 2 * math.pi * (down / wide[0] - (2 * down >= wide[0]))
    f, tau = math.hypot(fx, fy), math.atan2(fy, fx)
    x0, y0 = float((weight * x).sum()), float((weight * y).sum())
    along, far = turned(x - x0, y - y0, tau)
    spreads = [max(float((weight * u**2).sum()), 0.1) for u in (along, far)]
    beta_x, beta_y = (0.25 / spread for spread in spreads)
    bump = torch.exp(-beta_x * along**2 - beta_y * far**2)
    waves = torch.stack([bump * torch.cos(f * along), -bump * torch.sin(f * along)])
    columns = waves.reshape(2, -1).T
    a, b = torch.linalg.lstsq(columns, kernel.to(columns).reshape(-1, 1))[0][:, 0]
    a, b = a.item(), b.item()
    params = math.hypot(a, b), beta_x, beta_y, f, math.atan2(b, a), x0, y0, tau
    return torch.tensor(params, dtype=torch.float64)


def fit_gabor(kernel, start=None, steps=200):
    """As in scratch: (H, W) to (8,) and the share explained."""
    params, damping = gabor_start(kernel) if start is None else start, 1e-2
    x, y = grid(kernel.shape)
    residual = (kernel - gabor(x, y, *params.tolist())).flatten()
    for _ in range(steps):
        slopes = gabor_slopes(x, y, *params.tolist())[2:].flatten(1)
        squares = slopes @ slopes.T
        damped = squares + damping * (squares.diagonal() + 1e-12).diag()
        trial = params + torch.linalg.solve(damped, slopes @ residual)
        if min(trial[1:3]) >= 0:
            left = (kernel - gabor(x, y, *trial.tolist())).flatten()
            if left @ left < residual @ residual:
                params, residual, damping = trial, left, max(damping / 5, 1e-12)
                continue
        damping *= 4
        if damping > 1e9:
            break
    total = (kernel**2).sum().clamp(min=torch.finfo(kernel.dtype).tiny)
    return params, float(1 - residual @ residual / total)


def grating(size, f=1.0, phi=0.0, tau=0.0):
    """As in scratch: (H, W)."""
    return torch.cos(f * turned(*grid(size), tau)[0] + phi)


def quadrature_pair(
    size, alpha=1.0, beta_x=0.1, beta_y=0.1, f=1.0, phi=0.0, x0=0.0, y0=0.0, tau=0.0
):
    """As in scratch: (2, H, W)."""
    x, y = grid(size)
    phases = phi, phi + math.pi / 2
    each = [gabor(x, y, alpha, beta_x, beta_y, f, p, x0, y0, tau) for p in phases]
    return torch.stack(each)


def simple_cell(image, weight):
    """As in scratch: (..., H, W) to (...)."""
    return torch.einsum("...hw,hw->...", image, weight)


def complex_cell(image, weight0, weight1):
    """As in scratch: (..., H, W) to (...); the norm has the gradient 0 at 0."""
    pair = simple_cell(image, weight0), simple_cell(image, weight1)
    return torch.linalg.vector_norm(torch.stack(pair), dim=0)
