"""The fast kernels equal the readable cells: any lengths, directions, gradients."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.gated_units import at_once, scratch

KINDS = [("ugrnn", 2), ("gru", 3), ("lstm", 4)]
kinds = pytest.mark.parametrize(("name", "gates"), KINDS)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def drawn(rng, lengths, d, h, gates, bias, dtype="f8"):
    """Arguments of a kernel for sequences of these lengths, which do not rise."""

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    sizes = (np.arange(max(lengths))[:, None] < np.array(lengths)).sum(axis=1)
    states = tuple(draw(len(lengths), h) for _ in range(2 if gates == 4 else 1))
    biases = (draw(gates * h), draw(gates * h)) if bias else ()
    weights = draw(gates * h, d), draw(gates * h, h), *biases
    return draw(sizes.sum(), d), sizes, states, weights


def one_by_one(name, input, lengths, sizes, states, weights, reverse, doutput, dends):
    """What a kernel gives, by the readable functions on one sequence after another."""
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    several = len(states) > 1
    output, dinput = np.empty_like(doutput), np.empty_like(input)
    ends = [np.empty_like(s) for s in states]
    dstates = [np.empty_like(s) for s in states]
    dweights = [np.zeros_like(w) for w in weights]
    first_rows = np.cumsum([0, *sizes])
    for n, length in enumerate(lengths):
        rows = first_rows[:length] + n
        rows = rows[::-1] if reverse else rows
        start = np.array([s[n] for s in states]) if several else states[0][n]
        y = f(input[rows], start, *weights)  # (T, H) or (T, 2, H)
        dy = np.zeros_like(y)
        if several:
            output[rows], dy[:, 0] = y[:, 0], doutput[rows]
            dy[-1] += [d[n] for d in dends]
        else:
            output[rows], dy[:] = y, doutput[rows]
            dy[-1] += dends[0][n]
        dx, dstart, *dw = f_backward(dy, input[rows], start, *weights)
        dinput[rows] = dx
        for k in range(len(states)):
            ends[k][n] = y[-1][k] if several else y[-1]
            dstates[k][n] = dstart[k] if several else dstart
        for total, g in zip(dweights, dw, strict=False):
            total += g
    return output, ends, dinput, dstates, dweights


@kinds
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_kernel_equals_the_cell(name, gates, lengths, d, h, bias, reverse, seed):
    rng, lengths = numpy_generator(seed), sorted(lengths, reverse=True)
    args = drawn(rng, lengths, d, h, gates, bias)
    output, ends, pull = getattr(at_once, f"{name}_at_once")(*args, reverse)
    doutput = rng.normal(size=output.shape)
    dends = tuple(rng.normal(size=e.shape) for e in ends)
    kept = [doutput.copy(), *(e.copy() for e in dends)]
    dinput, dstates, dweights = pull(doutput, dends)
    again = pull(doutput, dends)
    found = output, ends, dinput, dstates, dweights
    wanted = one_by_one(name, args[0], lengths, *args[1:], reverse, doutput, dends)
    close = {"rtol": 1e-10, "atol": 1e-10}
    for a, b in zip(found, wanted, strict=True):
        for one, other in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
            np.testing.assert_allclose(one, other, **close)
    np.testing.assert_array_equal(again[0], dinput)  # it has changed nothing
    for a, b in zip(kept, (doutput, *dends), strict=True):
        np.testing.assert_array_equal(a, b)


@kinds
def test_arguments_stay_and_views_will_do(name, gates):
    rng = numpy_generator(0)
    input, sizes, states, weights = drawn(rng, [4, 4, 2], 3, 5, gates, True)
    kernel = getattr(at_once, f"{name}_at_once")
    copies = [a.copy() for a in (input, *states, *weights)]
    plain = kernel(input, sizes, states, weights)
    plain[2](plain[0], plain[1])
    for a, b in zip((input, *states, *weights), copies, strict=True):
        np.testing.assert_array_equal(a, b)
    turned = [np.asarray(a.T, order="C").T for a in (input, *states, *weights)]
    states, weights = tuple(turned[1:-4]), tuple(turned[-4:])
    output, ends, pull = kernel(turned[0], sizes, states, weights)
    np.testing.assert_allclose(output, plain[0], rtol=1e-12)
    for a, b in zip(
        pull(np.asarray(output.T, order="C").T, ends)[2],
        plain[2](*plain[:2])[2],
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@kinds
def test_float32_stays_float32_and_close(name, gates):
    rng = numpy_generator(0)
    double = drawn(rng, [30] * 4, 6, 8, gates, True)

    def single(arrays):
        return tuple(a.astype("f4") for a in arrays)

    args = double[0].astype("f4"), double[1], *map(single, double[2:])
    kernel = getattr(at_once, f"{name}_at_once")
    output, ends, pull = kernel(*args)
    dinput, dstates, dweights = pull(output, ends)
    every = output, *ends, dinput, *dstates, *dweights
    assert {a.dtype for a in every} == {np.dtype("f4")}
    wanted, ends, pull = kernel(*double)
    dinput, dstates, dweights = pull(wanted, ends)
    wanted = wanted, *ends, dinput, *dstates, *dweights
    for a, b in zip(every, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * abs(b).max())


@kinds
def test_extreme_scores_and_empty_batches(name, gates):
    rng = numpy_generator(0)
    kernel = getattr(at_once, f"{name}_at_once")
    for dtype in ("f8", "f4"):
        input, sizes, states, weights = drawn(rng, [3, 1], 2, 3, gates, True, dtype)
        weights = tuple(w * w.dtype.type(1e4) for w in weights)
        output, ends, pull = kernel(input, sizes, states, weights)
        dinput, dstates, dweights = pull(output, ends)
        for a in (output, *ends, dinput, *dstates, *dweights):
            assert np.isfinite(a).all()
    none = input[:0], np.zeros(3, int), tuple(s[:0] for s in states), weights
    output, ends, pull = kernel(*none)
    dinput, dstates, dweights = pull(output, ends)
    assert output.shape == (0, 3)
    assert dinput.shape == (0, 2)
    assert not any(w.any() for w in dweights)


@kinds
def test_a_step_needs_less_memory_than_four_times_its_gates(name, gates):
    steps, count, size = 20, 16, 64
    args = drawn(numpy_generator(0), [steps] * count, size, size, gates, True, "f4")
    kernel = getattr(at_once, f"{name}_at_once")
    doutput = np.ones((steps * count, size), "f4")
    tracemalloc.start()
    try:
        _, ends, pull = kernel(*args)
        pull(doutput, ends)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    of_gates = 4 * steps * count * gates * size  # bytes in float32
    weights = sum(w.nbytes for w in args[3])
    assert peak < 4 * of_gates + 4 * weights


BAD = [
    (lambda x, n, s, w: (x, [2, 3], s, w), "batch_sizes"),
    (lambda x, n, s, w: (x, [3, 1], s, w), "batch_sizes"),
    (lambda x, n, s, w: (x, [1.5, 2.5], s, w), "batch_sizes must hold integer"),
    (lambda x, n, s, w: (x[0], n, s, w), "input must have 2 dimensions"),
    (lambda x, n, s, w: (x.astype(int), n, s, w), "input must hold floating"),
    (lambda x, n, s, w: (x, n, tuple(a[:1] for a in s), w), r"states\[0\] has shape"),
    (lambda x, n, s, w: (x, n, s, w[:1]), "weights must be . arrays, or"),
    (lambda x, n, s, w: (x, n, s, w[:3]), r"2 arrays, or 4|weights\[2\] has shape"),
    (lambda x, n, s, w: (x, n, s, (w[0].T, *w[1:])), r"weights\[0\] has shape"),
    (lambda x, n, s, w: (x, n, s, (w[1], w[1], *w[2:])), r"weights\[0\] has shape"),
]


@kinds
@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_arguments_of_a_kernel_get_a_sentence(name, gates, change, sentence):
    args = drawn(numpy_generator(0), [2, 2, 1], 4, 5, gates, True)
    with pytest.raises((ValueError, TypeError), match=sentence):
        getattr(at_once, f"{name}_at_once")(*change(*args))
