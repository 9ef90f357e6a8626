"""Ragged, masked and packed batches: against torch, and by their meaning."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import rnn as of_torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor
from dlbook_lib.recurrent.unfolding import layers_pytorch
from dlbook_lib.recurrent.unfolding import packing_pytorch as twin
from dlbook_lib.recurrent.unfolding.packing import (
    PackedSequence,
    as_lengths,
    masked_loss,
    masked_loss_backward,
    pack_padded_sequence,
    pack_sequence,
    packed_places,
    pad_packed_sequence,
    put_steps,
    put_steps_backward,
    ragged_batch,
    take_steps,
    take_steps_backward,
)


@st.composite
def batches(draw):
    """A padded batch, its lengths, and how it is packed."""
    t, n = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    features = draw(st.sampled_from([(), (1,), (2, 3)]))
    batch_first, is_sorted = draw(st.booleans()), draw(st.booleans())
    rng = numpy_generator(draw(st.integers(0, 99)))
    lengths = rng.integers(1, t + 1, n)
    lengths = np.sort(lengths)[::-1].copy() if is_sorted else lengths
    shape = ((n, t) if batch_first else (t, n)) + features
    dtype = draw(st.sampled_from(["f8", "f4"]))
    x = rng.normal(size=shape).astype(dtype)
    x = np.asfortranarray(x) if draw(st.booleans()) else x
    return x, lengths, batch_first, is_sorted, t + draw(st.integers(0, 2))


@given(batches())
def test_packing_there_and_back_is_torchs(case):
    x, lengths, batch_first, is_sorted, total = case
    ours = tensor(x.copy(), requires_grad=True)
    theirs = torch.tensor(x.copy(), requires_grad=True)
    options = batch_first, is_sorted
    packed = pack_padded_sequence(ours, lengths, *options)
    expected = of_torch.pack_padded_sequence(theirs, torch.tensor(lengths), *options)
    np.testing.assert_array_equal(packed.data.data, expected.data.detach())
    for a, b in zip(packed[1:], expected[1:], strict=True):
        assert (a is None) == (b is None)
        assert a is None or a.tolist() == b.tolist()
    back, lengths_back = pad_packed_sequence(packed, batch_first, 9.0, total)
    there, theirs_back = of_torch.pad_packed_sequence(expected, batch_first, 9.0, total)
    np.testing.assert_array_equal(back.data, there.detach())
    assert lengths_back.tolist() == theirs_back.tolist() == lengths.tolist()
    assert back.dtype == x.dtype
    dy = numpy_generator(1).normal(size=back.shape).astype(x.dtype)
    back.backward(dy)
    there.backward(torch.tensor(dy))
    np.testing.assert_array_equal(ours.grad.data, theirs.grad)
    times, rows = packed_places(packed.batch_sizes)
    for a, b in zip((times, rows), twin.packed_places(expected[1]), strict=True):
        assert a.tolist() == b.tolist()


def test_a_list_of_sequences_is_packed_as_torch_does():
    rng = numpy_generator(0)
    parts = [rng.normal(size=(n, 2)) for n in (2, 4, 1, 4)]
    theirs = [torch.tensor(p) for p in parts]
    packed, expected = pack_sequence(parts, False), twin.pack_sequence(theirs, False)
    for a, b in zip(packed, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(packed.data, np.ndarray)
    for batch_first in (False, True):
        ours = ragged_batch(parts, batch_first, -1.0)
        for a, b in zip(
            ours, twin.ragged_batch(theirs, batch_first, -1.0), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        padded = of_torch.pad_sequence(theirs, batch_first, -1.0)
        np.testing.assert_array_equal(ours[0], padded)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from(["f8", "f4"]),
)
def test_a_masked_loss_is_that_of_the_sequences(lengths, reduction, dtype):
    rng = numpy_generator(sum(lengths))
    parts = [rng.normal(size=n).astype(dtype) for n in lengths]
    x, mask = ragged_batch(parts, padding_value=99.0)
    every = np.concatenate(parts)
    alone = {"mean": every.mean(), "sum": every.sum()}
    found = masked_loss(x, mask, reduction)
    if reduction == "none":
        assert [found[:n, i].tolist() for i, n in enumerate(lengths)] == [
            p.tolist() for p in parts
        ]
        assert not found[~mask].any()
    else:
        np.testing.assert_allclose(found, alone[reduction], rtol=1e-5, atol=1e-5)
    theirs, real = torch.tensor(x, requires_grad=True), torch.tensor(mask)
    loss = twin.masked_loss(theirs, real, reduction)
    np.testing.assert_allclose(found, loss.detach(), rtol=1e-5, atol=1e-5)
    dy = rng.normal(size=loss.shape).astype(dtype)
    loss.backward(torch.tensor(dy))
    d = masked_loss_backward(dy, x, mask, reduction)
    np.testing.assert_allclose(d, theirs.grad, rtol=1e-6)
    assert d.dtype == x.dtype
    ours = tensor(x, requires_grad=True)
    register(masked_loss, masked_loss_backward)(ours, mask, reduction).backward(dy)
    np.testing.assert_array_equal(ours.grad.data, d)


def test_places_and_their_gradients():
    rng = numpy_generator(0)
    x, dy = rng.normal(size=(4, 3, 2)), rng.normal(size=(2, 2))
    first, second = np.array([3, 0]), np.array([1, 1])
    rows = take_steps(x, first, second)
    np.testing.assert_array_equal(rows, x[[3, 0], [1, 1]])
    d = take_steps_backward(dy, x, first, second)
    assert np.isclose((d * x).sum(), (dy * rows).sum())
    back = put_steps(rows, first, second, (4, 3), 7.0)
    assert (back == 7).sum() == 20
    np.testing.assert_array_equal(take_steps(back, first, second), rows)
    d = put_steps_backward(x, rows, first, second, (4, 3), 7.0)
    np.testing.assert_array_equal(d, rows)
    t = torch.tensor(x)
    np.testing.assert_array_equal(twin.take_steps(t, first, second), rows)
    theirs = twin.put_steps(torch.tensor(rows), first, second, (4, 3), 7.0)
    np.testing.assert_array_equal(theirs, back)
    assert twin.as_lengths([2, 1], 2).tolist() == as_lengths([2, 1], 2).tolist()


def test_a_recurrent_layer_takes_what_was_packed():
    assert twin.PackedSequence is of_torch.PackedSequence
    assert list(PackedSequence._fields) == list(of_torch.PackedSequence._fields)
    layer = layers_pytorch.TimeDelay(
        2, 3, 2, rng=torch_generator(0), dtype=torch.float32
    )
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_step_and_one_sequence(batch_first):
    packed = pack_padded_sequence(np.ones((1, 1, 2)), [1], batch_first)
    assert (packed.data.shape, packed.batch_sizes.tolist()) == ((1, 2), [1])
