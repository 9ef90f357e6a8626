"""Back-propagation through time in NumPy: definitions, gradients, engine, precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register, tensor
from dlbook_lib.feedforward.output_units.scratch import log_softmax
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    bptt,
    detached,
    packed_nll,
    packed_nll_backward,
    rnn,
    rnn_backward,
    rnn_inputs_in_one_product,
    score_gradients,
    sequence_nll,
    sequence_nll_backward,
    step_contributions,
)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def arrays(seed, t=5, n=3, d=2, h=4, dtype="f8"):
    """Input, state, and the four weights of a layer."""
    rng = numpy_generator(seed)
    shapes = (t, n, d), (n, h), (h, d), (h, h), (h,), (h,)
    return [rng.normal(size=s).astype(dtype) for s in shapes]


kinds = pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])


@kinds
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("biased", [True, False])
def test_gradients_are_those_of_small_steps(nonlinearity, batch_first, biased):
    args = arrays(1)
    args[4:] = args[4:] if biased else [None, None]
    args[0] = args[0].swapaxes(0, 1) if batch_first else args[0]
    options = nonlinearity, batch_first
    rng = numpy_generator(2)
    dy = rng.normal(size=rnn(*args, *options).shape)
    found = rnn_backward(dy, *args, *options)
    for i, x in enumerate(args):
        if x is None:
            assert found[i] is None
            continue
        along, step = rng.normal(size=x.shape), 1e-6
        high, low = (
            rnn(*args[:i], x + s * along, *args[i + 1 :], *options)
            for s in (step, -step)
        )
        slope = (dy * (high - low)).sum() / (2 * step)
        assert found[i].shape == x.shape
        np.testing.assert_allclose((found[i] * along).sum(), slope, rtol=1e-6)


@kinds
def test_one_step_back_is_the_formula(nonlinearity):
    args = arrays(3, n=1)
    h = rnn(*args, nonlinearity)[:, 0]
    dy, w = numpy_generator(4).normal(size=h.shape), args[3]
    da = score_gradients(dy[:, None], h[:, None], w, nonlinearity)[:, 0]
    slope = 1 - h**2 if nonlinearity == "tanh" else h > 0
    np.testing.assert_allclose(da[-1], np.diag(slope[-1]) @ dy[-1], atol=1e-14)
    for t in range(len(h) - 1):
        dh = w.T @ da[t + 1] + dy[t]
        np.testing.assert_allclose(da[t], np.diag(slope[t]) @ dh, atol=1e-13)


@kinds
def test_contributions_of_the_steps_add_up(nonlinearity):
    args = arrays(5)
    dy = numpy_generator(6).normal(size=(5, 3, 4))
    terms = step_contributions(dy, *args, nonlinearity)
    _, _, *sums, db = rnn_backward(dy, *args, nonlinearity)
    assert [x.shape for x in terms] == [(5, 4, 2), (5, 4, 4), (5, 4)]
    for term, total in zip(terms, [*sums[:2], db], strict=True):
        np.testing.assert_allclose(term.sum(axis=0), total, atol=1e-12)


def test_on_the_engine_the_gradients_are_the_same():
    args = arrays(7)
    tensors = [tensor(x, requires_grad=True) for x in args]
    y = register(rnn, rnn_backward)(*tensors)
    dy = numpy_generator(8).normal(size=y.shape)
    y.backward(dy)
    for t, g in zip(tensors, rnn_backward(dy, *args), strict=True):
        np.testing.assert_array_equal(t.grad.data, g)


@given(
    st.lists(st.integers(1, 5), min_size=5, max_size=5),
    st.booleans(),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
)
def test_all_inputs_in_one_product_is_the_same_network(sizes, back, kind, biased):
    t, n, d, h, seed = sizes
    x, h0, *weights = arrays(seed, t, n, d, h)
    weights = weights if biased else weights[:2]
    given = x[::-1] if back else x
    rng = numpy_generator(seed)
    dy, dend = rng.normal(size=(t, n, h)), rng.normal(size=(n, h))
    expected = rnn(given, h0, *weights, nonlinearity=kind)
    last = np.concatenate([np.zeros((t - 1, n, h)), dend[None]])
    gradients = rnn_backward(
        (dy[::-1] if back else dy) + last, given, h0, *weights, nonlinearity=kind
    )
    output, ends, pull = rnn_inputs_in_one_product(
        x.reshape(t * n, d), [n] * t, (h0,), tuple(weights), back, kind
    )
    output = output.reshape(t, n, h)
    np.testing.assert_allclose(output[::-1] if back else output, expected, atol=1e-12)
    np.testing.assert_allclose(ends[0], expected[-1], atol=1e-12)
    for _ in range(2):  # it may run again
        dx, (dh,), dweights = pull(dy.reshape(t * n, h), (dend,))
        dx = dx.reshape(t, n, d)
        found = [dx[::-1] if back else dx, dh, *dweights]
        for a, b in zip(found, gradients[: len(found)], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_rows_of_different_lengths_are_those_of_each_sequence_alone():
    x, h0, *weights = arrays(9, t=4)
    lengths, dtype = [4, 2, 1], x.dtype
    rows = np.concatenate([x[t, : sum(n > t for n in lengths)] for t in range(4)])
    for back in (False, True):
        output, (end,), pull = rnn_inputs_in_one_product(
            rows, [3, 2, 1, 1], (h0,), tuple(weights), back
        )
        places = [[0, 3, 5, 6], [1, 4], [2]]
        dx, (dh,), dw = pull(np.ones_like(output), (np.zeros_like(h0),))
        total = np.zeros(weights[1].shape, dtype)
        for i, (length, at) in enumerate(zip(lengths, places, strict=True)):
            alone = x[:length, i : i + 1][:: -1 if back else 1]
            args = alone, h0[i : i + 1], *weights
            states = rnn(*args)
            expected = states[:: -1 if back else 1, 0]
            np.testing.assert_allclose(output[at], expected, atol=1e-12)
            np.testing.assert_allclose(end[i], states[-1, 0], atol=1e-12)
            d = rnn_backward(np.ones_like(states), *args)
            back_dx = d[0][:: -1 if back else 1, 0]
            np.testing.assert_allclose(dx[at], back_dx, atol=1e-12)
            np.testing.assert_allclose(dh[i], d[1][0], atol=1e-12)
            total += d[3]
        np.testing.assert_allclose(dw[1], total, atol=1e-12)


def test_float32_stays_float32():
    args = arrays(10, dtype="f4")
    y = rnn(*args)
    results = [y, *rnn_backward(y, *args), *step_contributions(y, *args)]
    x, h0, *weights = args
    rows, ends, pull = rnn_inputs_in_one_product(
        x.reshape(15, 2), [3] * 5, (h0,), tuple(weights)
    )
    dx, dh, dw = pull(rows, ends)
    results += [rows, *ends, dx, *dh, *dw]
    target = np.zeros((5, 3), int)
    results += [sequence_nll(y, target, reduction="none")]
    results += [sequence_nll_backward(1.0, y, target, [5, 4, 1])]
    results += [packed_nll(rows, target.ravel(), [3] * 5, "none")]
    results += [packed_nll_backward(1.0, rows, target.ravel(), [3] * 5)]
    assert {r.dtype.str for r in results} == {"<f4"}


def test_an_empty_batch_gives_empty_states():
    args = arrays(11, n=0)
    y = rnn(*args)
    assert y.shape == (5, 0, 4)
    shapes = [g.shape for g in rnn_backward(y, *args)]
    assert shapes == [x.shape for x in args]


def test_the_loss_of_a_sequence_by_hand():
    rng = numpy_generator(12)
    scores, target = rng.normal(size=(4, 3, 5)), rng.integers(5, size=(4, 3))
    lengths = [4, 2, 1]
    log_p = log_softmax(scores, -1)
    expected = [
        -sum(log_p[t, i, target[t, i]] for t in range(n)) for i, n in enumerate(lengths)
    ]
    target[2:, 1] = 99  # what stands after the end does not matter
    found = sequence_nll(scores, target, lengths, "none")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isclose(sequence_nll(scores, target, lengths), np.mean(expected))
    assert np.isclose(sequence_nll(scores, target, lengths, "sum"), np.sum(expected))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_of_the_loss_of_sequences(reduction):
    rng = numpy_generator(13)
    scores, target = rng.normal(size=(4, 3, 5)), rng.integers(5, size=(4, 3))
    lengths, along = [4, 2, 1], rng.normal(size=(4, 3, 5))
    dy = rng.normal(size=3) if reduction == "none" else 0.7
    options = target, lengths, reduction
    d = sequence_nll_backward(dy, scores, *options)
    high, low = (sequence_nll(scores + s * along, *options) for s in (1e-6, -1e-6))
    slope = np.sum(dy * (high - low)) / 2e-6
    np.testing.assert_allclose((d * along).sum(), slope, rtol=1e-7)
    rows = [(t, i) for t in range(4) for i in range(3) if t < lengths[i]]
    at = tuple(np.array(rows).T)
    sizes = [3, 2, 1, 1]
    packed = scores[at], target[at], sizes, reduction
    np.testing.assert_allclose(packed_nll(*packed), sequence_nll(scores, *options))
    np.testing.assert_allclose(packed_nll_backward(dy, *packed), d[at], atol=1e-15)
    assert not d[2:, 1:].any()


def test_losses_on_the_engine():
    rng = numpy_generator(14)
    scores, target = rng.normal(size=(4, 3, 5)), rng.integers(5, size=(4, 3))
    x = tensor(scores, requires_grad=True)
    register(sequence_nll, sequence_nll_backward)(x, target, [4, 2, 1]).backward()
    d = sequence_nll_backward(1.0, scores, target, [4, 2, 1])
    np.testing.assert_array_equal(x.grad.data, d)
    x = tensor(scores.reshape(12, 5), requires_grad=True)
    sizes = [3] * 4
    register(packed_nll, packed_nll_backward)(x, target.ravel(), sizes).backward()
    d = packed_nll_backward(1.0, scores.reshape(12, 5), target.ravel(), sizes)
    np.testing.assert_array_equal(x.grad.data, d)


def squared(output, target):
    return ((output - target) ** 2).sum()


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_truncated_gradients_are_those_of_the_pieces(k):
    x, h0, *weights = arrays(15)
    net = RNN(2, 4, rng=numpy_generator(0))
    net.load_state_dict(dict(zip(net.state_dict(), weights, strict=True)))
    goal = numpy_generator(16).normal(size=(5, 3, 4))
    total, hx = bptt(net, squared, x, goal, k, h0[None])
    assert isinstance(hx, Tensor)
    assert not hx.requires_grad
    states = rnn(x, h0, *weights)
    assert np.isclose(total, ((states - goal) ** 2).sum())
    np.testing.assert_allclose(hx.data[0], states[-1], atol=1e-12)
    expected, start = [0] * 4, h0
    for a in range(0, 5, k):
        dy = 2 * (states[a : a + k] - goal[a : a + k])
        d = rnn_backward(dy, x[a : a + k], start, *weights)
        expected = [e + g for e, g in zip(expected, d[2:], strict=True)]
        start = states[min(a + k, 5) - 1]
    for p, g in zip(net.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad.data, g, atol=1e-10)


def test_a_tuple_of_states_is_detached_one_by_one():
    h = tensor(np.ones(2), requires_grad=True)
    assert [x.requires_grad for x in detached((h, h * 2))] == [False, False]


def test_memory_of_the_backward_pass_grows_as_the_sequence():
    import tracemalloc

    def peak(t):
        x, h0, *weights = arrays(0, t=t, n=16, d=32, h=32, dtype="f4")
        tracemalloc.start()
        output, ends, pull = rnn_inputs_in_one_product(
            x.reshape(t * 16, 32), [16] * t, (h0,), tuple(weights)
        )
        pull(output, ends)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / x.nbytes

    assert peak(100) < 4.5  # output, its slope, the states before, the input's gradient
    assert peak(400) < 4.5


def test_the_same_numbers_whatever_the_layout():
    args = arrays(17)
    odd = [np.repeat(x, 2, axis=0)[::2] for x in args]
    odd = [np.asfortranarray(x) for x in odd]
    dy = numpy_generator(1).normal(size=(5, 3, 4))
    np.testing.assert_allclose(rnn(*odd), rnn(*args), atol=1e-14)
    for a, b in zip(rnn_backward(dy, *odd), rnn_backward(dy, *args), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
