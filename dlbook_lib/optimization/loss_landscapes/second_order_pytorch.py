"""Methods of second order in PyTorch; the search along a line is torch's own."""

from typing import Any, NamedTuple

import torch
from torch.optim.lbfgs import _cubic_interpolate, _strong_wolfe

__all__ = [
    "Place",
    "begin",
    "bfgs",
    "bfgs_update",
    "cubic_minimum",
    "lbfgs_direction",
    "levenberg_marquardt",
    "newton_direction",
    "newton_step",
    "nonlinear_conjugate_gradient",
    "on_line",
    "step_along",
    "strong_wolfe",
    "truncated_newton",
    "value_and_gradient",
]


def newton_step(x, g, H, damping=0.0):
    """As in scratch: (n,) from x (n,), g (n,) and H (n, n)."""
    return x - torch.linalg.solve(H + damping * torch.eye(len(x)).to(H), g)


def levenberg_marquardt(residual, jacobian, x, *, steps, damping=1e-3, tol=1e-12):
    """As in scratch: (k + 1, n) from x (n,)."""
    path, r = [x], residual(x)
    for _ in range(steps):
        J = jacobian(path[-1])
        g = J.T @ r
        if torch.linalg.vector_norm(g) <= tol:
            break
        trial = newton_step(path[-1], g, J.T @ J, damping)
        r_trial = residual(trial)
        better = bool(r_trial @ r_trial < r @ r)
        path.append(trial if better else path[-1])
        r, damping = (r_trial, damping / 10) if better else (r, damping * 10)
    return torch.stack(path)


class Place(NamedTuple):
    """As in scratch: numbers, and a gradient (n,)."""

    t: float
    value: float
    slope: float
    gradient: Any = None


def cubic_minimum(a, b, low, high):
    """As in scratch: a number, by the function that torch's L-BFGS uses."""
    numbers = [torch.tensor(z, dtype=torch.float64) for z in (*a[:3], *b[:3])]
    return float(_cubic_interpolate(*numbers, bounds=(low, high)))


def strong_wolfe(along, start, t=1.0, c1=1e-4, c2=0.9, tol=1e-9, max_ls=25):
    """As in scratch: a `Place` () and a count, by the search of torch's L-BFGS."""
    seen = {0.0: start}

    def look(_x, t, _d):
        seen[float(t)] = place = along(float(t))
        value, slope = torch.tensor([place.value, place.slope], dtype=torch.float64)
        return value, slope[None]

    one = torch.ones(1, dtype=torch.float64)
    first, slope = torch.tensor([start.value, start.slope], dtype=torch.float64)
    _, _, t, evaluations = _strong_wolfe(
        look, None, t, one, first, slope[None], slope, c1, c2, tol, max_ls
    )
    return seen[float(t)], evaluations


def on_line(objective, x, d):
    """As in scratch: a function from t to a `Place`, for x (n,) and d (n,)."""

    def along(t):
        value, g = objective(x + t * d)
        return Place(t, float(value), (g @ d).item(), g)

    return along


def step_along(objective, x, d, here, t=1.0, c2=0.9):
    """As in scratch: (n,) and the `Place` there."""
    start = here._replace(t=0.0, slope=(here.gradient @ d).item())
    if start.slope >= 0:
        return x, start
    place, _ = strong_wolfe(on_line(objective, x, d), start, t, c2=c2)
    return x + place.t * d, place


def value_and_gradient(func):
    """As in scratch: a function from (n,) to a number and (n,)."""

    def objective(x):
        x = x.detach().requires_grad_()
        y = func(x)
        (slope,) = torch.autograd.grad(y, x)
        return y.item(), slope

    return objective


def begin(objective, x, steps, tol):
    """As in scratch: a list of (n,), and the `Place` there."""
    return [x], on_line(objective, x, torch.zeros_like(x))(0.0)


def nonlinear_conjugate_gradient(
    objective, x, *, steps, beta="polak-ribiere", c2=0.1, tol=1e-8
):
    """As in scratch: (k + 1, n) from x (n,)."""
    (path, here), t = begin(objective, x, steps, tol), None
    g, d = here.gradient, -here.gradient
    for _ in range(steps):
        if torch.linalg.vector_norm(g) <= tol:
            break
        d = d if g @ d < 0 else -g
        first = t or 1 / max(1.0, g.abs().sum().item())
        x, here = step_along(objective, path[-1], d, here, first, c2)
        if here.t == 0:
            break
        path.append(x)
        old, g = g, here.gradient
        change = g @ g if beta == "fletcher-reeves" else (g @ (g - old)).clamp(min=0)
        before = (old @ d).item()
        d = -g + change / (old @ old) * d
        slope = (g @ d).item()
        t = here.t * before / slope if slope < 0 else None
    return torch.stack(path)


def newton_direction(product, g, *, steps, tol=0.5):
    """As in scratch: (n,) from g (n,)."""
    d, rest, along = torch.zeros_like(g), -g, -g
    for k in range(steps):
        image = product(along)
        curvature = along @ image
        if curvature <= 0:
            return d if k else -g
        before = rest @ rest
        d = d + before / curvature * along
        rest = rest - before / curvature * image
        if torch.linalg.vector_norm(rest) <= tol * torch.linalg.vector_norm(g):
            break
        along = rest + rest @ rest / before * along
    return d


def truncated_newton(objective, product, x, *, steps, inner=50, damping=0.0, tol=1e-8):
    """As in scratch: (k + 1, n) from x (n,)."""
    path, here = begin(objective, x, steps, tol)
    for _ in range(steps):
        x, g = path[-1], here.gradient
        length = torch.linalg.vector_norm(g).item()
        if length <= tol:
            break
        d = newton_direction(
            lambda v, x=x: product(x, v) + damping * v,
            g,
            steps=inner,
            tol=min(0.5, length**0.5),
        )
        x, here = step_along(objective, x, d, here)
        if here.t == 0:
            break
        path.append(x)
    return torch.stack(path)


def bfgs_update(B, s, y):
    """As in scratch: (n, n) from B (n, n), s (n,) and y (n,)."""
    ys = y @ s
    if ys <= 1e-10:
        return B
    turn = torch.eye(len(s)).to(B) - torch.outer(s, y) / ys
    return turn @ B @ turn.T + torch.outer(s, s) / ys


def bfgs(objective, x, *, steps, tol=1e-8):
    """As in scratch: (k + 1, n) from x (n,)."""
    (path, here), t = begin(objective, x, steps, tol), None
    B = torch.eye(len(x)).to(x)
    for _ in range(steps):
        g = here.gradient
        if torch.linalg.vector_norm(g) <= tol:
            break
        first = 1.0 if t else 1 / max(1.0, g.abs().sum().item())
        x, here = step_along(objective, path[-1], -B @ g, here, first)
        if here.t == 0:
            break
        s, y = x - path[-1], here.gradient - g
        if t is None and y @ s > 0:
            B = B * (y @ s / (y @ y))
        B, t = bfgs_update(B, s, y), here.t
        path.append(x)
    return torch.stack(path)


def lbfgs_direction(g, steps, changes, scale=1.0):
    """As in scratch: (n,) from g (n,) and lists of (n,)."""
    d, shares = -g, []
    pairs = list(zip(steps, changes, strict=True))
    for s, y in reversed(pairs):
        shares.append(s @ d / (y @ s))
        d = d - shares[-1] * y
    d = d * scale
    for s, y in pairs:
        d = d + s * (shares.pop() - y @ d / (y @ s))
    return d
