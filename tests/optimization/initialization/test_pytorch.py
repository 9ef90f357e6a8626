"""Starting weights against torch: gains, fans, LSUV, the same rules on both sides."""

import inspect

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential, Tanh
from dlbook_lib.optimization.initialization import pytorch as twin
from dlbook_lib.optimization.initialization import scratch

NAMES = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
NAMES += [f"conv{way}{d}d" for way in ("", "_transpose") for d in (1, 2, 3)]
FILLS = ["uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_"]
FILLS += ["kaiming_uniform_", "kaiming_normal_", "sparse_"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("param", [None, 0, 0.2, 3])
def test_gains_are_torchs(name, param):
    ours, theirs = (m.calculate_gain(name, param) for m in (scratch, twin))
    assert abs(ours - theirs) < 1e-15


@pytest.mark.parametrize("shape", [(2, 3), (6, 3, 5), (6, 3, 5, 4), (6, 3, 5, 4, 2)])
def test_fans_are_torchs(shape):
    expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
    assert scratch.fan_in_and_fan_out(np.zeros(shape)) == expected
    assert twin.fan_in_and_fan_out(torch.zeros(shape)) == expected


@pytest.mark.parametrize("name", FILLS)
def test_arguments_and_defaults_are_those_of_torch(name):
    ours = inspect.signature(getattr(scratch, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert [*ours][:-1] == [*theirs][:-1]
    assert ([*ours][-1], [*theirs][-1]) == ("rng", "generator")
    for p in list(ours)[:-1]:
        assert ours[p].default == theirs[p].default


@pytest.mark.parametrize("name", FILLS)
def test_the_twin_hands_everything_on_and_repeats_itself(name):
    args = {"sparse_": (0.3, 0.5), "uniform_": (-0.5, 0.5)}.get(name, (0.5,))
    fill, own = getattr(twin, name), getattr(torch.nn.init, name)
    layer = torch.nn.Linear(8, 6)
    x = fill(layer.weight, *args, rng=torch_generator(3))
    assert x is layer.weight
    torch.manual_seed(1)
    if name == "sparse_":  # torch's draws the places of its zeros elsewhere
        expected = fill(torch.empty(6, 8), *args, rng=torch_generator(3))
    else:
        expected = own(torch.empty(6, 8), *args, generator=torch_generator(3))
    assert torch.equal(x, expected)


def test_spread_is_that_of_torch():
    """Two samples of M numbers: their variances differ by 5 standard errors at most."""
    shape, size = (40, 50, 5), 10_000
    for name in FILLS[:-1]:
        a = getattr(scratch, name)(np.empty(shape), rng=numpy_generator(0))
        b = getattr(twin, name)(torch.empty(shape), rng=torch_generator(0)).numpy()
        assert abs(a.mean() - b.mean()) < 5 * a.std() * (2 / size) ** 0.5, name
        assert abs(a.var() / b.var() - 1) < 5 * (4 / size) ** 0.5, name


def test_zeros_are_as_many_as_torchs():
    for sparsity in (0.0, 0.1, 0.5, 0.77, 1.0):
        a = scratch.sparse_(np.empty((13, 4)), sparsity, rng=numpy_generator(0))
        b = twin.sparse_(torch.empty(13, 4), sparsity, rng=torch_generator(0)).numpy()
        np.testing.assert_array_equal((a == 0).sum(axis=0), (b == 0).sum(axis=0))


def test_lsuv_and_its_twin_scale_the_same_weights_alike(monkeypatch):
    rng = numpy_generator(0)
    ours = Sequential(Linear(6, 9, rng=rng), Tanh(), Linear(9, 4, rng=rng))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 4)
    ).double()
    drawn = [rng.normal(size=(9, 6)), rng.normal(size=(4, 9))]
    for module in (scratch, twin):
        left = iter(drawn)

        def put(weight, *, rng, module=module, left=left):
            values = next(left)
            values = torch.tensor(values) if module is twin else values
            return module.fill_(weight, lambda _shape: values)

        monkeypatch.setattr(module, "orthogonal_", put)
    x = rng.normal(size=(50, 6))
    scratch.lsuv_(ours, x, tol=1e-9, rng=rng)
    twin.lsuv_(theirs, torch.tensor(x), tol=1e-9, rng=torch_generator(0))
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value, atol=1e-10)


def test_lsuv_in_torch_starts_orthogonal_with_variance_one():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    x = torch.randn(20, 3, 6, 6, generator=torch_generator(0))
    assert twin.lsuv_(model, x, tol=1e-4, rng=torch_generator(0)) is model
    assert abs(model[0](x).var() - 1) < 1e-3
    w = model[0].weight.detach().flatten(1)
    gram = w @ w.T
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(8), atol=1e-4, rtol=0)
