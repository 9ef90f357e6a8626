"""What a gradient of few examples is worth; `rng` is a `torch.Generator`."""

from functools import partial

import torch

from dlbook_lib.optimization.minibatches.pytorch import SURROGATES, margin, minibatches


def per_example_gradients(objective, params, input, target):
    """As in scratch: a list of (N, ...)."""
    batches = minibatches([input, target], 1)
    gradients = [objective(params, *batch)[1] for batch in batches]
    return [torch.stack(g) for g in zip(*gradients, strict=True)]


def linear_gradients_by_rows(params, input, target, loss="logistic"):
    """As in scratch: (N, D) and (N,)."""
    score = (input @ params[0] + params[1]).detach().requires_grad_()
    cost = SURROGATES[loss](margin(score, target), "sum")
    (slope,) = torch.autograd.grad(cost, score)
    return [slope[:, None] * input, slope]


def full_gradient(objective, params, input, target, batch_size=1000):
    """As in scratch: a list of (...)."""
    total = [torch.zeros_like(p) for p in params]
    for batch in minibatches([input, target], batch_size):
        share = len(batch[0]) / len(input)
        gradients = objective(params, *batch)[1]
        total = [t + share * g for t, g in zip(total, gradients, strict=True)]
    return total


def standard_error(gradients, n, replace=True):
    """As in scratch: (N, P) to a number."""
    count = len(gradients)
    left = 1 if replace or count == 1 else (count - n) / (count - 1)
    variance = gradients.var(dim=0, correction=0).sum()
    return float((variance / n * left) ** 0.5)


def gradient_noise(gradients, n, draws=1000, replace=True, *, rng):
    """As in scratch: (N, P) to a number."""
    mean, squares = gradients.mean(dim=0), []
    for row in random_batches(len(gradients), n, draws, replace, rng=rng):
        squares.append(((gradients[row].mean(dim=0) - mean) ** 2).sum())
    return float(torch.stack(squares).mean() ** 0.5)


def random_batches(count, n, draws, replace=True, *, rng):
    """As in scratch: an iterator of (n,)."""
    if replace:
        draw = partial(torch.randint, count, (n,), generator=rng, device=rng.device)
        return (draw() for _ in range(draws))
    draw = partial(torch.randperm, count, generator=rng, device=rng.device)
    return (draw()[:n] for _ in range(draws))


def logistic_hessians(params, input, target):
    """As in scratch: (N, D + 1, D + 1)."""
    m = margin(input @ params[0] + params[1], target)
    x = torch.column_stack([input, torch.ones_like(m)])  # (N, D + 1)
    curvature = torch.sigmoid(m) * torch.sigmoid(-m)
    return (curvature[:, None] * x)[:, :, None] * x[:, None, :]


def solved(hessian, gradient):
    """As in scratch: (P, P) and (P,) to (P,)."""
    return torch.linalg.solve(hessian, gradient)


def newton_noise(gradients, hessians, n, draws=100, damping=0.0, *, rng):
    """As in scratch: two numbers."""
    count, size = gradients.shape
    known, ridge = len(hessians) == 1, damping * torch.eye(size).to(hessians)

    def gradient_and_step(rows):
        share = torch.bincount(rows, minlength=count).to(gradients) / len(rows)
        h = hessians[0] if known else torch.tensordot(share, hessians, 1)
        g = share @ gradients
        return torch.stack([g, solved(h + ridge, g)])

    right = gradient_and_step(torch.arange(count, device=gradients.device))
    batches = random_batches(count, n, draws, rng=rng)
    wrong = [((gradient_and_step(rows) - right) ** 2).sum(dim=1) for rows in batches]
    errors = torch.stack(wrong).mean(dim=0).sqrt() / right.norm(dim=1)
    return tuple(errors.tolist())
