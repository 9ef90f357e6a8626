"""Packing, windows of time and states differentiated twice, against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import rnn as of_torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.recurrent.unfolding import (
    layers,
    layers_pytorch,
    packing,
    packing_pytorch,
    scratch,
    second_derivatives,
)
from dlbook_lib.recurrent.unfolding import pytorch as twin
from tests.feedforward.twice import leaves, same_twice


def both(name, *sizes, **options):
    """Ours and its twin, with the same parameters."""
    ours = getattr(layers, name)(*sizes, **options, rng=numpy_generator(0))
    theirs = getattr(layers_pytorch, name)(*sizes, **options, rng=torch_generator(0))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def hold(nets, arrays, *options):
    """Two modules agree twice, in `arrays` and all parameters."""
    a, b = leaves(arrays)
    y, z = nets[0](*a, *options), nets[1](*b, *options)
    same_twice(y, z, [*a, *nets[0].parameters()], [*b, *nets[1].parameters()])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.booleans(), st.data())
def test_packing_and_its_reverse_have_a_second_derivative(lengths, first, data):
    steps, fill = max(lengths), data.draw(st.sampled_from([0.0, 2.0]))
    shape = (len(lengths), steps) if first else (steps, len(lengths))
    a, b = leaves([numpy_generator(0).normal(size=(*shape, 2))])
    packed = packing.pack_padded_sequence(a[0], lengths, first, False)
    told = of_torch.pack_padded_sequence(b[0], lengths, first, False)
    same_twice(packed.data * packed.data, told.data * told.data, a, b)
    more = first, fill, steps + 1
    packed = packed._replace(data=packed.data * packed.data)
    squares = told.data * told.data
    told = of_torch.PackedSequence(squares, *told[1:])
    y, _ = packing.pad_packed_sequence(packed, *more)
    z, _ = of_torch.pad_packed_sequence(told, *more)
    same_twice(y, z, a, b)


@given(
    st.lists(st.integers(1, 3), min_size=5, max_size=5), st.booleans(), st.booleans()
)
def test_a_window_of_time_has_a_second_derivative(sizes, biased, moving):
    n, d, out, k, dilation = sizes
    rng = numpy_generator(n)
    x = rng.normal(size=((k - 1) * dilation + n, n, d))
    arrays = [rng.normal(size=(out, d, k)), rng.normal(size=out) if biased else None]
    a, b = leaves([x, *arrays])
    given, tgiven = (a[0], b[0]) if moving else (x, torch.tensor(x))
    y = second_derivatives.time_delay(given, *a[1:], dilation)
    z = twin.time_delay(tgiven, *b[1:], dilation)
    same_twice(y, z, a[not moving :], b[not moving :])


def test_the_time_delay_network_has_a_second_derivative():
    x = numpy_generator(0).normal(size=(9, 2, 3))
    hold(both("TDNN", [3, 4, 2], [3, 2], [1, 2]), [x])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(("lead", "bias"), [((4,), True), ((), False)])
def test_a_step_has_a_second_derivative(nonlinearity, lead, bias):
    rng = numpy_generator(0)
    nets = both("RNNCell", 2, 3, bias, nonlinearity)
    hold(nets, [rng.normal(size=(*lead, n)) for n in (2, 3)])


def test_a_state_has_a_second_derivative_through_time():
    rng, (ours, theirs) = numpy_generator(0), both("RNNCell", 2, 3)
    a, b = leaves([rng.normal(size=(4, 2, 2)), rng.normal(size=(2, 3))])
    y = operations.stack(scratch.unroll(ours, *a))
    z = torch.stack(twin.unroll(theirs, *b))
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


@pytest.mark.parametrize("pattern", layers.PATTERNS)
def test_all_patterns_have_a_second_derivative(pattern):
    x = numpy_generator(0).normal(size=(3, 2, 2))
    nets = both("VanillaRNN", 2, 3, 1, pattern)
    hold(nets, [x[0] if pattern == "one to many" else x], 2)


def test_rows_that_are_put_have_a_second_derivative_with_any_trailing_axes():
    rng, places = numpy_generator(0), (np.array([1, 0, 2]), np.array([0, 1, 1]))
    a, b = leaves([rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2, 2, 2))])
    y = packing._put_steps(a[0] * a[0], *places, (3, 2), 5.0) * a[1]
    z = packing_pytorch.put_steps(b[0] * b[0], *places, (3, 2), 5.0) * b[1]
    same_twice(y, z, a, b)
    y, z = packing._take_steps(y, *places), packing_pytorch.take_steps(z, *places)
    same_twice(y, z, a, b)
