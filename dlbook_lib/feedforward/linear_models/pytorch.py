"""Linear and logistic regression in PyTorch: the same names, gradients by autograd.

`linear`, `mse_loss`, `sigmoid` and `binary_cross_entropy_with_logits` are PyTorch's.
Arrays become tensors on any device and of any floating dtype.
"""

import torch
from torch import sigmoid
from torch.nn.functional import binary_cross_entropy_with_logits, linear, mse_loss


def _backward(function, dy, *inputs):
    """The backward of any function: gradients with respect to `inputs` (...)."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    output = function(*inputs)
    dy = torch.as_tensor(dy, dtype=output.dtype, device=output.device)
    return torch.autograd.grad(output, inputs, dy.expand_as(output))


def linear_backward(dy, input, weight, bias=None):
    """As in scratch: gradients for (N, in), (out, in) and (out,), or None."""
    if bias is None:
        return *_backward(linear, dy, input, weight), None
    return _backward(linear, dy, input, weight, bias)


def mse_loss_backward(dy, input, target, reduction="mean"):
    """As in scratch: the gradient (...) with respect to `input`."""
    return _backward(lambda x: mse_loss(x, target, reduction=reduction), dy, input)[0]


def sigmoid_backward(dy, input):
    """As in scratch: the gradient (...)."""
    return _backward(sigmoid, dy, input)[0]


def binary_cross_entropy_with_logits_backward(dy, input, target, reduction="mean"):
    """As in scratch: the gradient (...) with respect to the logits."""
    return _backward(
        lambda z: binary_cross_entropy_with_logits(z, target, reduction=reduction),
        dy,
        input,
    )[0]


def numeric_gradient(f, x, eps=1e-6):
    """As in scratch, for a tensor (...); PyTorch has `torch.autograd.gradcheck`.

    >>> numeric_gradient(lambda x: (x**2).sum(), torch.tensor([3.0]).double()).round()
    tensor([6.], dtype=torch.float64)
    """
    if x.dtype != torch.float64:
        raise ValueError(
            f"numeric_gradient: x is {x.dtype}, too coarse for a step of {eps}; "
            "try x.double()"
        )
    steps = eps * torch.eye(x.numel(), dtype=x.dtype, device=x.device)
    slopes = [
        (f(x + step.view_as(x)) - f(x - step.view_as(x))) / (2 * eps) for step in steps
    ]
    return torch.stack(slopes).view_as(x)


def gradient_descent(objective, params, *, lr, steps):
    """As in scratch, but ``objective(*params)`` is the loss alone; gradients are found.

    >>> gradient_descent(lambda x: x**2, [torch.tensor(1.0)], lr=0.25, steps=2)
    ([tensor(0.2500)], [1.0, 0.25])
    """
    params = [p.detach().clone().requires_grad_() for p in params]
    optimizer = torch.optim.SGD(params, lr=lr)
    losses = []
    for _ in range(steps):
        loss = objective(*params)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [p.detach() for p in params], losses


def normal_equations(columns, target):
    """As in scratch, but by an orthogonal factorisation, which never forms X^T X.

    `torch.linalg.lstsq` is exact to rounding where the Gram matrix has lost half the
    digits; (N, D) and (N, out) become (D, out).
    """
    return torch.linalg.lstsq(columns, target).solution


class LinearRegression:
    """As in scratch; `weight` (out, in) and `bias` (out,) are tensors."""

    def fit_normal(self, input, target):
        """As in scratch: the least squares for (N, in) and (N, out)."""
        ones = torch.ones_like(input[:, :1])
        solution = normal_equations(torch.cat([input, ones], dim=1), target)
        self.weight, self.bias = solution[:-1].T, solution[-1]

    def fit_gd(self, input, target, *, lr, steps):
        """As in scratch: from zero; the loss before each step."""

        def objective(weight, bias):
            return mse_loss(linear(input, weight, bias), target)

        columns, outputs = input.shape[1], target.shape[1]
        start = [input.new_zeros(outputs, columns), input.new_zeros(outputs)]
        params, losses = gradient_descent(objective, start, lr=lr, steps=steps)
        self.weight, self.bias = params
        return losses

    def predict(self, input):
        """As in scratch: predictions (N, out) for `input` (N, in)."""
        return linear(input, self.weight, self.bias)


class LogisticRegression:
    """As in scratch; `weight` (1, in) and `bias` (1,) are tensors."""

    def fit(self, input, target, *, lr, steps, weight_decay=0.0):
        """As in scratch: from zero; the loss before each step, penalty included."""

        def objective(weight, bias):
            loss = binary_cross_entropy_with_logits(linear(input, weight, bias), target)
            return loss + weight_decay / 2 * (weight**2).sum()

        start = [input.new_zeros(1, input.shape[1]), input.new_zeros(1)]
        params, losses = gradient_descent(objective, start, lr=lr, steps=steps)
        self.weight, self.bias = params
        return losses

    def probability(self, input):
        """As in scratch: probability of class 1 (N, 1) for `input` (N, in)."""
        return sigmoid(linear(input, self.weight, self.bias))

    def predict(self, input):
        """As in scratch: the likelier class (N, 1), 0 or 1, for `input` (N, in)."""
        return (linear(input, self.weight, self.bias) > 0).to(input.dtype)


def quadratic_features(input):
    """As in scratch: (N, d) becomes (N, d (d + 3) / 2).

    >>> quadratic_features(torch.tensor([[2.0, 3.0]]))
    tensor([[4., 9., 6., 2., 3.]])
    """
    i, j = torch.triu_indices(input.shape[1], input.shape[1], offset=1)
    return torch.cat([input**2, input[:, i] * input[:, j], input], dim=1)


def and_of_halfplanes(input, weight, bias):
    """As in scratch: whether each of N points (N, d) passes all K tests, bool (N,)."""
    inside = linear(input, weight, bias) > 0  # (N, K)
    return inside.sum(dim=1) > len(weight) - 0.5
