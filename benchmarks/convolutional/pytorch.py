"""PyTorch's side, eager, as its documentation would write it."""

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.convolutional import inputs


def conv(batch=64, channels=32, filters=64, side=28, layout=torch.contiguous_format):
    x, weight, bias, dy = map(torch.tensor, inputs.conv(batch, channels, filters, side))
    x, weight, dy = (each.to(memory_format=layout) for each in (x, weight, dy))
    given = [each.requires_grad_() for each in (x, weight, bias)]

    def step():
        y = F.conv2d(*given, padding=inputs.PADDING)
        return y.detach(), *torch.autograd.grad(y, given, dy)

    return step


conv_readable = conv


def conv_batch_last(**size):
    return conv(**size, layout=torch.channels_last)


def conv_winograd(batch=8, channels=256, filters=256, side=28):
    return conv_batch_last(batch=batch, channels=channels, filters=filters, side=side)


def max_pool(batch=64):
    x, dy = map(torch.tensor, inputs.max_pool(batch))
    x.requires_grad_()

    def step():
        y = F.max_pool2d(x, 2)
        return y.detach(), *torch.autograd.grad(y, x, dy)

    return step


max_pool_readable = max_pool


def lenet(batch=128):
    images, labels, params = inputs.lenet(batch)
    x, y = torch.tensor(images), torch.tensor(labels)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), params, strict=True):
            parameter.copy_(torch.tensor(array))
    optimizer = torch.optim.SGD(net.parameters(), lr=inputs.LR)
    biases = [p.detach() for p in net.parameters() if p.ndim == 1]

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item(), *biases

    return step


lenet_readable = lenet
