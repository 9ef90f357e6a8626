"""What layers of the chapter take as an input, and how precise they are."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.backpropagation_through_time.scratch import rnn_backward
from dlbook_lib.recurrent.gated_units.at_once import lstm_at_once, ugrnn_at_once
from dlbook_lib.recurrent.gated_units.layers import GRU, LSTM, UGRNN
from dlbook_lib.recurrent.gated_units.scratch import ugrnn_cell_backward
from dlbook_lib.recurrent.long_term_dependencies.layers import LeakyRNN, SkipRNN
from dlbook_lib.recurrent.long_term_dependencies.scratch import (
    leaky_rnn_backward,
    skip_rnn_backward,
)
from dlbook_lib.recurrent.unfolding.packing import PackedSequence


@pytest.mark.parametrize("make", [np.ndarray.tolist, torch.tensor])
@pytest.mark.parametrize("kind", [RNN, GRU, LSTM, UGRNN, LeakyRNN, SkipRNN])
def test_whatever_makes_an_array_is_an_input(kind, make):
    net = kind(2, 3, rng=numpy_generator(0))
    x, h = np.ones((4, 2, 2)), np.full((2 if kind is SkipRNN else 1, 2, 3), 0.5)
    wanted = net(x, (h, h) if kind is LSTM else h)[0].data
    found = net(make(x), (make(h), make(h)) if kind is LSTM else make(h))[0].data
    np.testing.assert_array_equal(found, wanted)
    if kind is not SkipRNN:
        packed = net(PackedSequence(make(x[0]), [2]))[0].data
        np.testing.assert_array_equal(packed.data, net(x[:1])[0].data[0])


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM, UGRNN, LeakyRNN])
def test_the_state_is_as_precise_as_the_output(kind):
    net = kind(2, 3, rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=(6, 2, 2)).astype("f4")
    single, double = net(x)[0].data, net(x.astype("f8"))[0].data
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-15)


def test_a_cell_goes_back_from_tensors_of_torch():
    args = [np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), np.ones((6, 3))]
    args.append(args[-1])
    wanted = ugrnn_cell_backward(*args)
    for a, b in zip(ugrnn_cell_backward(*map(torch.tensor, args)), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradients_of_two_biases_are_two_arrays():
    one, x, h = np.ones((1, 1)), np.ones((2, 1, 1)), np.ones((1, 1))
    weights, bias = (one, one), (one[0], one[0])
    found = [
        rnn_backward(x, x, h, *weights, *bias)[-2:],
        leaky_rnn_backward(x, x, h, *weights, one[0], *bias)[-2:],
        skip_rnn_backward(x, x, h[None], *weights, one, *bias)[-2:],
    ]
    for kernel, gates in (lstm_at_once, 4), (ugrnn_at_once, 2):
        states = (one, one) if gates == 4 else (one,)
        every = [np.repeat(w, gates, axis=0) for w in (*weights, *bias)]
        found.append(kernel(one, [1], states, every)[2](one, states)[2][-2:])
    for db_ih, db_hh in found:
        assert not np.shares_memory(db_ih, db_hh)
