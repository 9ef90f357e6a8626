"""The twins agree to 1e-10 in float64: values, gradients, states and training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dlbook_lib.feedforward.xor.pytorch as twin
import dlbook_lib.feedforward.xor.scratch as scratch
from dlbook_lib.common.rng import numpy_generator, torch_generator

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([[0.0], [1.0], [1.0], [0.0]])


def tensors(arrays):
    return [torch.tensor(a) for a in arrays]


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-10)


def network(seed, stack=(), inputs=3, width=4, outputs=2):
    rng = numpy_generator(seed)
    shapes = [(width, inputs), (width,), (outputs, width), (outputs,)]
    net = [rng.normal(size=(*stack, *shape)) for shape in shapes]
    return rng.normal(size=(5, inputs)), net, rng.normal(size=(*stack, 5, outputs))


def test_gates():
    same(scratch.xor_from_gates(CORNERS), twin.xor_from_gates(torch.tensor(CORNERS)))
    unit = twin.ThresholdUnit([1.0, 1.0], -1.0)
    same(scratch.ThresholdUnit([1.0, 1.0], -1.0)(CORNERS), unit(torch.tensor(CORNERS)))


def test_relu_also_at_zero():
    s, dy = (
        np.array([-1.5, -0.0, 0.0, 2.5, np.nan]),
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    )
    same(scratch.relu(s), twin.relu(torch.tensor(s)))
    same(scratch.relu_backward(dy, s), twin.relu_backward(*tensors([dy, s])))


@given(st.sampled_from([(), (1,), (3,), (2, 3)]), st.integers(0, 99))
def test_two_layer_and_its_gradients(stack, seed):
    input, net, dy = network(seed, stack)
    same(scratch.two_layer(input, *net), twin.two_layer(*tensors([input, *net])))
    ours = scratch.two_layer_backward(dy, input, *net)
    theirs = twin.two_layer_backward(*tensors([dy, input, *net]))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)


def test_state_copies_over_unchanged_and_the_outputs_agree():
    ours = scratch.TwoLayerNet(3, 4, 2, rng=numpy_generator(0))
    theirs = twin.TwoLayerNet(3, 4, 2, rng=torch_generator(0)).double()
    state = {name: torch.tensor(array) for name, array in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    input = numpy_generator(1).normal(size=(5, 3))
    same(ours(input), theirs(torch.tensor(input)))
    plain = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    ).double()
    for parameter, array in zip(plain.parameters(), ours.parameters(), strict=True):
        parameter.data = torch.tensor(array)
    same(ours(input), plain(torch.tensor(input)))


def test_starts_are_spread_alike():
    ours = scratch.TwoLayerNet(9, 400, rng=numpy_generator(0))
    theirs = twin.TwoLayerNet(9, 400, rng=torch_generator(0))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.shape == b.shape
        if a.size > 1:
            assert b.std().item() == pytest.approx(a.std(), rel=0.15)


def test_the_same_start_gives_the_same_training():
    _, net, _ = network(0, (3,), inputs=2, outputs=1)
    copy = tensors(net)
    ours = scratch.descend(net, CORNERS, XOR, lr=0.05, steps=200)
    theirs = twin.descend(copy, *tensors([CORNERS, XOR]), lr=0.05, steps=200)
    same(ours, theirs)
    for a, b in zip(net, copy, strict=True):
        same(a, b)


def test_twin_learns_xor():
    parameters, losses = twin.train_xor(range(5), 16, steps=1000)
    assert [tuple(p.shape) for p in parameters] == [
        (5, 16, 2),
        (5, 16),
        (5, 1, 16),
        (5, 1),
    ]
    assert losses.shape == (1000, 5)
    assert losses[-1].max() < 0.01


def test_kernel_ridge():
    rng = numpy_generator(0)
    X, y, new = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=(9, 3))
    ours = scratch.KernelRidge(0.3, gamma=0.7).fit(X, y)
    theirs = twin.KernelRidge(0.3, gamma=0.7).fit(*tensors([X, y]))
    same(ours.dual_coef_, theirs.dual_coef_)
    same(ours.predict(new), theirs.predict(torch.tensor(new)))


def test_loss_slice():
    input, start, _ = network(0)
    _, end, target = network(1)
    t = np.linspace(0, 1, 7)
    ours = scratch.loss_slice(start, end, input, target, t)
    input, target, t = tensors([input, target, t])
    same(ours, twin.loss_slice(tensors(start), tensors(end), input, target, t))
