"""The layers against torch: state, values and two derivatives; bad calls."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear, Sequential, Tanh
from dlbook_lib.optimization.batch_normalization import layers, layers_pytorch
from dlbook_lib.optimization.batch_normalization.layers import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)
from tests.feedforward.twice import leaves, same_twice

TOLERANCE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1.3e-6, "atol": 3e-5}}
MODULES = [
    ("BatchNorm1d", (4,), {}, (6, 4)),
    ("BatchNorm1d", (4,), {"momentum": None}, (6, 4, 3)),
    ("BatchNorm1d", (4,), {"affine": False, "eps": 0.1}, (6, 4, 3)),
    ("BatchNorm2d", (4,), {"momentum": 0.3}, (6, 4, 2, 3)),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, (6, 4, 2, 3)),
    (
        "BatchNorm2d",
        (4,),
        {"track_running_stats": False, "momentum": None},
        (6, 4, 2, 3),
    ),
    ("InstanceNorm1d", (4,), {"eps": 0.1}, (6, 4, 3)),
    ("InstanceNorm1d", (4,), {}, (4, 3)),
    ("InstanceNorm1d", (4,), {"affine": True, "track_running_stats": True}, (4, 3)),
    ("InstanceNorm2d", (4,), {"track_running_stats": True}, (6, 4, 2, 3)),
    (
        "InstanceNorm2d",
        (4,),
        {"affine": True, "track_running_stats": True, "momentum": None},
        (4, 2, 3),
    ),
    ("LayerNorm", (3,), {}, (6, 4, 3)),
    ("LayerNorm", ((4, 3),), {"bias": False}, (6, 4, 3)),
    ("LayerNorm", ([3],), {"elementwise_affine": False, "eps": 0.1}, (4, 3)),
    ("GroupNorm", (2, 4), {}, (6, 4, 3)),
    ("GroupNorm", (4, 4), {"affine": False, "eps": 0.1}, (6, 4, 2, 2)),
]


@pytest.mark.parametrize(("name", "sizes", "options", "shape"), MODULES)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_modules_train_and_serve_as_torchs(name, sizes, options, shape, dtype):
    rng, close = numpy_generator(0), TOLERANCE[dtype]
    kind = {"f8": torch.float64, "f4": torch.float32}[dtype]
    ours = getattr(layers, name)(*sizes, **options, dtype=dtype)
    theirs = getattr(layers_pytorch, name)(*sizes, **options, dtype=kind)
    longer = re.sub(r"(?<=e), bias=\w+", "", repr(theirs))  # torch 2.13
    assert repr(ours) == longer or name == "LayerNorm"
    start = {k: v.numpy().copy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(start)
    for key, value in start.items():
        np.testing.assert_array_equal(ours.state_dict()[key], value)
        if key in ("weight", "bias"):
            start[key] = rng.normal(size=value.shape).astype(dtype)
    ours.load_state_dict(start)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in start.items()})
    for training in (True, True, False, True, False):
        x = (rng.normal(size=shape) * 2 + 1).astype(dtype)
        a, b = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours.train(training)(a), theirs.train(training)(b)
        np.testing.assert_allclose(y.data, z.detach(), **close)
        dy = rng.normal(size=shape).astype(dtype)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(dy)
        z.backward(torch.tensor(dy))
        np.testing.assert_allclose(a.grad.data, b.grad, rtol=1e-5, atol=close["atol"])
        own = dict(ours.named_parameters())
        for key, p in theirs.named_parameters():
            np.testing.assert_allclose(
                own[key].grad.data, p.grad, rtol=1e-5, atol=close["atol"]
            )
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value, **close)


def both(name, sizes, options):
    """A layer and torch's, with the same weights and running statistics."""
    ours = getattr(layers, name)(*sizes, **options)
    theirs = getattr(layers_pytorch, name)(*sizes, **options, dtype=torch.float64)
    rng = numpy_generator(3)
    state = {k: rng.uniform(0.5, 2, v.shape) for k, v in theirs.state_dict().items()}
    state |= {"num_batches_tracked": np.array(4)} if "running_var" in state else {}
    ours.load_state_dict(state)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    return ours, theirs


@pytest.mark.parametrize(("name", "sizes", "options", "shape"), MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_layers_are_differentiated_twice(name, sizes, options, shape, training):
    ours, theirs = (m.train(training) for m in both(name, sizes, options))
    a, b = leaves([numpy_generator(1).normal(size=shape)])
    y, z = ours(a[0].sin()), theirs(b[0].sin())
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])
    for key, value in theirs.state_dict().items():  # moved once, not at each derivative
        np.testing.assert_allclose(ours.state_dict()[key], value, rtol=1e-10)
    if ours.weight is not None:  # an array comes in, so that only weights are leaves
        y, z = ours(a[0].data), theirs(b[0].detach())
        same_twice(y, z, list(ours.parameters()), list(theirs.parameters()))


@pytest.mark.parametrize("training", [True, False])
def test_a_network_of_them_is_differentiated_twice(training):
    pairs = [
        both("BatchNorm1d", (4,), {}),
        both("LayerNorm", (4,), {}),
        both("GroupNorm", (2, 4), {}),
    ]
    rng = numpy_generator(0)
    ours, theirs = [], []
    for norm, other in pairs:
        plain = Linear(4, 4, rng=rng)
        dense = torch.nn.Linear(4, 4, dtype=torch.float64)
        state = {k: torch.tensor(v) for k, v in plain.state_dict().items()}
        dense.load_state_dict(state)
        ours += [plain, norm, Tanh()]
        theirs += [dense, other, torch.nn.Tanh()]
    ours, theirs = Sequential(*ours), torch.nn.Sequential(*theirs)
    a, b = leaves([rng.normal(size=(6, 4))])
    y, z = ours.train(training)(*a), theirs.train(training)(*b)
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


def test_float32_and_empty_batches():
    x = np.ones((5, 3), "f4")
    norm = BatchNorm1d(3, dtype="f4")
    assert norm(x).dtype == norm.eval()(x).dtype == norm.running_var.dtype == "f4"
    for shape in ((0, 4), (0, 4, 2), (3, 4, 0)):
        assert GroupNorm(2, 4)(np.zeros(shape)).shape == shape
    assert LayerNorm((4, 2))(np.zeros((0, 4, 2))).shape == (0, 4, 2)


def test_a_state_stands_in_the_container_and_returns_from_it():
    rng = numpy_generator(0)
    nets = [Sequential(Linear(4, 3, rng=rng), BatchNorm1d(3)) for _ in range(2)]
    nets[0](rng.normal(size=(8, 4)))
    state = nets[0].state_dict()
    assert list(state)[2:] == [
        f"1.{name}"
        for name in (
            "weight",
            "bias",
            "running_mean",
            "running_var",
            "num_batches_tracked",
        )
    ]
    nets[1].load_state_dict(state)
    assert int(nets[1][1].num_batches_tracked.data) == 1
    x = rng.normal(size=(1, 4))
    for net in nets:
        net.eval()
    np.testing.assert_array_equal(nets[0](x).data, nets[1](x).data)


def test_in_use_the_gradient_is_that_of_the_statistics_at_the_time():
    norm, rng = BatchNorm1d(2), numpy_generator(0)
    x = tensor(rng.normal(size=(3, 2)), requires_grad=True)
    y = norm.eval()(x)
    norm.train()(10 * rng.normal(size=(9, 2)))
    y.backward(np.ones((3, 2)))
    np.testing.assert_allclose(x.grad.data, (1 + 1e-5) ** -0.5)
    z = norm.eval()(x)
    var = norm.running_var.data.copy()
    norm.train()(10 * rng.normal(size=(9, 2)))
    (slope,) = grad((z * z).sum(), x, create_graph=True)
    (bend,) = grad(slope.sum(), x)
    np.testing.assert_allclose(bend.data, [2 / (var + 1e-5)] * 3)


def test_no_momentum_averages_all_batches():
    norm, rng = BatchNorm2d(3, momentum=None), numpy_generator(0)
    batches = rng.normal(size=(4, 5, 3, 2, 2))
    for x in batches:
        norm(x)
    means = batches.mean(axis=(1, 3, 4))
    np.testing.assert_allclose(norm.running_mean.data, means.mean(axis=0), atol=1e-12)


# ---- bad calls ---------------------------------------------------------------------

EPS, FLAG = Positive(), Choice(True, False)
LENGTH = ("axis 0 has length", "axis 2 has length", "axis 0 is one", "axis 2 is one")
SIZES = {"num_features": Whole(), "eps": EPS, "momentum": Number(0, 1, skip=("None",))}
FLAGS = {"affine": FLAG, "track_running_stats": FLAG}
IMAGE = Floats("N", 3, "H", "W", skip=("length 1", "one longer"))
IMAGE.skip = (*(f"axis {i} " for i in (0, 2, 3)),)
CALLS = [
    Call(BatchNorm1d, **SIZES, **FLAGS),
    Call(BatchNorm2d, **SIZES, **FLAGS),
    Call(InstanceNorm1d, **SIZES, **FLAGS),
    Call(InstanceNorm2d, **SIZES, **FLAGS),
    Call(
        LayerNorm, normalized_shape=Whole(), eps=EPS, elementwise_affine=FLAG, bias=FLAG
    ),
    Call(GroupNorm, num_groups=Given(1), num_channels=Whole(), eps=EPS, affine=FLAG),
    Call(BatchNorm2d(3).forward, input=IMAGE),
    Call(
        GroupNorm(1, 3).forward,
        input=Floats("N", 3, "L", skip=(*LENGTH, "last axis", "at the end")),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_layer_is_described():
    assert not_described(layers, CALLS) == set()


X = np.ones((4, 3))
BAD_CALLS = [
    (lambda: BatchNorm1d(3)(X[:1]), "batch_norm: input .* larger batch, or eval"),
    (lambda: BatchNorm1d(3)(X[None, None]), "BatchNorm1d.forward: input .* 2 or 3 dim"),
    (lambda: BatchNorm2d(3)(X), "BatchNorm1d.forward: input .* 4 dimensions"),
    (lambda: BatchNorm1d(2)(X), "BatchNorm1d.forward: input .* with 2 channels"),
    (lambda: GroupNorm(2, 3), "GroupNorm: num_channels must be divisible"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
