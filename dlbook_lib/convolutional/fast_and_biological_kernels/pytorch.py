"""Fast and biological kernels in PyTorch; autograd derives every backward half."""

import math

import torch

from dlbook_lib.convolutional.convolution.pytorch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients.pytorch import conv_plan


def fast_length(n):
    """As in scratch, for a length of shape ()."""
    rest = n
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return n if rest == 1 else fast_length(n + 1)


def as_real(x, name, **options):
    """As in scratch, unchecked: (...)."""
    return x


def fft_convolve(input, kernel, mode="full"):
    """As in scratch: (...) and (...)."""
    sizes = zip(input.shape, kernel.shape, strict=True)
    lengths = [fast_length(n + k - 1) for n, k in sizes]
    spectra = [torch.fft.rfftn(x, lengths) for x in (input, kernel)]
    product = spectra[0] * spectra[1]
    return torch.fft.irfftn(product, lengths)[kept_places(input, kernel, mode)]


def kept_places(input, kernel, mode="full"):
    """As in scratch: an index into the full result (...)."""
    found = []
    for n, k in zip(input.shape, kernel.shape, strict=True):
        full, same = slice(0, n + k - 1), slice((k - 1) // 2, (k - 1) // 2 + n)
        found.append({"full": full, "same": same, "valid": slice(k - 1, n)}[mode])
    return tuple(found)


def fft_conv2d(input, weight, bias=None, padding=0):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW)."""
    _, _, ((top, bottom), (left, right)), (oh, ow) = conv_plan(
        input, weight, bias, 1, padding
    )
    x = torch.nn.functional.pad(input, (left, right, top, bottom))
    y = correlate_by_fft(x, weight)[..., :oh, :ow]
    return y if bias is None else y + bias[:, None, None]


def correlate_by_fft(x, weight, lengths=None):
    """As in scratch, at once: (N, C, H, W) and (F, C, kH, kW) to (N, F, *lengths)."""
    if lengths is None:
        lengths = [fast_length(size) for size in x.shape[2:]]
    spectra = [torch.fft.rfft2(a, lengths) for a in (x, weight)]
    product = torch.einsum("nchw,fchw->nfhw", spectra[0], spectra[1].conj())
    return torch.fft.irfft2(product, lengths)


def separable_factors(kernel, rank=1):
    """As in scratch: (kH, kW) to (rank, kH) and (rank, kW)."""
    u, s, vt = torch.linalg.svd(kernel, full_matrices=False)
    root = s[:rank, None].sqrt()
    return u[:, :rank].T * root, vt[:rank] * root


def separable_rank(kernel, tol=None):
    """As in scratch, for a kernel (kH, kW); torch's own rule where `tol` is None."""
    return int(torch.linalg.matrix_rank(kernel, atol=0.0, rtol=tol))


def separable_multiplies(kernel_size, rank=1):
    """As in scratch, for sizes of shape (axes,)."""
    several = isinstance(kernel_size, (tuple, list))
    sizes = tuple(kernel_size) if several else (kernel_size,) * 2
    return {"direct": math.prod(sizes), "separable": rank * sum(sizes)}


def separable_conv2d(input, columns, rows):
    """As in scratch: (..., H, W) to (..., OH, OW), by two of torch's convolutions."""
    *batch, height, width = input.shape
    x = input.reshape(-1, 1, height, width)
    x = torch.conv2d(x, rows[:, None, None])  # (N, rank, H, OW)
    y = torch.conv2d(x, columns[None, :, :, None])
    return y.reshape(*batch, *y.shape[2:])


def separable_plan(input, columns, rows):
    """As in scratch, unchecked: (..., H, W), (rank, kH), (rank, kW) and (OH, OW)."""
    kernel = columns.shape[1], rows.shape[1]
    places = [n - k + 1 for n, k in zip(input.shape[-2:], kernel, strict=True)]
    return input, columns, rows, tuple(places)


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
