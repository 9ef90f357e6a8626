"""Shortcuts against the twin: values, gradients, modules with the same weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.optimization.shortcut_connections import layers, layers_pytorch, scratch
from dlbook_lib.optimization.shortcut_connections import pytorch as twin
from tests.optimization.shortcut_connections.test_scratch import blocks, cases

TOLERANCE = {"f8": {"rtol": 1e-10, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}


@given(
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    *[st.integers(1, 4)] * 3,
    st.integers(0, 99),
    st.sampled_from(["f8", "f4"]),
)
def test_values_and_gradients_are_those_of_the_twin(batch, n, width, out, seed, dtype):
    rng, close = numpy_generator(seed), TOLERANCE[dtype]
    for name, args in cases(rng, batch, n, width, out):
        args = [a.astype(dtype) for a in args]
        args[0] = np.repeat(args[0], 2, axis=-1)[..., ::2]  # not contiguous
        theirs = [torch.tensor(a, requires_grad=True) for a in args]
        y = getattr(twin, name)(*theirs)
        np.testing.assert_allclose(getattr(scratch, name)(*args), y.detach(), **close)
        dy = rng.normal(size=tuple(y.shape)).astype(dtype)
        wanted = torch.autograd.grad(y, theirs, torch.tensor(dy))
        found = getattr(scratch, f"{name}_backward")(dy, *args)
        for a, g in zip(found, wanted, strict=False):
            np.testing.assert_allclose(a, g, **close)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_dense_block_is_that_of_the_twin(dtype):
    x, weights, biases = blocks(numpy_generator(0), dtype)
    tx, *rest = (torch.tensor(a, requires_grad=True) for a in (x, *weights, *biases))
    y = twin.dense_block(tx, rest[:4], rest[4:])
    ours = scratch.dense_block(x, weights, biases)
    np.testing.assert_allclose(ours, y.detach(), **TOLERANCE[dtype])
    wanted = torch.autograd.grad(y, (tx, *rest), y.detach())
    dx, dweights, dbiases = scratch.dense_block_backward(ours, x, weights, biases)
    for a, g in zip((dx, *dweights, *dbiases), wanted, strict=True):
        np.testing.assert_allclose(a, g, rtol=1e-4, atol=TOLERANCE[dtype]["atol"])


MODULES = [
    ("ResidualBlock", (3, 5), {}),
    ("ResidualBlock", (3, 5, 4), {"zero_start": True}),
    ("HighwayLayer", (3,), {"gate_bias": -1.0}),
    ("GatedSkipLayer", (3, 3, 4), {}),
    ("DenseBlock", (3, 2, 4), {}),
]


@pytest.mark.parametrize(("name", "sizes", "options"), MODULES)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_modules_with_the_same_weights_agree(name, sizes, options, dtype):
    kind = {"f8": torch.float64, "f4": torch.float32}[dtype]
    rng = numpy_generator(0)
    ours = getattr(layers, name)(*sizes, **options, rng=rng, dtype=dtype)
    options = {**options, "rng": torch_generator(0), "dtype": kind}
    theirs = getattr(layers_pytorch, name)(*sizes, **options)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        fan_in = state[key.replace("bias", "weight")].shape[1]
        for p in (value, state[key].numpy()):
            kept = name == "HighwayLayer" and key == "gate.bias"
            assert (p == -1.0).all() if kept else abs(p).max() <= fan_in**-0.5
        if options.get("zero_start") and "linear2" in key:
            assert not value.any()
            assert not state[key].any()
            state[key] += 0.5
    ours.load_state_dict(state)
    xs = [rng.normal(size=(6, 3)).astype(dtype)]
    xs += [rng.normal(size=(6, 3)).astype(dtype)] * (name == "GatedSkipLayer")
    a = [tensor(x, requires_grad=True) for x in xs]
    b = [torch.tensor(x, requires_grad=True) for x in xs]
    y, z = ours(*a), theirs(*b)
    np.testing.assert_allclose(y.data, z.detach(), **TOLERANCE[dtype])
    y.backward(y.data)
    z.backward(z.detach())
    for mine, other in zip(
        (*a, *ours.parameters()), (*b, *theirs.parameters()), strict=True
    ):
        np.testing.assert_allclose(mine.grad.data, other.grad, **TOLERANCE[dtype])


def test_the_twins_start_is_repeated_by_its_generator():
    first, again = (
        layers_pytorch.DenseBlock(3, 2, 2, rng=torch_generator(5)).state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
