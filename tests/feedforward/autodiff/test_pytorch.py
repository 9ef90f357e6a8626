"""The twins agree to 1e-10 in float64, on values, slopes, solutions and spectra."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import pytorch, scratch


def same(ours, theirs):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def loss(w, x, b):
    return (((w * x + b) * -1.0).exp() + 1.0).log() * w + b


def test_scalar_graphs():
    sides = []
    for module in (scratch, pytorch):
        nodes = [module.Scalar(v) for v in (0.7, -1.3, 0.2)]
        output = loss(*nodes)
        for _ in range(2):
            module.scalar_backward(output)
        paths = [module.recursive_derivative(output, node) for node in nodes]
        order = [node.op for node in module.parents_first(output)]
        grads = [node.grad for node in module.parents_first(output)]
        sides.append((output.value, paths, grads, order))
    ours, theirs = sides
    same(ours[0], theirs[0])
    same(ours[1], theirs[1])
    same(ours[2], theirs[2])
    assert ours[3] == theirs[3]


def test_torchs_graph_is_walked_without_recursion():
    x = torch.ones((), requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    assert len(pytorch.parents_first(y)) == 20_001


@given(st.sampled_from([(), (3,), (2, 3)]), st.integers(1, 3), st.integers(0, 99))
def test_dual_numbers(shape, directions, seed):
    rng = numpy_generator(seed)
    value = np.asarray(rng.normal(size=shape))
    tangent = rng.normal(size=(directions, *shape))
    ours = scratch.Dual(value, tangent)
    theirs = pytorch.Dual(torch.tensor(value), torch.tensor(tangent))
    ours = 2.0 * ours * ours.apply(np.sin, np.cos) + ours + 1.0
    theirs = 2.0 * theirs * theirs.apply(torch.sin, torch.cos) + theirs + 1.0
    same(ours.value, theirs.value)
    same(ours.tangent, theirs.tangent)


def test_symbols():
    expression = ("exp", ("-", ("*", "x", ("sin", "y")), ("cos", ("+", "x", 0.5))))
    at = {"x": np.array([0.3, -0.8]), "y": np.array([1.1, 0.2])}
    tensors = {name: torch.tensor(value) for name, value in at.items()}
    for names in ("", "x", "y", "xx", "xy"):
        ours = theirs = expression
        for name in names:
            ours = scratch.symbolic_grad(ours, name)
            theirs = pytorch.symbolic_grad(theirs, name)
        same(scratch.evaluate(ours, at), pytorch.evaluate(theirs, tensors))


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@given(st.integers(2, 5), st.integers(0, 99))
def test_derivatives(n, seed):
    x, v = numpy_generator(seed).normal(size=(2, n))
    x_torch, v_torch = torch.tensor(x), torch.tensor(v)
    same(scratch.hessian(rosenbrock, x), pytorch.hessian(rosenbrock, x_torch))
    ours = scratch.hvp(rosenbrock, x, v)
    theirs = pytorch.hvp(rosenbrock, x_torch, v_torch)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)

    def residuals(x):
        return x[1:] - x[:-1] ** 2

    same(scratch.jacobian(residuals, x), pytorch.jacobian(residuals, x_torch))
    functional = torch.func.hessian(rosenbrock)(x_torch)
    same(scratch.hessian(rosenbrock, x), functional)


def test_krylov():
    rng = numpy_generator(0)
    B, b = rng.normal(size=(9, 9)), rng.normal(size=9)
    A = B @ B.T + np.eye(9)
    A_torch, b_torch = torch.tensor(A), torch.tensor(b)
    for steps in (1, 4, 9):
        ours = scratch.conjugate_gradient(lambda v: A @ v, b, steps=steps)
        theirs = pytorch.conjugate_gradient(lambda v: A_torch @ v, b_torch, steps=steps)
        np.testing.assert_allclose(ours[0], theirs[0].numpy(), atol=1e-8)
        np.testing.assert_allclose(ours[1], theirs[1].numpy(), atol=1e-8)
        T, Q = scratch.lanczos(lambda v: A @ v, b, steps)
        T_torch, Q_torch = pytorch.lanczos(lambda v: A_torch @ v, b_torch, steps)
        np.testing.assert_allclose(T, T_torch.numpy(), atol=1e-8)
        np.testing.assert_allclose(Q, Q_torch.numpy(), atol=1e-8)
