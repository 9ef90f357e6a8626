"""Back-propagation in NumPy: values, gradients, and steps that take the right way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.backpropagation.scratch import (
    BACKWARD,
    MLP,
    InPlaceMLP,
    check_gradient,
    complex_step_jacobian,
    minibatches,
    numeric_jacobian,
    tensor_chain_rule,
    train_mlp,
)
from dlbook_lib.feedforward.hidden_units.scratch import ACTIVATIONS, tanh
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward
from dlbook_lib.feedforward.output_units.scratch import (
    cross_entropy,
    cross_entropy_backward,
)
from dlbook_lib.feedforward.xor.scratch import relu, two_layer, two_layer_backward

sizes_of_nets = st.lists(st.integers(1, 5), min_size=2, max_size=5)
shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)


def random_batch(rng, sizes, n=6):
    return rng.normal(size=(n, sizes[0])), rng.integers(sizes[-1], size=n)


# ------------------------------------------------------------------- Jacobians


@given(shapes, shapes, st.integers(0, 99))
def test_jacobian_of_a_linear_map_is_its_array(outer, inner, seed):
    A = numpy_generator(seed).normal(size=(*outer, *inner))
    x = numpy_generator(seed + 1).normal(size=inner)
    order = len(inner)
    for jacobian in (numeric_jacobian, complex_step_jacobian):
        found = jacobian(lambda x: np.tensordot(A, x, order), x)
        assert found.shape == A.shape
        np.testing.assert_allclose(found, A, atol=1e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_jacobian_of_a_layer_agrees_both_ways_and_with_the_rule(name):
    f, f_backward = ACTIVATIONS[name]
    s = numpy_generator(0).uniform(-2, 2, size=(2, 3)) + 0.05
    numeric = numeric_jacobian(f, s)
    dy = numpy_generator(1).normal(size=(2, 3))
    np.testing.assert_allclose(
        tensor_chain_rule(dy, numeric), f_backward(dy, s), atol=1e-8
    )


def test_complex_step_is_exact_to_rounding():
    W = numpy_generator(0).normal(size=(4, 3))
    x = numpy_generator(1).normal(size=3)
    y = np.tanh(W @ x)
    exact = (1 - y**2)[:, None] * W
    found = complex_step_jacobian(lambda x: np.tanh(W @ x), x)
    np.testing.assert_allclose(found, exact, rtol=1e-14)


@given(shapes, shapes, st.integers(0, 99))
def test_chain_rule_is_that_of_flattened_arrays(outer, inner, seed):
    rng = numpy_generator(seed)
    dy, jacobian = rng.normal(size=outer), rng.normal(size=(*outer, *inner))
    found = tensor_chain_rule(dy, jacobian)
    flat = jacobian.reshape(dy.size, -1).T @ dy.ravel()
    assert found.shape == inner
    np.testing.assert_allclose(found.ravel(), flat, atol=1e-12)


def test_chain_rule_through_a_linear_layer_is_its_backward():
    rng = numpy_generator(0)
    x, W, dy = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    dx, dW, _ = linear_backward(dy, x, W)
    by_x = complex_step_jacobian(lambda x: linear(x, W), x)
    by_W = complex_step_jacobian(lambda W: linear(x, W), W)
    assert by_x.shape == (5, 4, 5, 3)
    np.testing.assert_allclose(tensor_chain_rule(dy, by_x), dx, atol=1e-13)
    np.testing.assert_allclose(tensor_chain_rule(dy, by_W), dW, atol=1e-13)


def test_float32_stays_float32():
    x = np.array([1.0, 2.0], dtype="f4")
    assert tensor_chain_rule(x, np.ones((2, 3), "f4")).dtype == "f4"
    assert complex_step_jacobian(lambda x: x**2, x).dtype == float  # a check: exact
    for kind in (MLP, InPlaceMLP):
        net = kind([3, 4, 2], rng=numpy_generator(0)).float()
        input, target = random_batch(numpy_generator(1), [3, 4, 2])
        input = input.astype("f4")
        output = net.forward(input)
        grads = net.backward(output)
        loss = net.step(input, target, lr=0.1, weight_decay=0.01)
        every = [output, *grads, *net.parameters(), net(input), np.asarray(loss)]
        assert {p.dtype for p in every} == {np.dtype("f4")}


# --------------------------------------------------------------------- networks


@given(sizes_of_nets, st.integers(1, 5), st.integers(0, 99))
def test_forward_is_the_call_and_shapes_come_back(sizes, n, seed):
    net = MLP(sizes, rng=numpy_generator(seed))
    input, _ = random_batch(numpy_generator(seed), sizes, n)
    output = net.forward(input)
    np.testing.assert_array_equal(output, net(input))
    assert [s.shape for _, s in net.trace] == [(n, size) for size in sizes[1:]]
    dinput, *grads = net.backward(output)
    assert dinput.shape == input.shape
    assert [g.shape for g in grads] == [p.shape for p in net.parameters()]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[3, 2], [2, 4, 3], [3, 5, 4, 2]])
def test_gradients_are_those_of_finite_differences(name, sizes):
    f = ACTIVATIONS[name][0]
    net = MLP(sizes, f, rng=numpy_generator(3))
    input, target = random_batch(numpy_generator(4), sizes)
    logits = net.forward(input)
    dinput, *grads = net.backward(cross_entropy_backward(1.0, logits, target))
    rng = numpy_generator(0)

    def cost():
        return cross_entropy(net(input), target)

    pairs = zip([input, *net.parameters()], [dinput, *grads], strict=True)
    for i, (p, g) in enumerate(pairs):
        assert check_gradient(cost, [p], [g], rng=rng, eps=1e-6) < 1e-5, i


@given(sizes_of_nets, st.integers(0, 999))
def test_gradients_match_the_complex_step(sizes, seed):
    net = MLP(sizes, tanh, rng=numpy_generator(seed))
    input, _ = random_batch(numpy_generator(seed), sizes, 2)
    dy = numpy_generator(seed + 1).normal(size=(2, sizes[-1]))
    net.forward(input)
    dinput, *grads = net.backward(dy)
    by_input = complex_step_jacobian(net, input)
    np.testing.assert_allclose(tensor_chain_rule(dy, by_input), dinput, atol=1e-12)
    for i, grad in enumerate(grads):

        def output(p, i=i):
            arrays = net.parameters()
            arrays[i] = p
            return MLP.from_arrays(arrays[::2], arrays[1::2], tanh)(input)

        jacobian = complex_step_jacobian(output, net.parameters()[i])
        np.testing.assert_allclose(tensor_chain_rule(dy, jacobian), grad, atol=1e-12)


def test_two_layers_give_what_the_earlier_page_gives():
    net = MLP([3, 4, 2], rng=numpy_generator(0))
    input, _ = random_batch(numpy_generator(1), [3, 4, 2])
    dy = numpy_generator(2).normal(size=(6, 2))
    np.testing.assert_array_equal(
        net.forward(input), two_layer(input, *net.parameters())
    )
    wanted = two_layer_backward(dy, input, *net.parameters())
    for ours, theirs in zip(net.backward(dy), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


def test_batch_gradient_is_the_sum_over_examples():
    net = MLP([3, 4, 2], rng=numpy_generator(0))
    input, _ = random_batch(numpy_generator(1), [3, 4, 2])
    dy = numpy_generator(2).normal(size=(6, 2))
    net.forward(input)
    _, *together = net.backward(dy)
    total = 0
    for x, d in zip(input, dy, strict=True):
        net.forward(x[None])
        total = total + np.concatenate([g.ravel() for g in net.backward(d[None])[1:]])
    np.testing.assert_allclose(
        np.concatenate([g.ravel() for g in together]), total, atol=1e-13
    )


def test_an_empty_batch_has_gradient_zero():
    net = MLP([3, 4, 2], rng=numpy_generator(0))
    output = net.forward(np.empty((0, 3)))
    assert output.shape == (0, 2)
    dinput, *grads = net.backward(output)
    assert dinput.shape == (0, 3)
    assert not any(g.any() for g in grads)


def test_a_forward_without_cache_leaves_the_trace_alone():
    net = MLP([3, 4, 2], rng=numpy_generator(0))
    input, other = numpy_generator(1).normal(size=(2, 6, 3))
    dy = np.ones((6, 2))
    net.forward(input)
    wanted = net.backward(dy)
    net.forward(input)
    net.forward(other, cache=False)
    net(other)
    for ours, theirs in zip(net.backward(dy), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_trace_is_used_up_but_not_by_a_bad_call():
    net = MLP([3, 4, 2], rng=numpy_generator(0))
    with pytest.raises(ValueError, match=r"MLP.backward: nothing is stored; call"):
        net.backward(np.ones((6, 2)))
    net.forward(np.ones((6, 3)))
    with pytest.raises(ValueError, match="dy"):
        net.backward(np.ones((6, 3)))
    net.backward(np.ones((6, 2)))
    with pytest.raises(ValueError, match="nothing is stored"):
        net.backward(np.ones((6, 2)))


def test_an_activation_without_a_derivative_is_named():
    net = MLP([3, 4, 2], np.sin, rng=numpy_generator(0))
    net.forward(np.ones((6, 3)))
    with pytest.raises(ValueError, match=r"MLP.backward: <ufunc 'sin'> has no known"):
        net.backward(np.ones((6, 2)))
    assert relu in BACKWARD


# --------------------------------------------------------------- gradient check


def test_the_check_passes_right_gradients_and_no_wrong_one():
    net = MLP([4, 5, 3], tanh, rng=numpy_generator(0))
    input, target = random_batch(numpy_generator(1), [4, 5, 3])
    logits = net.forward(input)
    _, *grads = net.backward(cross_entropy_backward(1.0, logits, target))

    def check(grads, seed):
        before = [p.copy() for p in net.parameters()]
        error = check_gradient(
            lambda: cross_entropy(net(input), target),
            net.parameters(),
            grads,
            rng=numpy_generator(seed),
        )
        assert all(map(np.array_equal, before, net.parameters()))
        return error

    for seed in range(5):
        assert check(grads, seed) < 1e-8
        assert check([1.01 * g for g in grads], seed) > 1e-3
        for i in range(4):
            wrong = [g.copy() for g in grads]
            wrong[i].flat[0] += 0.01
            assert check(wrong, seed) > 1e-6


def test_the_check_of_a_flat_cost_is_zero():
    p = np.ones(3)
    assert check_gradient(lambda: 1.0, [p], [0 * p], rng=numpy_generator(0)) == 0
    assert check_gradient(lambda: 1.0, [p], [p], rng=numpy_generator(0)) == 1


# --------------------------------------------------------------------- training


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 99), st.data())
def test_each_epoch_takes_each_example_at_most_once(count, epochs, seed, data):
    size = data.draw(st.integers(1, count))
    batches = minibatches(count, size, epochs, rng=numpy_generator(seed))
    assert batches.shape == (epochs * (count // size), size)
    for epoch in np.split(batches, epochs):
        assert len(np.unique(epoch)) == epoch.size
        assert 0 <= epoch.min() <= epoch.max() < count


@pytest.mark.parametrize("kind", [MLP, InPlaceMLP])
def test_a_step_goes_down_the_gradient_with_decay(kind):
    net, plain = (kind([3, 4, 2], rng=numpy_generator(0)) for _ in range(2))
    input, target = random_batch(numpy_generator(1), [3, 4, 2])
    before = [p.copy() for p in net.parameters()]
    loss = net.step(input, target, lr=0.01, weight_decay=0.5)
    assert loss == pytest.approx(cross_entropy(plain(input), target))
    logits = plain.forward(input)
    _, *grads = plain.backward(cross_entropy_backward(1.0, logits, target))
    for old, new, grad in zip(before, net.parameters(), grads, strict=True):
        decay = 0.5 * old if old.ndim == 2 else 0
        np.testing.assert_allclose(new, old - 0.01 * (grad + decay), atol=1e-15)


@given(sizes_of_nets, st.sampled_from([0.0, 0.1]), st.integers(0, 99))
def test_in_place_is_the_same_walk(sizes, weight_decay, seed):
    ours, theirs = (
        kind(sizes, rng=numpy_generator(seed)) for kind in (MLP, InPlaceMLP)
    )
    input, target = random_batch(numpy_generator(seed), sizes, n=12)
    for size in (4, 3):  # buffers are made anew for another batch size
        batches = minibatches(12, size, 3, rng=numpy_generator(seed))
        options = {"lr": 0.3, "weight_decay": weight_decay}
        a = train_mlp(ours, input, target, batches, **options)
        b = train_mlp(theirs, input, target, batches, **options)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-13)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_in_place_keeps_float32_after_float64_steps():
    net = InPlaceMLP([3, 4, 2], rng=numpy_generator(0))
    input, target = random_batch(numpy_generator(1), [3, 4, 2])
    net.step(input, target, lr=0.1)
    net.float().step(input.astype("f4"), target, lr=0.1)
    assert {p.dtype for p in net.parameters()} == {np.dtype("f4")}


def test_training_takes_one_rate_or_one_for_each_step():
    input, target = random_batch(numpy_generator(1), [3, 4, 2], n=12)
    batches = minibatches(12, 4, 2, rng=numpy_generator(0))
    nets = [MLP([3, 4, 2], rng=numpy_generator(0)) for _ in range(3)]
    train_mlp(nets[0], input, target, batches, lr=0.1)
    train_mlp(nets[1], input, target, batches, lr=np.full(len(batches), 0.1))
    losses = train_mlp(nets[2], input, target, batches[:1], lr=0.1)
    assert losses.shape == (1,)
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_array_equal(p, q)


def test_training_fits_a_small_table():
    input = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([0, 1, 1, 0])
    batches = minibatches(4, 4, 2000, rng=numpy_generator(0))
    for kind in (MLP, InPlaceMLP):
        net = kind([2, 16, 2], rng=numpy_generator(0))
        losses = train_mlp(net, input, target, batches, lr=0.5)
        assert losses[-1] < 0.01
        np.testing.assert_array_equal(net(input).argmax(axis=1), target)


@pytest.mark.parametrize("scale", [1e-30, 1e4])
@pytest.mark.parametrize("kind", [MLP, InPlaceMLP])
def test_extreme_inputs_stay_finite_and_silent(kind, scale):
    net = kind([3, 4, 2], rng=numpy_generator(0))
    input, target = random_batch(numpy_generator(1), [3, 4, 2])
    with np.errstate(all="raise", under="ignore"):
        loss = net.step(scale * input, target, lr=1e-9)
    assert np.isfinite(loss)
    assert all(np.isfinite(p).all() for p in net.parameters())


def test_a_step_never_changes_its_input():
    input, target = random_batch(numpy_generator(1), [3, 4, 2])
    kept = input.copy()
    for kind in (MLP, InPlaceMLP):
        kind([3, 4, 2], rng=numpy_generator(0)).step(input, target, lr=0.1)
        np.testing.assert_array_equal(input, kept)
