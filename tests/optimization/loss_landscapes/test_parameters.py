"""Curvature, slices and steps of second order on a network that convolves and pools.

Every derivative is held against torch's own double backward.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.pooling.layers import MaxPool2d
from dlbook_lib.convolutional.strides_and_gradients.layers import Conv2d
from dlbook_lib.feedforward.autodiff.engine import no_grad
from dlbook_lib.feedforward.autodiff.modules import (
    CrossEntropyLoss,
    Linear,
    Module,
    MSELoss,
    Parameter,
    Sequential,
    Tanh,
)
from dlbook_lib.feedforward.autodiff.operations import flatten
from dlbook_lib.optimization.adaptive_rates.lbfgs import LBFGS
from dlbook_lib.optimization.loss_landscapes import (
    parameters,
    scratch,
    second_order,
    second_order_pytorch,
)
from dlbook_lib.optimization.loss_landscapes import parameters_pytorch as twin
from dlbook_lib.optimization.loss_landscapes import pytorch as twin_scratch
from dlbook_lib.optimization.loss_landscapes.parameters import (
    loss_of_parameters,
    parameters_to_vector,
    residual_of_parameters,
    vector_to_parameters,
)
from tests.feedforward.bad_input import Call, Floats, not_described, refuses
from tests.optimization.loss_landscapes.test_bad_input import PARAMS, Thing
from tests.structure.test_twins import differences

CLOSE = {"rtol": 1e-8, "atol": 1e-8}


class Flatten(Module):
    def forward(self, input):
        return flatten(input, 1)


class Networks:
    """The same network twice, with 47 parameters, and a loss that bends."""

    def __init__(self, seed=0, loss="cross entropy", dtype="f8"):
        rng = numpy_generator(seed)
        own = {"rng": rng, "dtype": {"f8": "float64", "f4": "float32"}[dtype]}
        self.net = Sequential(
            Conv2d(1, 2, 3, **own),
            Tanh(),
            MaxPool2d(2),
            Flatten(),
            Linear(8, 3, **own),
        )
        nn = torch.nn
        self.tnet = nn.Sequential(
            nn.Conv2d(1, 2, 3),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 3),
        ).to({"f8": torch.float64, "f4": torch.float32}[dtype])
        state = self.net.state_dict().items()
        self.tnet.load_state_dict({k: torch.tensor(v) for k, v in state})
        self.params, self.tparams = (
            list(net.parameters()) for net in (self.net, self.tnet)
        )
        self.theta = parameters_to_vector(self.params)
        self.x, self.labels = rng.normal(size=(6, 1, 6, 6)), rng.integers(3, size=6)
        self.x = self.x.astype(dtype)
        self.y = rng.normal(size=(6, 3)).astype(dtype)
        self.is_mse = loss == "mse"

    def closure(self):
        found = self.net(self.x)
        if self.is_mse:
            return MSELoss()(found, self.y)
        return CrossEntropyLoss()(found, self.labels)

    def tclosure(self):
        return self.tloss(dict(self.tnet.named_parameters()))

    def tloss(self, state):
        x = torch.tensor(self.x)
        found = torch.func.functional_call(self.tnet, state, (x,))
        if self.is_mse:
            return torch.nn.functional.mse_loss(found, torch.tensor(self.y))
        labels = torch.tensor(self.labels)
        return torch.nn.functional.cross_entropy(found, labels)

    def of_vector(self, theta):
        """Torch's loss of a vector, for its functions of second derivatives."""
        names = [name for name, _ in self.tnet.named_parameters()]
        parts = theta.split([p.numel() for p in self.tparams])
        shaped = [a.view_as(p) for a, p in zip(parts, self.tparams, strict=True)]
        return self.tloss(dict(zip(names, shaped, strict=True)))


losses = pytest.mark.parametrize("loss", ["cross entropy", "mse"])


# ---- a row and back ------------------------------------------------------------------


def test_the_twins_have_the_same_names():
    assert not list(differences(parameters, twin))


@given(st.integers(0, 10**6), st.sampled_from(["f8", "f4"]))
def test_a_row_is_torchs(seed, dtype):
    rng = numpy_generator(seed)
    shapes = [(2, 3), (), (4,), (0,), (1, 2, 2)]
    params = [Parameter(rng.normal(size=s).astype(dtype)) for s in shapes]
    tparams = [torch.nn.Parameter(torch.tensor(p.data)) for p in params]
    params[0].data = np.asfortranarray(params[0].data)  # torch wants it contiguous
    row = parameters_to_vector(p for p in params)
    assert row.dtype == dtype
    np.testing.assert_array_equal(row, twin.parameters_to_vector(tparams).detach())
    memory = [p.data for p in params]
    vec = rng.normal(size=row.shape).astype(dtype)
    vector_to_parameters(vec, params)
    twin.vector_to_parameters(torch.tensor(vec), tparams)
    for p, q, before in zip(params, tparams, memory, strict=True):
        assert p.data is before
        assert p.data.dtype == dtype
        np.testing.assert_array_equal(p.data, q.detach())
    vec[:] = np.nan
    assert not np.isnan(parameters_to_vector(params)).any()
    vector_to_parameters(row.astype("f8"), params)
    assert parameters_to_vector(params).dtype == dtype


# ---- derivatives ---------------------------------------------------------------------


@losses
def test_products_and_eigenvalues_are_those_of_torchs_hessian(loss):
    both, rng = Networks(0, loss), numpy_generator(0)
    theta = torch.tensor(both.theta)
    H = torch.autograd.functional.hessian(both.of_vector, theta).numpy()
    v = rng.normal(size=len(theta))
    _, wanted = torch.autograd.functional.hvp(both.of_vector, theta, torch.tensor(v))
    product = scratch.hessian_product(both.closure(), both.net.parameters())
    np.testing.assert_allclose(product(v), wanted, **CLOSE)
    np.testing.assert_allclose(product(v), H @ v, **CLOSE)
    there = twin_scratch.hessian_product(both.tclosure(), both.tnet.parameters())
    np.testing.assert_allclose(product(v), there(torch.tensor(v)), **CLOSE)
    values = np.linalg.eigvalsh(H)
    found = scratch.hessian_eigenvalues(product, len(v), len(v), rng=rng)
    np.testing.assert_allclose(found[[0, -1]], values[[0, -1]], **CLOSE)
    top = scratch.sharpness(both.closure(), both.net.parameters(), 40, rng=rng)
    np.testing.assert_allclose(top, values[-1], **CLOSE)
    rng = torch_generator(0)
    top = twin_scratch.sharpness(both.tclosure(), both.tnet.parameters(), 40, rng=rng)
    np.testing.assert_allclose(top, values[-1], **CLOSE)


@losses
def test_the_loss_of_a_row_has_torchs_derivatives(loss):
    both, rng = Networks(2, loss), numpy_generator(2)
    objective, product = loss_of_parameters(both.closure, both.params)
    tobjective, tproduct = twin.loss_of_parameters(both.tclosure, both.tparams)
    first, second, v = rng.normal(size=(3, len(both.theta)))
    for x in (first, second, first, first):
        there = torch.tensor(x, requires_grad=True)
        wanted = both.of_vector(there)
        (slope,) = torch.autograd.grad(wanted, there)
        there, tv = there.detach(), torch.tensor(v)
        for f, a in ((objective, x), (tobjective, there)):
            value, g = f(a)
            np.testing.assert_allclose(value, wanted.item(), **CLOSE)
            np.testing.assert_allclose(g, slope, **CLOSE)
        wanted = torch.autograd.functional.hvp(both.of_vector, there, tv)[1]
        for _ in range(2):
            np.testing.assert_allclose(product(x, v), wanted, **CLOSE)
            np.testing.assert_allclose(tproduct(there, tv), wanted, **CLOSE)
        np.testing.assert_allclose(product(x + 1, v), tproduct(there + 1, tv), **CLOSE)


def test_the_gradient_is_recorded_once_for_each_place():
    w, calls = Parameter(np.array([1.0, 2.0])), []

    def closure():
        calls.append(w.data.copy())
        return (w**3).sum()

    objective, product = loss_of_parameters(closure, [w])
    x = np.array([1.0, 3.0])
    for v in np.eye(2):
        np.testing.assert_array_equal(product(x, v), 6 * x * v)
    assert len(calls) == 1
    x[0] = 5.0  # the same array with other numbers
    np.testing.assert_array_equal(product(x, np.ones(2)), 6 * x)
    objective(x)
    with no_grad():
        w.copy_(np.zeros(2))
    np.testing.assert_array_equal(product(x, np.ones(2)), 6 * x)
    assert len(calls) == 4


def test_what_the_loss_does_not_depend_on_has_slope_0():
    w, u = (Parameter(np.array([1.0, 2.0])) for _ in range(2))
    objective, product = loss_of_parameters(lambda: (w**2).sum(), [u, w])
    x = np.arange(4.0)
    np.testing.assert_array_equal(objective(x)[1], [0, 0, 4, 6])
    np.testing.assert_array_equal(product(x, x), [0, 0, 4, 6])
    residual, jacobian = residual_of_parameters(lambda: 2 * w, [u, w])
    np.testing.assert_array_equal(residual(x), [4, 6])
    np.testing.assert_array_equal(jacobian(x), [[0, 0, 2, 0], [0, 0, 0, 2]])
    fixed = residual_of_parameters(lambda: w.detach(), [u])[1]
    np.testing.assert_array_equal(fixed(x[:2]), np.zeros((2, 2)))


# ---- steps ---------------------------------------------------------------------------


def methods():
    for beta in ("polak-ribiere", "fletcher-reeves"):
        yield (
            beta,
            lambda module, f, _, x, beta=beta: module.nonlinear_conjugate_gradient(
                f, x, steps=6, beta=beta
            ),
        )
    yield "bfgs", lambda module, f, _, x: module.bfgs(f, x, steps=6)
    yield (
        "newton-cg",
        lambda module, f, product, x: module.truncated_newton(
            f, product, x, steps=4, inner=10, damping=1e-3
        ),
    )


METHODS = dict(methods())


@losses
@pytest.mark.parametrize("name", METHODS)
def test_steps_on_a_network_are_torchs(name, loss):
    both = Networks(3, loss)
    pair = loss_of_parameters(both.closure, both.params)
    tpair = twin.loss_of_parameters(both.tclosure, both.tparams)
    path = METHODS[name](second_order, *pair, both.theta)
    other = METHODS[name](second_order_pytorch, *tpair, torch.tensor(both.theta))
    np.testing.assert_allclose(path, other, **CLOSE)
    values = [pair[0](x)[0] for x in path]
    assert (np.diff(values) < 0).all()
    assert values[-1] < 0.6 * values[0]


def test_newton_cg_multiplies_by_torchs_hessian():
    both = Networks(4)
    objective, product = loss_of_parameters(both.closure, both.params)

    def by_torch(x, v):
        x, v = torch.tensor(x), torch.tensor(v)
        return torch.autograd.functional.hvp(both.of_vector, x, v)[1].numpy()

    options = {"steps": 4, "inner": 10}
    path, other = (
        second_order.truncated_newton(objective, p, both.theta, **options)
        for p in (product, by_torch)
    )
    np.testing.assert_allclose(path, other, **CLOSE)


def test_levenberg_marquardt_on_a_network():
    both = Networks(5, "mse")
    target = torch.tensor(both.y)

    def closure():
        return flatten(both.net(both.x) - both.y)

    def tclosure():
        return (both.tnet(torch.tensor(both.x)) - target).flatten()

    pair = residual_of_parameters(closure, both.net.parameters())
    tpair = twin.residual_of_parameters(tclosure, both.tnet.parameters())
    theta = torch.tensor(both.theta)
    np.testing.assert_allclose(pair[1](both.theta), tpair[1](theta), **CLOSE)
    options = {"steps": 4, "damping": 0.1}
    path = second_order.levenberg_marquardt(*pair, both.theta, **options)
    other = second_order_pytorch.levenberg_marquardt(*tpair, theta, **options)
    np.testing.assert_allclose(path, other, 1e-7, 1e-7)
    before, after = ((pair[0](x) ** 2).sum() for x in path[[0, -1]])
    assert after < 0.5 * before


@losses
def test_lbfgs_on_a_network_is_torchs(loss):
    both = Networks(6, loss)
    options = {"max_iter": 8, "line_search_fn": "strong_wolfe", "history_size": 5}
    ours = LBFGS(both.params, **options)
    theirs = torch.optim.LBFGS(both.tparams, **options)

    def closure():
        ours.zero_grad()
        loss = both.closure()
        loss.backward()
        return loss

    def tclosure():
        theirs.zero_grad()
        loss = both.tclosure()
        loss.backward()
        return loss

    before, tbefore = ours.step(closure), theirs.step(tclosure)
    np.testing.assert_allclose(before.item(), tbefore.item(), **CLOSE)
    row, trow = (
        parameters_to_vector(both.params),
        twin.parameters_to_vector(both.tparams),
    )
    np.testing.assert_allclose(row, trow.detach(), **CLOSE)
    assert both.closure().item() < 0.6 * before.item()


# ---- slices --------------------------------------------------------------------------


def test_slices_of_a_network_are_torchs():
    both, rng = Networks(7), numpy_generator(7)
    d, e = ([rng.normal(size=p.shape) for p in both.params] for _ in range(2))
    td = [torch.tensor(a) for a in d]
    first = scratch.filter_normalized(d, both.params)
    tfirst = twin_scratch.filter_normalized(td, both.tparams)
    at = np.array([-1.0, 0.0, 0.5])
    plane = scratch.loss_plane(both.closure, both.params, first, e, at)
    directions = tfirst, [torch.tensor(a) for a in e]
    other = twin_scratch.loss_plane(
        both.tclosure, both.tparams, *directions, torch.tensor(at)
    )
    np.testing.assert_allclose(plane, other, **CLOSE)
    rows = (np.concatenate([a.ravel() for a in each]) for each in (first, e))
    u, v = rows
    for i, beta in enumerate(at):
        for j, alpha in enumerate(at):
            place = torch.tensor(both.theta + alpha * u + beta * v)
            np.testing.assert_allclose(plane[i, j], both.of_vector(place), **CLOSE)
    np.testing.assert_array_equal(parameters_to_vector(both.params), both.theta)


def test_float32_stays_float32():
    both = Networks(8, dtype="f4")
    objective, product = loss_of_parameters(both.closure, both.params)
    assert both.theta.dtype == objective(both.theta)[1].dtype == np.float32
    assert product(both.theta, both.theta).dtype == np.float32
    closure = lambda: flatten(both.net(both.x) - both.y)  # noqa: E731
    residual, jacobian = residual_of_parameters(closure, both.params)
    found = residual(both.theta), jacobian(both.theta)
    assert {a.dtype for a in found} == {np.dtype("f4")}
    path = second_order.bfgs(objective, both.theta, steps=2)
    assert path.dtype == np.float32


# ---- bad input -----------------------------------------------------------------------


CLOSURE = Thing(lambda: None, None, 1.0, "loss")
CALLS = [
    Call(parameters_to_vector, parameters=PARAMS),
    Call(vector_to_parameters, vec=Floats(2), parameters=PARAMS),
    Call(loss_of_parameters, closure=CLOSURE, params=PARAMS),
    Call(residual_of_parameters, closure=CLOSURE, params=PARAMS),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(parameters, CALLS) == set()


W = Parameter(np.ones(2))


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("make", [loss_of_parameters, residual_of_parameters])
def test_a_closure_that_returns_something_else(make, at):
    look = make(lambda: 1.0, [W])[at]
    x = [np.ones(2)] * (1 + (at and make is loss_of_parameters))
    with pytest.raises(TypeError, match=f"{make.__name__}.*: closure returns 1.0"):
        look(*x)


def test_a_residual_of_another_shape():
    residual, _ = residual_of_parameters(lambda: (W**2).sum(), [W])
    with pytest.raises(ValueError, match="what closure returns must have 1 dim"):
        residual(np.ones(2))
