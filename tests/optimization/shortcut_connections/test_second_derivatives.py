"""Shortcuts can be differentiated twice: equal to torch's, as functions and layers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.feedforward.autodiff.modules import Sequential, Tanh
from dlbook_lib.optimization.batch_normalization.layers import BatchNorm1d, LayerNorm
from dlbook_lib.optimization.batch_normalization.pytorch import standardize
from dlbook_lib.optimization.loss_landscapes import pytorch as curvature_twin
from dlbook_lib.optimization.loss_landscapes.scratch import hessian_product, sharpness
from dlbook_lib.optimization.shortcut_connections import layers, layers_pytorch
from dlbook_lib.optimization.shortcut_connections import pytorch as twin
from dlbook_lib.optimization.shortcut_connections import second_derivatives as twice
from dlbook_lib.regularization.adversarial_and_tangent import tangents, tangents_pytorch
from tests.feedforward.twice import leaves, same_twice
from tests.optimization.shortcut_connections.test_pytorch import MODULES
from tests.optimization.shortcut_connections.test_scratch import cases


@settings(max_examples=10)
@given(
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    *[st.integers(1, 4)] * 3,
    st.integers(0, 99),
)
def test_functions(batch, n, width, out, seed):
    for name, args in cases(numpy_generator(seed), batch, n, width, out):
        ours, theirs = leaves(args)
        y = getattr(twice, name)(*ours)
        same_twice(y, getattr(twin, name)(*theirs), ours, theirs)


def both(name, sizes, options, seed=0):
    """A layer and its twin with the same weights."""
    ours = getattr(layers, name)(*sizes, **options, rng=numpy_generator(seed))
    options = options | {"rng": torch_generator(seed), "dtype": torch.float64}
    theirs = getattr(layers_pytorch, name)(*sizes, **options)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize(("name", "sizes", "options"), MODULES)
def test_layers(name, sizes, options):
    ours, theirs = both(name, sizes, options)
    rng = numpy_generator(1)
    xs = [rng.normal(size=(6, 3)) for _ in range(1 + (name == "GatedSkipLayer"))]
    a, b = leaves(xs)
    y = ours(*(t.sin() for t in a))
    z = theirs(*(t.sin() for t in b))
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])
    y, z = ours(*xs), theirs(*map(torch.tensor, xs))  # only weights are leaves
    same_twice(y, z, list(ours.parameters()), list(theirs.parameters()))


class WrittenOut(torch.nn.LayerNorm):
    """Torch 2.13 gives a tangent penalty the wrong gradient through its own."""

    def forward(self, input):
        return standardize(input, -1, self.eps) * self.weight + self.bias


def networks(training):
    """Shortcuts and normalisation, smooth at the end, and the same in torch."""
    residual = both("ResidualBlock", (3, 5, 4), {}, seed=1)
    highway = both("HighwayLayer", (4,), {"gate_bias": -1.0}, seed=2)
    dense = both("DenseBlock", (4, 2, 2), {}, seed=3)
    norms = BatchNorm1d(4), LayerNorm(8)
    kind = {"dtype": torch.float64}
    same = torch.nn.BatchNorm1d(4, **kind), WrittenOut(8, **kind)
    ours = Sequential(residual[0], norms[0], highway[0], dense[0], norms[1], Tanh())
    theirs = torch.nn.Sequential(
        residual[1], same[0], highway[1], dense[1], same[1], torch.nn.Tanh()
    )
    return ours.train(training), theirs.train(training)


X = numpy_generator(4).normal(size=(5, 3))


@pytest.mark.parametrize("training", [True, False])
def test_a_network(training):
    ours, theirs = networks(training)
    a, b = leaves([X])
    y, z = ours(*a), theirs(*b)
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


def test_penalties_on_gradients_pass_through_a_network():
    ours, theirs = networks(training=False)
    known = numpy_generator(5).normal(size=(5, 2, 3))
    x = torch.tensor(X)
    pushed = [
        torch.autograd.functional.jvp(theirs, x, torch.tensor(v), create_graph=True)[1]
        for v in known.swapaxes(0, 1)
    ]
    pairs = [
        (
            tangents.tangent_prop_penalty(ours, X, known),
            sum(change.square().sum() for change in pushed) / len(X),
        ),
        (
            tangents.double_backprop_penalty(lambda x: ours(x).sum(1), X),
            tangents_pytorch.double_backprop_penalty(lambda x: theirs(x).sum(1), x),
        ),
    ]
    for mine, other in pairs:
        np.testing.assert_allclose(mine.data, other.detach(), rtol=1e-10)
        found = grad(mine, list(ours.parameters()), allow_unused=True)
        options = {"allow_unused": True, "materialize_grads": True}
        wanted = torch.autograd.grad(other, list(theirs.parameters()), **options)
        for g, h in zip(found, wanted, strict=True):
            g = np.zeros(h.shape) if g is None else g.data
            np.testing.assert_allclose(g, h, rtol=1e-9, atol=1e-10)


def test_sharpness_of_a_network():
    ours, theirs = networks(training=True)
    params, others = list(ours.parameters()), list(theirs.parameters())
    loss, told = (ours(X) ** 2)[:, :2].mean(), theirs(torch.tensor(X))[:, :2]
    product = hessian_product(loss, params)
    expected = curvature_twin.hessian_product((told**2).mean(), others)
    v = numpy_generator(6).normal(size=sum(p.numel() for p in params))
    np.testing.assert_allclose(product(v), expected(torch.tensor(v)), atol=1e-10)
    assert sharpness(loss, params, rng=numpy_generator(0)) > 0


def test_only_some_arguments_are_leaves_and_float32_stays_float32():
    args = dict(cases(numpy_generator(0)))["highway"]
    args = [a.astype("f4") for a in args]
    x = tensor(args[0], requires_grad=True)
    (slope,) = grad((twice.highway(x, *args[1:]) ** 2).sum(), x, create_graph=True)
    (bend,) = grad((slope * slope).sum(), x)
    assert slope.dtype == bend.dtype == np.float32
