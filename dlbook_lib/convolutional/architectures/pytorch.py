"""Building blocks of convolutional networks in PyTorch: the same names and weights.

Each layer starts from `rng`, a `torch.Generator`, within the bounds of torch's own.
"""

import torch
from torch import nn
from torch.nn.functional import (
    avg_pool2d,
    local_response_norm,
    max_pool2d,
    relu,
)

from dlbook_lib.convolutional.convolution.pytorch import as_sizes
from dlbook_lib.convolutional.strides_and_gradients.layers_pytorch import Conv2d
from dlbook_lib.convolutional.strides_and_gradients.pytorch import output_size
from dlbook_lib.regularization.dropout.pytorch import Dropout

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "DenseBlock",
    "DenseLayer",
    "FractalBlock",
    "Inception",
    "MiniAlexNet",
    "ResNetSmall",
    "Transition",
    "VGGBlock",
    "across_channels",
    "draw_paths",
    "join",
    "local_response_norm",
    "occlusion_map",
    "projection",
]


def across_channels(x, size, transposed=False):
    """As in scratch: (N, C, ...) to (N, C, ...)."""
    before, after = size // 2, (size - 1) // 2
    around = (after, before) if transposed else (before, after)
    rest = (0, 0) * (x.ndim - 2)
    padded = nn.functional.pad(x, (*rest, *around))
    return padded.unfold(1, size, 1).sum(dim=-1)


def _linear(in_features, out_features, *, rng, dtype):
    """A linear layer whose start comes from `rng`."""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features, dtype=dtype)
    bound = in_features**-0.5
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=rng)
    return layer


def _norm(channels, dtype):
    return nn.BatchNorm2d(channels, dtype=dtype)


class MiniAlexNet(nn.Module):
    """As in scratch: (N, in_channels, 32, 32) to (N, classes)."""

    def __init__(self, classes=10, in_channels=3, width=16, p=0.5, *, rng, dtype=float):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 5, padding=2, **own)
        self.conv2 = Conv2d(width, 3 * width, 5, padding=2, **own)
        self.conv3 = Conv2d(3 * width, 6 * width, 3, padding=1, **own)
        self.conv4 = Conv2d(6 * width, 4 * width, 3, padding=1, **own)
        self.conv5 = Conv2d(4 * width, 4 * width, 3, padding=1, **own)
        self.dropout = Dropout(p, rng=rng)
        self.fc1 = _linear(4 * width * 3 * 3, 16 * width, **own)
        self.fc2 = _linear(16 * width, 16 * width, **own)
        self.fc3 = _linear(16 * width, classes, **own)

    def forward(self, input):
        """As in scratch."""
        x = max_pool2d(relu(self.conv1(input)), 3, 2)
        x = max_pool2d(relu(self.conv2(x)), 3, 2)
        x = relu(self.conv4(relu(self.conv3(x))))
        x = max_pool2d(relu(self.conv5(x)), 3, 2)
        x = relu(self.fc1(self.dropout(x.flatten(1))))
        return self.fc3(relu(self.fc2(self.dropout(x))))


class VGGBlock(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""

    def __init__(self, in_channels, out_channels, convs=2, *, rng, dtype=float):
        super().__init__()
        for i in range(convs):
            seen = out_channels if i else in_channels
            layer = Conv2d(seen, out_channels, 3, padding=1, rng=rng, dtype=dtype)
            self.add_module(f"conv{i + 1}", layer)

    def forward(self, input):
        """As in scratch."""
        for layer in self.children():
            input = relu(layer(input))
        return max_pool2d(input, 2)


class Inception(nn.Module):
    """As in scratch: (N, in_channels, H, W) to as many maps as its last layers have."""

    def __init__(
        self,
        in_channels,
        ch1x1,
        ch3x3red,
        ch3x3,
        ch5x5red,
        ch5x5,
        pool_proj,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        self.branch1 = Conv2d(in_channels, ch1x1, 1, **own)
        self.branch2 = nn.Sequential(
            Conv2d(in_channels, ch3x3red, 1, **own),
            Conv2d(ch3x3red, ch3x3, 3, padding=1, **own),
        )
        self.branch3 = nn.Sequential(
            Conv2d(in_channels, ch5x5red, 1, **own),
            Conv2d(ch5x5red, ch5x5, 5, padding=2, **own),
        )
        self.branch4 = Conv2d(in_channels, pool_proj, 1, **own)

    def forward(self, input):
        """As in scratch."""
        found = [self.branch1(input)]
        for squeeze, layer in (self.branch2, self.branch3):
            found.append(layer(relu(squeeze(input))))
        found.append(self.branch4(max_pool2d(input, 3, 1, 1)))
        return relu(torch.cat(found, 1))


class BasicBlock(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, out_channels, H / stride, …)."""

    expansion = 1

    def __init__(
        self,
        in_channels,
        out_channels,
        stride=1,
        residual=True,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        options = {"padding": 1, "bias": False, **own}
        self.residual = residual
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, **options)
        self.bn1 = _norm(out_channels, dtype)
        self.conv2 = Conv2d(out_channels, out_channels, 3, **options)
        self.bn2 = _norm(out_channels, dtype)
        self.downsample = None
        if residual and (stride > 1 or in_channels != out_channels):
            self.downsample = projection(in_channels, out_channels, stride, **own)

    def forward(self, input):
        """As in scratch."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(input)))))
        if self.residual:
            y = y + (input if self.downsample is None else self.downsample(input))
        return relu(y)


def projection(in_channels, out_channels, stride=1, *, rng, dtype=float):
    """As in scratch: (N, in, H, W) to (N, out, H / stride, …)."""
    options = {"bias": False, "rng": rng, "dtype": dtype}
    layer = Conv2d(in_channels, out_channels, 1, stride, **options)
    return nn.Sequential(layer, _norm(out_channels, dtype))


class Bottleneck(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, 4 · width, H / stride, …)."""

    expansion = 4

    def __init__(self, in_channels, width, stride=1, *, rng, dtype=float):
        super().__init__()
        out, own = 4 * width, {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 1, bias=False, **own)
        self.bn1 = _norm(width, dtype)
        self.conv2 = Conv2d(width, width, 3, stride, padding=1, bias=False, **own)
        self.bn2 = _norm(width, dtype)
        self.conv3 = Conv2d(width, out, 1, bias=False, **own)
        self.bn3 = _norm(out, dtype)
        self.downsample = None
        if stride > 1 or in_channels != out:
            self.downsample = projection(in_channels, out, stride, **own)

    def forward(self, input):
        """As in scratch."""
        y = relu(self.bn1(self.conv1(input)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (input if self.downsample is None else self.downsample(input)))


class ResNetSmall(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, classes)."""

    def __init__(
        self,
        blocks=1,
        width=16,
        classes=10,
        in_channels=3,
        residual=True,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False, **own)
        self.bn1 = _norm(width, dtype)
        seen = width
        for stage in (1, 2, 3):
            out, layers = width * 2 ** (stage - 1), []
            for i in range(blocks):
                stride = 2 if stage > 1 and i == 0 else 1
                layers.append(BasicBlock(seen, out, stride, residual, **own))
                seen = out
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.fc = _linear(seen, classes, **own)

    def forward(self, input):
        """As in scratch."""
        x = relu(self.bn1(self.conv1(input)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))


def draw_paths(count, p=0.15, *, rng):
    """As in scratch: truth values (count,)."""
    live = torch.rand(count, generator=rng, dtype=torch.float64) >= p
    chosen = torch.randint(count, (), generator=rng)
    if not live.any():
        live[chosen] = True
    return live


def join(outputs, live):
    """As in scratch: a mean (...)."""
    kept = [y for y, lives in zip(outputs, live, strict=True) if lives]
    return torch.stack(kept).mean(dim=0)


class FractalBlock(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, out_channels, H, W)."""

    def __init__(
        self, in_channels, out_channels, columns=3, p=0.15, *, rng, dtype=float
    ):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        self.columns, self.p, self.rng = columns, p, rng
        options = {"padding": 1, "bias": False, **own}
        self.conv = Conv2d(in_channels, out_channels, 3, **options)
        self.bn = _norm(out_channels, dtype)
        if columns > 1:
            sizes = out_channels, columns - 1, p
            self.first = FractalBlock(in_channels, *sizes, **own)
            self.second = FractalBlock(out_channels, *sizes, **own)

    def forward(self, input):
        """As in scratch."""
        live = [True] * self.columns
        if self.training:
            live = draw_paths(self.columns, self.p, rng=self.rng)
        return join(self.paths(input), live)

    def paths(self, input):
        """As in scratch."""
        found = [self.column(input, 0)]
        if self.columns > 1:
            found += self.second.paths(self.first(input))
        return found

    def column(self, input, index):
        """As in scratch."""
        if index == 0:
            return relu(self.bn(self.conv(input)))
        return self.second.column(self.first.column(input, index - 1), index - 1)


class DenseLayer(nn.Module):
    """As in scratch: (N, C, H, W) to (N, C + growth, H, W)."""

    def __init__(self, in_channels, growth, bn_size=4, *, rng, dtype=float):
        super().__init__()
        own, wide = {"bias": False, "rng": rng, "dtype": dtype}, bn_size * growth
        self.norm1 = _norm(in_channels, dtype)
        self.conv1 = Conv2d(in_channels, wide, 1, **own)
        self.norm2 = _norm(wide, dtype)
        self.conv2 = Conv2d(wide, growth, 3, padding=1, **own)

    def forward(self, input):
        """As in scratch."""
        x = self.conv1(relu(self.norm1(input)))
        return torch.cat([input, self.conv2(relu(self.norm2(x)))], 1)


class DenseBlock(nn.Module):
    """As in scratch: (N, C, H, W) to (N, C + layers · growth, H, W)."""

    def __init__(self, in_channels, growth, layers, bn_size=4, *, rng, dtype=float):
        super().__init__()
        for i in range(layers):
            sizes = in_channels + i * growth, growth, bn_size
            layer = DenseLayer(*sizes, rng=rng, dtype=dtype)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, input):
        """As in scratch."""
        for layer in self.children():
            input = layer(input)
        return input


class Transition(nn.Module):
    """As in scratch: (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""

    def __init__(self, in_channels, out_channels, *, rng, dtype=float):
        super().__init__()
        own = {"bias": False, "rng": rng, "dtype": dtype}
        self.norm = _norm(in_channels, dtype)
        self.conv = Conv2d(in_channels, out_channels, 1, **own)

    def forward(self, input):
        """As in scratch."""
        return avg_pool2d(self.conv(relu(self.norm(input))), 2)


@torch.no_grad()
def occlusion_map(predict, image, size, stride=1, fill=0.0):
    """As in scratch: (C, H, W) to (OH, OW)."""
    (kh, kw), (sh, sw) = as_sizes(size, ""), as_sizes(stride, "")
    height, width = output_size(tuple(image.shape[1:]), (kh, kw), (sh, sw))
    found = []
    for i in range(height):
        row = image.repeat(width, 1, 1, 1)
        for j in range(width):
            row[j, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = fill
        found.append(predict(row))
    return torch.stack(found)
