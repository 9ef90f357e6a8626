"""Multi-head and additive attention as layers, against torch and their twins."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.applications.translation_and_attention import layers_pytorch
from dlbook_lib.applications.translation_and_attention import pytorch as twin
from dlbook_lib.applications.translation_and_attention.layers import (
    AdditiveAttention,
    MultiheadAttention,
    additive_mask,
)
from dlbook_lib.applications.translation_and_attention.scratch import (
    merge_heads,
    multi_head_attention,
    multi_head_attention_backward,
    padding_mask,
    projected,
    split_heads,
)
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import tensor

CLOSE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1.3e-6, "atol": 3e-5}}


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def both(rng, sizes, dtype, **options):
    """Ours and torch's with the same weights, loaded by name."""
    kind = {"f8": torch.float64, "f4": torch.float32}[dtype]
    ours = MultiheadAttention(*sizes, **options, rng=rng, dtype=dtype)
    theirs = torch.nn.MultiheadAttention(*sizes, **options, dtype=kind)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = {
        k: torch.tensor(rng.normal(size=v.shape).astype(dtype) / 2)
        for k, v in theirs.state_dict().items()
    }
    theirs.load_state_dict(state)
    ours.load_state_dict(state)
    return ours, theirs


@given(st.data())
def test_multi_head_attention_is_that_of_torch(data):
    draw = data.draw
    rng, dtype = (
        numpy_generator(draw(st.integers(0, 999))),
        draw(st.sampled_from(["f8", "f4"])),
    )
    heads, n, length, source = draw(st.tuples(*[st.integers(1, 3)] * 4))
    e = heads * draw(st.integers(1, 3))
    kdim, vdim = (draw(st.sampled_from([None, e, 2, 5])) for _ in range(2))
    first, batched, bias = draw(st.tuples(*[st.booleans()] * 3))
    options = {"bias": bias, "kdim": kdim, "vdim": vdim, "batch_first": first}
    ours, theirs = both(rng, (e, heads), dtype, **options)
    n = n if batched else 1

    def array(length, width):
        shape = (n, length, width) if first else (length, n, width)
        shape = shape if batched else (length, width)
        return rng.normal(size=shape).astype(dtype)

    arrays = array(length, e), array(source, kdim or e), array(source, vdim or e)
    masks, kind = {}, draw(st.sampled_from(["none", "bool", "float"]))
    if kind != "none":
        per_head = draw(st.booleans())
        shape = (n * heads, length, source) if per_head else (length, source)
        masks["attn_mask"] = rng.random(shape) < 0.3
        padding = rng.random((n, source)) < 0.3
        masks["key_padding_mask"] = padding if batched else padding[0]
    if kind == "float":
        masks = {k: rng.normal(size=m.shape).astype(dtype) for k, m in masks.items()}
    weights = {"need_weights": draw(st.booleans()), "average_attn_weights": True}
    weights["average_attn_weights"] = draw(st.booleans())
    xs = [tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, w = ours(*xs, **masks, **weights)
    z, u = theirs(*ts, **{k: torch.tensor(m) for k, m in masks.items()}, **weights)
    close = CLOSE[dtype]
    np.testing.assert_allclose(y.data, z.detach(), **close)
    assert y.dtype == dtype
    assert (w is None) == (u is None)
    dy = rng.normal(size=y.shape).astype(dtype)
    cost, their_cost = (y * dy).sum(), (z * torch.tensor(dy)).sum()
    if w is not None:
        np.testing.assert_allclose(w.data, u.detach(), **close)
        cost, their_cost = cost + (w * w).sum(), their_cost + (u * u).sum()
    cost.backward()
    their_cost.backward()
    own = dict(ours.named_parameters())
    found = [(t.grad, x.grad) for x, t in zip(xs, ts, strict=True)]
    found += [(p.grad, own[k].grad) for k, p in theirs.named_parameters()]
    for theirs_is, ours_is in found:
        assert ours_is.data.dtype == dtype
        top = max(1, np.nan_to_num(abs(theirs_is.numpy())).max())
        np.testing.assert_allclose(
            ours_is.data, theirs_is, rtol=close["rtol"], atol=close["atol"] * 4 * top
        )


def test_a_wholly_masked_sequence_is_nan_with_weights_and_0_without():
    rng = numpy_generator(0)
    ours, theirs = both(rng, (4, 2), "f8", batch_first=True)
    x, hidden = rng.normal(size=(2, 3, 4)), padding_mask([0, 2], 3)
    for need in (True, False):
        y, w = ours(x, x, x, hidden, need)
        z, u = theirs(*[torch.tensor(x)] * 3, torch.tensor(hidden), need)
        np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
        assert np.isnan(y.data[0]).all() == need
        if need:
            np.testing.assert_allclose(w.data, u.detach(), atol=1e-12)
        else:
            bias = ours.out_proj.bias.data
            np.testing.assert_allclose(y.data[0], np.tile(bias, (3, 1)), atol=1e-15)


@pytest.mark.parametrize("need", [True, False])
def test_a_tensor_is_the_mask_that_its_numbers_are(need):
    rng = numpy_generator(0)
    layer = MultiheadAttention(4, 2, rng=rng, dtype="f4")
    x, hidden = rng.normal(size=(3, 2, 4)).astype("f4"), np.triu(np.ones((3, 3)), 1)
    for mask in (hidden == 1, -9 * hidden):
        expected, _ = layer(x, x, x, need_weights=need, attn_mask=mask)
        given = tensor(mask, requires_grad=mask.dtype == float)
        y, _ = layer(x, x, x, need_weights=need, attn_mask=given)
        np.testing.assert_array_equal(y.data, expected.data)
        assert y.dtype == "f4"
    y.sum().backward()
    assert given.grad.dtype == float


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_mask_that_is_added_is_that_of_the_twin(dtype):
    kind = {"f8": torch.float64, "f4": torch.float32}[dtype]
    shape = {(2, 3): (1, 1, 2, 3)}
    for mask in numpy_generator(0).random((2, 3)), np.tri(2, 3, dtype=bool):
        ours = additive_mask(mask, "attn_mask", shape, dtype)
        theirs = layers_pytorch.additive_mask(mask, "attn_mask", shape, kind)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.numpy().dtype == dtype


def test_lists_are_arrays():
    layer, rng = MultiheadAttention(4, 2, rng=numpy_generator(0)), numpy_generator(1)
    for x in rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4)):
        expected, _ = layer(x, x, x)
        y, _ = layer(*[x.tolist()] * 3)
        np.testing.assert_array_equal(y.data, expected.data)


@given(st.data())
def test_the_pair_is_the_module_and_the_twin(data):
    rng = numpy_generator(data.draw(st.integers(0, 99)))
    heads = data.draw(st.integers(1, 3))
    n, length, source = data.draw(st.tuples(*[st.integers(0, 3)] * 3))
    e, biased = heads * 2, data.draw(st.booleans())
    module = MultiheadAttention(
        e, heads, bias=biased, kdim=3, vdim=5, batch_first=True, rng=rng
    )
    for p in module.parameters():
        p.data[...] = rng.normal(size=p.shape)
    x = [rng.normal(size=s) for s in ((n, length, e), (n, source, 3), (n, source, 5))]
    names = "q_proj_weight", "k_proj_weight", "v_proj_weight"
    params = [getattr(module, k) for k in names] + [module.out_proj.weight]
    params += [module.in_proj_bias, module.out_proj.bias]
    args = [*x, *(p if p is None else p.data for p in params), heads]
    y = multi_head_attention(*args)
    expected, _ = module(*x, need_weights=False)
    np.testing.assert_allclose(y, expected.data, atol=1e-12)
    dy = rng.normal(size=y.shape)
    expected.backward(dy)
    found = multi_head_attention_backward(dy, *args)
    for g, p in zip(found[3:9], params, strict=True):
        if p is not None:
            np.testing.assert_allclose(g, p.grad.data, atol=1e-11)
    tensors = [
        torch.tensor(a, requires_grad=True) if isinstance(a, np.ndarray) else a
        for a in args
    ]
    z = twin.multi_head_attention(*tensors)
    np.testing.assert_allclose(y, z.detach(), atol=1e-12)
    z.backward(torch.tensor(dy))
    for g, t in zip(found, tensors, strict=False):
        if isinstance(t, torch.Tensor):
            np.testing.assert_allclose(g, t.grad, atol=1e-11)


def test_heads_are_dealt_out_and_put_together():
    x = numpy_generator(0).normal(size=(2, 3, 6))
    for heads in (1, 2, 3, 6):
        parts, t = split_heads(x, heads), torch.tensor(x)
        np.testing.assert_array_equal(parts, twin.split_heads(t, heads))
        np.testing.assert_array_equal(merge_heads(parts), x)
        again = twin.merge_heads(twin.split_heads(t, heads))
        np.testing.assert_array_equal(again, x)
        for h in range(heads):
            width = 6 // heads
            part = x[..., h * width : (h + 1) * width]
            np.testing.assert_array_equal(parts[:, h], part)
    w, b = numpy_generator(1).normal(size=(3, 4, 6)), numpy_generator(2).normal(size=12)
    theirs = twin.projected([torch.tensor(x)] * 3, torch.tensor(w), torch.tensor(b))
    for a, t in zip(projected([x] * 3, list(w), b), theirs, strict=True):
        np.testing.assert_allclose(a, t, atol=1e-14)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_is_for_training_only(need_weights):
    x = numpy_generator(0).normal(size=(2, 50, 4))
    layer = MultiheadAttention(4, 2, 0.5, batch_first=True, rng=numpy_generator(1))
    still = MultiheadAttention(4, 2, 0.0, batch_first=True, rng=numpy_generator(1))
    expected = still(x, x, x, need_weights=need_weights)[0].data
    a, b = (layer(x, x, x, need_weights=need_weights)[0].data for _ in range(2))
    assert abs(a - b).max() > 1e-3
    got, weights = layer.eval()(x, x, x, need_weights=need_weights)
    np.testing.assert_array_equal(got.data, expected)
    if need_weights:
        np.testing.assert_allclose(weights.data.sum(-1), 1, atol=1e-12)
        weights = layer.train()(x, x, x, average_attn_weights=False)[1].data
        assert 0.45 < (weights == 0).mean() < 0.55


def test_it_starts_as_torchs():
    ours = MultiheadAttention(32, 4, kdim=8, rng=numpy_generator(0))
    for name, bound in ("q_proj_weight", 64), ("k_proj_weight", 40):
        top = abs(getattr(ours, name).data).max()
        assert 0.95 < top / (6 / bound) ** 0.5 <= 1
    packed = MultiheadAttention(32, 4, rng=numpy_generator(0)).in_proj_weight.data
    assert 0.95 < abs(packed).max() / (6 / 128) ** 0.5 <= 1
    assert 0.95 < abs(ours.out_proj.weight.data).max() * 32**0.5 <= 1
    assert not ours.in_proj_bias.data.any()
    assert not ours.out_proj.bias.data.any()
    theirs = layers_pytorch.MultiheadAttention(32, 4, kdim=8, rng=torch.Generator())
    for name, p in theirs.named_parameters():
        top = abs(ours.state_dict()[name]).max()
        assert abs(float(abs(p.detach()).max()) - top) < 0.05 * max(top, 1e-9)
    assert theirs.out_proj.weight.dtype == torch.float64
    names = inspect.signature(torch.nn.MultiheadAttention.forward).parameters
    assert set(inspect.signature(MultiheadAttention.forward).parameters) <= set(names)


def test_additive_attention_learns_as_its_twin():
    rng = numpy_generator(0)
    ours = AdditiveAttention(3, 4, 6, rng=rng)
    theirs = layers_pytorch.AdditiveAttention(3, 4, 6, rng=torch.Generator())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = [rng.normal(size=s) for s in ((2, 3, 3), (2, 5, 4), (2, 5, 2))]
    mask = ~padding_mask([5, 3])[:, None]
    y, w = ours(*x, mask)
    z, u = theirs(*map(torch.tensor, x), torch.tensor(mask))
    np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
    np.testing.assert_allclose(w.data, u.detach(), atol=1e-12)
    ((y * y).sum() + (w * w).sum()).backward()
    ((z * z).sum() + (u * u).sum()).backward()
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(
            dict(ours.named_parameters())[name].grad.data, p.grad, atol=1e-11
        )
    start = AdditiveAttention(3, 50, 60, rng=rng, dtype="f4")
    assert 0.95 < abs(start.key_weight.data).max() * 50**0.5 <= 1
    assert start.v.dtype == np.float32
    assert (
        start(*(a.astype("f4") for a in (x[0], np.ones((2, 5, 50)), x[2])))[0].dtype
        == np.float32
    )
