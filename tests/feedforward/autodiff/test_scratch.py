"""Scalar graphs, dual numbers, symbols, and second derivatives, each by two ways."""

import math
import sys
import time

import numpy as np
import pytest
import scipy.optimize
import sympy
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.scratch import (
    Dual,
    Scalar,
    conjugate_gradient,
    evaluate,
    hessian,
    hvp,
    jacobian,
    lanczos,
    parents_first,
    recursive_derivative,
    scalar_backward,
    symbolic_grad,
)

numbers = st.floats(0.1, 2.0)


def logistic(w, x, b):
    """log(1 + exp(-(w x + b))), the loss of a positive example."""
    return (((w * x + b) * -1.0).exp() + 1.0).log()


@given(numbers, numbers, numbers)
def test_a_scalar_graph_gives_the_derivatives_by_hand(w, x, b):
    nodes = [Scalar(v) for v in (w, x, b)]
    loss = logistic(*nodes)
    scalar_backward(loss)
    error = 1 / (1 + math.exp(-(w * x + b))) - 1
    expected = [error * x, error * w, error]
    np.testing.assert_allclose([n.grad for n in nodes], expected, rtol=1e-12)
    assert loss.value == pytest.approx(math.log1p(math.exp(-(w * x + b))), rel=1e-12)
    for node, slope in zip(nodes, expected, strict=True):
        assert recursive_derivative(loss, node) == (pytest.approx(slope), 5)


def test_a_second_backward_starts_afresh():
    x = Scalar(3.0)
    y = x * x
    for _ in range(2):
        scalar_backward(y)
        assert x.grad == 6.0


@pytest.mark.parametrize("k", [1, 2, 8, 12])
def test_recursion_walks_two_to_the_k_paths_and_the_order_k_plus_one_nodes(k):
    x = Scalar(1.0)
    y = x
    for _ in range(k):
        y = y + y
    assert recursive_derivative(y, x) == (2.0**k, 2**k)
    order = parents_first(y)
    assert len(order) == k + 1
    scalar_backward(y)
    assert x.grad == 2.0**k


def test_recursion_stops_at_other_numbers_and_at_the_input_itself():
    x, y = Scalar(1.0), Scalar(2.0)
    assert recursive_derivative(x, x) == (1.0, 1)
    assert recursive_derivative(y * y, x) == (0.0, 2)


@given(st.integers(0, 9999))
def test_parents_come_first_and_once(seed):
    rng = numpy_generator(seed)
    nodes = [Scalar(1.0), Scalar(2.0)]
    for _ in range(12):
        a, b = rng.integers(len(nodes), size=2)
        nodes.append(nodes[a] + nodes[b])
    order = parents_first(nodes[-1])
    place = {id(node): i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert order[-1] is nodes[-1]
    for node in order:
        assert all(place[id(p)] < place[id(node)] for p in node.parents)


def chain(length):
    x = Scalar(1.0)
    y = x
    for _ in range(length):
        y = y * 1.0
    return x, y


def test_a_deep_chain_overflows_no_stack_and_costs_in_proportion():
    assert sys.getrecursionlimit() < 10_000
    seconds = {}
    for length in (10_000, 40_000):
        x, y = chain(length)
        start = time.perf_counter()
        scalar_backward(y)
        seconds[length] = time.perf_counter() - start
        assert x.grad == 1.0
    assert seconds[40_000] < 40 * seconds[10_000]  # linear would be 4, quadratic 16
    with pytest.raises(RecursionError):
        recursive_derivative(y, x)


def pushed(d):
    return 3.0 * d * d.apply(np.sin, np.cos) + d.apply(np.exp, np.exp) * 2.0 + 1.0


@given(st.sampled_from([(), (3,), (2, 3)]), st.integers(1, 4), st.integers(0, 99))
def test_tangents_are_those_of_the_complex_step(shape, directions, seed):
    rng = numpy_generator(seed)
    value, tangent = rng.normal(size=shape), rng.normal(size=(directions, *shape))
    result = pushed(Dual(value, tangent))
    for direction, slope in zip(tangent, result.tangent, strict=True):
        x = value + 1e-20j * direction
        step = (3 * x * np.sin(x) + 2 * np.exp(x) + 1).imag / 1e-20
        np.testing.assert_allclose(slope, step, rtol=1e-12)


def test_dual_numbers_keep_float32():
    result = pushed(Dual(np.ones(2, "f4"), np.ones((1, 2), "f4")))
    assert result.value.dtype == result.tangent.dtype == np.float32


expressions = st.recursive(
    st.sampled_from(["x", "y", 2.0, -0.5]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner),
        st.tuples(st.sampled_from(["sin", "cos"]), inner),
    ),
    max_leaves=8,
)


@given(expressions, st.floats(-1, 1), st.floats(-1, 1))
def test_symbolic_slopes_are_those_of_the_complex_step(expression, x, y):
    slope = evaluate(symbolic_grad(expression, "x"), {"x": x, "y": y})
    step = np.imag(evaluate(expression, {"x": x + 1e-20j, "y": y})) / 1e-20
    np.testing.assert_allclose(slope, step, rtol=1e-10, atol=1e-12)


def test_the_exponential_and_a_second_derivative():
    gauss = ("exp", ("*", -1.0, ("*", "x", "x")))
    twice = symbolic_grad(symbolic_grad(gauss, "x"), "x")
    x = np.linspace(-2, 2, 9)
    expected = (4 * x**2 - 2) * np.exp(-(x**2))
    np.testing.assert_allclose(evaluate(twice, {"x": x}), expected, atol=1e-14)


def test_symbolic_equals_sympy():
    x, y = sympy.symbols("x y")
    ours = symbolic_grad(("*", ("sin", ("*", "x", "y")), ("-", "x", ("cos", "x"))), "x")
    theirs = sympy.diff(sympy.sin(x * y) * (x - sympy.cos(x)), x)
    at = {"x": 0.7, "y": -1.3}
    assert evaluate(ours, at) == pytest.approx(float(theirs.subs({x: 0.7, y: -1.3})))


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@given(st.integers(2, 6), st.integers(0, 99))
def test_first_and_second_derivatives_are_scipys(n, seed):
    x = numpy_generator(seed).normal(size=n)
    v = numpy_generator(seed + 1).normal(size=n)
    exact = scipy.optimize.rosen_hess(x)
    np.testing.assert_allclose(hessian(rosenbrock, x), exact, atol=1e-9)
    slope = jacobian(rosenbrock, x)
    np.testing.assert_allclose(slope, scipy.optimize.rosen_der(x), atol=1e-9)
    output, product = hvp(rosenbrock, x, v)
    np.testing.assert_allclose(product, exact @ v, atol=1e-9)
    assert float(output) == pytest.approx(scipy.optimize.rosen(x))


def test_shapes_of_derivatives():
    x = numpy_generator(0).normal(size=(2, 3))
    full = jacobian(lambda t: t @ t.transpose(0, 1), x)
    assert full.shape == (2, 2, 2, 3)
    for i, j in np.ndindex(2, 2):
        expected = np.zeros((2, 3))
        expected[i] += x[j]
        expected[j] += x[i]
        np.testing.assert_allclose(full[i, j], expected, atol=1e-14)
    assert hessian(lambda t: (t * t * t).sum(), x).shape == (2, 3, 2, 3)
    assert hvp(lambda t: t * t * t, np.array([2.0]))[1] == 12.0


def test_no_dependence_is_zero():
    def flat(x):
        return (x * 0.0 + 1.0).sum()

    assert not jacobian(lambda x: Tensor(np.ones(3)), [1.0, 2.0]).any()
    assert not hessian(lambda x: x.sum(), [1.0, 2.0]).any()
    assert not hvp(lambda x: x.sum(), [1.0, 2.0], [1.0, 1.0])[1].any()
    assert not hessian(flat, [1.0, 2.0]).any()


def test_float32_stays_float32():
    x = np.array([0.5, -1.0, 2.0], "f4")
    b = np.ones(3, "f4")
    A = np.diag(np.array([1, 2, 3], "f4"))
    results = [jacobian(rosenbrock, x), hessian(rosenbrock, x), *hvp(rosenbrock, x, b)]
    results += [*conjugate_gradient(lambda v: A @ v, b, steps=3)]
    results += [*lanczos(lambda v: A @ v, b, 2)]
    assert {np.asarray(r).dtype for r in results} == {np.dtype("f4")}


def symmetric(eigenvalues, seed):
    n = len(eigenvalues)
    Q = np.linalg.qr(numpy_generator(seed).normal(size=(n, n)))[0]
    return Q @ np.diag(eigenvalues) @ Q.T


@given(st.integers(1, 12), st.integers(0, 99))
def test_conjugate_gradient_solves_in_n_steps(n, seed):
    rng = numpy_generator(seed)
    A, b = symmetric(rng.uniform(1, 10, n), seed), rng.normal(size=n)
    x, residuals = conjugate_gradient(lambda v: A @ v, b, steps=n + 1)
    np.testing.assert_allclose(x, np.linalg.solve(A, b), atol=1e-8)
    assert residuals[-1] == pytest.approx(np.linalg.norm(b - A @ x), abs=1e-9)


def test_conjugate_gradient_needs_a_step_for_each_distinct_eigenvalue():
    A = symmetric([1.0] * 5 + [4.0] * 5 + [9.0] * 5, 0)
    b = numpy_generator(1).normal(size=15)
    _, residuals = conjugate_gradient(lambda v: A @ v, b, steps=15)
    assert len(residuals) == 4
    assert conjugate_gradient(lambda v: A @ v, 0 * b, steps=3)[0].any() == np.False_


@given(st.integers(1, 12), st.integers(0, 99))
def test_lanczos_is_exact_in_n_steps_and_its_basis_orthonormal(n, seed):
    rng = numpy_generator(seed)
    eigenvalues = np.sort(rng.normal(size=n))
    A = symmetric(eigenvalues, seed)
    T, Q = lanczos(lambda v: A @ v, rng.normal(size=n), n)
    np.testing.assert_allclose(Q.T @ Q, np.eye(len(T)), atol=1e-12)
    np.testing.assert_allclose(Q.T @ A @ Q, T, atol=1e-12)
    np.testing.assert_allclose(np.triu(T, 2), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(T), eigenvalues, atol=1e-8)


def test_lanczos_stops_where_the_space_is_exhausted():
    A = np.diag([1.0, 2.0, 3.0, 4.0])
    T, _ = lanczos(lambda v: A @ v, np.array([1.0, 1.0, 0.0, 0.0]), 4)
    np.testing.assert_allclose(np.linalg.eigvalsh(T), [1, 2], atol=1e-12)


def test_ritz_values_stay_single_over_many_steps():
    eigenvalues = np.concatenate([np.linspace(0, 1, 99), [10.0]])
    T, Q = lanczos(
        lambda v: eigenvalues * v, numpy_generator(0).normal(size=100), steps=60
    )
    assert np.abs(Q.T @ Q - np.eye(60)).max() < 1e-13
    assert (np.linalg.eigvalsh(T) > 5).sum() == 1
