"""Recursive networks: the naive recursion, gradients, depth, the twin."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor
from dlbook_lib.recurrent.recurrent_architectures import layers_pytorch
from dlbook_lib.recurrent.recurrent_architectures import pytorch as twin
from dlbook_lib.recurrent.recurrent_architectures.layers import RecursiveNet
from dlbook_lib.recurrent.recurrent_architectures.scratch import (
    balanced_tree,
    chain_tree,
    merges,
    recursive_states,
    recursive_states_backward,
    tree_depth,
)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


@st.composite
def trees(draw):
    """Any binary tree, with its leaves in any order."""
    parts = list(draw(st.permutations(range(draw(st.integers(1, 7))))))
    n = len(parts)
    while len(parts) > 1:
        i = draw(st.integers(0, len(parts) - 2))
        parts[i : i + 2] = [(parts[i], parts[i + 1])]
    return parts[0], n


def naive(tree, leaves, weight, bias):
    """The definition, by recursion."""
    if isinstance(tree, int):
        return leaves[tree]
    both = [naive(part, leaves, weight, bias) for part in tree]
    return np.tanh(weight @ np.concatenate(both) + bias)


@given(trees(), st.integers(1, 4), st.integers(0, 99), st.sampled_from(["f8", "f4"]))
def test_the_root_is_the_recursion_and_gradients_are_torchs(case, size, seed, dtype):
    (tree, n), rng = case, numpy_generator(seed)
    shapes = (n, size), (size, 2 * size), (size,)
    leaves, weight, bias = (rng.normal(size=s).astype(dtype) for s in shapes)
    states = recursive_states(leaves, tree, weight, bias)
    close = (
        {"rtol": 0, "atol": 1e-10} if dtype == "f8" else {"rtol": 1e-4, "atol": 1e-5}
    )
    assert states.shape == (2 * n - 1, size)
    assert states.dtype == dtype
    np.testing.assert_allclose(states[-1], naive(tree, leaves, weight, bias), **close)
    dy = rng.normal(size=states.shape).astype(dtype)
    args = [torch.tensor(x, requires_grad=True) for x in (leaves, weight, bias)]
    theirs = twin.recursive_states(args[0], tree, *args[1:])
    np.testing.assert_allclose(states, theirs.detach(), **close)
    theirs.backward(torch.tensor(dy))
    dleaves, nothing, *rest = recursive_states_backward(dy, leaves, tree, weight, bias)
    assert nothing is None
    for ours, t in zip((dleaves, *rest), args, strict=True):
        assert ours.dtype == dtype
        grad = np.zeros(t.shape) if t.grad is None else t.grad
        np.testing.assert_allclose(ours, grad, **close)
    np.testing.assert_array_equal(merges(tree), twin.merges(tree))
    assert tree_depth(tree) == twin.tree_depth(tree)


def test_complex_step_and_engine():
    rng = numpy_generator(0)
    tree = balanced_tree(5)
    args = [rng.normal(size=s) for s in ((5, 3), (3, 6), (3,))]
    full = [args[0], tree, *args[1:]]
    dy = rng.normal(size=(9, 3))
    found = recursive_states_backward(dy, *full)
    for i in (0, 2, 3):
        along = rng.normal(size=full[i].shape)
        moved = [*full[:i], full[i] + 1e-30j * along, *full[i + 1 :]]
        slope = (dy * recursive_states(*moved)).imag.sum() / 1e-30
        assert abs((found[i] * along).sum() - slope) < 1e-12
    ts = [tensor(x, requires_grad=True) if i != 1 else x for i, x in enumerate(full)]
    register(recursive_states, recursive_states_backward)(*ts).backward(dy)
    for i in (0, 2, 3):
        np.testing.assert_array_equal(ts[i].grad.data, found[i])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 100])
def test_depths(n):
    assert tree_depth(chain_tree(n)) == n - 1
    assert tree_depth(balanced_tree(n)) == int(np.ceil(np.log2(n)))
    assert chain_tree(n) == twin.chain_tree(n)
    assert balanced_tree(n) == twin.balanced_tree(n)


def test_leaves_may_be_numbers_of_numpy():
    tree = (np.int64(0), (np.int32(2), 1))
    assert merges(tree).tolist() == merges((0, (2, 1))).tolist()


def test_a_chain_of_thousands_needs_no_recursion():
    n, rng = 3000, numpy_generator(0)
    leaves, weight = rng.normal(size=(n, 2)), rng.normal(size=(2, 4)) * 0.3
    tree = chain_tree(n)
    dy = np.zeros((2 * n - 1, 2))
    dy[-1] = 1
    dleaves = recursive_states_backward(dy, leaves, tree, weight, np.zeros(2))[0]
    assert np.isfinite(dleaves).all()
    assert tree_depth(tree) == n - 1


def test_the_first_leaf_is_heard_through_a_balanced_tree_and_not_through_a_chain():
    n, rng = 64, numpy_generator(1)
    leaves, weight = rng.normal(size=(n, 4)), rng.normal(size=(4, 8)) * 0.3
    dy = np.zeros((2 * n - 1, 4))
    dy[-1] = 1
    size = {}
    for name, tree in ("chain", chain_tree(n)), ("balanced", balanced_tree(n)):
        dleaves = recursive_states_backward(dy, leaves, tree, weight, np.zeros(4))[0]
        size[name] = np.linalg.norm(dleaves[0])
    assert size["balanced"] > 1e6 * size["chain"]


def test_a_chain_is_a_recurrent_network():
    """With W = [U, V] the chain reads its leaves from left to right."""
    rng = numpy_generator(2)
    leaves, weight, bias = (rng.normal(size=s) for s in ((5, 3), (3, 6), 3))
    h = leaves[0]
    for x in leaves[1:]:
        h = np.tanh(weight[:, :3] @ h + weight[:, 3:] @ x + bias)
    states = recursive_states(leaves, chain_tree(5), weight, bias)
    np.testing.assert_allclose(states[-1], h, atol=1e-14)


def test_the_module_and_its_twin():
    ours = RecursiveNet(3, rng=numpy_generator(0))
    theirs = layers_pytorch.RecursiveNet(3, rng=torch.Generator())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    leaves, tree = numpy_generator(1).normal(size=(6, 3)), balanced_tree(6)
    y, z = ours(leaves, tree), theirs(torch.tensor(leaves), tree)
    np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for name, p in theirs.named_parameters():
        grad = dict(ours.named_parameters())[name].grad.data
        np.testing.assert_allclose(grad, p.grad, atol=1e-11)
