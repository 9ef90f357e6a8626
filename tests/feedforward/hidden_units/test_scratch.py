"""Hidden units in NumPy: values by hand, gradients, precision, invariances."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.hidden_units.scratch import (
    ACTIVATIONS,
    LowRankLinear,
    Maxout,
    PReLU,
    RBFLayer,
    absolute,
    activation_bakeoff,
    dead_fraction,
    elu,
    gelu,
    gelu_backward,
    gradient_by_layer,
    hardtanh,
    init_stack,
    leaky_relu,
    leaky_relu_backward,
    low_rank_linear,
    low_rank_linear_backward,
    maxout,
    maxout_backward,
    prelu,
    prelu_backward,
    rbf,
    rbf_backward,
    sequential_tasks,
    stack_accuracy,
    stack_scores,
    stack_scores_backward,
    tanh,
    train_stack,
)
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient, sigmoid
from dlbook_lib.feedforward.output_units.scratch import cross_entropy
from dlbook_lib.feedforward.xor.scratch import relu

PAIRS = ACTIVATIONS | {
    "gelu, tanh": (
        partial(gelu, approximate="tanh"),
        partial(gelu_backward, approximate="tanh"),
    ),
    "leaky_relu, 0.3": (
        partial(leaky_relu, negative_slope=0.3),
        partial(leaky_relu_backward, negative_slope=0.3),
    ),
}
EXTREME = [0.0, -0.0, 1e4, -1e4, 1e-300, 700.0, -700.0, 30.0, -30.0]
away_from_kinks = st.floats(-9, 9).filter(lambda z: min(abs(z), abs(abs(z) - 1)) > 1e-3)
pairs = pytest.mark.parametrize(("f", "f_backward"), PAIRS.values(), ids=PAIRS)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


@pairs
@given(arrays(float, array_shapes(max_dims=3, max_side=3), elements=away_from_kinks))
def test_slopes_are_those_of_a_complex_step(f, f_backward, z):
    dy = np.cos(np.arange(z.size)).reshape(z.shape)
    slope = f(z + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(f_backward(dy, z), dy * slope, rtol=1e-12, atol=1e-14)


@pairs
def test_extreme_scores_give_finite_values_and_slopes(f, f_backward):
    for dtype in ("f8", "f4"):
        z = np.array(EXTREME).astype(dtype)
        for result in (f(z), f_backward(np.ones_like(z), z)):
            assert result.dtype == dtype
            assert np.isfinite(result).all()


@pairs
def test_any_batch_shape_will_do_and_an_empty_one_too(f, f_backward):
    for shape in ((), (0,), (3, 0), (2, 3, 4)):
        z = np.full(shape, 0.5)
        assert np.shape(f(z)) == np.shape(f_backward(z, z)) == shape


def test_values_by_hand():
    z = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(leaky_relu(z, 0.5), [-1, 0, 3])
    np.testing.assert_array_equal(absolute(z), [2, 0, 3])
    np.testing.assert_array_equal(hardtanh(z), [-1, 0, 1])
    np.testing.assert_allclose(elu(z, 2.0), [2 * (np.exp(-2) - 1), 0, 3])
    np.testing.assert_allclose(gelu([1.0]), [0.841344746068543], rtol=1e-14)


@given(arrays(float, 5, elements=st.floats(-1e6, 1e6)))
def test_one_family_holds_the_rectifiers(z):
    np.testing.assert_array_equal(leaky_relu(z, -1.0), absolute(z))
    np.testing.assert_array_equal(leaky_relu(z, 0), relu(z))
    np.testing.assert_array_equal(prelu(z, [0.01]), leaky_relu(z))
    np.testing.assert_array_equal(absolute(-z), absolute(z))


@given(arrays(float, 5, elements=st.floats(-50, 50)))
def test_tanh_is_a_rescaled_sigmoid(z):
    np.testing.assert_allclose(tanh(z), 2 * sigmoid(2 * z) - 1, rtol=0, atol=1e-15)


def check(f, f_backward, arguments, names):
    """Compare each gradient with finite differences of a random projection."""
    dy = numpy_generator(9).normal(size=f(*arguments).shape)
    found = f_backward(dy, *arguments)
    found = found if isinstance(found, tuple) else (found,)
    for i in range(names):

        def cost(x, i=i):
            return (dy * f(*arguments[:i], x, *arguments[i + 1 :])).sum()

        numeric = numeric_gradient(cost, arguments[i])
        assert found[i].shape == arguments[i].shape
        np.testing.assert_allclose(found[i], numeric, atol=1e-7)


batches = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@given(batches, st.integers(1, 3), st.sampled_from([(), (1,), "C"]), st.integers(0, 99))
def test_prelu_gradients(batch, channels, shape, seed):
    rng = numpy_generator(seed)
    input = rng.normal(size=(2, channels, *batch))
    weight = rng.normal(size=(channels,) if shape == "C" else shape)
    check(prelu, prelu_backward, [input, weight], 2)


@given(batches, st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_maxout_gradients(batch, units, k, seed):
    input = numpy_generator(seed).normal(size=(*batch, units * k))
    check(lambda z: maxout(z, k), lambda dy, z: maxout_backward(dy, z, k), [input], 1)


@given(batches, st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_rbf_gradients(batch, inputs, units, seed):
    rng = numpy_generator(seed)
    shapes = [(*batch, inputs), (units, inputs)]
    arguments = [*(rng.normal(size=s) for s in shapes), rng.uniform(0.5, 2, units)]
    check(rbf, rbf_backward, arguments, 3)


@given(batches, st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_low_rank_gradients(batch, rank, has_bias, seed):
    rng = numpy_generator(seed)
    shapes = [(*batch, 4), (2, rank), (rank, 4)] + [(2,)] * has_bias
    arguments = [rng.normal(size=s) for s in shapes]
    check(low_rank_linear, low_rank_linear_backward, arguments, len(arguments))


def test_two_factors_are_one_weight():
    rng = numpy_generator(0)
    x, u, v = (rng.normal(size=s) for s in ((5, 7), (6, 2), (2, 7)))
    np.testing.assert_allclose(low_rank_linear(x, u, v), x @ (u @ v).T, atol=1e-12)


def test_maxout_takes_groups_of_k_and_passes_back_to_one_piece():
    z = np.arange(6.0)
    np.testing.assert_array_equal(maxout(z, 2), [1, 3, 5])
    np.testing.assert_array_equal(maxout(z, 3), [2, 5])
    ties = np.zeros((1, 4))
    np.testing.assert_array_equal(
        maxout_backward(np.ones((1, 2)), ties, 2), [[1, 0] * 2]
    )


def test_an_rbf_unit_far_from_its_template_is_silent_without_a_warning():
    for dtype, far in (("f8", 1e200), ("f4", 1e30)):
        x = np.array([[far, 0.0], [0.0, 0.0]], dtype)
        w, s = np.zeros((1, 2), dtype), np.ones(1, dtype)
        np.testing.assert_array_equal(rbf(x, w, s), [[0], [1]])


def test_float32_stays_float32():
    rng = numpy_generator(0)
    x, w, u = (rng.normal(size=s).astype("f4") for s in ((5, 4), (3, 4), (2, 3)))
    s = np.ones(3, "f4")
    results = [rbf(x, w, s), *rbf_backward(x[:, :3], x, w, s), maxout(x, 2)]
    results += [maxout_backward(x[:, :2], x, 2), prelu(x, s[:1])]
    results += [*prelu_backward(x, x, s[:1]), low_rank_linear(x, u, w)]
    results += low_rank_linear_backward(x[:, :2], x, u, w, u[:, 0])
    weights, biases = init_stack([4, 3, 2], range(2))
    stack = [p.astype("f4") for p in weights], [p.astype("f4") for p in biases]
    pair = ACTIVATIONS["gelu"]
    y, rng = np.array([0, 1, 0, 1, 0]), numpy_generator(0)
    results.append(train_stack(*stack, pair, x, y, lr=0.1, epochs=1, rng=rng))
    results += [*stack[0], *stack[1], *stack_scores(x, *stack, pair)]
    assert {r.dtype for r in results} == {np.dtype("f4")}


def test_empty_batches():
    for shape in ((0, 4), (2, 0, 4)):
        x = np.zeros(shape)
        assert maxout(x, 2).shape == (*shape[:-1], 2)
        assert maxout_backward(maxout(x, 2), x, 2).shape == shape
        h = rbf(x, np.ones((3, 4)), np.ones(3))
        assert h.shape == (*shape[:-1], 3)
        _, dw, ds = rbf_backward(h, x, np.ones((3, 4)), np.ones(3))
        assert not dw.any()
        assert not ds.any()
        assert low_rank_linear(x, np.ones((3, 1)), np.ones((1, 4))).shape == h.shape
        assert prelu(x, np.ones(1)).shape == shape


@pytest.mark.parametrize(
    "layer",
    [
        PReLU(3),
        Maxout(3, 2, 4, rng=numpy_generator(0)),
        RBFLayer(3, 2, 0.5, rng=numpy_generator(0)),
        LowRankLinear(3, 5, 2, rng=numpy_generator(0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_own_what_they_apply(layer):
    x = numpy_generator(1).normal(size=(4, 3))
    before = layer(x)
    for state, parameter in zip(
        layer.state_dict().values(), layer.parameters(), strict=True
    ):
        assert state is parameter
        parameter *= 1.5
    assert not np.allclose(layer(x), before)


@pytest.mark.parametrize(
    ("init", "std"), [("he", 50**-0.5), ("xavier", 75**-0.5), ("torch", 300**-0.5)]
)
def test_starts_have_the_spread_they_are_named_for(init, std):
    weights, biases = init_stack([100, 50, 7], range(4), init, bias=0.1, k=3)
    assert [w.shape for w in weights] == [(4, 150, 100), (4, 7, 50)]
    assert abs(weights[0].std() / std - 1) < 0.02
    assert (biases[0] == 0.1).all()
    assert (biases[1] == 0.0).all()


@pytest.mark.parametrize("name", ["tanh", "gelu", "maxout"])
def test_gradients_of_a_stack(name):
    k = 2 if name == "maxout" else 1
    pair = (partial(maxout, k=2), partial(maxout_backward, k=2))
    pair = pair if k == 2 else ACTIVATIONS[name]
    weights, biases = init_stack([4, 5, 3, 2], range(2), bias=0.1, k=k)
    rng = numpy_generator(0)
    x, dy = rng.normal(size=(6, 4)), rng.normal(size=(2, 6, 2))
    dws, dbs, dscores = stack_scores_backward(dy, x, weights, biases, pair)
    for grads, params in ((dws, weights), (dbs, biases)):
        for grad, parameter in zip(grads, params, strict=True):
            kept = parameter.copy()

            def cost(p, parameter=parameter):
                parameter[...] = p
                return (dy * stack_scores(x, weights, biases, pair)[-1]).sum()

            numeric = numeric_gradient(cost, kept)
            parameter[...] = kept
            np.testing.assert_allclose(grad, numeric, atol=1e-7)
    sizes = gradient_by_layer(dy, x, weights, biases, pair)
    expected = [np.sqrt((d**2).mean(axis=(1, 2))) for d in dscores]
    np.testing.assert_array_equal(sizes, expected)


def test_ten_sigmoids_at_their_steepest_leave_a_millionth():
    weights, biases = [np.ones((1, 1, 1))] * 11, [np.zeros((1, 1))] * 11
    biases = [np.zeros((1, 1))] + [np.full((1, 1), -0.5)] * 10  # every score is 0
    sizes = gradient_by_layer(
        np.ones((1, 1, 1)), np.zeros((1, 1)), weights, biases, ACTIVATIONS["sigmoid"]
    )
    assert sizes[0, 0] == 0.25**10


def test_a_network_trains_alone_as_it_does_in_company():
    rng = numpy_generator(0)
    x, y = rng.normal(size=(30, 4)), rng.integers(3, size=30)
    pair = ACTIVATIONS["relu"]

    def train(seeds, lr):
        weights, biases = init_stack([4, 8, 3], seeds)
        arguments = {"lr": lr, "epochs": 3, "batch_size": 10, "rng": numpy_generator(1)}
        losses = train_stack(weights, biases, pair, x, y, **arguments)
        return weights, biases, losses

    weights, _, losses = train([0, 1, 2], np.array([0.1, 0.2, 0.3]))
    assert losses.shape == (9, 3)
    for s, lr in enumerate((0.1, 0.2, 0.3)):
        alone, _, loss = train([s], lr)
        np.testing.assert_allclose(losses[:, s], loss[:, 0], atol=1e-12)
        for p, q in zip(weights, alone, strict=True):
            np.testing.assert_allclose(p[s], q[0], atol=1e-12)


def test_a_step_follows_the_gradient_of_the_cross_entropy():
    rng = numpy_generator(0)
    x, y = rng.normal(size=(8, 4)), rng.integers(3, size=8)
    weights, biases = init_stack([4, 5, 3], [0])
    before, pair = [w.copy() for w in weights], ACTIVATIONS["tanh"]

    def cost(w):
        scores = stack_scores(
            x, [w, before[1]], [np.zeros((1, 5)), np.zeros((1, 3))], pair
        )
        return cross_entropy(scores[-1][0], y)

    loss = train_stack(
        weights, biases, pair, x, y, lr=0.1, epochs=1, rng=numpy_generator(0)
    )
    np.testing.assert_allclose(loss[0, 0], cost(before[0]), rtol=1e-12)
    slope = numeric_gradient(cost, before[0])
    np.testing.assert_allclose((before[0] - weights[0]) / 0.1, slope, atol=1e-7)


def test_dead_units_are_off_for_every_example():
    score = np.array([[-1.0, 2.0, 0.0], [-3.0, -1.0, 0.0]])
    assert dead_fraction(score) == 2 / 3
    np.testing.assert_allclose(dead_fraction(np.stack([score, -score])), [2 / 3, 1 / 3])


def two_clouds(rng):
    y = rng.integers(2, size=60)
    return rng.normal(size=(60, 3)) + 4 * y[:, None], y


def test_the_bakeoff_picks_the_rate_that_learns():
    rng = numpy_generator(0)
    parts = [two_clouds(rng) for _ in range(3)]
    arguments = {"hidden": [4], "lrs": [1e-9, 0.1], "seeds": range(3), "epochs": 100}
    found = activation_bakeoff(["tanh", "cos"], *parts, **arguments, rng=rng)
    assert list(found) == ["tanh", "cos"]
    lr, accuracy = found["tanh"]
    assert lr == 0.1
    assert accuracy.shape == (3,)
    assert accuracy.min() > 0.9


def test_a_second_task_that_contradicts_the_first_wipes_it_out():
    rng = numpy_generator(0)
    x, y = two_clouds(rng)
    tasks = [(x, y, x, y), (x, 1 - y, x, 1 - y)]
    arguments = {"hidden": [4], "lr": 0.1, "epochs": 200, "seeds": [0, 1], "rng": rng}
    table = sequential_tasks(ACTIVATIONS["relu"], tasks, **arguments)
    assert table.shape == (2, 2, 2)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert table[0, 0].min() > 0.9
    assert table[1, 1].min() > 0.9


def test_accuracy_counts_hits():
    weights, biases = [np.eye(2)[None]], [np.zeros((1, 2))]
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    right = stack_accuracy(x, np.array([0, 0]), weights, biases, ACTIVATIONS["relu"])
    np.testing.assert_array_equal(right, [0.5])
