"""By hand, by complex step, by brute force: what the constructions promise."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.depth_and_width.scratch import (
    MLP,
    break_points,
    bump_network,
    collapse_linear,
    count_linear_regions,
    count_params,
    describe,
    disc_polygon,
    fit_output_layer,
    identity,
    layer_by_layer_embedding,
    linear_probe_accuracy,
    mode_strength,
    neuron,
    sawtooth,
    signed_distance,
    step,
    train_deep_linear,
)
from dlbook_lib.feedforward.linear_models.scratch import (
    and_of_halfplanes,
    numeric_gradient,
    sigmoid,
)
from dlbook_lib.feedforward.xor.scratch import relu, two_layer

sizes = st.lists(st.integers(1, 5), min_size=2, max_size=6)
seeds = st.integers(0, 999)


def test_neuron_by_hand():
    x = np.array([[3.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(neuron(x, np.array([1.0, -1.0]), 0.5, relu), [2.5, 0])
    assert neuron(x[0], np.array([1.0, -1.0]), 0.5, relu) == 2.5
    assert neuron(np.empty((0, 2)), np.ones(2), 0.5, relu).shape == (0,)


@given(seeds, st.integers(1, 5), st.floats(0.1, 100))
def test_signed_distance_is_that_to_the_foot_of_the_perpendicular(seed, n, scale):
    rng = numpy_generator(seed)
    x, w, b = rng.normal(size=(7, n)), rng.normal(size=n) * scale, rng.normal()
    d = signed_distance(x, w, b)
    foot = x - np.outer(d, w / np.linalg.norm(w))
    np.testing.assert_allclose(foot @ w + b, 0, atol=1e-10 * scale)
    np.testing.assert_allclose(np.linalg.norm(x - foot, axis=1), np.abs(d), atol=1e-12)
    np.testing.assert_allclose(signed_distance(x, 3 * w, 3 * b), d, atol=1e-12)


@given(sizes, seeds)
def test_parameters_are_counted_twice(shape, seed):
    net = MLP(shape, rng=numpy_generator(seed))
    assert count_params(net) == describe(net)["parameters"]
    assert describe(net)["depth"] == len(shape) - 1 == len(net.weights)
    assert describe(net)["widths"] == shape[1:-1]


@given(sizes, seeds, st.sampled_from([(), (3,), (2, 3), (0,)]))
def test_shapes_of_layers(shape, seed, batch):
    net = MLP(shape, rng=numpy_generator(seed))
    layers = net.layers(np.ones((*batch, shape[0])))
    assert [layer.shape for layer in layers] == [(*batch, n) for n in shape[1:]]
    assert all((layer >= 0).all() for layer in layers[:-1])


def test_one_hidden_layer_is_the_two_layer_net_of_the_page_before():
    net, x = (
        MLP([3, 4, 2], rng=numpy_generator(0)),
        numpy_generator(1).normal(size=(5, 3)),
    )
    np.testing.assert_allclose(net(x), two_layer(x, *net.parameters()), atol=1e-15)


def test_a_network_starts_inside_its_bounds_and_repeats_with_its_seed():
    net, twin = (MLP([9, 400, 40], rng=numpy_generator(0)) for _ in range(2))
    assert 0.3 < np.abs(net.weights[0]).max() < 1 / 3
    assert 0.045 < np.abs(net.biases[1]).max() < 0.05
    assert all(map(np.array_equal, net.parameters(), twin.parameters()))


def test_state_is_named_as_in_a_sequential_and_copies():
    net, other = (MLP([2, 3, 3, 1], np.tanh, rng=numpy_generator(s)) for s in (0, 1))
    assert list(net.state_dict()) == [
        f"{k}.{n}" for k in (0, 2, 4) for n in ("weight", "bias")
    ]
    other.load_state_dict(net.state_dict())
    x = np.ones((1, 2))
    assert other(x) == net(x)
    net.weights[0][:] = 0
    assert other(x) != net(x)


def test_slope_of_a_network_by_complex_step_and_by_differences():
    net = MLP([3, 5, 4, 1], rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=3)
    steps = x + 1e-20j * np.eye(3)
    by_step = net(steps)[:, 0].imag / 1e-20
    by_difference = numeric_gradient(lambda x: net(x)[0], x)
    np.testing.assert_allclose(by_step, by_difference, atol=1e-8)
    assert np.abs(by_step).min() > 1e-3


@given(sizes, seeds)
def test_a_linear_stack_is_one_affine_map(shape, seed):
    net = MLP(shape, identity, rng=numpy_generator(seed))
    x = numpy_generator(seed).normal(size=(6, shape[0]))
    weight, bias = collapse_linear(net)
    np.testing.assert_allclose(x @ weight.T + bias, net(x), atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_deep_linear_descends_the_gradient(depth):
    rng = numpy_generator(depth)
    shape = [3, 4, 2, 5, 2][: depth + 1]
    weights = [rng.normal(size=(m, n)) for n, m in pairwise(shape)]
    target = rng.normal(size=(shape[-1], 3))

    def product(weights):
        out = np.eye(3)
        for w in weights:
            out = w @ out
        return out

    def loss(w, k):
        changed = [*weights[:k], w, *weights[k + 1 :]]
        return ((product(changed) - target) ** 2).sum() / 2

    grads = [
        numeric_gradient(lambda w, k=k: loss(w, k), w) for k, w in enumerate(weights)
    ]
    moved = [w - 1e-2 * g for w, g in zip(weights, grads, strict=True)]
    history = train_deep_linear(weights, target, lr=1e-2, steps=1)
    np.testing.assert_allclose(history[0], product(weights), atol=1e-12)
    np.testing.assert_allclose(history[1], product(moved), atol=1e-7)


def test_mode_strength_solves_its_equation():
    t = np.linspace(0, 3, 31)
    u = mode_strength(t, 2.0, 0.01)
    slope = mode_strength(t + 1e-20j, 2.0, 0.01).imag / 1e-20
    np.testing.assert_allclose(slope, 2 * u * (2 - u), rtol=1e-12)
    assert u[0] == pytest.approx(0.01)
    assert mode_strength(np.array([1e4]), 4.0, 1e-3) == 4.0


def test_probe_finds_what_a_line_separates_and_no_more():
    rng = numpy_generator(0)
    x = rng.normal(size=(200, 3))
    y = (x[:, 0] > 0.2).astype(int)
    assert linear_probe_accuracy(x, y, x, y) > 0.95
    assert linear_probe_accuracy(x * 1e3 + 7, y, x * 1e3 + 7, y) > 0.95
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert linear_probe_accuracy(square, [0, 1, 1, 0], square, [0, 1, 1, 0]) <= 0.75
    three = np.repeat(np.eye(3), 5, axis=0)
    labels = np.repeat([0, 1, 2], 5)
    assert linear_probe_accuracy(three, labels, three, labels) == 1


def test_probe_stands_dead_and_equal_features():
    x = np.array([[-1.0], [1.0], [2.0]]) * [1.0, 0.0, 1.0]
    assert linear_probe_accuracy(x, [0, 1, 1], x, [0, 1, 1]) == 1
    dead = np.zeros((3, 4))
    assert linear_probe_accuracy(dead, [0, 1, 1], dead, [0, 1, 1]) == pytest.approx(
        2 / 3
    )


def test_embedding_shows_layers_of_two_as_they_are_and_turns_the_others():
    rng = numpy_generator(0)
    net, x = MLP([2, 5, 2, 4, 1], rng=rng), rng.normal(size=(30, 2))
    y = (x[:, 0] > 0).astype(int)
    planes = layer_by_layer_embedding(net, x, y)
    layers = net.layers(x)
    assert [p.shape for p in planes] == [(30, 2)] * 4
    np.testing.assert_array_equal(planes[0], x)
    np.testing.assert_array_equal(planes[2], layers[1])
    for plane, layer in [(planes[1], layers[0]), (planes[3], layers[2])]:
        centred = layer - layer.mean(axis=0)
        assert (plane**2).sum() <= (centred**2).sum() * (1 + 1e-12)
        assert plane[y == 1, 0].mean() > plane[y == 0, 0].mean()
        wide = np.linalg.lstsq(centred, plane)[0]
        np.testing.assert_allclose(centred @ wide, plane, atol=1e-9)  # a projection
    still = MLP([2, 3, 1], rng=rng)
    still.weights[0][:] = 0
    assert np.isfinite(layer_by_layer_embedding(still, x, y)[1]).all()


def test_bumps_stand_between_their_edges():
    edges, heights = np.array([0.0, 1.0, 3.0, 3.5]), np.array([2.0, -1.0, 0.5])
    net = bump_network(edges, heights)
    x = np.array([[-1.0], [0.5], [2.0], [3.2], [9.0]])
    np.testing.assert_array_equal(net(x)[:, 0], [0, 2, -1, 0.5, 0])
    assert describe(net)["widths"] == [6]
    np.testing.assert_allclose(bump_network(edges, heights, 1e4)(x), net(x), atol=1e-12)


@given(st.integers(1, 40), st.floats(0.5, 50))
def test_equal_bumps_make_a_plateau_whatever_the_steepness(bumps, steepness):
    net = bump_network(np.linspace(-1, 1, bumps + 1), np.full(bumps, 3.0), steepness)
    x = np.linspace(-2, 2, 33)
    wanted = 3 * (sigmoid(steepness * (x + 1)) - sigmoid(steepness * (x - 1)))
    np.testing.assert_allclose(net(x[:, None])[:, 0], wanted, atol=1e-12)


def test_the_output_layer_is_fitted_best():
    rng = numpy_generator(0)
    net, x, y = (
        MLP([2, 7, 3], rng=rng),
        rng.normal(size=(50, 2)),
        rng.normal(size=(50, 3)),
    )
    error = fit_output_layer(net, x, y)
    assert error == pytest.approx(np.sqrt(((net(x) - y) ** 2).mean()), rel=1e-10)
    ones = np.column_stack([net.layers(x)[0], np.ones(50)])
    np.testing.assert_allclose(ones.T @ (net(x) - y), 0, atol=1e-10)


@pytest.mark.parametrize("depth", range(1, 11))
def test_sawtooth_has_two_to_the_depth_pieces(depth):
    net = sawtooth(depth)
    assert describe(net)["widths"] == [2] * depth
    ends = np.array([0.0]), np.array([1.0])
    teeth = np.arange(2**depth + 1) / 2**depth
    np.testing.assert_array_equal(break_points(net, *ends), teeth)
    assert count_linear_regions(net, *ends) == 2**depth
    np.testing.assert_array_equal(net(teeth[:, None])[:, 0], np.arange(len(teeth)) % 2)


@given(st.integers(1, 4), st.integers(1, 6), seeds)
def test_break_points_are_those_that_a_fine_grid_finds(depth, width, seed):
    rng = numpy_generator(seed)
    net = MLP([2, *[width] * depth, 1], rng=rng)
    start, end = rng.normal(size=(2, 2)) * 3
    t = break_points(net, start, end)
    assert t[0] == 0
    assert t[-1] == 1
    assert (np.diff(t) > 0).all()
    middle = (t[:-1] + t[1:]) / 2
    for a, m, b in zip(t[:-1], middle, t[1:], strict=True):
        f = net(start + np.array([[a], [m], [b]]) * (end - start))[:, 0]
        assert abs(f[1] - (f[0] + f[2]) / 2) < 1e-9  # straight between two of them
    fine = net(start + np.linspace(0, 1, 2001)[:, None] * (end - start))[:, 0]
    bends = np.abs(np.diff(fine, 2)) > 1e-7 * np.ptp(fine) + 1e-12
    groups = bends[0] + (np.diff(bends.astype(int)) == 1).sum()
    assert groups <= count_linear_regions(net, start, end) - 1


def test_a_shallow_net_has_at_most_one_bend_a_unit():
    for seed in range(20):
        net = MLP([1, 12, 1], rng=numpy_generator(seed))
        assert count_linear_regions(net, np.array([-50.0]), np.array([50.0])) <= 13


@given(st.integers(3, 30), st.floats(0.2, 2))
def test_disc_polygon_is_an_and_of_halfplanes(sides, distance):
    net = disc_polygon(sides, distance)
    x = numpy_generator(sides).uniform(-2.5, 2.5, (200, 2))
    inside = and_of_halfplanes(x, net.weights[0], net.biases[0])
    np.testing.assert_array_equal(net(x)[:, 0] > 0, inside)
    assert inside[np.hypot(*x.T) < distance - 1e-9].all()


def test_float32_stays_float32():
    net = MLP([2, 4, 3, 1], rng=numpy_generator(0))
    net.weights = [w.astype("f4") for w in net.weights]
    net.biases = [b.astype("f4") for b in net.biases]
    x, y = numpy_generator(1).normal(size=(9, 2)).astype("f4"), np.arange(9) % 2
    w, t = x[0], np.linspace(0, 1, 5, dtype="f4")
    results = [*net.layers(x), neuron(x, w, 0.5, relu), signed_distance(x, w, 0.5)]
    results += [identity(x), step(x), mode_strength(t, 2.0, 0.1)]
    results += layer_by_layer_embedding(net, x, y)
    results += [bump_network(t, t[1:], s)(x[:, :1]) for s in (None, 3.0)]
    results += [train_deep_linear([x], x + 1, lr=0.1, steps=2)]
    fit_output_layer(net, x, x[:, :1])
    results += [net(x), *net.parameters()]
    assert {r.dtype for r in results} == {np.dtype("f4")}


def test_extreme_scores_stay_finite_and_silent():
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        x = np.array([[-1e4], [1e4]])
        assert np.isfinite(bump_network(np.arange(3.0), np.ones(2), 1e4)(x)).all()
        assert np.isfinite(sawtooth(3)(x)).all()
        assert np.isfinite(mode_strength(np.array([0.0, 1e4]), 10.0, 1e-9)).all()
        assert np.isnan(step(np.array([np.nan]))).sum() == 0
