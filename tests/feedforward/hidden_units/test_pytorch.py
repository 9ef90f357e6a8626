"""The twins agree to 1e-10 in float64, and with torch's own where it has the unit."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import nn

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.hidden_units import pytorch as twin
from dlbook_lib.feedforward.hidden_units import scratch

PAIRS = {
    name: (f, f_backward, twin.ACTIVATIONS[name])
    for name, (f, f_backward) in scratch.ACTIVATIONS.items()
}
OPTIONS = {
    "leaky_relu": [{"negative_slope": 0.3}, {"negative_slope": -1}],
    "elu": [{"alpha": 0.5}, {"alpha": 2}],
    "gelu": [{"approximate": "tanh"}],
    "hardtanh": [{"min_val": -0.5, "max_val": 2.0}, {"min_val": 0, "max_val": 6}],
}
OURS = [n for n, (f, *_) in PAIRS.items() if f.__module__ == scratch.__name__]
for _name, _options in OPTIONS.items():
    for _o in _options:
        PAIRS[f"{_name} {_o}"] = tuple(partial(f, **_o) for f in PAIRS[_name])
KINKS = [0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 6.0, 1e4, -1e4, 1e20, -1e20]
SPECIAL = [np.nan, np.inf, -np.inf]


def same(ours, theirs, atol=1e-10, rtol=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def gradients(f, dy, *arguments):
    leaves = [torch.tensor(a, requires_grad=True) for a in arguments]
    return torch.autograd.grad(f(*leaves), leaves, torch.tensor(dy))


@pytest.mark.parametrize(("f", "f_backward", "theirs"), PAIRS.values(), ids=PAIRS)
@given(arrays(float, array_shapes(max_side=4), elements=st.floats(-1e4, 1e4)))
def test_activations(f, f_backward, theirs, z):
    dy = np.cos(np.arange(z.size)).reshape(z.shape)
    same(f(z), theirs(torch.tensor(z)))
    same(f_backward(dy, z), *gradients(theirs, dy, z))


@pytest.mark.parametrize("name", [n for n in PAIRS if n.split()[0] in OURS])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_kinks_and_numbers_that_are_none(name, dtype):
    f, f_backward, theirs = PAIRS[name]
    special = SPECIAL[:1] if name.startswith("gelu") and dtype == "f4" else SPECIAL
    z = np.array([*KINKS, *special], dtype)  # torch's float32 gelu(inf) is NaN
    dy = np.linspace(1, 2, len(z)).astype(dtype)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == "f4" else {}
    with np.errstate(all="raise", under="ignore"):
        y, dz = f(z), f_backward(dy, z)
    same(y, theirs(torch.tensor(z)), **close)
    same(dz, *gradients(theirs, dy, z), **close)


shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@given(shapes, st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_prelu(rest, channels, each, seed):
    rng = numpy_generator(seed)
    z, dy = rng.normal(size=(2, 2, channels, *rest))
    z[0, 0] = 0.0  # the kink
    weight = rng.normal(size=channels if each else 1)
    same(scratch.prelu(z, weight), twin.prelu(torch.tensor(z), torch.tensor(weight)))
    found = gradients(twin.prelu, dy, z, weight)
    for ours, theirs in zip(scratch.prelu_backward(dy, z, weight), found, strict=True):
        same(ours, theirs)


def test_prelu_of_vectors_and_numbers():
    for z in (np.array([-1.0, 2.0]), np.array(-1.0)):
        for weight in (np.array([0.3]), np.array(0.3)):
            tensors = torch.tensor(z), torch.tensor(weight)
            same(scratch.prelu(z, weight), twin.prelu(*tensors))
            for ours, theirs in zip(
                scratch.prelu_backward(z, z, weight),
                gradients(twin.prelu, z, z, weight),
                strict=True,
            ):
                same(ours, theirs)


@given(shapes, st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_maxout(batch, units, k, seed):
    rng = numpy_generator(seed)
    z, dy = rng.normal(size=(*batch, units * k)), rng.normal(size=(*batch, units))
    z[..., :2] = 1.0  # a tie
    same(scratch.maxout(z, k), twin.maxout(torch.tensor(z), k))
    found = gradients(partial(twin.maxout, k=k), dy, z)
    same(scratch.maxout_backward(dy, z, k), *found)


@given(shapes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_rbf_and_low_rank(batch, inputs, units, seed):
    rng = numpy_generator(seed)
    x, dy = rng.normal(size=(*batch, inputs)), rng.normal(size=(*batch, units))
    w, sigma = rng.normal(size=(units, inputs)), rng.uniform(0.5, 2, units)
    left, right, bias = (rng.normal(size=s) for s in ((units, 2), (2, inputs), units))
    for name, arguments in {
        "rbf": (x, w, sigma),
        "low_rank_linear": (x, left, right, bias),
    }.items():
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        theirs = getattr(twin, name)
        same(f(*arguments), theirs(*map(torch.tensor, arguments)))
        found = gradients(theirs, dy, *arguments)
        for a, b in zip(f_backward(dy, *arguments), found, strict=True):
            same(a, b)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("Maxout", (3, 4, 2)), ("RBFLayer", (3, 4, 0.7)), ("LowRankLinear", (3, 4, 2))],
)
def test_states_copy_over_unchanged(name, arguments):
    ours = getattr(scratch, name)(*arguments, rng=numpy_generator(0))
    theirs = getattr(twin, name)(*arguments, rng=torch_generator(0)).double()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.shape == b.shape
    state = {key: torch.tensor(array) for key, array in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    x = numpy_generator(1).normal(size=(2, 5, 3))
    same(ours(x), theirs(torch.tensor(x)))


def test_prelu_and_low_rank_layers_are_torch_modules():
    x = numpy_generator(0).normal(size=(5, 3))
    same(scratch.PReLU(3, 0.5)(x), twin.PReLU(3, 0.5).double()(torch.tensor(x)))
    assert list(scratch.PReLU(3).state_dict()) == list(twin.PReLU(3).state_dict())
    ours = scratch.LowRankLinear(3, 6, 2, rng=numpy_generator(0))
    theirs = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 6)).double()
    arrays = ours.right, ours.left, ours.bias
    for parameter, array in zip(theirs.parameters(), arrays, strict=True):
        parameter.data = torch.tensor(array)
    same(ours(x), theirs(torch.tensor(x)))


@pytest.mark.parametrize("init", ["he", "xavier", "torch"])
@pytest.mark.parametrize("k", [1, 3])
def test_starts_are_spread_alike(init, k):
    ours = scratch.init_stack([100, 40, 7], range(3), init, 0.1, k)
    theirs = twin.init_stack([100, 40, 7], range(3), init, 0.1, k)
    for group in range(2):
        for a, b in zip(ours[group], theirs[group], strict=True):
            assert a.shape == tuple(b.shape)
            assert b.std().item() == pytest.approx(a.std(), rel=0.1, abs=1e-7)
            if group:
                same(a, b.double(), atol=1e-7)


def stack(k=1):
    weights, biases = scratch.init_stack([4, 6, 5, 3], range(2), bias=0.1, k=k)
    rng = numpy_generator(0)
    x, y = rng.normal(size=(40, 4)), rng.integers(3, size=40)
    copies = [[torch.tensor(p) for p in group] for group in (weights, biases)]
    return weights, biases, copies, x, y


@pytest.mark.parametrize("name", [*scratch.ACTIVATIONS, "maxout"])
def test_the_same_start_gives_the_same_training(name):
    k = 2 if name == "maxout" else 1
    pair = tuple(partial(f, k=2) for f in (scratch.maxout, scratch.maxout_backward))
    pair = scratch.ACTIVATIONS.get(name, pair)
    theirs = twin.ACTIVATIONS.get(name, partial(twin.maxout, k=2))
    weights, biases, copies, x, y = stack(k)
    x_torch, y_torch = torch.tensor(x), torch.tensor(y)
    ours = scratch.stack_scores(x, weights, biases, pair)
    for a, b in zip(ours, twin.stack_scores(x_torch, *copies, theirs), strict=True):
        same(a, b)
    dy = numpy_generator(3).normal(size=ours[-1].shape)
    same(
        scratch.gradient_by_layer(dy, x, weights, biases, pair),
        twin.gradient_by_layer(torch.tensor(dy), x_torch, *copies, theirs),
    )
    how = {"lr": 0.1, "epochs": 5, "batch_size": 40}  # one batch: order is nothing
    ours = scratch.train_stack(
        weights, biases, pair, x, y, **how, rng=numpy_generator(0)
    )
    losses = twin.train_stack(
        *copies, theirs, x_torch, y_torch, **how, rng=torch_generator(0)
    )
    same(ours, losses)
    same(
        scratch.stack_accuracy(x, y, weights, biases, pair),
        twin.stack_accuracy(x_torch, y_torch, *copies, theirs),
    )


def test_dead_fraction():
    score = numpy_generator(0).normal(size=(3, 2, 20))
    same(scratch.dead_fraction(score), twin.dead_fraction(torch.tensor(score)))


def clouds():
    rng = numpy_generator(0)
    y = rng.integers(2, size=60)
    return torch.tensor(rng.normal(size=(60, 3)) + 4 * y[:, None]), torch.tensor(y)


@pytest.mark.slow
def test_the_twins_trials_learn():
    part = clouds()
    how = {"hidden": [4], "seeds": range(3), "epochs": 200, "rng": torch_generator(0)}
    found = twin.activation_bakeoff(["tanh"], part, part, part, lrs=[1e-9, 0.1], **how)
    assert found["tanh"][0] == 0.1
    assert found["tanh"][1].min() > 0.9
    x, y = part
    tasks = [(x, y, x, y), (x, 1 - y, x, 1 - y)]
    table = twin.sequential_tasks(torch.relu, tasks, lr=0.1, **how)
    assert table.shape == (2, 2, 3)
    assert table[0, 0].min() > 0.9
    assert table[1, 0].max() < 0.1
