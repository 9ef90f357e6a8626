"""The hidden layer in NumPy: values, gradients, and mistakes that get a sentence."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import mse_loss, numeric_gradient
from dlbook_lib.feedforward.xor.scratch import (
    KernelRidge,
    ThresholdUnit,
    TwoLayerNet,
    descend,
    loss_slice,
    relu,
    relu_backward,
    train_xor,
    two_layer,
    two_layer_backward,
    xor_from_gates,
)

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([[0.0], [1.0], [1.0], [0.0]])
BY_HAND = [np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0, -2.0]]), np.zeros(1)]

sizes = st.integers(1, 4)
stacks = st.lists(st.integers(1, 3), max_size=2).map(tuple)


def random_network(rng, stack=(), n=5, inputs=2, width=3, outputs=1):
    shapes = [(width, inputs), (width,), (outputs, width), (outputs,)]
    input = rng.normal(size=(n, inputs))
    return input, [rng.normal(size=(*stack, *shape)) for shape in shapes]


def test_gates_give_the_truth_tables():
    np.testing.assert_array_equal(
        ThresholdUnit([1.0, 1.0], -0.5)(CORNERS), [0, 1, 1, 1]
    )
    np.testing.assert_array_equal(
        ThresholdUnit([1.0, 1.0], -1.5)(CORNERS), [0, 0, 0, 1]
    )
    np.testing.assert_array_equal(xor_from_gates(CORNERS), XOR[:, 0])


def test_threshold_unit_is_silent_at_a_score_of_zero():
    np.testing.assert_array_equal(ThresholdUnit([1.0], 0.0)([[0.0], [1e-300]]), [0, 1])


def test_weights_set_by_hand_solve_xor_exactly():
    np.testing.assert_array_equal(two_layer(CORNERS, *BY_HAND), XOR)


@given(arrays(float, (3, 4), elements=st.floats(-9, 9)))
def test_relu_is_the_positive_part(s):
    np.testing.assert_array_equal(relu(s) - relu(-s), s)
    np.testing.assert_array_equal(relu_backward(np.ones_like(s), s), s > 0)


def test_relu_has_slope_zero_at_zero_and_keeps_nan():
    assert relu_backward(np.ones(1), np.zeros(1)) == 0
    assert relu_backward(np.ones(1), np.array([np.nan])) == 1
    assert relu_backward(np.array([np.inf]), -np.ones(1)) == 0
    assert np.isnan(relu([np.nan]))


@given(stacks, sizes, sizes, sizes, sizes, st.integers(0, 99))
def test_shapes(stack, n, inputs, width, outputs, seed):
    input, net = random_network(numpy_generator(seed), stack, n, inputs, width, outputs)
    output = two_layer(input, *net)
    assert output.shape == (*stack, n, outputs)
    dinput, *grads = two_layer_backward(output, input, *net)
    assert dinput.shape == (*stack, n, inputs)
    assert [g.shape for g in grads] == [p.shape for p in net]


@pytest.mark.parametrize("stack", [(), (3,)])
def test_gradients_are_those_of_finite_differences(stack):
    rng = numpy_generator(1)
    input, net = random_network(rng, stack, outputs=2)
    dy = rng.normal(size=two_layer(input, *net).shape)
    dinput, *grads = two_layer_backward(dy, input, *net)
    for i, grad in enumerate(grads):

        def cost(p, i=i):
            return (dy * two_layer(input, *net[:i], p, *net[i + 1 :])).sum()

        np.testing.assert_allclose(grad, numeric_gradient(cost, net[i]), atol=1e-7)
    numeric = numeric_gradient(lambda x: (dy * two_layer(x, *net)).sum(), input)
    total = dinput.sum(axis=0) if stack else dinput
    np.testing.assert_allclose(total, numeric, atol=1e-7)


def test_a_stack_is_its_networks_one_by_one():
    input, stack = random_network(numpy_generator(2), (4,))
    together = two_layer(input, *stack)
    for s in range(4):
        alone = two_layer(input, *(p[s] for p in stack))
        np.testing.assert_allclose(together[s], alone, rtol=1e-13)


def test_float32_stays_float32():
    input, net = random_network(numpy_generator(0))
    input, net = input.astype("f4"), [p.astype("f4") for p in net]
    output = two_layer(input, *net)
    grads = two_layer_backward(output, input, *net)
    losses = descend(net, input, output * 0, lr=0.1, steps=3)
    ridge = KernelRidge(0.1, gamma=1.0).fit(input, output[:, 0])
    line = loss_slice(net, net, input, output, np.linspace(0.0, 1.0, 3))
    results = [output, *grads, losses, *net, ridge.predict(input), line, relu(input)]
    results += [xor_from_gates(CORNERS.astype("f4")), relu_backward(input, input)]
    assert {r.dtype for r in results} == {np.dtype("f4")}


def test_a_network_starts_inside_its_bounds_and_repeats_with_its_seed():
    net = TwoLayerNet(4, 100, 2, rng=numpy_generator(0))
    twin = TwoLayerNet(4, 100, 2, rng=numpy_generator(0))
    state = net.state_dict()
    assert 0.45 < np.abs(state["hidden.weight"]).max() < 0.5
    assert 0.05 < np.abs(state["output.weight"]).max() < 0.1
    assert all(map(np.array_equal, net.parameters(), twin.parameters()))
    np.testing.assert_array_equal(
        net(np.ones((3, 4))), two_layer(np.ones((3, 4)), *net.parameters())
    )


def test_descent_follows_the_gradient_of_the_mean_squared_error():
    input, net = random_network(numpy_generator(3))
    before = [p.copy() for p in net]
    target = np.zeros((5, 1))
    losses = descend(net, input, target, lr=0.01, steps=1)
    assert losses[0] == mse_loss(two_layer(input, *before), target)
    for i, (old, new) in enumerate(zip(before, net, strict=True)):

        def cost(p, i=i):
            changed = [*before[:i], p, *before[i + 1 :]]
            return mse_loss(two_layer(input, *changed), target)

        slope = numeric_gradient(cost, old)
        np.testing.assert_allclose((old - new) / 0.01, slope, atol=1e-7)


def test_a_seed_trains_alone_as_it_does_in_company():
    together, losses = train_xor([0, 1, 2], 4, steps=300)
    for s in range(3):
        alone, loss = train_xor([s], 4, steps=300)
        np.testing.assert_allclose(losses[:, s], loss[:, 0], atol=1e-12)
        for p, q in zip(together, alone, strict=True):
            np.testing.assert_allclose(p[s], q[0], atol=1e-12)


def test_wide_networks_learn_xor_and_one_unit_does_not():
    assert train_xor(range(10), 16, steps=1000)[1][-1].max() < 0.01
    assert train_xor(range(10), 1, steps=1000)[1][-1].min() > 0.1


def test_kernel_ridge_is_that_of_scikit_learn():
    rng = numpy_generator(0)
    X, y, new = rng.normal(size=(20, 3)), rng.normal(size=20), rng.normal(size=(9, 3))
    ours = KernelRidge(0.3, gamma=0.7).fit(X, y).predict(new)
    theirs = SklearnKernelRidge(alpha=0.3, kernel="rbf", gamma=0.7).fit(X, y)
    np.testing.assert_allclose(ours, theirs.predict(new), atol=1e-10)


def test_a_slice_ends_at_its_two_networks():
    input, start = random_network(numpy_generator(0))
    _, end = random_network(numpy_generator(1))
    target = np.zeros((5, 1))
    line = loss_slice(start, end, input, target, [0.0, 0.25, 1.0])
    quarter = [0.75 * a + 0.25 * b for a, b in zip(start, end, strict=True)]
    for loss, net in zip(line, [start, quarter, end], strict=True):
        np.testing.assert_allclose(loss, mse_loss(two_layer(input, *net), target))


BAD_CALLS = [
    (lambda: relu([1, 2]), TypeError, "relu: input must hold floating"),
    (
        lambda: relu_backward(np.ones(3), np.ones((3, 1))),
        ValueError,
        "relu_backward: dy has shape (3,)",
    ),
    (lambda: ThresholdUnit([1.0], 0.0)(CORNERS), ValueError, "is input (N, in)?"),
    (lambda: xor_from_gates([0.0, 1.0]), ValueError, "must have 2 dimensions"),
    (
        lambda: two_layer(CORNERS, np.ones((2, 3)), *BY_HAND[1:]),
        ValueError,
        "two_layer: shapes do not chain",
    ),
    (
        lambda: two_layer(CORNERS, *BY_HAND[:1], np.zeros((2, 1)), *BY_HAND[2:]),
        ValueError,
        "two_layer: shapes do not chain",
    ),
    (
        lambda: two_layer(
            CORNERS, np.ones((1, 2)), np.zeros(3), np.ones((1, 3)), np.zeros(1)
        ),
        ValueError,
        "two_layer: shapes do not chain",
    ),
    (
        lambda: two_layer(CORNERS, *BY_HAND[:3], np.zeros((5, 1))),
        ValueError,
        "two_layer: shapes do not chain",
    ),
    (
        lambda: two_layer_backward(np.ones(4), CORNERS, *BY_HAND),
        ValueError,
        "two_layer_backward: dy has shape (4,) but the output has (4, 1)",
    ),
    (lambda: TwoLayerNet(2, 0, rng=None), ValueError, "width must be a whole number"),
    (
        lambda: descend(BY_HAND, CORNERS, XOR, lr=0.0, steps=3),
        ValueError,
        "descend: lr must be a number above 0",
    ),
    (
        lambda: descend(BY_HAND, CORNERS, XOR[:, 0], lr=0.1, steps=3),
        ValueError,
        "descend: target must have 2 dimensions",
    ),
    (
        lambda: descend(BY_HAND, CORNERS, XOR[:1], lr=0.1, steps=3),
        ValueError,
        "descend: target has shape (1, 1)",
    ),
    (lambda: train_xor([], 2), ValueError, "train_xor: seeds is empty"),
    (lambda: KernelRidge(0.0, gamma=1.0), ValueError, "alpha must be a number above"),
    (
        lambda: KernelRidge(gamma=1.0).fit(CORNERS, np.ones(3)),
        ValueError,
        "X has 4 rows but y has 3",
    ),
    (
        lambda: KernelRidge(gamma=1.0).fit(CORNERS, XOR[:, 0]).predict(np.ones((2, 1))),
        ValueError,
        "(2, 1) and (4, 2) differ in columns",
    ),
    (
        lambda: loss_slice(BY_HAND, train_xor([0], 2, steps=1)[0], CORNERS, XOR, [0.5]),
        ValueError,
        "loss_slice: start has shape",
    ),
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD_CALLS)
def test_bad_calls_get_a_sentence(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
