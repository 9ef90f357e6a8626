"""The twins agree to 1e-10 in float64: values, gradients, states and training."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dlbook_lib.feedforward.depth_and_width.pytorch as twin
import dlbook_lib.feedforward.depth_and_width.scratch as scratch
from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.linear_models.scratch import sigmoid
from dlbook_lib.feedforward.xor.scratch import relu

sizes = st.lists(st.integers(1, 5), min_size=2, max_size=5)
ACTIVATIONS = [
    (relu, torch.relu, nn.ReLU),
    (np.tanh, torch.tanh, nn.Tanh),
    (sigmoid, torch.sigmoid, nn.Sigmoid),
    (scratch.identity, twin.identity, nn.Identity),
]


def tensors(*arrays):
    return [torch.tensor(a) for a in arrays]


def same(ours, theirs, atol=1e-10):
    if isinstance(theirs, torch.Tensor):
        theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol)


def pair(shape, seed=0, ours=relu, theirs=torch.relu):
    """The two twins of one network, with the same parameters."""
    net = scratch.MLP(shape, ours, rng=numpy_generator(seed))
    other = twin.MLP(shape, theirs, rng=torch_generator(seed)).double()
    other.load_state_dict({k: torch.tensor(v) for k, v in net.state_dict().items()})
    return net, other


@given(sizes, st.integers(0, 99), st.sampled_from(ACTIVATIONS))
def test_values_gradients_and_states(shape, seed, activation):
    g, g_torch, Module = activation
    net, other = pair(shape, seed, g, g_torch)
    x = numpy_generator(seed + 1).normal(size=(4, shape[0]))
    for a, b in zip(net.layers(x), other.layers(torch.tensor(x)), strict=True):
        same(a, b)
    modules = [nn.Linear(n, m) for n, m in pairwise(shape)]
    plain = [each for layer in modules for each in (layer, Module())][:-1]
    sequential = nn.Sequential(*plain).double()
    sequential.load_state_dict(other.state_dict(), strict=True)  # torch's own names
    same(net(x), sequential(torch.tensor(x)))
    leaf = torch.tensor(x, requires_grad=True)
    other(leaf).sum().backward()
    steps = x[:, None] + 1e-20j * np.eye(shape[0])
    same(net(steps).sum(axis=-1).imag / 1e-20, leaf.grad)
    back = scratch.MLP(shape, g, rng=numpy_generator(9))
    back.load_state_dict(sequential.state_dict())
    same(back(x), net(x), 0)


def test_starts_are_spread_alike():
    ours = scratch.MLP([9, 400, 60], rng=numpy_generator(0))
    theirs = twin.MLP([9, 400, 60], rng=torch_generator(0))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.shape == b.shape
        assert b.std().item() == pytest.approx(a.std(), rel=0.2)
    assert scratch.describe(ours) == twin.describe(theirs)
    assert scratch.count_params(ours) == twin.count_params(theirs)


def test_unit_and_distance():
    rng = numpy_generator(0)
    x, w = rng.normal(size=(2, 5, 3)), rng.normal(size=3)
    ours, theirs = scratch.neuron(x, w, 0.3, relu), tensors(x, w)
    same(ours, twin.neuron(*theirs, 0.3, torch.relu))
    same(scratch.signed_distance(x, w, 0.3), twin.signed_distance(*theirs, 0.3))
    same(scratch.step(x), twin.step(theirs[0]))


def test_linear_stacks():
    net, other = pair([3, 4, 5, 2], 1, scratch.identity, twin.identity)
    for a, b in zip(
        scratch.collapse_linear(net), twin.collapse_linear(other), strict=True
    ):
        same(a, b)
    target = numpy_generator(2).normal(size=(2, 3))
    ours = scratch.train_deep_linear(net.weights, target, lr=0.05, steps=50)
    theirs = twin.train_deep_linear(
        other.weights, torch.tensor(target), lr=0.05, steps=50
    )
    same(ours, theirs)
    t = np.linspace(0, 4, 9)
    same(
        scratch.mode_strength(t, 2.0, 0.1),
        twin.mode_strength(torch.tensor(t), 2.0, 0.1),
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_probe(classes):
    rng = numpy_generator(classes)
    x, new = rng.normal(size=(2, 40, 3))
    y, y_new = (np.digitize(a[:, 0], [-0.4, 0.4][: classes - 1]) for a in (x, new))
    ours = scratch.linear_probe_accuracy(x, y, new, y_new)
    assert ours == twin.linear_probe_accuracy(*tensors(x, y, new, y_new))


@pytest.mark.parametrize("shape", [[2, 5, 2, 4, 1], [3, 6, 1]])
def test_embedding(shape):
    net, other = pair(shape)
    x = numpy_generator(3).normal(size=(40, shape[0]))
    y = (x[:, 0] > 0).astype(int)
    ours = scratch.layer_by_layer_embedding(net, x, y)
    theirs = twin.layer_by_layer_embedding(other, *tensors(x, y))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)


@pytest.mark.parametrize("steepness", [None, 0.7, 9.0])
def test_bumps(steepness):
    edges, heights = np.linspace(-1, 1, 6), numpy_generator(0).normal(size=5)
    x = np.linspace(-2, 2, 41)[:, None]
    ours = scratch.bump_network(edges, heights, steepness)(x)
    same(ours, twin.bump_network(*tensors(edges, heights), steepness)(torch.tensor(x)))


def test_fit_of_the_output_layer():
    net, other = pair([2, 6, 3])
    x, y = numpy_generator(0).normal(size=(2, 30, 3))
    x = x[:, :2]
    error = scratch.fit_output_layer(net, x, y)
    assert error == pytest.approx(
        twin.fit_output_layer(other, *tensors(x, y)), abs=1e-10
    )
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        same(a, b)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 99))
def test_pieces(depth, width, seed):
    net, other = pair([2, *[width] * depth, 1], seed, relu, twin.relu)
    start, end = numpy_generator(seed).normal(size=(2, 2)) * 3
    ends = tensors(start, end)
    same(scratch.break_points(net, start, end), twin.break_points(other, *ends), 1e-9)
    ours = scratch.count_linear_regions(net, start, end)
    assert ours == twin.count_linear_regions(other, *ends)


def test_sawtooth_and_polygon():
    x = np.linspace(0, 1, 65)[:, None]
    same(scratch.sawtooth(6)(x), twin.sawtooth(6)(torch.tensor(x)), 0)
    ends = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert twin.count_linear_regions(twin.sawtooth(10), *ends) == 1024
    x = numpy_generator(0).uniform(-2, 2, (100, 2))
    same(scratch.disc_polygon(7, 0.9)(x), twin.disc_polygon(7, 0.9)(torch.tensor(x)), 0)
