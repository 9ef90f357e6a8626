"""Norm penalties in PyTorch; autograd derives every backward half."""

import torch
from torch.nn.functional import linear

from dlbook_lib.regularization.norm_penalties.projections_pytorch import (
    length,
    project_l2,
)


def l2_penalty(weight, alpha=1.0):
    """As in scratch, of a tensor (...)."""
    return alpha / 2 * weight.square().sum()


def l1_penalty(weight, alpha=1.0):
    """As in scratch, of a tensor (...)."""
    return alpha * weight.abs().sum()


def group_penalty(weight, alpha=1.0, dim=-1):
    """As in scratch, of a tensor (..., n, ...)."""
    return alpha * length(weight, dim).sum()


def soft_threshold(input, threshold):
    """As in scratch, of a tensor (...); `softshrink` takes one threshold alone."""
    threshold = torch.as_tensor(threshold, dtype=input.dtype, device=input.device)
    return input - input.clamp(-threshold, threshold)


def group_soft_threshold(input, threshold, dim=-1):
    """As in scratch, of a tensor (..., n, ...)."""
    return input - project_l2(input, threshold, dim)


def l2_shrink(input, threshold):
    """As in scratch, of a tensor (...)."""
    return input / (1 + threshold)


PENALTIES = {
    "l2": (l2_penalty, l2_shrink),
    "l1": (l1_penalty, soft_threshold),
    "group": (group_penalty, group_soft_threshold),
}
"""Penalties by name: the value and its proximal map; autograd has the gradient."""


def penalized(objective, alphas, penalty="l2"):
    """As in scratch, but `objective` and the result give a value alone, ()."""
    omega, _ = PENALTIES[penalty]

    def total(*params):
        pairs = zip(params, alphas, strict=True)
        return objective(*params) + sum(omega(p, a) for p, a in pairs if a)

    return total


def decay_step(weight, gradient, *, lr, alpha):
    """As in scratch, of tensors (...); ``torch.optim.SGD`` does it in place."""
    return (1 - lr * alpha) * weight - lr * gradient


def proximal_step(weight, gradient, *, lr, alpha, penalty="l1"):
    """As in scratch, of tensors (...)."""
    _, proximal_map = PENALTIES[penalty]
    return proximal_map(weight - lr * gradient, lr * alpha)


def shrinkage(eigenvalue, alpha):
    """As in scratch, of a tensor (...)."""
    return eigenvalue / (eigenvalue + alpha)


def l2_solution(hessian, optimum, alpha):
    """As in scratch, of tensors (D, D) and (D,), without the eigenvectors."""
    penalty = alpha * torch.eye(len(hessian), dtype=hessian.dtype)
    return torch.linalg.solve(hessian + penalty.to(hessian), hessian @ optimum)


def moments(columns, target):
    """As in scratch, of tensors (N, D) and (N, out)."""
    n = len(columns)
    return columns.T @ columns / n, columns.T @ target / n


def ridge(columns, target, alpha):
    """As in scratch, of tensors (N, D) and (N, out), as plain least squares.

    The penalty is data: a further example for each weight, with target 0.
    """
    n, d = columns.shape
    more = (n * alpha) ** 0.5 * torch.eye(d).to(columns)  # (D, D)
    zeros = target.new_zeros(d, target.shape[1])
    every = torch.cat([columns, more]), torch.cat([target, zeros])
    return torch.linalg.lstsq(*every).solution


def lasso_cd(columns, target, alpha, *, sweeps=1000, tol=1e-12):
    """As in scratch, of tensors (N, D) and (N, out), by way of the residual."""
    n, d = columns.shape
    tol = max(tol, torch.finfo(columns.dtype).eps)
    weight = columns.new_zeros(d, target.shape[1])
    residual, curvature = target.clone(), columns.square().mean(dim=0)  # (N, out), (D,)
    for _ in range(sweeps):
        before = weight.clone()
        for j in curvature.nonzero().ravel().tolist():
            residual += columns[:, j, None] * weight[j]
            left = columns[:, j] @ residual / n  # (out,)
            weight[j] = soft_threshold(left, alpha) / curvature[j]
            residual -= columns[:, j, None] * weight[j]
        if (weight - before).abs().max() <= tol * weight.abs().max():
            break
    return weight


class Ridge:
    """As in scratch; `weight` (out, in), `bias` (out,)."""

    solve = staticmethod(ridge)

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, input, target):
        """As in scratch, for `input` (N, in) and `target` (N, out)."""
        center, level = input.mean(dim=0), target.mean(dim=0)
        self.weight = self.solve(input - center, target - level, self.alpha).T
        self.bias = level - self.weight @ center
        return self

    def predict(self, input):
        """As in scratch: predictions (N, out) for `input` (N, in)."""
        return linear(input, self.weight, self.bias)


class Lasso(Ridge):
    """As in scratch."""

    solve = staticmethod(lasso_cd)
