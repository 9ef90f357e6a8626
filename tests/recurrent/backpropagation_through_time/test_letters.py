"""Letters: encoding, tables of vectors, drawing, bits; a model that learns a text."""

import numpy as np
import pytest

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from dlbook_lib.optimization.adaptive_rates.scratch import Adam
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN, CharRNN
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    bigram_bits,
    bits_per_character,
    bptt,
    decode,
    draw,
    embedding_backward,
    encode,
    one_hot,
    sample,
    text_columns,
)


def test_columns_go_on_where_the_last_letter_was():
    x, y = text_columns(np.arange(12), 3)
    assert x.shape == y.shape == (3, 3)
    assert (y == x + 1).all()
    assert x[:, 1].tolist() == [3, 4, 5]


def test_the_gradient_of_a_table_is_that_of_one_hot_inputs():
    rng = numpy_generator(0)
    index, weight = rng.integers(5, size=(3, 4)), rng.normal(size=(5, 2))
    dy = rng.normal(size=(3, 4, 2))
    expected = np.tensordot(one_hot(index, 5), dy, 2 * [(0, 1)])
    np.testing.assert_allclose(embedding_backward(dy, index, weight)[1], expected)
    nothing = embedding_backward(np.zeros((0, 2)), np.zeros(0, int), weight)[1]
    assert not nothing.any()


def test_bits_of_a_bigram_model_by_hand():
    text, test = np.array([0, 1, 0, 0, 1]), np.array([0, 1, 1])
    p = (2 + 1) / (3 + 2), 1 / (1 + 2)  # 1 after 0: two of three; 1 after 1: none
    assert np.isclose(bigram_bits(text, test, 2), -np.log2(p).mean())


def test_temperature_zero_takes_the_likeliest_and_a_high_one_any():
    scores, rng = np.array([0.0, 5.0, 1.0]), numpy_generator(0)
    assert {draw(scores, 0.0, rng=rng) for _ in range(20)} == {1}
    assert {draw(scores, 1e6, rng=rng) for _ in range(100)} == {0, 1, 2}
    huge = np.array([1e4, -1e4], "f4")
    assert {draw(huge, 0.1, rng=rng) for _ in range(20)} == {0}


@pytest.mark.parametrize("embedding", [False, True])
def test_a_letter_model_learns_a_text_and_writes_it(embedding):
    alphabet = "abc "
    letters = encode("abc cab " * 12, alphabet)
    rng = numpy_generator(0)
    net = CharRNN(RNN(4, 16, rng=rng), 4, embedding, rng=rng)
    x, y = text_columns(letters, 4)

    def loss(output, target):
        return cross_entropy(output.reshape(-1, 4), target.ravel(), "sum") / y.size

    optimizer = Adam(net.parameters(), lr=0.03)
    for _ in range(60):
        net.zero_grad()
        bptt(net, loss, x, y, k=12)
        optimizer.step()
    bits = bits_per_character(net(x)[0], y)
    assert bits < 0.6 * bigram_bits(letters, letters, 4)  # one letter is not enough
    written = sample(net, letters[:8], 16, 0.0, rng=rng)
    assert decode(written, alphabet) == "abc cab " * 2


def test_what_is_written_does_not_depend_on_how_it_is_read():
    rng = numpy_generator(1)
    net = CharRNN(RNN(4, 8, 2, rng=rng), 4, rng=rng)
    first = sample(net, np.array([0, 1]), 10, rng=numpy_generator(5))
    again = sample(net, np.array([0, 1]), 10, rng=numpy_generator(5))
    assert first.tolist() == again.tolist()
    longer = np.concatenate([[0, 1], first])
    scores = net(longer[:, None])[0].data[1:-1, 0]
    rng = numpy_generator(5)
    assert [draw(s, rng=rng) for s in scores] == first.tolist()


def test_one_hot_letters_need_no_square_table():
    import tracemalloc

    tracemalloc.start()
    one_hot([7, 3], 20_000, "f4")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1e6  # a table of all letters has 1.6e9 bytes
