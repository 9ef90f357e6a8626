"""Layers, letters, losses and a letter model differentiated twice, against torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import rnn as of_torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.recurrent.backpropagation_through_time import (
    layers,
    layers_pytorch,
    second_derivatives,
)
from dlbook_lib.recurrent.backpropagation_through_time import pytorch as twin
from dlbook_lib.recurrent.backpropagation_through_time.kernels import (
    layer_of_tensors,
    layers_of_tensors,
    run_layers,
    with_results,
)
from dlbook_lib.recurrent.unfolding.packing import pack_padded_sequence
from tests.feedforward.twice import leaves, same_twice

RNG = numpy_generator(0)


def both(name, *sizes, **options):
    """Ours and its twin, with the same parameters."""
    ours = getattr(layers, name)(*sizes, **options, rng=numpy_generator(0))
    theirs = getattr(layers_pytorch, name)(*sizes, **options, rng=torch_generator(0))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@given(st.data())
def test_layers_have_a_second_derivative(data):
    draw = data.draw
    options = {key: draw(st.booleans()) for key in ("bias", "batch_first")}
    options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    options["bidirectional"], options["num_layers"] = draw(
        st.sampled_from([(False, 1), (False, 3), (True, 1), (True, 2)])
    )
    ours, theirs = both("RNN", 2, 3, **options)
    how = draw(st.sampled_from(["batch", "alone", "packed", "unsorted"]))
    rng, (steps, count) = numpy_generator(draw(st.integers(0, 99))), (3, 2)
    shape = (count, steps) if options["batch_first"] else (steps, count)
    shape, start = ((steps,), ()) if how == "alone" else (shape, (count,))
    blocks = options["num_layers"] * (1 + options["bidirectional"])
    arrays = [rng.normal(size=(*shape, 2)), rng.normal(size=(blocks, *start, 3))]
    a, b = leaves(arrays[: draw(st.integers(1, 2))])
    (x, *hx), (tx, *thx) = a, b
    if "ed" in how:
        given = [3, 1] if how == "packed" else [1, 3], options["batch_first"]
        x = pack_padded_sequence(x, *given, how == "packed")
        tx = of_torch.pack_padded_sequence(tx, *given, how == "packed")
    (y, end), (z, tend) = ours(x, *hx), theirs(tx, *thx)
    if "ed" in how:
        y, z = y.data, z.data
    y = operations.cat([y.reshape(-1), end.reshape(-1)])
    z = torch.cat([z.reshape(-1), tend.reshape(-1)])
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


def test_layers_of_tensors_are_those_of_arrays():
    rng, net = numpy_generator(0), layers.RNN(2, 3, 2, rng=numpy_generator(0))
    sizes, wide = [2, 2, 1], (2, 2, 6, 6)
    weights = [(rng.normal(size=(3, w)), rng.normal(size=(3, 3))) for w in wide]
    states, x = (rng.normal(size=(4, 2, 3)),), rng.normal(size=(5, 2))
    options = x, sizes, states, weights, True, [rng.integers(2, size=(5, 6)) * 2.0]
    y, ends = layers_of_tensors(net.cell, *options)
    expected, (end,), _ = run_layers(net.kernel, *options)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_allclose(ends[0], end, atol=1e-12)
    for reverse in (False, True):
        options = x, sizes, [states[0][0]], weights[0], reverse
        y, ends = layer_of_tensors(net.cell, *options)
        expected, (end,), _ = net.kernel(*options)
        np.testing.assert_allclose(y, expected, atol=1e-12)
        np.testing.assert_allclose(ends[0], end, atol=1e-12)


def test_dropout_is_drawn_once_for_both_derivatives():
    net = layers.RNN(2, 4, 2, dropout=0.5, rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=(3, 2, 2))
    calm, masks = layers.RNN(2, 4, 2, rng=numpy_generator(0)), []
    calm.load_state_dict(net.state_dict())
    draw, found = net._masks, []
    net._masks = lambda *args: masks.append(draw(*args)) or masks[-1]
    calm._masks = lambda *args: masks[0]
    for each in (net, calm):
        t = tensor(x, requires_grad=True)
        y = (each(t)[0] ** 2).sum()
        (slope,) = grad(y, t, create_graph=True)
        np.testing.assert_allclose(slope.data, grad(y, t, retain_graph=True)[0].data)
        found.append((slope, grad((slope * slope).sum(), t)[0].data))
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-12)
    y = net.eval()(t)[0]
    assert masks[1] is None
    assert grad(grad((y * y).sum(), t, create_graph=True)[0].sum(), t)[0].data.any()


def test_layers_of_a_kernel_alone_have_one_derivative():
    net = layers.RNN(2, 3, rng=numpy_generator(0))
    t = tensor(np.ones((2, 1, 2)), requires_grad=True)
    net.cell = None
    y = net(t)[0].sum()
    assert grad(y, t, retain_graph=True)[0].data.any()
    with pytest.raises(RuntimeError, match="register it with reference="):
        grad(y, t, create_graph=True)


def test_several_results_can_be_differentiated_twice():
    def cubes(x):
        return (x**3, x[:1] * 2), lambda dy, dz: 3 * x * x * dy + [2 * dz[0], 0]

    two = with_results(cubes, lambda x: (x**3, x[:1] * 2))
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    y, z = two(x)
    (slope,) = grad(y.sum() + (z * z).sum(), x, create_graph=True)
    assert slope.tolist() == [3 + 8, 12]
    assert grad(slope.sum(), x)[0].tolist() == [6 + 8, 12]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_a_table_has_a_second_derivative(letters):
    (ours, theirs), index = both("Embedding", 5, 2), np.array(letters, int)
    y, z = ours(index), theirs(torch.tensor(letters, dtype=int))
    same_twice(y * y, z * z, [ours.weight], [theirs.weight])


@given(
    st.data(),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from(["mean", "sum", "none"]),
)
def test_the_loss_of_sequences_has_a_second_derivative(data, steps, count, reduction):
    count = count or int(reduction == "mean")
    rng, classes = numpy_generator(steps), data.draw(st.integers(1, 3))
    target = rng.integers(classes, size=(steps, count))
    target[rng.random(target.shape) < 0.2] = -100
    lengths = data.draw(st.one_of(st.none(), st.just([steps, 1, steps][:count])))
    lengths = lengths if count else None
    a, b = leaves([rng.normal(size=(steps, count, classes))])
    y = second_derivatives.sequence_nll(*a, target, lengths, reduction)
    same_twice(y, twin.sequence_nll(*b, torch.tensor(target), lengths, reduction), a, b)


def test_no_sequences_and_no_letters_give_zeros():
    net = layers.CharRNN(layers.RNN(2, 3, 2, rng=RNG), 4, True, rng=RNG)
    parameters = [*net.parameters()]
    for letters in (np.zeros((3, 0), int), np.zeros((1, 1), int)):
        y, h = net(letters)
        slopes = grad(((y * y).sum() + h.sum()), parameters, create_graph=True)
        again = grad(sum((g * g).sum() for g in slopes), parameters)
        assert [g.shape for g in again] == [p.shape for p in parameters]
        assert any(g.data.any() for g in again) == letters.size
    (slope,) = grad(
        net.embedding(np.zeros(0, int)).sum(), parameters[0], create_graph=True
    )
    assert not slope.data.any()


@pytest.mark.parametrize("embedding", [False, True])
def test_a_letter_model_has_a_second_derivative(embedding):
    (a, b), wide = both("RNN", 4, 3, 2), 4
    ours = layers.CharRNN(a, wide, embedding, rng=numpy_generator(0))
    theirs = layers_pytorch.CharRNN(b, wide, embedding, rng=torch_generator(0))
    ours.load_state_dict(theirs.state_dict())
    letters = numpy_generator(1).integers(4, size=(5, 2))
    y, z = ours(letters)[0], theirs(torch.tensor(letters))[0]
    same_twice(y, z, [*ours.parameters()], [*theirs.parameters()])
