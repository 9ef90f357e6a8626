"""Representations and weights that several uses share."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch.autograd import gradcheck
from torch.nn import functional

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.sparsity_and_sharing import codes, codes_pytorch, scratch
from dlbook_lib.regularization.sparsity_and_sharing import pytorch as twin

seeds = st.integers(0, 10_000)
kinds = st.sampled_from(["f8", "f4"])


def close(ours, theirs, low=False):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert np.shape(ours) == np.shape(theirs)
    assert np.asarray(ours).dtype == theirs.dtype
    rtol, atol = (2e-5, 2e-6) if low else (1e-10, 1e-10)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def twins(name, *sizes, dtype=None, **options):
    """The same network twice, with the weights of ours."""
    sparse = name == "SparseAutoencoder"
    numpy, torchs = (codes, codes_pytorch) if sparse else (scratch, twin)
    ours = getattr(numpy, name)(*sizes, rng=numpy_generator(3), dtype=dtype)
    kind = {None: torch.float64, "f8": torch.float64, "f4": torch.float32}[dtype]
    theirs = getattr(torchs, name)(*sizes, rng=torch_generator(3), dtype=kind)
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    return ours, theirs


def same_gradients(ours, theirs, low=False):
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad.data, q.grad, low)


@given(seeds, st.integers(2, 9), st.integers(1, 5), kinds, st.data())
def test_principal_components(seed, n, d, dtype, data):
    k = data.draw(st.integers(1, min(n, d)))
    x = numpy_generator(seed).normal(size=(n, d)).astype(dtype)
    mean, components = scratch.principal_components(x, k)
    if k < n:  # the n-th of n centred examples is noise
        low = dtype == "f4"
        for a, b in zip(
            (mean, components),
            twin.principal_components(torch.tensor(x), k),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=2e-3 if low else 1e-8)
        pca = PCA(k).fit(x)
        tolerance = 2e-3 if low else 1e-7
        np.testing.assert_allclose(
            np.abs(pca.components_), np.abs(components), atol=tolerance
        )
    assert mean.dtype == components.dtype == dtype
    np.testing.assert_allclose(components @ components.T, np.eye(k), atol=1e-5)
    assert (np.abs(components).max(axis=1) == components.max(axis=1)).all()


@given(seeds, st.integers(1, 5), st.integers(0, 4), kinds)
def test_hybrid_cost(seed, n, m, dtype):
    ours, theirs = twins("SemiSupervisedNet", 4, 3, 2, dtype=dtype)
    rng = numpy_generator(seed)
    x, more = (rng.normal(size=(k, 4)).astype(dtype) for k in (n, m))
    y = rng.integers(2, size=n)
    loss = scratch.hybrid_cost(ours, x, y, more, 0.3)
    told = twin.hybrid_cost(theirs, *map(torch.tensor, (x, y, more)), 0.3)
    low = dtype == "f4"
    close(loss.data, told, low)
    loss.backward()
    told.backward()
    same_gradients(ours, theirs, low)
    scores, back = ours(np.concatenate([x, more]))
    error = ((back.data - np.concatenate([x, more])) ** 2).sum(axis=1).mean() / 2
    plain = functional.cross_entropy(torch.tensor(scores.data[:n]), torch.tensor(y))
    np.testing.assert_allclose(loss.item(), float(plain) + 0.3 * error, rtol=1e-4)


def test_without_strength_nothing_reaches_the_decoder():
    net, _ = twins("SemiSupervisedNet", 4, 3, 2)
    x = np.ones((2, 4))
    scratch.hybrid_cost(net, x, [0, 1], x[:0], 0.0).backward()
    assert not net.decoder.weight.grad.data.any()
    assert net.encoder[0].weight.grad.data.any()


@given(seeds, st.integers(1, 5), st.booleans(), kinds)
def test_multitask_loss(seed, n, weighted, dtype):
    ours, theirs = twins("MultiTaskNet", 4, 6, [3, 2], dtype=dtype)
    rng = numpy_generator(seed)
    x = rng.normal(size=(n, 4)).astype(dtype)
    y = [rng.integers(c, size=n) for c in (3, 2)]
    weights = [0.25, 2.0] if weighted else None
    loss = scratch.multitask_loss(ours(x), y, weights)
    told = twin.multitask_loss(
        theirs(torch.tensor(x)), list(map(torch.tensor, y)), weights
    )
    low = dtype == "f4"
    close(loss.data, told, low)
    loss.backward()
    told.backward()
    same_gradients(ours, theirs, low)


def test_a_task_of_no_weight_leaves_its_head_alone_and_the_trunk_to_others():
    net, _ = twins("MultiTaskNet", 4, 6, [3, 2])
    x, y = np.ones((2, 4)), [[0, 2], [1, 0]]
    scratch.multitask_loss(net(x), y, [1.0, 0.0]).backward()
    alone = net.trunk[0].weight.grad.data.copy()
    assert not net.heads[1].weight.grad.data.any()
    net.zero_grad()
    scratch.multitask_loss([net(x)[0]], [y[0]]).backward()
    np.testing.assert_allclose(net.trunk[0].weight.grad.data, alone, atol=1e-15)


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(seeds, shapes, kinds)
def test_tie_penalty(seed, shape, dtype):
    rng = numpy_generator(seed)
    a, b = (np.asarray(rng.normal(size=shape), dtype) for _ in range(2))
    x, y = (torch.tensor(z, requires_grad=True) for z in (a, b))
    loss = twin.tie_penalty(x, y, 0.7)
    close(scratch.tie_penalty(a, b, 0.7), loss, dtype == "f4")
    told = torch.autograd.grad(loss, (x, y), torch.tensor(1.5, dtype=x.dtype))
    ours = scratch.tie_penalty_backward(1.5, a, b, 0.7)
    for g, t in zip(ours, told, strict=True):
        close(np.asarray(g), t, dtype == "f4")


def test_tied_weights_meet():
    tied = register(scratch.tie_penalty, scratch.tie_penalty_backward)
    a, b = Tensor(np.array([1.0, 2.0]), True), Tensor(np.array([3.0, -2.0]), True)
    tied(a, b, 0.5).backward()
    np.testing.assert_allclose(a.grad.data, [-2.0, 4.0])
    np.testing.assert_allclose(b.grad.data, [2.0, -4.0])
    middle = (a.data + b.data) / 2
    for _ in range(60):
        da, db = scratch.tie_penalty_backward(1.0, a.data, b.data, 0.5)
        a.data, b.data = a.data - 0.2 * da, b.data - 0.2 * db
    np.testing.assert_allclose(a.data, b.data, atol=1e-10)
    np.testing.assert_allclose(a.data, middle, atol=1e-10)


@given(seeds, shapes, st.integers(1, 4), st.integers(0, 4), kinds)
def test_slide(seed, batch, taps, extra, dtype):
    rng = numpy_generator(seed)
    x = rng.normal(size=(*batch, taps + extra)).astype(dtype)
    x = np.asfortranarray(x)
    w = rng.normal(size=taps).astype(dtype)
    ours = scratch.slide(x, w)
    dy = np.asarray(rng.normal(size=ours.shape), dtype)
    gradients = scratch.slide_backward(dy, x, w)
    assert all(g.dtype == dtype for g in (ours, *gradients))
    low = dtype == "f4"
    a, b = (torch.tensor(z, requires_grad=True) for z in (x, w))
    if x.size:
        told = twin.slide(a, b)
        close(ours, told, low)
        told = torch.autograd.grad(told, (a, b), torch.tensor(dy))
        for g, t in zip(gradients, told, strict=True):
            close(g, t, low)
    else:
        assert gradients[0].shape == x.shape
        assert not gradients[1].any()


def test_slide_is_a_linear_layer_with_equal_weights():
    w = np.array([1.0, -2.0, 0.5, 3.0])
    dense = scratch.slide(np.eye(9), w).T
    assert dense.shape == (6, 9)
    assert sorted(set(dense.ravel())) == [-2.0, 0.0, 0.5, 1.0, 3.0]
    x = numpy_generator(0).normal(size=(5, 9))
    np.testing.assert_allclose(scratch.slide(x, w), x @ dense.T, atol=1e-12)
    dy = np.cos(np.arange(30.0)).reshape(5, 6)

    def cost(w):
        return (scratch.slide(x, w) * dy).sum()

    told = numeric_gradient(cost, w)
    np.testing.assert_allclose(scratch.slide_backward(dy, x, w)[1], told, atol=1e-6)


def test_slide_on_the_engine():
    slide = register(scratch.slide, scratch.slide_backward)
    x, w = Tensor(np.arange(8.0).reshape(2, 4), True), Tensor(np.ones(2), True)
    slide(x, w).sum().backward()
    told = scratch.slide_backward(np.ones((2, 3)), x.data, w.data)
    np.testing.assert_array_equal(x.grad.data, told[0])
    np.testing.assert_array_equal(w.grad.data, told[1])


def test_the_twin_can_be_differentiated_twice():
    generator = torch_generator(0)
    x = torch.randn(2, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    w = torch.randn(3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert gradcheck(twin.slide, (x, w))


@pytest.mark.parametrize(
    ("name", "sizes"), [("SemiSupervisedNet", (4, 3, 2)), ("MultiTaskNet", (4, 3, [2]))]
)
def test_the_twins_start_within_the_same_bounds(name, sizes):
    ours, _ = twins(name, *sizes)
    fresh = getattr(twin, name)(*sizes, rng=torch_generator(1))
    pairs = zip(ours.parameters(), fresh.parameters(), strict=True)
    for p, q in pairs:
        assert p.shape == tuple(q.shape)
        assert float(q.detach().abs().max()) <= 3**-0.5
    again = getattr(twin, name)(*sizes, rng=torch_generator(1))
    pairs = zip(fresh.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


def test_numpy_strengths_leave_float32_and_float64_is_the_default():
    rng, x = numpy_generator(0), np.ones((2, 3), "f4")
    net = scratch.SemiSupervisedNet(3, 2, 2, rng=rng, dtype="f4")
    assert scratch.hybrid_cost(net, x, [0, 1], x, np.float64(0.1)).dtype == "f4"
    tasks = scratch.MultiTaskNet(3, 2, [2, 3], rng=rng, dtype="f4")
    loss = scratch.multitask_loss(tasks(x), [[0, 1], [2, 0]], list(np.ones(2)))
    assert loss.dtype == "f4"
    for module, make in ((scratch, numpy_generator), (twin, torch_generator)):
        net = module.MultiTaskNet(3, 2, [2], rng=make(0))
        assert {str(p.dtype).split(".")[-1] for p in net.parameters()} == {"float64"}
