"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch import nn
from torch.nn import functional as F

import dlbook_lib.feedforward.xor.pytorch as xor
from benchmarks.feedforward import inputs


def tensors(arrays, **options):
    return [torch.tensor(array, **options) for array in arrays]


def load(net, arrays):
    """Put weights and biases, in order, into the linear layers of a network."""
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), arrays, strict=True):
            parameter.copy_(torch.tensor(array))
    return net


def mlp(batch=128):
    images, labels, params = inputs.mlp(batch)
    x, y = tensors([images, labels])
    a, b, c, d = inputs.SIZES
    net = nn.Sequential(
        nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d)
    )
    optimizer = torch.optim.SGD(load(net, params).parameters(), lr=inputs.LR)
    biases = [p.detach() for p in net.parameters() if p.ndim == 1]

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item(), *biases

    return step


mlp_readable = mlp


def cross_entropy(batch=256, classes=10_000):
    logits, labels = tensors(inputs.cross_entropy(batch, classes))
    logits.requires_grad_()

    def step():
        loss = F.cross_entropy(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        return loss.item(), gradient

    return step


def chain(length):
    x, factor, summand = tensors(inputs.chain(), requires_grad=True)

    def step():
        y = x
        for _ in range(length // 2):
            y = y * factor + summand
        return torch.autograd.grad(y, [x, factor, summand])

    return step


def hvp(batch=32):
    x, y, params, direction = inputs.hvp(batch)
    x, y = tensors([x, y])
    params, direction = tensors(params, requires_grad=True), tensors(direction)

    def step():
        hidden = x
        for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
            hidden = torch.tanh(F.linear(hidden, weight, bias))
        loss = F.mse_loss(F.linear(hidden, *params[-2:]), y)
        grads = torch.autograd.grad(loss, params, create_graph=True)
        return torch.autograd.grad(grads, params, direction)

    return step


def xor_step(**size):
    x, y, params = inputs.xor_step(**size)
    x, y = tensors([x, y])
    params = tensors(params)
    biases = [p.detach() for p in params[1::2]]

    def step():
        return xor.descend(params, x, y, lr=1e-3, steps=10), *biases

    return step
