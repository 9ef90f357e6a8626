"""Every surface: its derivatives by complex step, its twin, its minima, its hazard."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register
from dlbook_lib.optimization.loss_landscapes import surfaces, surfaces_pytorch
from dlbook_lib.optimization.loss_landscapes.scratch import descent_path, path_length
from dlbook_lib.optimization.loss_landscapes.surfaces import LANDSCAPES, Landscape
from tests.feedforward.bad_input import Call, Floats, not_described, refuses
from tests.structure.test_twins import differences

each = pytest.mark.parametrize("name", LANDSCAPES)


def points(seed, *shape):
    return numpy_generator(seed).uniform(-3, 3, (*shape, 2))


@each
@given(seed=st.integers(0, 10**6))
def test_derivatives_by_complex_step(name, seed):
    surface, at = LANDSCAPES[name], points(seed, 4)
    gradient, hessian = surface.gradient(at), surface.hessian(at)
    for i in range(2):
        step = 1e-30j * np.eye(2)[i]
        slope = surface(at + step).imag / 1e-30
        np.testing.assert_allclose(gradient[:, i], slope, 1e-10, 1e-10)
        bend = surface.gradient(at + step).imag / 1e-30
        np.testing.assert_allclose(hessian[:, i], bend, 1e-10, 1e-9)
        np.testing.assert_allclose(hessian[:, :, i], bend, 1e-10, 1e-9)


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [("f8", 1e-10), ("f4", 3e-4)])
def test_the_twin_derives_the_same(name, dtype, tolerance):
    ours, theirs = LANDSCAPES[name], surfaces_pytorch.LANDSCAPES[name]
    at = points(1, 3, 5).astype(dtype)
    there = torch.tensor(at)
    for mine, other in [
        (ours(at), theirs(there)),
        (ours.gradient(at), theirs.gradient(there)),
        (ours.hessian(at), theirs.hessian(there)),
    ]:
        assert mine.dtype == dtype
        scale = 1 + abs(mine).max() if dtype == "f4" else 1
        np.testing.assert_allclose(mine, other.detach(), tolerance, tolerance * scale)
    assert (ours.start, ours.minima) == (theirs.start, theirs.minima)


def test_the_twins_have_the_same_names():
    assert not list(differences(surfaces, surfaces_pytorch))
    assert LANDSCAPES.keys() == surfaces_pytorch.LANDSCAPES.keys()


@each
def test_minima_are_flat_curve_up_and_lie_below_the_start(name):
    surface = LANDSCAPES[name]
    for minimum in surface.minima:
        at = np.array(minimum)
        np.testing.assert_allclose(surface.gradient(at), 0, atol=1e-5)
        assert np.linalg.eigvalsh(surface.hessian(at)).min() > -1e-12
        assert surface(at) < surface(np.array(surface.start))


@each
def test_on_the_engine(name):
    surface, at = LANDSCAPES[name], points(2, 3)
    operation = register(
        lambda x: surface(x), lambda dy, x: dy[..., None] * surface.gradient(x)
    )
    x = Tensor(at, requires_grad=True)
    operation(x).backward(np.array([1.0, 2.0, 3.0]))
    wanted = surface.gradient(at) * [[1], [2], [3]]
    np.testing.assert_allclose(x.grad.data, wanted, 1e-12)


@each
def test_shapes(name):
    surface = LANDSCAPES[name]
    for batch in [(), (0,), (2, 3)]:
        at = points(0, *batch)
        assert surface(at).shape == batch
        assert surface.gradient(at).shape == (*batch, 2)
        assert surface.hessian(at).shape == (*batch, 2, 2)
        at = points(0, 2, 2)[::-1, 1]
        np.testing.assert_array_equal(surface.hessian(at), surface.hessian(at.copy()))


@each
def test_far_away_nothing_overflows(name):
    with np.errstate(all="raise", under="ignore"):
        for at in ([30.0, -40.0], [-1e4, 1e4], [1e4, 1e4]):
            at = np.array(at)
            for y in (f(at) for f in (LANDSCAPES[name], LANDSCAPES[name].hessian)):
                assert np.isfinite(y).all()


def walk(name, lr, steps, **options):
    surface = LANDSCAPES[name]
    path = descent_path(surface.gradient, surface.start, lr=lr, steps=steps, **options)
    return path, surface(path)


def test_the_hazards():
    path, _ = walk("saddle", 0.1, 60)
    assert abs(path[:, 0]).argmin() > 10
    assert abs(path[-1, 1]) > 10  # it leaves
    _, heights = walk("plateau", 1.0, 300)
    assert heights[0] - heights[10] < 0.01 < 0.4 < heights[0] - heights[-1]
    thrown, _ = walk("cliff", 0.5, 12)
    clipped, _ = walk("cliff", 0.5, 12, max_norm=1.0)
    assert abs(thrown[:, 0]).max() > 5 > 1.5 > abs(clipped[:, 0]).max()
    _, heights = walk("rastrigin", 1e-3, 500)
    assert heights[-1] > 5
    length, distance = path_length(walk("ridge", 0.1, 400)[0])
    assert length > 1.2 * distance
    assert len({tuple(np.sign(m)) for m in LANDSCAPES["two_layers"].minima}) == 2


def test_a_surface_of_the_readers_own():
    surface = Landscape(
        lambda x, y: x * y,
        lambda x, y: (y, x),
        lambda x, y: (0.0, 1.0, 0.0),
        (1.0, 1.0),
    )
    at = np.array([2.0, 3.0], "f4")
    assert surface.hessian(at).tolist() == [[0, 1], [1, 0]]
    assert surface.hessian(at).dtype == np.float32


CALLS = [Call(LANDSCAPES["bowl"].__call__, point=Floats(..., 2))]
CALLS += [Call(LANDSCAPES["bowl"].coordinates, point=Floats(..., 2))]
CALLS += [Call(LANDSCAPES["bowl"].gradient, point=Floats(..., 2))]
CALLS += [Call(LANDSCAPES["bowl"].hessian, point=Floats(..., 2))]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(surfaces, CALLS) == set()


def test_derivatives_must_be_functions():
    with pytest.raises(TypeError, match="Landscape: slopes must be a function"):
        Landscape(lambda x, y: x, (1.0, 0.0), lambda x, y: (0, 0, 0), (0.0, 0.0))
