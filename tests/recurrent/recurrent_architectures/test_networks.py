"""Both directions, deep blocks, films, sequence to sequence: torch, twins, loops."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.autodiff.modules import Linear
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.gated_units.layers import GRU, LSTM, GRUCell, LSTMCell
from dlbook_lib.recurrent.recurrent_architectures import layers_pytorch as twin
from dlbook_lib.recurrent.recurrent_architectures.layers import (
    BiRNN,
    DeepRNN,
    Layers,
    Seq2Seq,
    both_ways,
    over_frames,
)
from dlbook_lib.recurrent.recurrent_architectures.pytorch import (
    with_stop as torch_with_stop,
)
from dlbook_lib.recurrent.recurrent_architectures.scratch import with_stop


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def same_parameters(ours, theirs, rng):
    """Give both the same weights, by name."""
    assert set(ours.state_dict()) == set(theirs.state_dict())
    state = {
        k: torch.tensor(rng.normal(size=tuple(v.shape)) / 2)
        for k, v in theirs.state_dict().items()
    }
    theirs.load_state_dict(state)
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})


def same_gradients(ours, theirs):
    own = dict(ours.named_parameters())
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(own[name].grad.data, p.grad, atol=1e-10)


def test_both_ways_is_torchs_bidirectional_rnn():
    rng = numpy_generator(0)
    net = BiRNN(3, 4, 2, rng=rng)
    theirs = torch.nn.RNN(3, 4, bidirectional=True, dtype=torch.float64)
    state = {
        f"{name}_l0{end}": torch.tensor(getattr(cell, name).data)
        for end, cell in (("", net.forward_cell), ("_reverse", net.backward_cell))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    theirs.load_state_dict(state)
    x = rng.normal(size=(5, 2, 3))
    a, b = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = both_ways(net.forward_cell, net.backward_cell, a)
    z, _ = theirs(b)
    np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    z.backward(torch.tensor(dy))
    np.testing.assert_allclose(a.grad.data, b.grad, atol=1e-11)
    for name, p in theirs.named_parameters():
        cell = net.backward_cell if "reverse" in name else net.forward_cell
        own = getattr(cell, name.split("_l0")[0]).grad.data
        np.testing.assert_allclose(own, p.grad, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 4])
def test_birnn_is_its_twin_and_sees_what_is_ahead(steps):
    rng = numpy_generator(1)
    ours, theirs = BiRNN(3, 4, 2, rng=rng), twin.BiRNN(3, 4, 2, rng=torch.Generator())
    same_parameters(ours, theirs, rng)
    x = rng.normal(size=(steps, 2, 3))
    y, z = ours(x), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    same_gradients(ours, theirs)
    x[-1] += 1
    assert (ours(x).data[0] != y.data[0]).all()


def test_birnn_of_gated_cells():
    rng = numpy_generator(2)
    net = BiRNN(3, 4, 2, GRUCell, rng=rng, dtype="float32")
    whole = GRU(3, 4, bidirectional=True, rng=rng, dtype="float32")
    names = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    whole.load_state_dict(
        {
            f"{n}_l0{end}": getattr(cell, n).data
            for end, cell in (("", net.forward_cell), ("_reverse", net.backward_cell))
            for n in names
        }
    )
    x = rng.normal(size=(5, 2, 3)).astype("f4")
    y = both_ways(net.forward_cell, net.backward_cell, x)
    np.testing.assert_allclose(y.data, whole(x)[0].data, rtol=1e-5, atol=1e-6)
    assert net(x).dtype == np.float32


WHERE = [
    (),
    ("input",),
    ("transition",),
    ("output",),
    ("input", "transition", "output"),
]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_deep_rnn_is_its_twin_and_its_formula(where, depth, skip):
    if skip and "transition" not in where:
        return
    rng, options = numpy_generator(3), {"where": where, "depth": depth, "skip": skip}
    ours = DeepRNN(3, 4, 2, **options, rng=rng)
    theirs = twin.DeepRNN(3, 4, 2, **options, rng=torch.Generator())
    same_parameters(ours, theirs, rng)
    x = rng.normal(size=(3, 2, 3))
    y, z = ours(x), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.data, z.detach(), atol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    used = {n: p for n, p in theirs.named_parameters() if p.grad is not None}
    own = dict(ours.named_parameters())
    for name, p in used.items():
        np.testing.assert_allclose(own[name].grad.data, p.grad, atol=1e-10)
    s, h = ours.state_dict(), np.zeros((2, 4))
    for t in range(3):  # the formula, step by step
        e, old = x[t], h
        for i in range((depth - 1) * ("input" in where)):
            e = np.tanh(e @ s[f"input.{i}.weight"].T + s[f"input.{i}.bias"])
        h = e @ s["cell.weight_ih"].T + s["cell.bias_ih"] + s["cell.bias_hh"]
        h = np.tanh(h + old @ s["cell.weight_hh"].T)
        for i in range((depth - 1) * ("transition" in where)):
            a = h @ s[f"transition.{i}.weight"].T + s[f"transition.{i}.bias"]
            if skip and i == depth - 2:
                a += old @ s["skip.weight"].T
            h = np.tanh(a)
        o = h
        for i in range((depth - 1) * ("output" in where)):
            o = np.tanh(o @ s[f"hidden.{i}.weight"].T + s[f"hidden.{i}.bias"])
        o = o @ s["output.weight"].T + s["output.bias"]
        np.testing.assert_allclose(y.data[t], o, atol=1e-12)


def test_films():
    rng = numpy_generator(4)
    film, weight = rng.normal(size=(3, 2, 1, 4, 4)), rng.normal(size=(16, 5))
    y = over_frames(lambda x: x.reshape(len(x), 16) @ weight, film)
    z = twin.over_frames(
        lambda x: x.flatten(1) @ torch.tensor(weight), torch.tensor(film)
    )
    np.testing.assert_allclose(y, z, atol=1e-13)
    for t in range(3):
        np.testing.assert_allclose(y[t], film[t].reshape(2, 16) @ weight, atol=1e-13)
    x = tensor(film, requires_grad=True)
    over_frames(lambda x: x.reshape(6, 16) @ weight, x).sum().backward()
    assert x.grad.shape == film.shape


@given(st.data())
def test_what_a_decoder_is_told(data):
    steps, count = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 3))
    target = numpy_generator(0).integers(2, 9, (steps, count))
    lengths = None
    if data.draw(st.booleans()):
        lengths = [data.draw(st.integers(0, steps)) for _ in range(count)]
    given_, wanted, ends = with_stop(target, 0, 1, lengths)
    for ours, theirs in zip(
        (given_, wanted, ends),
        torch_with_stop(torch.tensor(target), 0, 1, lengths),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    for n in range(count):
        size = steps if lengths is None else lengths[n]
        said = target[:size, n].tolist()
        assert given_[: size + 1, n].tolist() == [0, *said]
        assert wanted[: size + 1, n].tolist() == [*said, 1]
        assert ends[n] == size + 1


KINDS = [
    (RNN, torch.nn.RNN),
    (GRU, torch.nn.GRU),
    (LSTM, torch.nn.LSTM),
    (partial(LSTM, proj_size=2), partial(torch.nn.LSTM, proj_size=2)),
]


@pytest.mark.parametrize(("kind", "theirs_kind"), KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_seq2seq_is_its_twin(kind, theirs_kind, layers):
    rng = numpy_generator(5)
    parts = [kind(n, 4, layers, rng=rng) for n in (3, 2)]
    ours = Seq2Seq(*parts, 6, 5, rng=rng)
    parts = [theirs_kind(n, 4, layers, dtype=torch.float64) for n in (3, 2)]
    theirs = twin.Seq2Seq(*parts, 6, 5, rng=torch.Generator())
    same_parameters(ours, theirs, rng)
    source, target = rng.integers(6, size=(5, 3)), rng.integers(2, 5, (4, 3))
    lengths, ends = [5, 2, 3], [1, 4, 0]
    a = ours.loss(source, target, lengths, ends)
    b = theirs.loss(*map(torch.tensor, (source, target)), lengths, ends)
    assert a.item() == pytest.approx(b.item(), abs=1e-12)
    a.backward()
    b.backward()
    same_gradients(ours, theirs)
    for options in {}, {"beam_size": 3}, {"beam_size": 4, "alpha": 1.0}:
        found = ours.translate(source[:, 0], max_length=6, **options)
        assert found == theirs.translate(source[:, 0], max_length=6, **options)


def test_the_loss_is_minus_the_log_probability_of_each_target_alone():
    """Padding counts for nothing, and the stop is a symbol like any other."""
    rng = numpy_generator(6)
    net = Seq2Seq(*(GRU(3, 4, rng=rng) for _ in range(2)), 6, 5, rng=rng)
    source, target = rng.integers(6, size=(5, 3)), rng.integers(2, 5, (4, 3))
    lengths, ends = [5, 2, 3], [1, 4, 0]
    totals = []
    for n in range(3):
        state, total, token = net.encode(source[: lengths[n], [n]]), 0.0, 0
        for wanted in [*target[: ends[n], n], 1]:
            log_probs, state = net.step(token, state)
            total += log_probs[wanted]
            token = wanted
        totals.append(-total)
    loss = net.loss(source, target, lengths, ends)
    assert loss.item() == pytest.approx(np.mean(totals), abs=1e-12)


def test_lists_are_read_from_both_ends():
    net, x = BiRNN(4, 3, 1, rng=numpy_generator(0)), np.ones((3, 2, 4))
    np.testing.assert_array_equal(net(x.tolist()).data, net(x).data)


def test_what_no_decoder_reads():
    nothing = np.zeros((2, 0), int)
    given, wanted, lengths = with_stop(nothing, 0, 1, nothing[0])
    assert given.shape == wanted.shape == (3, 0)
    assert lengths.shape == (0,)


@pytest.mark.slow
def test_seq2seq_learns_to_reverse():
    rng = numpy_generator(7)
    net = Seq2Seq(*(GRU(8, 24, rng=rng) for _ in range(2)), 5, 5, rng=rng)
    source = np.array(np.meshgrid(*[[2, 3, 4]] * 3)).reshape(3, -1)  # all 27 of them
    moment = [np.zeros(p.shape) for p in net.parameters()]
    for _ in range(120):
        net.zero_grad()
        loss = net.loss(source, source[::-1])
        loss.backward()
        for p, m in zip(net.parameters(), moment, strict=True):
            m *= 0.9
            m += 0.1 * p.grad.data
            p.data -= 0.3 * m
    right = [net.translate(s) == s[::-1].tolist() for s in source.T]
    assert np.mean(right) > 0.95


X = np.ones((3, 2, 4))
RNG = numpy_generator(0)
BAD = [
    (lambda: both_ways(None, None, X[0]), "both_ways: input must have 3 dimensions"),
    (lambda: BiRNN(0, 1, 1, rng=RNG), "RNNCellBase: input_size must be"),
    (lambda: BiRNN(1, 1, 1, rng=0), "RNNCellBase: rng must be"),
    (lambda: BiRNN(4, 1, 1, LSTMCell, rng=RNG)(X), "both_ways: cells must hand on one"),
    (lambda: BiRNN(4, 1, 1, "gru", rng=RNG), "BiRNN: cell must be a class"),
    (lambda: DeepRNN(1, 1, 1, ("in",), rng=RNG), "DeepRNN: where must be 'input'"),
    (lambda: DeepRNN(1, 1, 1, "input", rng=RNG), "DeepRNN: where must be a tuple"),
    (lambda: DeepRNN(1, 1, 1, depth=0, rng=RNG), "DeepRNN: depth must be"),
    (lambda: DeepRNN(1, 1, 1, skip=True, rng=RNG), "DeepRNN: skip goes round"),
    (lambda: DeepRNN(1, 1, 1, skip=3, rng=RNG), "DeepRNN: skip must be True"),
    (lambda: DeepRNN(4, 5, 1, rng=RNG)(X[0]), "DeepRNN.forward: input must have 3"),
    (lambda: Layers(3), "Layers: 3 is no Linear"),
    (lambda: over_frames(abs, np.ones(3)), "over_frames: input must be"),
    (lambda: with_stop([1, 2], 0, 1), "with_stop: target must be .T, N."),
    (lambda: with_stop([[1.0]], 0, 1), "with_stop: target must hold integer"),
    (lambda: with_stop([[1]], 0, 1, [2]), "with_stop: lengths must be 1 numbers"),
    (lambda: with_stop([[1]], -1, 1), "check_search: start must be"),
    (lambda: seq2seq(decoder=GRU(3, 5, rng=RNG)), "Seq2Seq: encoder and decoder diff"),
    (lambda: seq2seq(encoder=Linear(3, 4, rng=RNG)), "Seq2Seq: encoder must be recur"),
    (lambda: seq2seq(encoder=GRUCell(3, 4, rng=RNG)), "Seq2Seq: encoder must be recur"),
    (
        lambda: seq2seq(decoder=GRU(3, 4, batch_first=True, rng=RNG)),
        "Seq2Seq: decoder is batch_first, but sequences are",
    ),
    (lambda: seq2seq(dtype="f4"), "check_same_dtype: encoder holds float64"),
    (lambda: seq2seq(stop=0), "Seq2Seq: start 0 and stop 0 must differ"),
    (lambda: seq2seq(stop=9), "Seq2Seq: start 0 and stop 9 must differ"),
    (lambda: seq2seq(target_size=0), "Seq2Seq: target_size must be"),
    (lambda: seq2seq(source_size=1.0), "Seq2Seq: source_size must be"),
    (lambda: seq2seq(rng=None), "Seq2Seq: rng must be"),
    (lambda: seq2seq().translate([[2]]), "Seq2Seq.translate: source must be .T,."),
    (lambda: seq2seq().translate([0.5]), "Seq2Seq.translate: source must hold integer"),
]


def seq2seq(**changes):
    parts = {"encoder": GRU(3, 4, rng=RNG), "decoder": GRU(3, 4, rng=RNG)}
    sizes = {"source_size": 6, "target_size": 5, "rng": RNG}
    return Seq2Seq(**(parts | sizes | changes))


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
