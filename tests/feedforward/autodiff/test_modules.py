"""Modules: names, weights that pass to and from torch, and training beside it."""

import numpy as np
import pytest
import torch
from torch import nn

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import modules
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    Buffer,
    CrossEntropyLoss,
    Linear,
    Module,
    MSELoss,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)


def net(dtype=np.float64, seed=0):
    rng = numpy_generator(seed)
    return Sequential(
        Linear(4, 5, rng=rng, dtype=dtype),
        Tanh(),
        Sequential(Linear(5, 5, bias=False, rng=rng, dtype=dtype), ReLU()),
        Sigmoid(),
        Linear(5, 3, rng=rng, dtype=dtype),
    )


def torch_net(dtype=torch.float64):
    return nn.Sequential(
        nn.Linear(4, 5),
        nn.Tanh(),
        nn.Sequential(nn.Linear(5, 5, bias=False), nn.ReLU()),
        nn.Sigmoid(),
        nn.Linear(5, 3),
    ).to(dtype)


def same_twice(ours, theirs, x):
    """Outputs and gradients of both are equal."""
    y, ty = ours(Tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.data, ty.detach(), 1e-10, 1e-12)
    y.sum().backward()
    ty.sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, 1e-10, 1e-12)


def test_weights_pass_unchanged_from_torch():
    ours, theirs = net(), torch_net()
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value)
    same_twice(ours, theirs, numpy_generator(1).standard_normal((6, 4)))


def test_weights_pass_unchanged_to_torch():
    ours, theirs = net(), torch_net()
    state = {name: torch.tensor(value) for name, value in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(state)
    same_twice(ours, theirs, numpy_generator(1).standard_normal((2, 6, 4)))


def test_repr_and_names_are_torchs():
    ours, theirs = net(), torch_net()
    assert repr(ours) == repr(theirs)
    for names in ("named_parameters", "named_modules", "named_children"):
        mine = [name for name, _ in getattr(ours, names)()]
        assert mine == [name for name, _ in getattr(theirs, names)()]
    assert len(ours) == len(theirs) == 5
    assert isinstance(ours[-1], Linear)
    assert [type(m).__name__ for m in ours] == [type(m).__name__ for m in theirs]


def test_linear_starts_within_torchs_bounds():
    layer = Linear(400, 300, rng=numpy_generator(0))
    for p in layer.parameters():
        assert p.dtype == np.float64
        assert np.abs(p.data).max() <= 400**-0.5
        assert np.abs(p.data).max() > 0.98 * 400**-0.5
        assert np.abs(p.data.mean()) < 0.1 * 400**-0.5
    again = Linear(400, 300, rng=numpy_generator(0))
    np.testing.assert_array_equal(layer.weight.data, again.weight.data)


class Shared(Module):
    """The same layer twice, a parameter of its own, and one that is frozen."""

    def __init__(self):
        super().__init__()
        self.first = Linear(3, 3, rng=numpy_generator(0))
        self.again = self.first
        self.scale = Parameter(np.array(2.0))
        self.frozen = Parameter(np.array(1.0), requires_grad=False)
        self.note = "not a parameter"

    def forward(self, input):
        return self.scale * self.again(self.first(input)) + self.frozen


def test_a_module_knows_its_parameters_once():
    m = Shared()
    names = [name for name, _ in m.named_parameters()]
    assert names == ["scale", "frozen", "first.weight", "first.bias"]
    m(np.ones((2, 3))).sum().backward()
    assert m.frozen.grad is None
    assert m.scale.grad is not None
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())
    m.scale = Parameter(np.array(3.0))
    assert dict(m.named_parameters())["scale"].item() == 3.0
    del m.scale
    assert "scale" not in m.state_dict()


def test_a_parameter_is_a_tensor_that_requires_grad():
    p = Parameter(np.ones(2))
    assert isinstance(p, Tensor)
    assert p.requires_grad
    assert not isinstance(p * 2, Parameter)
    assert repr(p).startswith("Parameter(tensor([1., 1.]")


def test_train_and_eval_reach_every_child():
    m = net()
    assert m.training
    assert m.eval() is m
    assert not any(child.training for _, child in m.named_modules())
    m.train()
    assert all(child.training for _, child in m.named_modules())


def test_loading_names_every_fault():
    m, good = net(), net(seed=1).state_dict()
    before = {k: v.copy() for k, v in m.state_dict().items()}
    bad = dict(good)
    del bad["0.bias"]
    bad["9.weight"] = np.ones(2)
    bad["4.weight"] = np.ones((2, 2))
    with pytest.raises(RuntimeError) as fault:
        m.load_state_dict(bad)
    for word in ("0.bias", "9.weight", "4.weight", "(2, 2)", "(3, 5)"):
        assert word in str(fault.value)
    for name, value in before.items():
        np.testing.assert_array_equal(m.state_dict()[name], value)  # nothing was copied
    bad["4.weight"] = good["4.weight"]
    m.load_state_dict(bad, strict=False)
    np.testing.assert_array_equal(m[0].weight.data, good["0.weight"])
    np.testing.assert_array_equal(m[0].bias.data, before["0.bias"])


def test_loading_copies_and_keeps_the_precision():
    m, state = net(np.float32), net().state_dict()
    version = m[0].weight._version
    m.load_state_dict(state)
    assert {p.dtype for p in m.parameters()} == {np.dtype(np.float32)}
    state["0.weight"][...] = 0
    assert m[0].weight.data.any()
    assert m[0].weight._version == version + 1


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"weight_decay": 0.1}])
def test_training_follows_torch(options):
    ours, theirs = net(), torch_net()
    ours.load_state_dict(theirs.state_dict())
    x = numpy_generator(1).standard_normal((20, 4))
    y = numpy_generator(2).integers(3, size=20)
    opt = SGD(ours.parameters(), lr=0.5, **options)
    topt = torch.optim.SGD(theirs.parameters(), lr=0.5, **options)
    criterion, tcriterion = CrossEntropyLoss(), nn.CrossEntropyLoss()
    for _ in range(20):
        loss = criterion(ours(Tensor(x)), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tloss = tcriterion(theirs(torch.tensor(x)), torch.tensor(y))
        topt.zero_grad()
        tloss.backward()
        topt.step()
        np.testing.assert_allclose(loss.item(), tloss.item(), 1e-10)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.detach(), 1e-9, 1e-11)


def test_float32_stays_float32_in_training():
    m = net(np.float32)
    opt = SGD(m.parameters(), lr=0.1, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        loss = MSELoss()(m(np.ones((4, 4), np.float32)), np.zeros((4, 3), np.float32))
        loss.backward()
        opt.step()
    assert loss.dtype == np.float32
    assert {p.dtype for p in m.parameters()} == {np.dtype(np.float32)}
    assert {p.grad.dtype for p in m.parameters()} == {np.dtype(np.float32)}


def test_a_hessian_vector_product_of_a_network_equals_torchs():
    ours, theirs = net(), torch_net()
    ours.load_state_dict(theirs.state_dict())
    x, t = numpy_generator(1).standard_normal((6, 4)), np.zeros((6, 3))
    mine, torchs = list(ours.parameters()), list(theirs.parameters())
    v = [numpy_generator(i).standard_normal(p.shape) for i, p in enumerate(mine)]
    first = grad(MSELoss()(ours(Tensor(x)), t), mine, create_graph=True)
    loss = nn.MSELoss()(theirs(torch.tensor(x)), torch.tensor(t))
    tfirst = torch.autograd.grad(loss, torchs, create_graph=True)
    second = grad(first, mine, v)
    tsecond = torch.autograd.grad(tfirst, torchs, [torch.tensor(a) for a in v])
    for a, b in zip((*first, *second), (*tfirst, *tsecond), strict=True):
        np.testing.assert_allclose(a.data, b.detach(), 1e-9, 1e-11)


def test_losses_have_torchs_reductions():
    x = numpy_generator(0).standard_normal((4, 3))
    y = np.array([0, 2, 1, 1])
    for reduction in ("mean", "sum", "none"):
        ours = CrossEntropyLoss(reduction=reduction)(Tensor(x), y)
        theirs = nn.CrossEntropyLoss(reduction=reduction)
        torchs = theirs(torch.tensor(x), torch.tensor(y))
        np.testing.assert_allclose(ours.data, torchs)
        ours = MSELoss(reduction)(Tensor(x), x[::-1].copy())
        torchs = nn.MSELoss(reduction=reduction)(
            torch.tensor(x), torch.tensor(x[::-1].copy())
        )
        np.testing.assert_allclose(ours.data, torchs)


def test_a_layer_with_two_names_is_saved_under_both_as_in_torch():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3, dtype=torch.float64)
            self.again = self.first

    ours, theirs = Shared(), Tied()
    state = theirs.state_dict()
    assert [n for n in ours.state_dict() if "." in n] == list(state)
    ours.load_state_dict(state, strict=False)
    np.testing.assert_array_equal(ours.again.weight.data, state["first.weight"])
    assert len(list(ours.named_modules())) == 2


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        Module()(1)


def test_public_classes_exist_in_torch():
    for name, thing in vars(modules).items():
        if isinstance(thing, type) and thing.__module__ == modules.__name__:
            assert hasattr(nn, name) or hasattr(torch.optim, name)


class Counted(Module):
    """A layer that keeps a count, in a class of ours and one of torch's."""

    def __init__(self):
        super().__init__()
        self.seen = Buffer(np.array(3))
        self.weight = Parameter(np.ones(2))
        self.inner = Sequential(Linear(2, 2, rng=numpy_generator(0)))
        self.inner.mean = Buffer(np.zeros(2))


class TorchCounted(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = nn.Buffer(torch.tensor(7))
        self.weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.inner = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64))
        self.inner.mean = nn.Buffer(torch.ones(2, dtype=torch.float64))


def test_buffers_are_stored_beside_parameters_and_are_none():
    ours, theirs = Counted(), TorchCounted()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for names in ("named_parameters", "named_buffers"):
        mine = [name for name, _ in getattr(ours, names)()]
        assert mine == [name for name, _ in getattr(theirs, names)()]
    ours.load_state_dict(theirs.state_dict())
    assert [b.data.tolist() for b in ours.buffers()] == [7, [1.0, 1.0]]
    assert ours.seen.data.dtype == np.int64
    assert not any(b.requires_grad for b in ours.buffers())
