"""LeNet-5 in PyTorch: what its layers compute, and how it is trained."""

import torch
from torch.nn import functional as F

from dlbook_lib.convolutional.lenet.codes import BITMAPS


def prepare(images, size=32, dtype=float):
    """As in scratch: uint8 (N, H, W) to (N, 1, size, size)."""
    x = torch.as_tensor(images)[:, None].to(dtype)
    top, left = ((size - n) // 2 for n in x.shape[-2:])
    bottom, right = size - x.shape[-2] - top, size - x.shape[-1] - left
    return F.pad(x, (left, right, top, bottom)) * (1.275 / 255) - 0.1


def scaled_tanh(input):
    """As in scratch: (...) to (...)."""
    return 1.7159 * torch.tanh(2 / 3 * input)


def subsample2d(input, weight, bias):
    """As in scratch: (N, C, H, W) to (N, C, H / 2, W / 2)."""
    sums = F.avg_pool2d(input, 2, divisor_override=1)
    return weight[:, None, None] * sums + bias[:, None, None]


def partial_conv2d(input, weight, bias, table):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW), map by map."""
    found, start = [], 0
    for output, maps in enumerate(table):
        kernel = weight[start : start + len(maps)][None]  # (1, maps, kH, kW)
        seen = input[:, list(maps)]
        found.append(F.conv2d(seen, kernel, bias[output : output + 1]))
        start += len(maps)
    return torch.cat(found, dim=1)


def rbf(input, weight):
    """As in scratch: (N, D) and (C, D) to (N, C)."""
    return (input[:, None] - weight).square().sum(dim=2)


def rbf_loss(input, target, j=0.1):
    """As in scratch, from distances (N, C)."""
    far = torch.full_like(input[:, :1], j)
    near = torch.logsumexp(-torch.cat([input, far], dim=1), dim=1)
    return (input.gather(1, target[:, None])[:, 0] + near).mean()


def digit_codes(dtype=float):
    """As in scratch: (10, 84)."""
    rows = [line.split() for line in BITMAPS.split("\n") if line]
    signs = {"#": 1, ".": -1}
    codes = [[signs[p] for row in rows for p in row[d]] for d in range(10)]
    return torch.tensor(codes, dtype=dtype)


def saliency(net, images, labels):
    """As in scratch: (N, 1, H, W) to (N, 1, H, W)."""
    pixels = images.detach().requires_grad_()
    scores = net(pixels).gather(1, torch.as_tensor(labels)[:, None])
    return torch.autograd.grad(scores.sum(), pixels)[0].abs()


def worst_errors(scores, labels, count):
    """As in scratch: scores (N, C) to at most `count` places."""
    below = scores.max(dim=1).values - scores.gather(1, labels[:, None])[:, 0]
    order = torch.argsort(-below, stable=True)
    return order[below[order] > 0][:count]


def train_lenet(
    net, images, labels, order, lr=0.1, momentum=0.9, batch_size=128, progress=iter
):
    """As in scratch: the losses (steps,); works where `net` and the arrays are."""
    batches = torch.as_tensor(order).to(labels.device).split(batch_size)
    optimizer, losses = torch.optim.SGD(net.parameters(), lr, momentum), []
    for k in progress(range(len(batches))):
        optimizer.param_groups[0]["lr"] = lr * (1 - k / len(batches))
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images[batches[k]]), labels[batches[k]])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def train_lenet_batch_last(
    net, images, labels, order, lr=0.1, momentum=0.9, batch_size=128, progress=iter
):
    """As in scratch: losses (steps,); torch's layout for speed is channels-last."""
    net.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    options = lr, momentum, batch_size, progress
    losses = train_lenet(net, images, labels, order, *options)
    net.to(memory_format=torch.contiguous_format)
    return losses


def accuracy(net, images, labels, batch_size=500):
    """As in scratch: images (M, 1, H, W) to a float."""
    with torch.no_grad():
        found = torch.cat([net(x).argmax(dim=1) for x in images.split(batch_size)])
    return (found == labels).double().mean().item()
