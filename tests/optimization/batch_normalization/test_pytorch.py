"""Normalisation against torch and the twin: values, gradients, state."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.batch_normalization import pytorch as twin
from dlbook_lib.optimization.batch_normalization import scratch

TOLERANCE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1.3e-6, "atol": 3e-5}}
NORMS = ["batch", "running", "instance", "instance running", "group", "layer"]


@st.composite
def calls(draw):
    """A norm, its arguments as arrays, the places of those that are differentiable."""
    kind = draw(st.sampled_from(NORMS))
    rng = numpy_generator(draw(st.integers(0, 999)))
    dtype = draw(st.sampled_from(["f8", "f4"]))
    low = 2 if kind == "batch" else 1
    places = draw(st.lists(st.integers(1, 3), max_size=3))
    if kind == "instance":
        places = [draw(st.integers(2, 4)), *places]
    n, groups, size = draw(st.integers(low, 4)), draw(st.integers(1, 3)), 2
    shape = (n, groups * size, *places)
    # two almost equal numbers and a small eps lose all digits that float32 has
    eps = 1e-2 if dtype == "f4" else draw(st.sampled_from([1e-5, 1e-2]))
    spread = draw(st.sampled_from([0.0, 0.1, 3.0]))  # 0: no variance at all

    def array(*shape, shift=0.0):
        return (rng.normal(size=shape) * spread + shift).astype(dtype)

    x = array(*shape, shift=1.0)
    if draw(st.booleans()):
        x = np.repeat(x, 2, axis=0)[::2]  # not contiguous
    c = shape[1]
    of = shape[-draw(st.integers(1, len(shape) - 1)) :] if kind == "layer" else (c,)
    w = rng.normal(size=of).astype(dtype) if draw(st.booleans()) else None
    b = rng.normal(size=of).astype(dtype) if draw(st.booleans()) else None
    stats = rng.normal(size=c).astype(dtype), rng.uniform(1, 2, c).astype(dtype)
    alpha = draw(st.sampled_from([0.1, 0.0, 1.0]))
    if kind in ("batch", "instance") and draw(st.booleans()):
        stats = None, None
    if kind == "group":  # torch refuses a bias without a weight
        b = None if w is None else b
        return "group_norm", (x, groups, w, b, eps), dtype
    if kind == "layer":
        return "layer_norm", (x, of, w, b, eps), dtype
    name = "batch_norm" if kind in ("batch", "running") else "instance_norm"
    own = kind in ("batch", "instance")
    return name, (x, *stats, w, b, own, alpha, eps), dtype


def as_torch(args, name):
    state = (1, 2) if name in ("batch_norm", "instance_norm") else ()
    return [
        torch.tensor(a, requires_grad=i not in state)
        if isinstance(a, np.ndarray)
        else a
        for i, a in enumerate(args)
    ]


@given(calls())
def test_values_gradients_and_state_are_those_of_torch(call):
    name, args, dtype = call
    close = TOLERANCE[dtype]
    theirs = as_torch(args, name)
    expected = getattr(torch.nn.functional, name)(*theirs)
    dy = numpy_generator(1).normal(size=expected.shape).astype(dtype)
    wanted = [t for t in theirs if isinstance(t, torch.Tensor) and t.requires_grad]
    gradients = iter(torch.autograd.grad(expected, wanted, torch.tensor(dy)))
    found = getattr(scratch, f"{name}_backward")(dy, *args)  # before the state moves
    got = getattr(scratch, name)(*args)
    np.testing.assert_allclose(got, expected.detach(), **close)
    for i, a in enumerate(args):
        if isinstance(a, np.ndarray) and theirs[i].requires_grad:
            g = next(gradients).numpy()
            # float32: the gradient grows as 1/std, and so does its rounding error
            scale = max(1, abs(g).max()) * (1 if dtype == "f8" else 10)
            np.testing.assert_allclose(
                found[i], g, rtol=close["rtol"], atol=close["atol"] * scale
            )
        elif isinstance(a, np.ndarray):
            np.testing.assert_allclose(a, theirs[i], **close)  # the running state


@given(
    st.lists(st.integers(2, 4), min_size=2, max_size=5),
    st.integers(0, 99),
    st.sampled_from(["f8", "f4"]),
)
def test_parts_and_their_twins(shape, seed, dtype):
    rng = numpy_generator(seed)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    w, b, mean, var = rng.uniform(0.5, 2, (4, shape[1])).astype(dtype)
    tx, tw, tb, tdy = map(torch.tensor, (x, w, b, dy))
    close = TOLERANCE[dtype]

    def same(ours, theirs):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **close)

    dim = tuple(range(len(shape)))[rng.integers(len(shape)) :]
    tx.requires_grad_()
    y = twin.standardize(tx, dim, 0.1)
    same(scratch.standardize(x, dim, 0.1), y)
    (dx,) = torch.autograd.grad(y, tx, tdy)
    same(scratch.standardize_backward(dy, x, dim, 0.1), dx)
    y = twin.affine(tx, tw.requires_grad_(), tb.requires_grad_())
    same(scratch.affine(x, w, b), y)
    theirs = torch.autograd.grad(y, (tx, tw, tb), tdy)
    for a, t in zip(scratch.affine_backward(dy, x, w, b), theirs, strict=True):
        np.testing.assert_allclose(a, t, rtol=1e-5 if dtype == "f4" else 1e-10)
    same(scratch.channelwise(w, x), twin.channelwise(tw, tx))
    tmean, tvar = torch.tensor(mean), torch.tensor(var)
    scratch.track_(mean, var, x, 0, 0.3)
    twin.track_(tmean, tvar, tx, 0, 0.3)
    same(mean, tmean)
    same(var, tvar)
    y, pull = scratch.batch_norm_by_channel(x, w, b, 0.1)
    ty, tpull = twin.batch_norm_by_channel(tx.detach(), tw.detach(), tb.detach(), 0.1)
    same(y, ty)
    for a, t in zip(pull(dy), tpull(tdy), strict=True):
        np.testing.assert_allclose(a, t, rtol=1e-5, atol=close["atol"] * 10)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("batch_norm", ((1, 3), None, None, None, None, True)),
        ("batch_norm", ((1, 3, 1, 1), None, None, None, None, True)),
        ("instance_norm", ((4, 3),)),
        ("instance_norm", ((4, 3, 1),)),
        ("group_norm", ((1, 3), 3)),
        ("group_norm", ((3, 2, 1), 4)),
    ],
)
def test_both_refuse_what_would_be_0_everywhere(name, args):
    shape, *rest = args
    with pytest.raises(ValueError, match=f"{name}: input .* must|{name}: input .* one"):
        getattr(scratch, name)(np.ones(shape), *rest)
    with pytest.raises((ValueError, RuntimeError)):
        getattr(torch.nn.functional, name)(torch.ones(shape), *rest)


@pytest.mark.parametrize("shape", [(2, 3), (1, 6), (1, 3, 2), (1, 1, 2)])
def test_both_take_what_is_just_enough(shape):
    for groups in (1, shape[1]):
        try:
            expected = torch.nn.functional.group_norm(torch.ones(shape), groups)
        except ValueError:
            continue
        got = scratch.group_norm(np.ones(shape), groups)
        np.testing.assert_array_equal(got, expected)
