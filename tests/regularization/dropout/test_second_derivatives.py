"""Dropout and DropConnect can be differentiated twice: equal to torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential, Tanh
from dlbook_lib.regularization.dropout import pytorch as twin
from dlbook_lib.regularization.dropout import scratch
from tests.feedforward.twice import leaves, same_twice


@given(
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_masked_linear(batch, each, has_bias, seed):
    rng, each = numpy_generator(seed), each and 0 not in batch
    x, weight = rng.normal(size=(*batch, 3)), rng.normal(size=(2, 3))
    mask = rng.normal(size=(*(batch if each else ()), 2, 3))
    bias = rng.normal(size=2) if has_bias else None
    ours, theirs = leaves([x, weight, bias])
    y = scratch.masked_linear_units(*ours[:2], mask, ours[2])
    z = twin.masked_linear(*theirs[:2], torch.tensor(mask), theirs[2])
    same_twice(y, z, ours, theirs)
    y = scratch.masked_linear_units(x, ours[1], mask, ours[2])
    z = twin.masked_linear(torch.tensor(x), theirs[1], torch.tensor(mask), theirs[2])
    same_twice(y, z, ours[1:], theirs[1:])


def copied(linear):
    """A layer of torch with the weights of one of ours."""
    theirs = torch.nn.Linear(3, 3, dtype=torch.float64)
    state = {k: torch.tensor(v) for k, v in linear.state_dict().items()}
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_network_with_both(training, bias):
    rng = numpy_generator(0)
    first, second = Linear(3, 3, rng=rng), Linear(3, 3, bias, rng=rng)
    net = Sequential(
        first,
        Tanh(),
        scratch.Dropout(0.5, rng=numpy_generator(1)),
        scratch.DropConnect(second, 0.5, rng=numpy_generator(2)),
    )
    units = scratch.dropout_mask((4, 3), rng=numpy_generator(1))
    weights = scratch.dropout_mask((4, 3, 3), rng=numpy_generator(2))
    if not training:
        units, weights = np.ones_like(units), np.ones_like(weights)
    dense = copied(first)
    second_weight = torch.tensor(second.weight.data, requires_grad=True)
    theirs = [*dense.parameters(), second_weight]
    if bias:
        theirs.append(torch.tensor(second.bias.data, requires_grad=True))
    a, b = leaves([rng.normal(size=(4, 3))])
    hidden = dense(*b).tanh() * torch.tensor(units)
    z = twin.masked_linear(hidden, second_weight, torch.tensor(weights), *theirs[3:])
    y = net.train(training)(*a)
    same_twice(y, z, [*a, *net.parameters()], [*b, *theirs])


def test_in_use_both_are_torchs_layers():
    first = Linear(3, 3, rng=numpy_generator(0))
    ours = scratch.DropConnect(first, 0.3, rng=numpy_generator(0)).eval()
    theirs = twin.DropConnect(copied(first), 0.3, rng=torch_generator(0)).eval()
    a, b = leaves([numpy_generator(1).normal(size=(2, 4, 3))])
    y, z = ours(a[0].sin()), theirs(b[0].sin())
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])
    y, z = ours(a[0].data), theirs(b[0].detach())  # only weights are leaves
    same_twice(y, z, list(ours.parameters()), list(theirs.parameters()))


def test_float32_stays_float32():
    rng = numpy_generator(0)
    for shape in ((2, 3), (4, 2, 3)):
        x, w, mask = (rng.normal(size=s).astype("f4") for s in ((4, 3), (2, 3), shape))
        x = tensor(x, requires_grad=True)
        y = scratch.masked_linear_units(x, w, mask)
        (slope,) = grad((y * y * y).sum(), x, create_graph=True)
        (bend,) = grad((slope * slope).sum(), x)
        assert slope.dtype == bend.dtype == np.float32
