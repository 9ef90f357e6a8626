"""Back-propagation through time against torch and the twin: values, gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from dlbook_lib.recurrent.backpropagation_through_time import (
    layers,
    layers_pytorch,
    scratch,
)
from dlbook_lib.recurrent.backpropagation_through_time import pytorch as twin

TOLERANCE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}


@st.composite
def calls(draw):
    """Arguments of `rnn`, options, and a precision."""
    t, n, d, h = (draw(st.integers(1, 5)) for _ in range(4))
    rng = numpy_generator(draw(st.integers(0, 99)))
    dtype, first = draw(st.sampled_from(["f8", "f4"])), draw(st.booleans())
    shapes = (n, t, d) if first else (t, n, d), (n, h), (h, d), (h, h), (h,), (h,)
    args = [(rng.normal(size=s) / 2).astype(dtype) for s in shapes]
    if draw(st.booleans()):
        args[4:] = None, None
    return args, (draw(st.sampled_from(["tanh", "relu"])), first), dtype


@given(calls())
def test_rnn_and_its_gradients_are_torchs(call):
    args, options, dtype = call
    theirs = [None if a is None else torch.tensor(a, requires_grad=True) for a in args]
    expected = twin.rnn(*theirs, *options)
    dy = numpy_generator(1).normal(size=expected.shape).astype(dtype)
    found = scratch.rnn(*args, *options)
    np.testing.assert_allclose(found, expected.detach(), **TOLERANCE[dtype])
    leaves = [t for t in theirs if t is not None]
    gradients = torch.autograd.grad(expected, leaves, torch.tensor(dy))
    ours = scratch.rnn_backward(dy, *args, *options)
    for a, b in zip([g for g in ours if g is not None], gradients, strict=True):
        scale = max(1, b.abs().max().item())
        np.testing.assert_allclose(a / scale, b / scale, **TOLERANCE[dtype])


@given(calls(), st.booleans())
def test_parts_and_their_twins(call, reverse):
    args, (kind, first), dtype = call
    if first:
        args[0] = args[0].swapaxes(0, 1)
    theirs = [None if a is None else torch.tensor(a) for a in args]
    t, n, d = args[0].shape
    dy = numpy_generator(1).normal(size=(t, n, len(args[3]))).astype(dtype)

    def same(ours, theirs):
        for a, b in zip(ours, theirs, strict=True):
            scale = max(1, b.abs().max().item())
            np.testing.assert_allclose(a / scale, b / scale, **TOLERANCE[dtype])

    y = scratch.rnn(*args, kind)
    ours = scratch.score_gradients(dy, y, args[3], kind)
    tdy, ty = torch.tensor(dy), torch.tensor(y)
    same([ours], [twin.score_gradients(tdy, ty, theirs[3], kind)])
    ours = scratch.step_contributions(dy, *args, kind)
    same(ours, twin.step_contributions(tdy, *theirs, kind))
    sizes = [n] * (t - 1) + [1 if t > 1 else n]
    rows = args[0].reshape(t * n, d)[: sum(sizes)]
    dy, dend = dy.reshape(t * n, -1)[: len(rows)], args[1]
    results = []
    for package, kind_of in ((scratch, np.asarray), (twin, torch.tensor)):
        weights = tuple(kind_of(w) for w in args[2:] if w is not None)
        given = kind_of(rows), sizes, (kind_of(args[1]),), weights, reverse, kind
        output, ends, pull = package.rnn_inputs_in_one_product(*given)
        dx, dh, dw = pull(kind_of(dy), (kind_of(dend),))
        results.append([output, *ends, dx, *dh, *dw])
    same(*results)


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from(["f8", "f4"]),
)
def test_losses_of_sequences(t, n, c, reduction, dtype):
    rng = numpy_generator(t + 10 * n + 100 * c)
    scores = rng.normal(size=(t, n, c)).astype(dtype)
    target = rng.integers(c, size=(t, n))
    lengths = rng.integers(1, t + 1, n)
    close = TOLERANCE[dtype]
    tx = torch.tensor(scores, requires_grad=True)
    loss = twin.sequence_nll(tx, torch.tensor(target), lengths, reduction)
    dy = rng.normal(size=loss.shape).astype(dtype)
    (g,) = torch.autograd.grad(loss, tx, torch.tensor(dy))
    ours = scratch.sequence_nll(scores, target, lengths, reduction)
    np.testing.assert_allclose(ours, loss.detach(), **close)
    d = scratch.sequence_nll_backward(dy, scores, target, lengths, reduction)
    np.testing.assert_allclose(d, g, **close)
    sizes = [(lengths > i).sum() for i in range(lengths.max())]
    rows, labels = scores.reshape(-1, c)[: sum(sizes)], target.ravel()[: sum(sizes)]
    tx = torch.tensor(rows, requires_grad=True)
    loss = twin.packed_nll(tx, torch.tensor(labels), sizes, reduction)
    (g,) = torch.autograd.grad(loss, tx, torch.tensor(dy))
    ours = scratch.packed_nll(rows, labels, sizes, reduction)
    np.testing.assert_allclose(ours, loss.detach(), **close)
    d = scratch.packed_nll_backward(dy, rows, labels, sizes, reduction)
    np.testing.assert_allclose(d, g, **close)


def models(embedding, vocab_size=5, hidden_size=6):
    """A letter model and its twin with the same weights."""
    wide = 4 if embedding else vocab_size
    rng, trng = numpy_generator(0), torch_generator(0)
    ours = layers.RNN(wide, hidden_size, 2, rng=rng)
    ours = layers.CharRNN(ours, vocab_size, embedding, rng=rng)
    theirs = layers_pytorch.RNN(wide, hidden_size, 2, rng=trng)
    theirs = layers_pytorch.CharRNN(theirs, vocab_size, embedding, rng=trng)
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def of_classes(output, target):
    """The sum of the cross-entropies of all steps, of either kind of tensor."""
    if isinstance(output, torch.Tensor):
        of_torch = torch.nn.functional.cross_entropy
        return of_torch(output.flatten(0, 1), target.flatten(), reduction="sum")
    return cross_entropy(output.reshape(-1, output.shape[2]), target.ravel(), "sum")


@pytest.mark.parametrize("embedding", [False, True])
@pytest.mark.parametrize("k", [2, 99])
def test_letter_models_learn_alike(embedding, k):
    ours, theirs = models(embedding)
    letters = numpy_generator(1).integers(5, size=41)
    x, y = scratch.text_columns(letters, 4)
    tx, ty = twin.text_columns(torch.tensor(letters), 4)
    for _ in range(3):
        total, hx = scratch.bptt(ours, of_classes, x, y, k)
        ttotal, thx = twin.bptt(theirs, of_classes, tx, ty, k)
        assert abs(total - ttotal) < 1e-10
        np.testing.assert_allclose(hx.data, thx, atol=1e-10)
        named = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            np.testing.assert_allclose(p.grad.data, named[name].grad, atol=1e-10)
            p.data = p.data - 0.01 * p.grad.data
            named[name].data -= 0.01 * named[name].grad
        ours.zero_grad()
        theirs.zero_grad()
    bits = scratch.bits_per_character(ours(x)[0], y)
    assert abs(bits - twin.bits_per_character(theirs(tx)[0], ty)) < 1e-10
    text = scratch.sample(ours, x[:3, 0], 20, 0.0, rng=numpy_generator(0))
    theirs_text = twin.sample(theirs, tx[:3, 0], 20, 0.0, rng=torch_generator(0))
    assert text.tolist() == theirs_text.tolist()


def test_embeddings_are_torchs():
    rng = numpy_generator(0)
    weight, index = rng.normal(size=(7, 3)), rng.integers(7, size=(4, 5))
    dy = rng.normal(size=(4, 5, 3))
    tw = torch.tensor(weight, requires_grad=True)
    y = twin.embedding(torch.tensor(index), tw)
    np.testing.assert_array_equal(scratch.embedding(index, weight), y.detach())
    (g,) = torch.autograd.grad(y, tw, torch.tensor(dy))
    d = scratch.embedding_backward(dy, index, weight)[1]
    np.testing.assert_allclose(d, g, atol=1e-14)
    layer = layers.Embedding(7, 3, rng=rng)
    assert repr(layer) == repr(torch.nn.Embedding(7, 3))
    layer.load_state_dict({"weight": weight})
    layer(index).backward(dy)
    np.testing.assert_array_equal(layer.weight.grad.data, d)
    hot = tensor(scratch.one_hot(index, 7)) @ layer.weight
    np.testing.assert_array_equal(hot.data, layer(index).data)
    np.testing.assert_array_equal(
        twin.one_hot(torch.tensor(index), 7), scratch.one_hot(index, 7)
    )
    assert layers_pytorch.Embedding(7, 3, rng=torch_generator(0)).weight.shape == (7, 3)


def test_text_and_its_counts():
    text = "abracadabra"
    ours = scratch.encode(text, "abcdr")
    theirs = twin.encode(text, "abcdr")
    assert ours.tolist() == theirs.tolist()
    assert scratch.decode(ours, "abcdr") == twin.decode(theirs, "abcdr") == text
    bits = scratch.bigram_bits(ours, ours[:4], 5, 0.5)
    assert abs(bits - twin.bigram_bits(theirs, theirs[:4], 5, 0.5)) < 1e-12


def test_both_draw_with_the_same_probabilities():
    scores = np.array([0.0, 1.0, -1.0, 2.0])
    p = np.exp(scores / 0.7) / np.exp(scores / 0.7).sum()
    rng, trng = numpy_generator(0), torch_generator(0)
    ours = [scratch.draw(scores, 0.7, rng=rng) for _ in range(2000)]
    theirs = [twin.draw(torch.tensor(scores), 0.7, rng=trng) for _ in range(2000)]
    for drawn in ours, theirs:
        share = np.bincount(drawn, minlength=4) / 2000
        assert (abs(share - p) < 5 * np.sqrt(p * (1 - p) / 2000)).all()


def test_modules_start_between_the_same_bounds():
    ours = layers, numpy_generator(0), np.float32
    for module, rng, dtype in ours, (layers_pytorch, torch_generator(0), torch.float32):
        net = module.RNN(3, 16, 2, bidirectional=True, rng=rng, dtype=dtype)
        for p in net.parameters():
            largest = abs(np.asarray(p.data)).max()
            assert 0.15 < largest <= 0.25
            assert "float32" in str(p.dtype)
