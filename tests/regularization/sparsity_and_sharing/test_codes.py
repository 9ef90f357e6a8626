"""Codes of which few entries count: penalties, autoencoders, matching pursuit."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.linear_model import orthogonal_mp

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.sparsity_and_sharing import codes
from dlbook_lib.regularization.sparsity_and_sharing import codes_pytorch as twin
from tests.regularization.sparsity_and_sharing.test_sharing import (
    close,
    kinds,
    same_gradients,
    seeds,
    twins,
)

PENALTIES = {"code_l1_penalty": 0.3, "kl_sparsity": 0.1}
BOTH = [codes.omp, codes.omp_by_shared_products]


@given(seeds, st.integers(1, 5), st.integers(0, 4), kinds, st.sampled_from(["C", "F"]))
def test_penalties(seed, n, m, dtype, order):
    m = m or 1
    x = numpy_generator(seed).uniform(0.05, 0.95, size=(n, m)).astype(dtype, order)
    for name, option in PENALTIES.items():
        t = torch.tensor(x, requires_grad=True)
        loss = getattr(twin, name)(t, option)
        low = dtype == "f4"
        close(getattr(codes, name)(x, option), loss, low)
        (told,) = torch.autograd.grad(loss, t, torch.tensor(1.5, dtype=t.dtype))
        ours = getattr(codes, f"{name}_backward")(1.5, x, option)
        close(ours, told, low)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_on_the_engine_once_and_twice(name):
    x = numpy_generator(0).uniform(0.1, 0.9, size=(4, 3))
    operation = {"code_l1_penalty": codes._code_l1, "kl_sparsity": codes._kl}[name]

    def cost(x):
        return getattr(codes, name)(x, 0.2)

    t = Tensor(x, True)
    (first,) = grad(operation(t, 0.2), [t], create_graph=True)
    np.testing.assert_allclose(first.data, numeric_gradient(cost, x), atol=1e-7)
    backward = getattr(codes, f"{name}_backward")
    t2 = Tensor(x, True)
    operation(t2, 0.2).backward()
    np.testing.assert_array_equal(t2.grad.data, backward(1.0, x, 0.2))
    if name == "kl_sparsity":
        v = np.cos(np.arange(12.0)).reshape(4, 3)
        (second,) = grad((first * v).sum(), [t])

        def slope(x):
            return (backward(1.0, x, 0.2) * v).sum()

        np.testing.assert_allclose(second.data, numeric_gradient(slope, x), atol=1e-5)


def test_kl_is_the_divergence_of_two_coins():
    x = np.array([[0.1, 0.6], [0.3, 0.9]])
    naive = sum(entropy([0.05, 0.95], [p, 1 - p]) for p in (0.2, 0.75))
    np.testing.assert_allclose(codes.kl_sparsity(x), naive, rtol=1e-12)
    at_target = np.full((3, 2), 0.05)
    assert abs(codes.kl_sparsity(at_target)) < 1e-15
    slope = codes.kl_sparsity_backward(1.0, at_target)
    np.testing.assert_allclose(slope, 0, atol=1e-14)


def test_a_dead_unit_costs_infinity_as_in_torch():
    x = np.array([[0.0, 0.5], [0.0, 0.5]])
    assert codes.kl_sparsity(x) == np.inf == float(twin.kl_sparsity(torch.tensor(x)))
    assert (codes.kl_sparsity_backward(1.0, x)[:, 0] == -np.inf).all()
    assert codes.kl_sparsity(1 - x) == np.inf
    assert (codes.kl_sparsity_backward(1.0, 1 - x)[:, 0] == np.inf).all()


def test_no_slope_where_an_activation_is_zero():
    x = np.array([[0.0, -2.0]])
    np.testing.assert_array_equal(codes.code_l1_penalty_backward(1.0, x), [[0.0, -1]])


def test_active_fraction():
    x = np.array([[0.0, 0.1, -0.5, 2.0]])
    for threshold, share in ((0.0, 0.75), (0.1, 0.5), (0.5, 0.25), (2.0, 0.0)):
        for module, code in ((codes, x), (twin, torch.tensor(x))):
            assert module.active_fraction(code, threshold) == share


@given(
    st.sampled_from(["sigmoid", "relu"]),
    st.sampled_from(["kl", "l1"]),
    st.sampled_from([0.0, 0.4]),
    kinds,
)
def test_autoencoder(activation, penalty, strength, dtype):
    if activation == "relu":
        penalty = "l1"
    ours, theirs = twins("SparseAutoencoder", 4, 6, activation, dtype=dtype)
    x = numpy_generator(1).normal(size=(5, 4)).astype(dtype)
    t, low = torch.tensor(x), dtype == "f4"
    close(ours(x).data, theirs(t), low)
    close(ours.code(x).data, theirs.code(t), low)
    loss = ours.cost(x, strength, penalty, 0.1)
    told = theirs.cost(t, strength, penalty, 0.1)
    close(loss.data, told, low)
    loss.backward()
    told.backward()
    same_gradients(ours, theirs, low)


def test_cost_is_the_formula():
    net, _ = twins("SparseAutoencoder", 4, 6)
    x = numpy_generator(1).normal(size=(5, 4))
    error = ((net(x).data - x) ** 2).sum() / 10
    code = net.code(x).data
    sparse = codes.kl_sparsity(code, 0.2)
    np.testing.assert_allclose(net.cost(x, 3.0, "kl", 0.2).item(), error + 3 * sparse)
    absolute = np.abs(code).sum() / 5
    np.testing.assert_allclose(net.cost(x, 2.0, "l1").item(), error + 2 * absolute)


def test_a_penalty_on_activations_leaves_weights_dense():
    x = numpy_generator(0).normal(size=(60, 6))
    found = {}
    for strength in (0.0, 0.5):
        net, _ = twins("SparseAutoencoder", 6, 12, "relu")
        for _ in range(150):
            net.zero_grad()
            net.cost(x, strength, "l1").backward()
            for p in net.parameters():
                p.data -= 0.05 * p.grad.data
        found[strength] = codes.active_fraction(net.code(x).data)
        assert codes.active_fraction(net.encoder.weight.data) == 1
    assert found[0.5] < 0.5 * found[0.0]


# ---- matching pursuit ----------------------------------------------------------------


def dictionary(rng, size, atoms, unit=True):
    weight = rng.normal(size=(size, atoms))
    return weight / np.linalg.norm(weight, axis=0) if unit else weight


@given(seeds, st.integers(0, 4), st.integers(2, 7), st.integers(2, 9), st.data())
def test_omp_is_that_of_scikit_learn(seed, n, size, atoms, data):
    k = data.draw(st.integers(1, min(size, atoms)))
    rng = numpy_generator(seed)
    weight = dictionary(rng, size, atoms)
    x = rng.normal(size=(n, size))
    for omp in BOTH:
        code = omp(x, weight, k)
        assert code.shape == (n, atoms)
        assert ((code != 0).sum(axis=1) <= k).all()
        for row, h in zip(x, code, strict=True):
            told = orthogonal_mp(weight, row, n_nonzero_coefs=k)
            np.testing.assert_allclose(h, told, atol=1e-6 / 1e2)
    close(codes.omp(x, weight, k), twin.omp(*map(torch.tensor, (x, weight)), k))


def naive_omp(x, weight, k):
    """The definition, with every atom tried by least squares on what is left."""
    taken, left = [], x
    for _ in range(k):
        errors = []
        for j in range(weight.shape[1]):
            w = weight[:, j]
            h = w @ left / (w @ w)
            errors.append(((left - h * w) ** 2).sum())
        taken.append(int(np.argmin(errors)))
        h = np.linalg.pinv(weight[:, taken]) @ x
        left = x - weight[:, taken] @ h
    code = np.zeros(weight.shape[1])
    code[taken] = h
    return code


@given(seeds, st.integers(2, 6), st.integers(2, 8), kinds, st.data())
def test_omp_with_atoms_of_any_length(seed, size, atoms, dtype, data):
    k = data.draw(st.integers(1, min(size, atoms)))
    rng = numpy_generator(seed)
    weight, x = dictionary(rng, size, atoms, False), rng.normal(size=(3, size))
    naive = np.stack([naive_omp(row, weight, k) for row in x])
    for omp, told in zip(BOTH, (twin.omp, twin.omp_by_shared_products), strict=True):
        np.testing.assert_allclose(omp(x, weight, k), naive, atol=1e-8, rtol=1e-8)
        theirs = told(*map(torch.tensor, (x, weight)), k)
        np.testing.assert_allclose(naive, theirs, atol=1e-8, rtol=1e-8)
        low = omp(x.astype(dtype), weight.astype(dtype), k)
        assert low.dtype == dtype


def test_omp_of_float32_is_near_that_of_float64():
    rng = numpy_generator(0)
    weight, x = dictionary(rng, 16, 32), rng.normal(size=(9, 16))
    for omp in BOTH:
        low = omp(x.astype("f4"), weight.astype("f4"), 4)
        np.testing.assert_allclose(low, omp(x, weight, 4), atol=1e-5)


@pytest.mark.parametrize("omp", BOTH)
def test_orthonormal_atoms_are_recovered_exactly(omp):
    rng = numpy_generator(0)
    weight = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    code = np.zeros((20, 8))
    for row in code:
        row[rng.choice(8, 3, replace=False)] = rng.normal(size=3) + 3
    np.testing.assert_allclose(omp(code @ weight.T, weight, 3), code, atol=1e-12)
    np.testing.assert_allclose(omp(code @ weight.T, weight, 8), code, atol=1e-12)
    best = omp(code @ weight.T, weight, 1)  # the largest entry, and no other
    np.testing.assert_array_equal(best != 0, code == code.max(axis=1)[:, None])


@pytest.mark.parametrize("omp", BOTH)
def test_one_atom_is_the_best_of_all(omp):
    rng = numpy_generator(2)
    weight, x = dictionary(rng, 5, 9, False), rng.normal(size=(6, 5))
    code = omp(x, weight, 1)
    for row, h in zip(x, code, strict=True):
        errors = [
            np.linalg.lstsq(weight[:, list(some)], row, rcond=None)[1][0]
            for some in combinations(range(9), 1)
        ]
        np.testing.assert_allclose(((row - weight @ h) ** 2).sum(), min(errors))


@pytest.mark.parametrize("omp", [*BOTH, "twin", "twin_fast"])
def test_what_is_explained_needs_no_more_atoms(omp):
    weight = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])  # twice, and a 0
    x = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]])
    if isinstance(omp, str):
        f = {"twin": twin.omp, "twin_fast": twin.omp_by_shared_products}[omp]
        code = f(torch.tensor(x), torch.tensor(weight), 2).numpy()
    else:
        code = omp(x, weight, 2)
    told = [[0, 0, 0, 0], [3, 0, 0, 0], [3, 0, 0.5, 0]]
    np.testing.assert_allclose(code, told, atol=1e-12)


def test_the_shared_products_are_no_large_buffer():
    import tracemalloc

    rng = numpy_generator(0)
    weight, x = dictionary(rng, 16, 64), rng.normal(size=(3000, 16))
    tracemalloc.start()
    codes.omp_by_shared_products(x, weight, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 3000 * 64 * 8  # eight arrays of the codes' size


@given(seeds, st.integers(1, 3), kinds)
def test_learn_dictionary(seed, k, dtype):
    x = numpy_generator(seed).normal(size=(30, 4)).astype(dtype)
    how = {"k": k, "steps": 4}
    weight, errors = codes.learn_dictionary(x, 6, **how, rng=numpy_generator(1))
    assert weight.dtype == errors.dtype == dtype
    assert errors.shape == (4,)
    np.testing.assert_allclose(np.linalg.norm(weight, axis=0), 1, atol=1e-5)
    if k == 1:
        assert (np.diff(errors) < 1e-5).all()


def test_the_twin_learns_the_same_dictionary(monkeypatch):
    x = numpy_generator(0).normal(size=(40, 5))
    start = codes.first_atoms(5, 7, rng=numpy_generator(1))
    monkeypatch.setattr(twin, "first_atoms", lambda *_, rng: torch.tensor(start))
    for k in (1, 2):
        how = {"k": k, "steps": 5}
        ours = codes.learn_dictionary(x, 7, **how, rng=numpy_generator(1))
        told = twin.learn_dictionary(torch.tensor(x), 7, **how, rng=torch_generator(1))
        for a, b in zip(ours, told, strict=True):
            close(a, b)


def test_first_atoms():
    for module, rng in ((codes, numpy_generator(0)), (twin, torch_generator(0))):
        atoms = np.asarray(module.first_atoms(5, 7, rng=rng))
        assert atoms.shape == (5, 7)
        np.testing.assert_allclose((atoms**2).sum(axis=0), 1)


@pytest.mark.parametrize("f", BOTH)
@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e30), ("f8", 1e200)])
def test_pursuit_of_huge_and_of_tiny_inputs_and_atoms(f, dtype, size):
    for scale in (size, 1 / size):
        x, atoms = np.array([[3, 1]], dtype), np.array([[3, 4], [-4, 3]], dtype)
        scale = x.dtype.type(scale)
        with np.errstate(over="ignore"):  # lstsq squares what it leaves over
            code = f(x * scale, np.eye(2, dtype=dtype), 1)
        with np.errstate(all="raise", under="ignore"):
            unit, length = codes.unit_atoms(atoms * scale)
        np.testing.assert_allclose(code, [[3 * scale, 0]], rtol=1e-6)
        np.testing.assert_allclose(unit, atoms / 5, rtol=1e-6)
        np.testing.assert_allclose(length, [5 * scale] * 2, rtol=1e-6)
        for a, b in zip(
            (unit, length), twin.unit_atoms(torch.tensor(atoms * scale)), strict=True
        ):
            close(a, b, dtype == "f4")
        theirs = getattr(twin, f.__name__)
        close(
            code,
            theirs(torch.tensor(x * scale), torch.tensor(np.eye(2, dtype=dtype)), 1),
        )


def test_a_dictionary_of_inputs_that_are_all_0():
    x = np.zeros((3, 2))
    weight, errors = codes.learn_dictionary(x, 2, steps=2, rng=numpy_generator(0))
    np.testing.assert_allclose(np.linalg.norm(weight, axis=0), 1)
    assert errors.tolist() == [0, 0]


def test_a_numpy_strength_leaves_float32():
    net = codes.SparseAutoencoder(3, 2, rng=numpy_generator(0), dtype="f4")
    for penalty in ("kl", "l1"):
        cost = net.cost(np.ones((4, 3), "f4"), np.float64(0.1), penalty)
        assert cost.dtype == "f4"
