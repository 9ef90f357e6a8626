"""Layer arithmetic against the published counts, and against torch's own layers."""

from math import prod

import pytest
import torch
from torch import nn

from dlbook_lib.convolutional.architectures import counts
from dlbook_lib.convolutional.architectures.counts import (
    adaptive_pool,
    add,
    alexnet,
    alexnet_2012,
    cat,
    conv,
    dense,
    dense_block,
    densenet,
    depth,
    flatten,
    fractal,
    fractalnet,
    googlenet,
    inception,
    measure,
    norm,
    pool,
    residual_block,
    resnet,
    summary,
    total,
    vgg,
    zoo_table,
)

IMAGE = 3, 224, 224


class Branches(nn.Module):
    """Branches on the same input, side by side or added."""

    def __init__(self, kind, branches):
        super().__init__()
        self.kind, self.branches = kind, nn.ModuleList(branches)

    def forward(self, input):
        found = [branch(input) for branch in self.branches]
        return torch.cat(found, 1) if self.kind == "cat" else sum(found)


def built(layers, shape):
    """Torch's layers for a description, on a device that holds no numbers."""
    found = []
    for layer in layers:
        kind, o = layer
        if kind in ("cat", "add"):
            made = Branches(kind, [built(b, shape) for b in o["branches"]])
        elif kind == "conv":
            out = o["out"], o["kernel"], o["stride"], o["padding"]
            options = {"groups": o["groups"], "bias": o["bias"]}
            made = nn.Conv2d(shape[0], *out, **options, device="meta")
        elif kind == "pool":
            made = nn.MaxPool2d(
                **{"kernel_size": o["kernel"]},
                **{k: o[k] for k in ("stride", "padding", "ceil_mode")},
            )
        elif kind == "adaptive_pool":
            made = nn.AdaptiveAvgPool2d(o["size"])
        elif kind == "norm":
            made = nn.BatchNorm2d(shape[0], device="meta")
        elif kind == "flatten":
            made = nn.Flatten()
        else:
            made = nn.Linear(prod(shape), o["out"], o["bias"], device="meta")
        found.append(made)
        shape = measure(layer, shape)[0]
    return nn.Sequential(*found)


NETWORKS = {
    "alexnet": (alexnet(), IMAGE, 61_100_840, 714_188_480),
    "alexnet 2012": (alexnet_2012(), IMAGE, 60_965_224, 724_406_816),
    "vgg 11": (vgg(11), IMAGE, 132_863_336, 7_609_090_048),
    "vgg 13": (vgg(13), IMAGE, 133_047_848, 11_308_466_176),
    "vgg 16": (vgg(16), IMAGE, 138_357_544, 15_470_264_320),
    "vgg 19": (vgg(19), IMAGE, 143_667_240, 19_632_062_464),
    "googlenet": (googlenet(), IMAGE, 6_998_552, 1_582_671_872),
    "resnet 18": (resnet(18), IMAGE, 11_689_512, 1_814_073_344),
    "resnet 34": (resnet(34), IMAGE, 21_797_672, 3_663_761_408),
    "resnet 50": (resnet(50), IMAGE, 25_557_032, 4_089_184_256),
    "resnet 101": (resnet(101), IMAGE, 44_549_160, None),
    "resnet 152": (resnet(152), IMAGE, 60_192_808, None),
    "densenet 121": (densenet(121), IMAGE, 7_978_856, 2_834_161_664),
    "densenet 169": (densenet(169), IMAGE, 14_149_480, None),
    "densenet 201": (densenet(201), IMAGE, 20_013_928, None),
    "fractalnet": (fractalnet(4), (3, 32, 32), 76_106_634, None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_counts(name):
    layers, shape, parameters, multiplies = NETWORKS[name]
    found = total(layers, shape)
    assert found[0] == parameters
    assert multiplies in (None, found[1])


@pytest.mark.parametrize(
    "name", ["alexnet 2012", "vgg 11", "googlenet", "resnet 50", "densenet 121"]
)
def test_torch_counts_the_same(name):
    layers, shape, parameters, multiplies = NETWORKS[name]
    net, products = built(layers, shape), []

    def count(module, inputs, output):
        weight = module.weight.numel()
        places = output[0, 0].numel() if output.ndim == 4 else 1
        products.append(weight * places)

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    x = torch.empty(1, *shape, device="meta")
    assert sum(p.numel() for p in net.parameters()) == parameters
    for layer, row in zip(net.eval(), summary(layers, shape), strict=True):
        x = layer(x)
        assert tuple(x.shape[1:]) == row.shape
        assert sum(p.numel() for p in layer.parameters()) == row.parameters
    assert sum(products) == multiplies


def test_where_alexnet_keeps_its_weights():
    rows = summary(alexnet(), IMAGE)
    assert [row.shape[-1] for row in rows[:8]] == [55, 27, 27, 13, 13, 13, 13, 6]
    assert rows[8].shape == (256 * 6 * 6,) == (9216,)
    last = sum(row.parameters for row in rows if row.name == "dense")
    assert last == 58_631_144
    assert round(last / total(alexnet(), IMAGE)[0], 3) == 0.960
    assert total(alexnet(10), IMAGE)[0] == 61_100_840 - 990 * 4097


def test_small_kernels_and_bottlenecks():
    three, one = [conv(64, 3, 1, 1, bias=False)] * 3, [conv(64, 7, 1, 3, bias=False)]
    assert total(three, (64, 9, 9))[0] == 27 * 64**2
    assert total(one, (64, 9, 9))[0] == 49 * 64**2
    squeezed = [conv(16, 1), conv(32, 5, 1, 2)]
    assert total([conv(32, 5, 1, 2)], (192, 28, 28))[1] == 120_422_400
    assert total(squeezed, (192, 28, 28))[1] == 12_443_648
    first = inception(64, 96, 128, 16, 32, 32)
    assert measure(first, (192, 28, 28))[0] == (256, 28, 28)
    assert measure(first, (192, 28, 28))[1] == 163_696


def test_depths_are_those_in_the_names():
    assert [depth(vgg(n)) for n in (11, 13, 16, 19)] == [11, 13, 16, 19]
    assert [depth(resnet(n)) for n in (18, 34, 50, 101, 152)] == [18, 34, 50, 101, 152]
    assert [depth(densenet(n)) for n in (121, 169, 201)] == [121, 169, 201]
    assert depth(googlenet()) == 22
    assert depth(alexnet()) == depth(alexnet_2012()) == 8
    assert [depth([fractal(8, c)]) for c in range(1, 6)] == [1, 2, 4, 8, 16]


def test_the_table_is_computed():
    rows = zoo_table()
    assert [row[0] for row in rows] == list(counts.ZOO)
    assert {row[0]: row[2] for row in rows}["VGG-16"] == 138_357_544


def test_blocks():
    block = residual_block(64, 2, True, 256)
    assert measure(block, (128, 8, 8))[0] == (256, 4, 4)
    assert total(dense_block(6), (64, 56, 56))[0] == 335_040
    assert summary(dense_block(6), (64, 56, 56))[-1].shape == (256, 56, 56)
    assert measure(adaptive_pool((2, 3)), (5, 8, 9)) == ((5, 2, 3), 0, 0)
    assert measure(cat([], [conv(2, 1)]), (3, 4, 4)) == ((5, 4, 4), 8, 96)
    assert summary([], (3, 4, 4)) == []


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools_end_where_torch_ends(ceil_mode):
    for n in range(2 if ceil_mode else 3, 20):
        for kernel, stride, padding in [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 1)]:
            layer = pool(kernel, stride, padding, ceil_mode)
            own = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
            wanted = tuple(own(torch.zeros(1, 1, n, n)).shape[1:])
            assert measure(layer, (1, n, n))[0] == wanted


BAD = [
    (lambda: measure(3, (1, 2, 2)), "is no Layer"),
    (lambda: measure(dense(3), (1, 2, 2)), "flatten it first"),
    (lambda: measure(conv(3, 1), (9,)), r"needs \(C, H, W\)"),
    (lambda: measure(conv(3, 5), (1, 2, 2)), "kernel spans 5"),
    (lambda: total(alexnet(), (3, 32, 32)), "a window of 3 does not fit"),
    (lambda: alexnet(-1), "dense: out must be a whole number above 0, not -1"),
    (lambda: conv(0, 3), "conv: out must be a whole number above 0, not 0"),
    (lambda: conv(8, 3, groups=0), "conv: groups must be a whole number above 0"),
    (lambda: summary([conv(8, 3)], (-3, 9, 9)), "input_shape must be a whole number"),
    (lambda: summary([conv(8, 3)], 9), r"input_shape must be such as \(3, 224, 224\)"),
    (lambda: measure(adaptive_pool(), (9,)), r"pooling needs \(C, H, W\)"),
    (lambda: depth([3]), "3 is no Layer"),
    (lambda: measure(conv(3, 1, groups=2), (2, 2, 2)), "do not divide"),
    (lambda: measure(add([], [norm(), conv(2, 1)]), (3, 4, 4)), "do not fit together"),
    (lambda: vgg(17), "layers must be 11, 13, 16 or 19"),
    (lambda: resnet(20), "layers must be"),
    (lambda: densenet(20), "layers must be"),
    (lambda: fractal(3, 0), "columns must be"),
    (lambda: total([flatten(), conv(2, 2)], (3, 4, 4)), "needs"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_descriptions_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
