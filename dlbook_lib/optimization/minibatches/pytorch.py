"""Surrogate losses and minibatches in PyTorch; `rng` is a `torch.Generator`.

Batches are those of `torch.utils.data.DataLoader`.
"""

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
