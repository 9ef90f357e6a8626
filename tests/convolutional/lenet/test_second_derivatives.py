"""Second derivatives through LeNet-5 and its parts equal torch's."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.lenet import layers, layers_pytorch, pytorch
from dlbook_lib.convolutional.lenet import second_derivatives as twice
from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from tests.convolutional.twice import functions_agree_twice, modules_agree_twice
from tests.feedforward.twice import leaves, same_twice

TABLE = [(0, 2), (1,), (2, 1)]
CASES = {
    "scaled_tanh": [(3, 4)],
    "subsample2d": [(2, 3, 4, 6), (3,), (3,)],
    "rbf": [(3, 5), (4, 5)],
    "partial_conv2d": [(2, 4, 4, 5), (5, 2, 3), (3,)],
}


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("name", CASES)
def test_functions(name, n):
    rest = [TABLE] if name == "partial_conv2d" else []
    arrays = [numpy_generator(i).normal(size=s) for i, s in enumerate(CASES[name])]
    ours, theirs = getattr(twice, name), getattr(pytorch, name)
    functions_agree_twice(
        lambda *a: ours(*a, *rest).sin(),
        lambda *a: theirs(*a, *rest).sin(),
        [arrays[0][:n], *arrays[1:]],
    )


@pytest.mark.parametrize("j", [0.1, 2.0])
def test_the_loss(j):
    distances = abs(numpy_generator(0).normal(size=(4, 5))) * 3
    target = np.array([0, 4, 4, 2])
    functions_agree_twice(
        lambda y: twice.rbf_loss(y, target, j),
        lambda y: pytorch.rbf_loss(y, torch.tensor(target), j),
        [distances],
    )


def test_where_only_the_weights_are_differentiated():
    x, weight = numpy_generator(0).normal(size=(2, 2, 4, 3, 3))[:, :, :3], 0.5
    (w,), (v,) = leaves([np.full((5, 2, 2), weight)])
    bias = np.zeros(3)
    y = twice.partial_conv2d(x[0], w, bias, TABLE).tanh()
    z = pytorch.partial_conv2d(torch.tensor(x[0]), v, torch.tensor(bias), TABLE).tanh()
    same_twice(y, z, [w], [v])


LAYERS = [
    ("Subsampling2d", (3,), (2, 3, 4, 6)),
    ("PartialConv2d", (C3_TABLE, 2), (2, 6, 3, 4)),
    ("LeNet5", (), (2, 1, 32, 32)),
    ("LeNet5Remake", (), (2, 1, 28, 28)),
]


@pytest.mark.parametrize(("name", "sizes", "shape"), LAYERS)
def test_modules(name, sizes, shape):
    ours = getattr(layers, name)(*sizes, rng=numpy_generator(0))
    twin = getattr(layers_pytorch, name)(*sizes, rng=torch_generator(0))
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=shape))


def test_distances_to_codes_that_no_gradient_moves():
    codes = numpy_generator(0).normal(size=(4, 3))
    ours, twin = layers.RBF(codes), layers_pytorch.RBF(torch.tensor(codes))
    modules_agree_twice(ours, twin, numpy_generator(1).normal(size=(2, 3)))


def test_a_gradient_penalty_stays_in_float32():
    net = layers.LeNet5(rng=numpy_generator(0), dtype="float32")
    pixels = numpy_generator(1).normal(size=(2, 1, 32, 32)).astype("f4")
    x = tensor(pixels, requires_grad=True)
    cost = twice.rbf_loss(net(x), [3, 8])
    (slope,) = grad(cost + cross_entropy(-net(x), [3, 8]), x, create_graph=True)
    (slope * slope).sum().backward()
    assert {p.grad.dtype for p in (x, *net.parameters())} == {np.dtype("f4")}
