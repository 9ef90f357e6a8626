"""Every function gives what its twin gives; the sharpness of the same network too."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.modules import CrossEntropyLoss
from dlbook_lib.optimization.loss_landscapes import pytorch as twin
from dlbook_lib.optimization.loss_landscapes import scratch
from tests.optimization.loss_landscapes.test_scratch import data, small_net

SEEDS = st.integers(0, 10**6)
CLOSE = {"f8": 1e-10, "f4": 2e-5}


def same(ours, theirs, dtype="f8"):
    if isinstance(ours, (tuple, list)):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, dtype)
        return
    theirs = np.asarray(theirs.detach() if torch.is_tensor(theirs) else theirs)
    assert np.shape(ours) == theirs.shape
    assert np.asarray(ours).dtype == theirs.dtype
    scale = abs(theirs[np.isfinite(theirs)]).max(initial=1)
    np.testing.assert_allclose(ours, theirs, CLOSE[dtype], CLOSE[dtype] * scale)


def both(name, *args, dtype="f8", **options):
    theirs = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    same(
        getattr(scratch, name)(*args, **options),
        getattr(twin, name)(*theirs, **options),
        dtype,
    )


@given(SEEDS, st.integers(1, 5), st.sampled_from(["f8", "f4"]))
def test_functions_of_arrays(seed, n, dtype):
    rng = numpy_generator(seed)

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    g = draw(n)
    same(*(sum(f.taylor_step(a, 2 * a, 0.3)) for f, a in pair(g)), dtype)
    for max_norm in (0.1, 10.0):
        both("clip_norm", draw(2, n), max_norm, dtype=dtype)
    both("clip_norm", np.zeros(n, dtype), 1.0, dtype=dtype)
    same(*(sum(f.path_length(a)) for f, a in pair(draw(4, n))), dtype)
    layers = draw(n, 3), draw(n), draw(2, n)
    both("permute_units", *layers, rng.permutation(n), dtype=dtype)
    both("rescale_units", *layers, np.exp(draw(n)), dtype=dtype)
    both("power_norms", draw(n, n), 6, dtype=dtype)
    W = draw(n, n)
    if np.linalg.cond(np.linalg.eig(W)[1]) < 20:
        both("power_from_eigenvalues", W, 3, dtype=dtype)


def pair(array):
    return (scratch, array), (twin, torch.tensor(array))


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_paths(max_norm):
    x, scale = np.array([2.0, -1.0]), np.array([1.0, 30.0])
    options = {"lr": 0.05, "steps": 20, "max_norm": max_norm}
    ours = scratch.descent_path(lambda x: scale * x**3, x, **options)
    tscale = torch.tensor(scale)
    theirs = twin.descent_path(lambda x: tscale * x**3, torch.tensor(x), **options)
    same(ours, theirs)


def test_numbers():
    for args in ((3,), (4, 2)):
        assert twin.equivalent_settings(*args) == scratch.equivalent_settings(*args)
    assert [twin.step_limit(c) for c in (4.0, 0.0)] == [0.5, np.inf]


def test_estimates_of_a_gradient():
    ours = scratch.inexact_gradient(lambda x: x, bias=0.5, rng=numpy_generator(0))
    rng = torch_generator(0)
    theirs = twin.inexact_gradient(lambda x: x, bias=0.5, rng=rng)
    same(ours(np.ones(3)), theirs(torch.ones(3, dtype=torch.float64)))
    noisy = twin.inexact_gradient(lambda x: x, noise=2.0, rng=rng)
    drawn = noisy(torch.zeros(10_000))
    assert abs(drawn.std() - 2) < 0.1
    assert abs(drawn.mean()) < 0.1


def test_random_matrices():
    rng = torch_generator(0)
    shares = [twin.saddle_statistics(n, 20_000, rng=rng) for n in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.5, 0.1464, 0.025], 0.1)


@settings(max_examples=10)
@given(SEEDS, st.sampled_from(["f8", "f4"]))
def test_curvature_and_slices_of_one_network(seed, dtype):
    rng = numpy_generator(seed)
    ours, (x, y) = small_net(rng, dtype), data(rng, dtype)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)
    ).to({"f8": torch.float64, "f4": torch.float32}[dtype])
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    tx, ty = torch.tensor(x), torch.tensor(y)

    def closure():
        return CrossEntropyLoss()(ours(x), y)

    def tclosure():
        return torch.nn.functional.cross_entropy(theirs(tx), ty)

    params, tparams = list(ours.parameters()), list(theirs.parameters())
    v = rng.normal(size=17).astype(dtype)
    product = scratch.hessian_product(closure(), params)(v)
    same(product, twin.hessian_product(tclosure(), tparams)(torch.tensor(v)), dtype)
    top = scratch.sharpness(closure(), params, 17, rng=rng)
    other = twin.sharpness(tclosure(), tparams, 17, rng=torch_generator(seed))
    np.testing.assert_allclose(top, other, 1e-8 if dtype == "f8" else 1e-4)
    d, e = ([rng.normal(size=p.shape).astype(dtype) for p in params] for _ in range(2))
    td, te = ([torch.tensor(a) for a in each] for each in (d, e))
    d, td = scratch.filter_normalized(d, params), twin.filter_normalized(td, tparams)
    same(d, td, dtype)
    at = np.array([-0.5, 0.0, 1.0], dtype)
    line = twin.loss_along(tclosure, tparams, td, torch.tensor(at))
    same(scratch.loss_along(closure, params, d, at), line, dtype)
    plane = twin.loss_plane(tclosure, tparams, td, te, torch.tensor(at))
    same(scratch.loss_plane(closure, params, d, e, at), plane, dtype)
    for p, q in zip(tparams, state.values(), strict=True):
        assert torch.equal(p, q)


def test_a_loss_that_is_linear():
    w = torch.ones(3, requires_grad=True)
    assert not twin.hessian_product(w.sum(), [w])(torch.ones(3)).any()
    assert twin.sharpness(w.sum(), [w], rng=torch_generator(0)) == 0
