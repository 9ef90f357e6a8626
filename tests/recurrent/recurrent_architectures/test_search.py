"""Greedy and beam search against brute force, and against each other."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.recurrent_architectures import pytorch as twin
from dlbook_lib.recurrent.recurrent_architectures.scratch import (
    as_log_probs,
    beam_search,
    greedy_decode,
    normalized,
)


def model(seed, symbols, zeros=0.0):
    """A step whose odds depend on all that was read; its state is the history."""

    def step(token, state):
        history = (*state, token)
        code = int("".join(map(str, (1, *history))))
        rng = numpy_generator(1000 * code + seed)
        p = rng.dirichlet(np.ones(symbols)) * (rng.random(symbols) >= zeros)
        p = p / p.sum() if p.sum() else np.full(symbols, 1 / symbols)
        with np.errstate(divide="ignore"):
            return np.log(p), history

    return step


def log_prob(step, tokens, start):
    """log p of a sequence, symbol by symbol."""
    total, state, last = 0.0, (), start
    for token in tokens:
        log_probs, state = step(last, state)
        total += log_probs[token]
        last = token
    return total


def every_sequence(symbols, stop, max_length):
    """All that a decoder may write: up to the first stop, or cut off."""
    for n in range(1, max_length + 1):
        for tokens in product(range(symbols), repeat=n):
            whole = tokens[-1] == stop or n == max_length
            if stop not in tokens[:-1] and whole:
                yield list(tokens)


tiny = st.tuples(
    st.integers(0, 999), st.integers(2, 3), st.integers(1, 4), st.booleans()
)


@given(tiny, st.sampled_from([0.0, 0.5, 1.0]))
def test_a_wide_beam_is_brute_force(case, alpha):
    seed, symbols, length, holes = case
    stop = seed % symbols
    step = model(seed, symbols, 0.3 if holes else 0.0)
    options = {"start": 0, "stop": stop, "max_length": length, "alpha": alpha}
    found = beam_search(step, (), beam_size=symbols**length, **options)
    scores = []
    for tokens in every_sequence(symbols, stop, length):
        p = log_prob(step, tokens, 0)
        if p > -np.inf:
            scores.append((tokens, p / len(tokens) ** alpha))
    scores.sort(key=lambda each: (-each[1], each[0]))
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in scores]
    np.testing.assert_allclose(
        [s for _, s in found], [s for _, s in scores], atol=1e-12
    )


@given(tiny)
def test_one_place_is_greedy(case):
    seed, symbols, length, _ = case
    step, stop = model(seed, symbols), seed % symbols
    tokens, score = greedy_decode(step, (), 0, stop, length)
    ((found, same),) = beam_search(step, (), 0, stop, 1, length)
    assert found == tokens
    assert score == pytest.approx(same) == pytest.approx(log_prob(step, tokens, 0))
    assert len(tokens) == length or tokens[-1] == stop
    assert stop not in tokens[:-1]


@given(tiny, st.integers(1, 6), st.sampled_from([0.0, 1.0]))
def test_a_beam_holds_different_sequences_in_order(case, size, alpha):
    seed, symbols, length, _ = case
    step, stop = model(seed, symbols), seed % symbols
    found = beam_search(step, (), 0, stop, size, length, alpha)
    assert len(found) <= size
    assert len({tuple(tokens) for tokens, _ in found}) == len(found)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    for tokens, score in found:
        p = log_prob(step, tokens, 0)
        assert score == pytest.approx(normalized(p, len(tokens), alpha))

    def of_torch(token, state):
        log_probs, state = step(token, state)
        return torch.tensor(log_probs), state

    assert twin.beam_search(of_torch, (), 0, stop, size, length, alpha) == found
    greedy = greedy_decode(step, (), 0, stop, length)
    assert twin.greedy_decode(of_torch, (), 0, stop, length) == greedy


def test_a_beam_finds_what_greed_misses():
    """The likeliest first symbol leads into a thicket of unlikely ones."""
    rows = {0: [0.0, 0.55, 0.45, 0.0], 1: [0.3, 0.3, 0.1, 0.3], 2: [0, 0, 0, 1.0]}

    def step(token, state):
        with np.errstate(divide="ignore"):
            return np.log(rows[token]), state

    tokens, greedy = greedy_decode(step, None, 0, 3, 4)
    best, score = beam_search(step, None, 0, 3, 2, 4)[0]
    assert tokens[0] == 1
    assert best == [2, 3]
    assert score == pytest.approx(np.log(0.45))
    assert score > greedy


def test_normalisation_lets_longer_sequences_win():
    def step(token, state):
        n = state + 1
        p = [0.75, 0.25] if n < 4 else [0.01, 0.99]
        return np.log(p), n

    short = beam_search(step, 0, 0, 1, 50, 6)[0]
    long = beam_search(step, 0, 0, 1, 50, 6, alpha=1.0)[0]
    assert len(long[0]) == 4
    assert short[1] == pytest.approx(max(np.log(0.25), 3 * np.log(0.75) + np.log(0.99)))
    assert long[1] == pytest.approx((3 * np.log(0.75) + np.log(0.99)) / 4)
    lengths = np.array([1.0, 4.0])
    np.testing.assert_allclose(normalized(-lengths, lengths, 0.5), [-1, -2])
    theirs = twin.normalized(-torch.tensor(lengths), torch.tensor(lengths), 0.5)
    np.testing.assert_allclose(theirs, [-1, -2])
    single = np.array([-4.0, -2.0], "f4")
    assert normalized(single, [1, 4], 0.5).dtype == "f4"
    assert normalized([-4.0, -2.0], [1, 4], 0.5).tolist() == [-4, -1]


BAD = [
    (lambda step: greedy_decode(step, None, -1, 2), "check_search: start must be"),
    (lambda step: greedy_decode(step, None, 0, 2.0), "check_search: stop must be"),
    (lambda step: greedy_decode(step, None, 0, 2, 0), "check_search: max_length must"),
    (lambda step: greedy_decode(step, None, 0, 9), "as_log_probs: the step speaks of"),
    (lambda step: beam_search(step, None, 0, 2, 0), "beam_search: beam_size must be"),
    (lambda step: beam_search(step, None, 0, 2, alpha=-1.0), "alpha must be a number"),
    (lambda _: as_log_probs([0.5, 0.5], 1), "as_log_probs: log_probs holds 0.5"),
    (lambda _: as_log_probs([[-1.0]], 0), "as_log_probs: log_probs must have 1 dim"),
    (lambda _: as_log_probs([1, 2], 0), "as_log_probs: log_probs must hold floating"),
    (lambda _: as_log_probs([-np.inf, -np.inf], 1), "log_probs holds -inf"),
    (lambda _: normalized(-1.0, 0), "normalized: length must be above 0"),
    (lambda _: normalized(-np.ones(2), [[1], [2]]), "normalized: log_prob has shape"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_calls_get_a_sentence(call, sentence):
    def step(token, state):
        return np.log([0.5, 0.25, 0.25]), state

    with pytest.raises((ValueError, TypeError), match=sentence):
        call(step)
