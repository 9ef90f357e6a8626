"""LeNet-5 in PyTorch: its layers, the network of 1998, and its usual remake."""

import torch
from torch import nn
from torch.nn import functional as F

from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.convolutional.lenet.pytorch import (
    digit_codes,
    partial_conv2d,
    rbf,
    scaled_tanh,
    subsample2d,
)
from dlbook_lib.convolutional.strides_and_gradients.layers_pytorch import Conv2d


def start_(parameter, fan_in, rng):
    """As in scratch: a parameter (...), drawn by a `torch.Generator`."""
    return nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in, generator=rng)


class Subsampling2d(nn.Module):
    """As in scratch: `weight` (channels,), `bias` (channels,)."""

    def __init__(self, channels, *, rng, dtype=float):
        super().__init__()
        empty = torch.empty(2, channels, dtype=dtype)
        self.weight = start_(nn.Parameter(empty[0].clone()), 4, rng)
        self.bias = start_(nn.Parameter(empty[1].clone()), 4, rng)

    def forward(self, input):
        """As in scratch: (N, channels, H, W) to (N, channels, H / 2, W / 2)."""
        return subsample2d(input, self.weight, self.bias)


class PartialConv2d(nn.Module):
    """As in scratch: `weight` (connections, k, k), `bias` (maps,)."""

    def __init__(self, table, kernel_size, *, rng, dtype=float):
        super().__init__()
        self.table, k = table, kernel_size
        each = [len(maps) for maps in table]
        self.weight = nn.Parameter(torch.empty((sum(each), k, k), dtype=dtype))
        self.bias = nn.Parameter(torch.empty(len(table), dtype=dtype))
        for part in self.weight.detach().split(each):
            start_(part, len(part) * k * k, rng)
        start_(self.bias, min(each) * k * k, rng)

    def forward(self, input):
        """As in scratch: (N, C, H, W) to (N, maps, H − k + 1, W − k + 1)."""
        return partial_conv2d(input, self.weight, self.bias, self.table)


class RBF(nn.Module):
    """As in scratch: a buffer `weight` (classes, features)."""

    def __init__(self, codes):
        super().__init__()
        self.register_buffer("weight", codes)

    def forward(self, input):
        """As in scratch: (N, features) to (N, classes)."""
        return rbf(input, self.weight)


def _linear(in_features, out_features, rng, dtype):
    """As `Linear` in scratch: `weight` (out, in), drawn by a `torch.Generator`."""
    layer = nn.Linear(in_features, out_features, dtype=dtype)
    for parameter in layer.parameters():
        bound = in_features**-0.5
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return layer


class LeNet5(nn.Module):
    """As in scratch: the network of 1998, (N, 1, 32, 32) to (N, 10)."""

    def __init__(self, *, rng, dtype=float):
        super().__init__()
        same = {"rng": rng, "dtype": dtype}
        self.c1 = Conv2d(1, 6, 5, **same)
        self.s2 = Subsampling2d(6, **same)
        self.c3 = PartialConv2d(C3_TABLE, 5, **same)
        self.s4 = Subsampling2d(16, **same)
        self.c5 = Conv2d(16, 120, 5, **same)
        self.f6 = _linear(120, 84, **same)
        self.output = RBF(digit_codes(dtype))
        for layer, fan_in in ((self.c1, 25), (self.c5, 400), (self.f6, 120)):
            for parameter in layer.parameters():
                start_(parameter, fan_in, rng)

    def maps(self, input):
        """As in scratch: every layer's output by name."""
        found = {"c1": scaled_tanh(self.c1(input))}
        found["s2"] = scaled_tanh(self.s2(found["c1"]))
        found["c3"] = scaled_tanh(self.c3(found["s2"]))
        found["s4"] = scaled_tanh(self.s4(found["c3"]))
        found["c5"] = scaled_tanh(self.c5(found["s4"]))
        found["f6"] = scaled_tanh(self.f6(found["c5"].flatten(1)))
        found["output"] = self.output(found["f6"])
        return found

    def forward(self, input):
        """As in scratch: squared distances (N, 10)."""
        return self.maps(input)["output"]


class LeNet5Remake(nn.Module):
    """As in scratch: (N, 1, 28, 28) to (N, 10), 61,706 parameters."""

    def __init__(self, *, rng, dtype=float):
        super().__init__()
        same = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(1, 6, 5, padding=2, **same)
        self.conv2 = Conv2d(6, 16, 5, **same)
        self.fc1 = _linear(400, 120, **same)
        self.fc2 = _linear(120, 84, **same)
        self.fc3 = _linear(84, 10, **same)

    def maps(self, input):
        """As in scratch: every layer's output by name."""
        found = {"conv1": F.relu(self.conv1(input))}
        found["pool1"] = F.max_pool2d(found["conv1"], 2)
        found["conv2"] = F.relu(self.conv2(found["pool1"]))
        found["pool2"] = F.max_pool2d(found["conv2"], 2)
        found["fc1"] = F.relu(self.fc1(found["pool2"].flatten(1)))
        found["fc2"] = F.relu(self.fc2(found["fc1"]))
        found["fc3"] = self.fc3(found["fc2"])
        return found

    def forward(self, input):
        """As in scratch: scores (N, 10)."""
        return self.maps(input)["fc3"]


def layer_table(table=C3_TABLE):
    """As in scratch, found by counting and by the support of gradients."""
    net = LeNet5(rng=torch.Generator().manual_seed(0))
    kernels = torch.full((sum(map(len, table)), 5, 5), 0.01).double()
    net.c3.table, net.c3.weight = table, nn.Parameter(kernels)
    net.c3.bias = nn.Parameter(torch.zeros(len(table), dtype=torch.float64))
    pixels = torch.full((1, 1, 32, 32), 0.1, dtype=torch.float64, requires_grad=True)
    maps, found = net.maps(pixels), {}
    for name in ("c1", "s2", "c3", "s4", "c5", "f6"):
        y, layer = maps[name], getattr(net, name)
        _, outs, *size = shape = (*y.shape, 1, 1)[:4]
        unit = y.reshape(shape)[0, :, size[0] // 2, size[1] // 2].sum()
        (seen,) = torch.autograd.grad(unit, pixels, retain_graph=True)
        weights = sum(p.numel() for p in layer.parameters())
        places, summed = size[0] * size[1], name[0] == "s"
        fan_in = outs * 4 if summed else layer.weight.numel()
        found[name.upper()] = {
            "shape": (outs, *size),
            "weights": weights,
            "connections": (fan_in + outs) * places,
            "multiplications": layer.weight.numel() * places,
            "field": int((seen[0, 0] != 0).any(dim=0).sum()),
        }
    return found
