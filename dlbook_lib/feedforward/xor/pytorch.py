"""The hidden layer in PyTorch: twins of `scratch`, with autograd for the backward."""

import torch
from torch import nn
from torch.nn.functional import relu

from dlbook_lib.common.rng import torch_generator

__all__ = [
    "KernelRidge",
    "ThresholdUnit",
    "TwoLayerNet",
    "descend",
    "loss_slice",
    "relu",
    "relu_backward",
    "train_xor",
    "two_layer",
    "two_layer_backward",
    "xor_from_gates",
]


class ThresholdUnit:
    """A unit that answers 1 where its score is above 0, else 0; `weight` (in,)."""

    def __init__(self, weight, bias):
        self.weight, self.bias = torch.as_tensor(weight), bias

    def __call__(self, input):
        """Answers (N,) for a batch `input` (N, in)."""
        score = input @ self.weight.to(input) + self.bias
        return (score > 0).to(input.dtype)


def xor_from_gates(input):
    """Exclusive or (N,) of the two columns of `input` (N, 2), from three units."""
    either = ThresholdUnit([1.0, 1.0], -0.5)(input)
    both = ThresholdUnit([1.0, 1.0], -1.5)(input)
    return ThresholdUnit([1.0, -1.0], -0.5)(torch.stack([either, both], dim=1))


def relu_backward(dy, input):
    """Gradient (...) with respect to the input of `relu`, from autograd."""
    input = input.detach().requires_grad_()
    return torch.autograd.grad(relu(input), input, dy)[0]


def two_layer(input, weight1, bias1, weight2, bias2):
    """Outputs (..., N, out) of one network, or of a stack along the leading axes."""
    hidden = relu(input @ weight1.mT + bias1[..., None, :])
    return hidden @ weight2.mT + bias2[..., None, :]


def two_layer_backward(dy, input, weight1, bias1, weight2, bias2):
    """The five gradients, from autograd; for a stack the first is (..., N, in)."""
    each = input.expand(*weight1.shape[:-2], *input.shape)
    arguments = (each, weight1, bias1, weight2, bias2)
    leaves = [a.detach().requires_grad_() for a in arguments]
    return torch.autograd.grad(two_layer(*leaves), leaves, dy)


class TwoLayerNet(nn.Module):
    """One hidden layer of ReLUs; `rng` is a `torch.Generator`."""

    def __init__(self, in_features, width, out_features=1, *, rng):
        super().__init__()
        self.hidden = nn.Linear(in_features, width)
        self.output = nn.Linear(width, out_features)
        for layer in (self.hidden, self.output):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
            nn.init.uniform_(layer.bias, -bound, bound, generator=rng)

    def forward(self, input):
        """Outputs (N, out) for a batch `input` (N, in)."""
        return self.output(relu(self.hidden(input)))


def descend(parameters, input, target, *, lr, steps):
    """Gradient descent in place on leaf tensors; returns the losses (steps, ...)."""
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.SGD(parameters, lr=lr)
    losses = []
    for _ in range(steps):
        error = two_layer(input, *parameters) - target
        loss = (error**2).mean(dim=(-2, -1))  # one loss per network
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def train_xor(seeds, width, *, lr=0.1, steps=2000):
    """A trained stack and its losses (steps, seeds); starts differ from NumPy's."""
    nets = [TwoLayerNet(2, width, rng=torch_generator(seed)) for seed in seeds]
    each = [[p.detach() for p in net.parameters()] for net in nets]
    parameters = [torch.stack(tensors) for tensors in zip(*each, strict=True)]
    input = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    return parameters, descend(parameters, input, target, lr=lr, steps=steps)


class KernelRidge:
    """Ridge regression with an RBF kernel, as in `scratch`, on any device."""

    def __init__(self, alpha=1.0, *, gamma):
        self.alpha, self.gamma = alpha, gamma

    def kernel(self, a, b):
        """Kernel values (N, M) between the rows of `a` (N, in) and `b` (M, in)."""
        return torch.exp(-self.gamma * (a[:, None] - b[None]).square().sum(dim=-1))

    def fit(self, X, y):
        """Solve for one coefficient per example; `X` (N, in), `y` (N,)."""
        gram = self.kernel(X, X) + self.alpha * torch.eye(len(X)).to(X)
        self.X_fit_, self.dual_coef_ = X, torch.linalg.solve(gram, y)
        return self

    def predict(self, X):
        """Values (N,) at the rows of `X` (N, in)."""
        return self.kernel(X, self.X_fit_) @ self.dual_coef_


def loss_slice(start, end, input, target, t):
    """Mean squared error (T,) at the places `t` (T,) on the line between two nets."""
    line = [
        torch.lerp(a, b, t.to(a).reshape(-1, *(1 for _ in a.shape)))
        for a, b in zip(start, end, strict=True)
    ]
    return (two_layer(input, *line) - target).square().mean(dim=(-2, -1))
