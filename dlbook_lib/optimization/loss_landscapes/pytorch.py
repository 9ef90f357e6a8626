"""Loss landscapes in PyTorch: every derivative, also the second, by autograd."""

from math import factorial

import torch

from dlbook_lib.feedforward.autodiff.pytorch import lanczos

__all__ = [
    "as_pairs",
    "as_parameters",
    "as_two_layers",
    "clip_norm",
    "descent_path",
    "equivalent_settings",
    "filter_normalized",
    "hessian_eigenvalues",
    "hessian_product",
    "inexact_gradient",
    "loss_along",
    "loss_plane",
    "move_along",
    "path_length",
    "permute_units",
    "power_from_eigenvalues",
    "power_norms",
    "rescale_units",
    "saddle_statistics",
    "sharpness",
    "step_limit",
    "taylor_step",
]


def taylor_step(g, Hg, lr):
    """As in scratch: two numbers from g (n,) and Hg (n,)."""
    return -lr * (g @ g).item(), lr**2 / 2 * (g @ Hg).item()


def clip_norm(g, max_norm):
    """As in scratch: (...) to (...)."""
    norm = torch.linalg.vector_norm(g)
    return g * (max_norm / norm).clamp(max=1)


def descent_path(gradient, x, *, lr, steps, max_norm=None):
    """As in scratch: (steps + 1, n) from x (n,)."""
    path = [x]
    for _ in range(steps):
        g = gradient(path[-1])
        g = g if max_norm is None else clip_norm(g, max_norm)
        path.append(path[-1] - lr * g)
    return torch.stack(path)


def path_length(path):
    """As in scratch: two numbers from a path (steps + 1, n)."""
    length = torch.linalg.vector_norm(path.diff(dim=0), dim=1).sum()
    return length.item(), torch.linalg.vector_norm(path[-1] - path[0]).item()


def inexact_gradient(gradient, *, bias=0.0, noise=0.0, rng):
    """As in scratch: a function of a point (n,); `rng` is a torch.Generator."""

    def estimate(x):
        g = gradient(x)
        drawn = torch.randn(g.shape, generator=rng, device=rng.device, dtype=g.dtype)
        return g + bias + noise * drawn.to(g.device)

    return estimate


def as_two_layers(weight, bias, next_weight):
    """As in scratch: (n, in), (n,) and (out, n)."""
    return weight, bias, next_weight


def permute_units(weight, bias, next_weight, order):
    """As in scratch: (n, in), (n,) and (out, n)."""
    return weight[order], bias[order], next_weight[:, order]


def rescale_units(weight, bias, next_weight, factor):
    """As in scratch: (n, in), (n,) and (out, n)."""
    return weight * factor[:, None], bias * factor, next_weight / factor


def equivalent_settings(units, layers=1):
    """As in scratch: a number, of shape ()."""
    return factorial(units) ** layers


def saddle_statistics(n, trials=10_000, *, rng):
    """As in scratch: the share of matrices (n, n) without a way down."""
    minima, chunk = 0, max(1, 1_000_000 // n**2)
    for first in range(0, trials, chunk):
        shape = min(chunk, trials - first), n, n
        kind = {"device": rng.device, "dtype": torch.float64}
        A = torch.randn(shape, generator=rng, **kind)
        minima += (torch.linalg.eigvalsh(A + A.mT)[:, 0] > 0).sum().item()
    return minima / trials


def power_norms(W, steps):
    """As in scratch: (steps + 1,) from W (n, n)."""
    power, growth = torch.eye(len(W)).to(W), [W.new_ones(())]
    for _ in range(steps):
        power = power @ W
        growth.append(torch.linalg.matrix_norm(power, 2))
        power = power / (growth[-1] if growth[-1] else 1)
    return torch.stack(growth).cumprod(0)


def power_from_eigenvalues(W, t):
    """As in scratch: (n, n) from W (n, n)."""
    values, V = torch.linalg.eig(W)
    power = (V * values**t) @ torch.linalg.inv(V)
    return power if W.is_complex() else power.real


def as_parameters(params):
    """As in scratch: a list of leaves (...)."""
    return list(params)


def hessian_product(loss, params):
    """As in scratch: a function from v (n,) to H v (n,)."""
    params = as_parameters(params)
    options = {"allow_unused": True, "materialize_grads": True}
    slopes = torch.autograd.grad(loss, params, create_graph=True, **options)
    slope = torch.cat([g.reshape(-1) for g in slopes])

    def product(v):
        if not slope.requires_grad:  # the loss is linear
            return torch.zeros_like(v)
        along = v.to(slope.device)
        rows = torch.autograd.grad(slope, params, along, retain_graph=True, **options)
        return torch.cat([row.reshape(-1) for row in rows]).to(v.device)

    return product


def hessian_eigenvalues(product, n, steps=30, *, rng):
    """As in scratch: (k,) Ritz values; `rng` is a torch.Generator."""
    kind = {"device": rng.device, "dtype": torch.float64}
    start = torch.randn(n, generator=rng, **kind)
    T, _ = lanczos(product, start, min(steps, n))
    return torch.linalg.eigvalsh(T)


def sharpness(loss, params, steps=30, *, rng):
    """As in scratch: a number, from parameters (...)."""

    def product(v):
        return of_params(v.to(params[0].dtype)).double()

    params = as_parameters(params)
    of_params, n = hessian_product(loss, params), sum(p.numel() for p in params)
    return hessian_eigenvalues(product, n, steps, rng=rng)[-1].item()


def step_limit(curvature):
    """As in scratch: a number, of shape ()."""
    return 2 / curvature if curvature > 0 else float("inf")


def filter_normalized(direction, params):
    """As in scratch: a list of tensors (...)."""
    found = []
    for d, p in zip(*as_pairs(direction, params), strict=True):
        if p.ndim < 2:
            found.append(torch.zeros_like(d))
            continue
        axes = tuple(range(1, p.ndim))
        size, wanted = (
            torch.linalg.vector_norm(a, dim=axes, keepdim=True) for a in (d, p)
        )
        found.append(d * (wanted / torch.where(size == 0, 1, size)))
    return found


def as_pairs(direction, params):
    """As in scratch: two lists of tensors (...), of the same shapes."""
    return list(direction), [p.detach() for p in params]


@torch.no_grad()
def move_along(params, homes, direction, by):
    """As in scratch: home + by · direction (...) is written into every parameter."""
    for p, home, d in zip(params, homes, direction, strict=True):
        p.copy_(torch.add(home, d, alpha=by))


@torch.no_grad()
def loss_along(closure, params, direction, at):
    """As in scratch: (K,) for the places `at` (K,)."""
    homes, losses = [p.clone() for p in params], []
    try:
        for alpha in at.tolist():
            move_along(params, homes, direction, alpha)
            losses.append(float(closure()))
    finally:
        move_along(params, homes, homes, 0.0)
    return params[0].new_tensor(losses)


@torch.no_grad()
def loss_plane(closure, params, first, second, at):
    """As in scratch: (K, K) for the places `at` (K,)."""
    homes, rows = [p.clone() for p in params], []
    try:
        for beta in at.tolist():
            move_along(params, homes, second, beta)
            rows.append(loss_along(closure, params, first, at))
    finally:
        move_along(params, homes, homes, 0.0)
    return torch.stack(rows)
