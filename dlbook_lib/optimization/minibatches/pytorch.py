"""Surrogate losses, minibatches and noisy gradients in PyTorch; `rng` is a
`torch.Generator`, batches are those of `torch.utils.data.DataLoader`.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import logsigmoid, relu
from torch.utils.data import DataLoader, TensorDataset

REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}


def margin(input, target):
    """As in scratch: (...) and (...) to (...)."""
    return input * target


def zero_one_loss(input, reduction="mean"):
    """As in scratch: (...) to a tensor () or (...)."""
    return REDUCTIONS[reduction]((input <= 0).to(input) + 0 * input.clamp(-1, 1))


def logistic_loss(input, reduction="mean"):
    """As in scratch: (...) to a tensor () or (...)."""
    return REDUCTIONS[reduction](-logsigmoid(input))


def hinge_loss(input, reduction="mean"):
    """As in scratch: (...) to a tensor () or (...)."""
    return REDUCTIONS[reduction](relu(1 - input))


def squared_hinge_loss(input, reduction="mean"):
    """As in scratch: (...) to a tensor () or (...)."""
    return REDUCTIONS[reduction](relu(1 - input) ** 2)


def exponential_loss(input, reduction="mean"):
    """As in scratch: (...) to a tensor () or (...)."""
    return REDUCTIONS[reduction](torch.exp(-input))


SURROGATES = {
    "zero-one": zero_one_loss,
    "logistic": logistic_loss,
    "hinge": hinge_loss,
    "squared hinge": squared_hinge_loss,
    "exponential": exponential_loss,
}
"""Losses of margins by name; autograd has their gradients."""


class Memorizer:
    """As in scratch: (N, D) to (N,)."""

    def __init__(self, input, target):
        pairs = zip(map(tuple, input.tolist()), target.tolist(), strict=True)
        self.table, self.dtype = dict(pairs), target.dtype

    def __call__(self, input):
        found = [self.table.get(tuple(row), 0.0) for row in input.tolist()]
        return torch.tensor(found, dtype=self.dtype)


def linear_objective(params, input, target, loss="logistic"):
    """As in scratch: a tensor () and a list of (D,) and ()."""
    params = [p.detach().requires_grad_() for p in params]
    weight, bias = params
    mean = SURROGATES[loss](margin(input @ weight + bias, target))
    return mean.detach(), list(torch.autograd.grad(mean, params))


def minibatches(
    arrays, batch_size=1, shuffle=False, sampler=None, drop_last=False, *, rng=None
):
    """As in scratch: lists of tensors (batch, ...)."""
    order = None if sampler is None else np.asarray(sampler).tolist()
    how = {"sampler": order, "drop_last": drop_last, "generator": rng}
    return iter(DataLoader(TensorDataset(*arrays), batch_size, shuffle, **how))


def sorted_order(target):
    """As in scratch: (N,) to (N,)."""
    return torch.argsort(target, stable=True)


def repeat_examples(arrays, times):
    """As in scratch: a list of (times * N, ...)."""
    return [torch.cat([a] * times) for a in arrays]


def sgd_train(
    objective,
    params,
    input,
    target,
    *,
    lr,
    epochs,
    batch_size=1,
    shuffle=True,
    sampler=None,
    drop_last=False,
    rng=None,
):
    """As in scratch: a list of parameters (...), and one of losses."""
    params, losses = list(params), []
    how = {"shuffle": shuffle, "sampler": sampler, "drop_last": drop_last, "rng": rng}
    for _ in range(epochs):
        for batch in minibatches([input, target], batch_size, **how):
            loss, gradients = objective(params, *batch)
            losses.append(float(loss))
            steps = zip(params, gradients, strict=True)
            params = [p - lr * g for p, g in steps]
    return params, losses


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


def newton_noise(gradients, hessians, n, draws=100, damping=0.0, *, rng):
    """As in scratch: two numbers."""
    count, size = gradients.shape
    known, ridge = len(hessians) == 1, damping * torch.eye(size).to(hessians)

    def gradient_and_step(rows):
        share = torch.bincount(rows, minlength=count).to(gradients) / len(rows)
        h = hessians[0] if known else torch.tensordot(share, hessians, 1)
        g = share @ gradients
        return torch.stack([g, torch.linalg.solve(h + ridge, g)])

    right = gradient_and_step(torch.arange(count, device=gradients.device))
    batches = random_batches(count, n, draws, rng=rng)
    wrong = [((gradient_and_step(rows) - right) ** 2).sum(dim=1) for rows in batches]
    errors = torch.stack(wrong).mean(dim=0).sqrt() / right.norm(dim=1)
    return tuple(errors.tolist())
