"""The twins agree with each other, and both with torch.nn."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.backpropagation import pytorch, scratch
from dlbook_lib.feedforward.hidden_units import scratch as hidden_units

ACTIVATIONS = {
    "relu": (hidden_units.relu, torch.relu, nn.ReLU),
    "tanh": (hidden_units.tanh, torch.tanh, nn.Tanh),
    "sigmoid": (hidden_units.sigmoid, torch.sigmoid, nn.Sigmoid),
    "silu": (hidden_units.silu, nn.functional.silu, nn.SiLU),
}
sizes_of_nets = st.lists(st.integers(1, 5), min_size=2, max_size=5)


def trio(sizes, name, seed=0):
    """The same network in NumPy, its twin, and a plain torch.nn.Sequential."""
    f, g, layer = ACTIVATIONS[name]
    ours = scratch.MLP(sizes, f, rng=numpy_generator(seed))
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    twin = pytorch.MLP(sizes, g, rng=torch_generator(0)).double()
    twin.load_state_dict(state)
    modules = []
    for a, b in pairwise(sizes):
        modules += [nn.Linear(a, b), layer()]
    plain = nn.Sequential(*modules[:-1]).double()
    plain.load_state_dict(state)
    return ours, twin, plain


@given(
    sizes_of_nets,
    st.sampled_from(list(ACTIVATIONS)),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_values_and_gradients_agree_with_the_twin_and_with_torch(sizes, name, n, seed):
    ours, twin, plain = trio(sizes, name, seed)
    x = numpy_generator(seed).normal(size=(n, sizes[0]))
    dy = numpy_generator(seed + 1).normal(size=(n, sizes[-1]))
    leaf = torch.tensor(x, requires_grad=True)
    value = plain(leaf)
    value.backward(torch.tensor(dy))
    wanted = [leaf.grad, *(p.grad for p in plain.parameters())]
    for net, put in ((ours, np.asarray), (twin, torch.tensor)):
        output = net.forward(put(x))
        np.testing.assert_allclose(
            output.detach() if put is torch.tensor else output,
            value.detach(),
            atol=1e-12,
        )
        for got, want in zip(net.backward(put(dy)), wanted, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.slow
@given(sizes_of_nets, st.sampled_from([0.0, 0.05]), st.integers(0, 99))
def test_training_follows_the_twin_and_torch_optim(sizes, weight_decay, seed):
    ours, twin, plain = trio(sizes, "relu", seed)
    in_place = scratch.InPlaceMLP(sizes, rng=numpy_generator(seed))
    twin_in_place = pytorch.InPlaceMLP(sizes, rng=torch_generator(0)).double()
    twin_in_place.load_state_dict(plain.state_dict())
    rng = numpy_generator(seed)
    x, y = rng.normal(size=(20, sizes[0])), rng.integers(sizes[-1], size=20)
    batches = scratch.minibatches(20, 4, 4, rng=rng)
    rates = np.linspace(0.5, 0.1, len(batches))
    tensors = torch.tensor(x), torch.tensor(y)
    groups = [
        {
            "params": [p for p in plain.parameters() if p.ndim == d],
            "weight_decay": decay,
        }
        for d, decay in ((2, weight_decay), (1, 0.0))
    ]
    optimizer, wanted = torch.optim.SGD(groups, lr=1.0), []
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = nn.functional.cross_entropy(plain(tensors[0][batch]), tensors[1][batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())
    options = {"lr": rates, "weight_decay": weight_decay}
    for net in (ours, in_place):
        losses = scratch.train_mlp(net, x, y, batches, **options)
        np.testing.assert_allclose(losses, wanted, atol=1e-10)
        for p, q in zip(net.parameters(), plain.parameters(), strict=True):
            np.testing.assert_allclose(p, q.detach(), atol=1e-10)
    for net in (twin, twin_in_place):
        losses = pytorch.train_mlp(net, *tensors, torch.tensor(batches), **options)
        np.testing.assert_allclose(losses, wanted, atol=1e-10)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 99))
def test_tensor_chain_rule_agrees(outer, inner, seed):
    rng = numpy_generator(seed)
    dy, jacobian = rng.normal(size=[2] * outer), rng.normal(size=[2] * (outer + inner))
    ours = scratch.tensor_chain_rule(dy, jacobian)
    theirs = pytorch.tensor_chain_rule(torch.tensor(dy), torch.tensor(jacobian))
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_jacobians_are_those_of_autograd():
    ours, _, plain = trio([3, 4, 2], "tanh")
    x = numpy_generator(0).normal(size=(5, 3))
    wanted = torch.autograd.functional.jacobian(plain, torch.tensor(x))
    found = scratch.complex_step_jacobian(ours, x)
    np.testing.assert_allclose(found, wanted, atol=1e-13)
    np.testing.assert_allclose(scratch.numeric_jacobian(ours, x), wanted, atol=1e-8)


def test_torch_finds_our_gradients_right_as_well():
    _, twin, _ = trio([3, 4, 2], "tanh")
    x = torch.tensor(numpy_generator(0).normal(size=(5, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sum(twin.layers(x)[-1].sum(1)), x)


@pytest.mark.parametrize("half", [scratch, pytorch])
def test_forward_without_cache_keeps_nothing(half):
    ours, twin, _ = trio([3, 4, 2], "relu")
    net, put = (ours, np.asarray) if half is scratch else (twin, torch.tensor)
    output = net.forward(put(np.ones((2, 3))), cache=False)
    assert half is scratch or not output.requires_grad
    with pytest.raises((ValueError, AttributeError)):
        net.backward(put(np.ones((2, 2))))


def test_twin_batches_take_each_example_once():
    batches = pytorch.minibatches(10, 3, 2, rng=torch_generator(0))
    assert batches.shape == (6, 3)
    assert all(len(epoch.unique()) == 9 for epoch in batches.split(3))
