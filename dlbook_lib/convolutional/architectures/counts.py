"""Layers as plain descriptions, and what they cost: shapes, parameters, products.

Nothing is allocated: a network of 140 million parameters is a list of lines. Shapes are
those of one example, (C, H, W) or (features,). Elementwise layers, such as ReLU and
dropout, change no shape and cost no products, and stand in no list.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from dlbook_lib.common.checks import check_in, check_positive, require
from dlbook_lib.convolutional.convolution.scratch import as_sizes
from dlbook_lib.convolutional.pooling.scratch import pool_plan
from dlbook_lib.convolutional.strides_and_gradients.scratch import output_size


class Layer(NamedTuple):
    """A layer: its kind, and what has to be known of it."""

    kind: str
    options: dict


class Row(NamedTuple):
    """What a layer gives and costs, as a line of a table."""

    name: str
    shape: tuple
    parameters: int
    multiplies: int


def conv(out, kernel, stride=1, padding=0, groups=1, bias=True):
    """A convolution to `out` channels."""
    check_positive(out, "out", integer=True)
    check_positive(groups, "groups", integer=True)
    check_in(bias, "bias", (True, False))
    return Layer("conv", locals())


def pool(kernel, stride=None, padding=0, ceil_mode=False):
    """A pooling layer, of the largest or the mean."""
    return Layer("pool", locals())


def adaptive_pool(size=1):
    """A pooling layer to `size` places along each axis."""
    return Layer("adaptive_pool", locals())


def norm():
    """Batch normalisation with a weight and a bias for each channel."""
    return Layer("norm", {})


def flatten():
    """All numbers of an example in one row."""
    return Layer("flatten", {})


def dense(out, bias=True):
    """A dense layer to `out` units."""
    check_positive(out, "out", integer=True)
    check_in(bias, "bias", (True, False))
    return Layer("dense", locals())


def cat(*branches):
    """Lists of layers on the same input, their channels side by side."""
    return Layer("cat", {"branches": branches})


def add(*branches):
    """Lists of layers on the same input, their outputs added."""
    return Layer("add", {"branches": branches})


def as_layer(layer):
    """Refuse what is not a layer.

    >>> as_layer("conv")
    Traceback (most recent call last):
    ValueError: as_layer: 'conv' is no Layer; try conv(64, 3)
    """
    require(isinstance(layer, Layer), f"{layer!r} is no Layer; try conv(64, 3)")
    return layer


def measure(layer, shape):
    """The output of a layer for an input of `shape`, its parameters and its products.

    Products are multiplications with a weight for one example; those of normalisation
    can be folded into the convolution before or after it, and count nothing.

    >>> measure(conv(64, 11, stride=4, padding=2), (3, 224, 224))
    ((64, 55, 55), 23296, 70276800)
    """
    kind, options = as_layer(layer)
    if kind in ("cat", "add"):
        return _measure_branches(kind, options["branches"], shape)
    if kind == "conv":
        return _measure_conv(shape, **options)
    if kind in ("pool", "adaptive_pool"):
        return _pooled(shape, **options), 0, 0
    if kind == "norm":
        return shape, 2 * shape[0], 0
    if kind == "flatten":
        return (prod(shape),), 0, 0
    check_in(kind, "kind", ("dense",))
    require(
        len(shape) == 1, f"a dense layer needs a row, not {shape}; flatten it first"
    )
    out, weights = options["out"], shape[0] * options["out"]
    return (out,), weights + out * options["bias"], weights


def _measure_conv(shape, out, kernel, stride, padding, groups, bias):
    require(len(shape) == 3, f"a convolution needs (C, H, W), not {shape}")
    fits = shape[0] % groups == 0 == out % groups
    require(fits, f"{groups} groups do not divide {shape[0]} and {out} channels")
    places = output_size(tuple(shape[1:]), kernel, stride, padding)
    weights = out * shape[0] // groups * prod(as_sizes(kernel, "kernel"))
    return (out, *places), weights + out * bias, weights * prod(places)


def _pooled(shape, kernel=None, stride=None, padding=0, ceil_mode=False, size=None):
    require(len(shape) == 3, f"pooling needs (C, H, W), not {shape}")
    if size is not None:
        return shape[0], *as_sizes(size, "size")
    image = np.broadcast_to(0.0, shape)  # it takes no memory
    return shape[0], *pool_plan(image, kernel, stride, padding, 1, ceil_mode)[3]


def _measure_branches(kind, branches, shape):
    ends = [summary(branch, shape) for branch in branches]
    shapes = [rows[-1].shape if rows else shape for rows in ends]
    same = [s if kind == "add" else s[1:] for s in shapes]
    require(len(set(same)) == 1, f"branches do not fit together: they end in {shapes}")
    out = shapes[0]
    if kind == "cat":
        out = (sum(s[0] for s in shapes), *out[1:])
    parameters = sum(row.parameters for rows in ends for row in rows)
    return out, parameters, sum(row.multiplies for rows in ends for row in rows)


def summary(layers, input_shape):
    """A row for each layer of a list: what it gives and what it costs.

    Parameters
    ----------
    layers : list of Layer
    input_shape : tuple of int
        Of one example, such as (3, 224, 224).

    Returns
    -------
    list of Row

    >>> for row in summary([conv(6, 5), pool(2), flatten(), dense(10)], (1, 28, 28)):
    ...     print(*row)
    conv (6, 24, 24) 156 86400
    pool (6, 12, 12) 0 0
    flatten (864,) 0 0
    dense (10,) 8650 8640
    """
    several = isinstance(input_shape, (tuple, list)) and len(input_shape) > 0
    require(several, f"input_shape must be such as (3, 224, 224), not {input_shape!r}")
    rows, shape = [], as_sizes(input_shape, "input_shape", len(input_shape))
    for layer in layers:
        shape, parameters, multiplies = measure(layer, shape)
        rows.append(Row(layer.kind, shape, parameters, multiplies))
    return rows


def total(layers, input_shape):
    """Parameters and products of a whole list of layers, for one example.

    >>> total([conv(6, 5), flatten(), dense(10)], (1, 28, 28))
    (34726, 120960)
    """
    rows = summary(layers, input_shape)
    return sum(r.parameters for r in rows), sum(r.multiplies for r in rows)


def depth(layers):
    """Layers with weights along the longest path.

    >>> depth([conv(8, 3), add([conv(8, 3), norm(), conv(8, 3)], []), dense(10)])
    4
    """
    found = 0
    for kind, options in map(as_layer, layers):
        if kind in ("cat", "add"):
            found += max(depth(branch) for branch in options["branches"])
        found += kind in ("conv", "dense")
    return found


# ---- the networks --------------------------------------------------------------------


def alexnet(classes=1000):
    """AlexNet in one tower, for (3, 224, 224): 64-192-384-256-256 kernels.

    Where conventions differ: it is often listed as the winner of 2012; that one is
    `alexnet_2012`.

    >>> total(alexnet(), (3, 224, 224))[0], total(alexnet_2012(), (3, 224, 224))[0]
    (61100840, 60965224)
    """
    return [
        conv(64, 11, 4, 2),
        pool(3, 2),
        conv(192, 5, 1, 2),
        pool(3, 2),
        conv(384, 3, 1, 1),
        conv(256, 3, 1, 1),
        conv(256, 3, 1, 1),
        pool(3, 2),
        flatten(),
        *(dense(4096), dense(4096), dense(classes)),
    ]


def alexnet_2012(classes=1000):
    """The winner of 2012, for (3, 224, 224): 96-256-384-384-256 kernels, and two groups
    where its two towers did not see each other.

    Source: Krizhevsky, Sutskever and Hinton (2012), section 3.5.
    """
    return [
        conv(96, 11, 4, 2),
        pool(3, 2),
        conv(256, 5, 1, 2, groups=2),
        pool(3, 2),
        conv(384, 3, 1, 1),
        conv(384, 3, 1, 1, groups=2),
        conv(256, 3, 1, 1, groups=2),
        pool(3, 2),
        flatten(),
        *(dense(4096), dense(4096), dense(classes)),
    ]


def vgg(layers=16, classes=1000):
    """VGG with 11, 13, 16 or 19 layers, for (3, 224, 224): kernels of 3 x 3 only.

    Source: Simonyan and Zisserman (2015), table 1.

    >>> [total(vgg(n), (3, 224, 224))[0] for n in (11, 16, 19)]
    [132863336, 138357544, 143667240]
    """
    counts = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    check_in(layers, "layers", tuple(counts))
    found = []
    for width, count in zip((64, 128, 256, 512, 512), counts[layers], strict=True):
        found += [conv(width, 3, 1, 1)] * count + [pool(2)]
    return [*found, flatten(), dense(4096), dense(4096), dense(classes)]


def inception(ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj):
    """An inception module: four branches, two of them behind a 1 x 1 bottleneck.

    Source: Szegedy et al. (2015), figure 2b.

    >>> total([inception(64, 96, 128, 16, 32, 32)], (192, 28, 28))[0]
    163696
    """
    return cat(
        [conv(ch1x1, 1)],
        [conv(ch3x3red, 1), conv(ch3x3, 3, 1, 1)],
        [conv(ch5x5red, 1), conv(ch5x5, 5, 1, 2)],
        [pool(3, 1, 1), conv(pool_proj, 1)],
    )


def googlenet(classes=1000):
    """GoogLeNet for (3, 224, 224), without its two auxiliary classifiers.

    Source: Szegedy et al. (2015), table 1.

    >>> total(googlenet(), (3, 224, 224))[0], depth(googlenet())
    (6998552, 22)
    """
    half = pool(3, 2, ceil_mode=True)
    first = [conv(64, 7, 2, 3), half, conv(64, 1), conv(192, 3, 1, 1), half]
    third = [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)]
    fourth = [
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ]
    fifth = [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)]
    stages = ([inception(*widths) for widths in stage] for stage in (third, fourth))
    middle = [layer for stage in stages for layer in (*stage, half)]
    last = [inception(*widths) for widths in fifth]
    return [*first, *middle, *last, adaptive_pool(), flatten(), dense(classes)]


def residual_block(width, stride=1, bottleneck=False, shortcut=None):
    """A residual block; `shortcut` channels, if its input has to be projected.

    Where conventions differ: in the first version of the paper a bottleneck has its
    stride in the first layer; here it is in the 3 x 3 one, as in torchvision.

    Source: He et al. (2016), figure 5.
    """
    branch = [conv(width, 3, stride, 1, bias=False), norm()]
    branch += [conv(width, 3, 1, 1, bias=False), norm()]
    if bottleneck:
        branch = [conv(width, 1, bias=False), norm()]
        branch += [conv(width, 3, stride, 1, bias=False), norm()]
        branch += [conv(4 * width, 1, bias=False), norm()]
    other = []
    if shortcut is not None:
        other = [conv(shortcut, 1, stride, bias=False), norm()]
    return add(branch, other)


def resnet(layers=50, classes=1000):
    """ResNet with 18, 34, 50, 101 or 152 layers, for (3, 224, 224).

    Source: He et al. (2016), table 1.

    >>> [total(resnet(n), (3, 224, 224))[0] for n in (18, 34, 50)]
    [11689512, 21797672, 25557032]
    """
    counts = {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
    }
    check_in(layers, "layers", tuple(counts))
    thin, seen = layers >= 50, 64
    found = [conv(64, 7, 2, 3, bias=False), norm(), pool(3, 2, 1)]
    for stage, count in enumerate(counts[layers]):
        width, stride = 64 * 2**stage, 2 if stage else 1
        out = 4 * width if thin else width
        for i in range(count):
            step = stride if i == 0 else 1
            project = out if seen != out or step > 1 else None
            found.append(residual_block(width, step, thin, project))
            seen = out
    return [*found, adaptive_pool(), flatten(), dense(classes)]


def dense_block(layers, growth=32):
    """Layers that each see all before them, with a bottleneck of 4 · growth channels.

    Source: Huang et al. (2017), section 3.
    """
    wide, narrow = conv(4 * growth, 1, bias=False), conv(growth, 3, 1, 1, bias=False)
    return [cat([], [norm(), wide, norm(), narrow])] * layers


def densenet(layers=121, classes=1000):
    """DenseNet with 121, 169 or 201 layers, for (3, 224, 224).

    Source: Huang et al. (2017), table 1.

    >>> [total(densenet(n), (3, 224, 224))[0] for n in (121, 169, 201)]
    [7978856, 14149480, 20013928]
    """
    counts = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
    check_in(layers, "layers", tuple(counts))
    found, seen = [conv(64, 7, 2, 3, bias=False), norm(), pool(3, 2, 1)], 64
    for i, count in enumerate(counts[layers]):
        found += dense_block(count)
        seen += 32 * count
        found.append(norm())
        if i < 3:  # a transition: half the channels, half the resolution
            seen //= 2
            found += [conv(seen, 1, bias=False), pool(2)]
    return [*found, adaptive_pool(), flatten(), dense(classes)]


def fractal(out, columns):
    r"""A fractal, :math:`f_{C+1}=[f_C\circ f_C]\oplus\mathrm{conv}`, as one layer.

    Joins do not add parameters, so "add" stands for their mean.

    Source: Larsson, Maire and Shakhnarovich (2017), section 2.

    >>> [depth([fractal(8, c)]) for c in (1, 2, 3, 4)]
    [1, 2, 4, 8]
    """
    check_positive(columns, "columns", integer=True)
    one = [conv(out, 3, 1, 1, bias=False), norm()]
    if columns == 1:
        return add(one)
    return add(one, [fractal(out, columns - 1)] * 2)


def fractalnet(columns=4, classes=10):
    """FractalNet for (3, 32, 32): five fractals, each behind half the resolution.

    Its longest path has 5 · 2^(columns − 1) convolutions, its shortest 5. After
    Larsson, Maire and Shakhnarovich (2017), section 4.

    >>> depth(fractalnet(3)), depth(fractalnet(4))
    (21, 41)
    """
    found = []
    for width in (64, 128, 256, 512, 512):
        found += [fractal(width, columns), pool(2)]
    return [*found, flatten(), dense(classes)]


ZOO = {
    "AlexNet (2012)": (alexnet_2012, (), (3, 224, 224), "deep, ReLU, dropout, GPUs"),
    "AlexNet (one tower)": (alexnet, (), (3, 224, 224), "the same, without groups"),
    "VGG-11": (vgg, (11,), (3, 224, 224), "small kernels, many of them"),
    "VGG-16": (vgg, (16,), (3, 224, 224), "the same, deeper"),
    "VGG-19": (vgg, (19,), (3, 224, 224), "the same, deeper still"),
    "GoogLeNet": (googlenet, (), (3, 224, 224), "branches behind 1 x 1 bottlenecks"),
    "ResNet-18": (resnet, (18,), (3, 224, 224), "layers that correct their input"),
    "ResNet-34": (resnet, (34,), (3, 224, 224), "the same, deeper"),
    "ResNet-50": (resnet, (50,), (3, 224, 224), "the same with bottlenecks"),
    "FractalNet-4": (fractalnet, (4,), (3, 32, 32), "paths of all lengths"),
    "DenseNet-121": (densenet, (121,), (3, 224, 224), "each sees all before it"),
}
"""Name: the function, its arguments, the shape of the input, the idea in a line."""


def zoo_table():
    """Name, depth, parameters, products and idea of every network, computed.

    >>> zoo_table()[0]
    ('AlexNet (2012)', 8, 60965224, 724406816, 'deep, ReLU, dropout, GPUs')
    """
    rows = []
    for name, (network, options, shape, idea) in ZOO.items():
        layers = network(*options)
        rows.append((name, depth(layers), *total(layers, shape), idea))
    return rows
