"""LeNet-5: published counts, gradients, precision, and what the helpers say."""

import tracemalloc

import numpy as np
import pytest

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.lenet import layers, scratch
from dlbook_lib.convolutional.lenet import second_derivatives as twice
from dlbook_lib.convolutional.lenet.batch_last import SHAPES, BatchLastLeNet, views
from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.convolutional.strides_and_gradients.scratch import conv2d
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient

RNG = numpy_generator(0)


def test_the_table_is_the_published_one():
    assert [len(maps) for maps in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert len(set(C3_TABLE)) == 16
    assert all(list(maps) == sorted(set(maps)) for maps in C3_TABLE)
    used = [sum(i in maps for maps in C3_TABLE) for i in range(6)]
    assert used == [10] * 6


def test_every_layer_of_1998_has_the_published_number_of_weights():
    net = layers.LeNet5(rng=RNG)
    counts = {}
    for name, p in net.named_parameters():
        key = name.partition(".")[0].upper()
        counts[key] = counts.get(key, 0) + p.numel()
    assert counts == layers.WEIGHTS
    assert sum(counts.values()) == 60_000
    assert net.output.weight.shape == (10, 84)  # not trained


def test_the_remake_has_61706_parameters_layer_by_layer():
    net = layers.LeNet5Remake(rng=RNG)
    counts = [p.numel() for p in net.parameters()]
    assert counts == [150, 6, 2400, 16, 48_000, 120, 10_080, 84, 840, 10]
    assert sum(counts) == 61_706
    assert {k: v.shape for k, v in net.state_dict().items()} == SHAPES


def test_connections_are_the_published_ones():
    found = layers.layer_table()
    assert {k: v["weights"] for k, v in found.items()} == layers.WEIGHTS
    assert [v["connections"] for v in found.values()] == [
        122_304,
        5_880,
        151_600,
        2_000,
        48_120,
        10_164,
    ]
    assert [v["field"] for v in found.values()] == [5, 6, 14, 16, 32, 32]
    assert [v["shape"][1] for v in found.values()] == [28, 14, 10, 5, 1, 1]
    dense = layers.layer_table([tuple(range(6))] * 16)
    assert dense["C3"]["weights"] == 2416


def test_scaled_tanh_bends_most_at_one():
    x = np.linspace(-3, 3, 60_001)
    bend = np.gradient(np.gradient(scratch.scaled_tanh(x), x), x)
    assert abs(abs(x[np.argmax(abs(bend))]) - 1) < 0.02
    np.testing.assert_allclose(scratch.scaled_tanh([1.0, -1.0]), [1, -1], atol=1e-4)


def test_codes_are_ten_different_pictures_of_plus_and_minus_one():
    codes = scratch.digit_codes()
    assert codes.shape == (10, 84)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    apart = scratch.rbf(codes, codes)
    assert (apart[~np.eye(10, dtype=bool)] >= 4 * 7).all()  # in 7 pixels or more
    for picture in codes.reshape(10, 12, 7):
        assert (picture[[0, -1]] == -1).all()
    assert scratch.digit_codes("float32").dtype == "f4"


def test_a_partial_convolution_is_the_sum_over_the_maps_it_sees():
    x, weight, bias = (
        RNG.normal(size=(2, 6, 7, 8)),
        RNG.normal(size=(60, 5, 5)),
        RNG.normal(size=16),
    )
    y, start = scratch.partial_conv2d(x, weight, bias, C3_TABLE), 0
    for f, maps in enumerate(C3_TABLE):
        kernels = weight[start : start + len(maps)][None]
        expected = conv2d(x[:, list(maps)], kernels, bias[[f]])
        np.testing.assert_allclose(y[:, [f]], expected, atol=1e-12)
        start += len(maps)


TABLE = [(0, 2), (1,), (2, 1)]
PAIRS = {
    "scaled_tanh": [(3, 4)],
    "subsample2d": [(2, 3, 4, 6), (3,), (3,)],
    "rbf": [(3, 5), (4, 5)],
    "partial_conv2d": [(2, 3, 4, 5), (5, 2, 2), (3,)],
}


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_equal_numeric_ones_and_float32_stays(name):
    f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
    rest = [TABLE] if name == "partial_conv2d" else []
    arrays = [RNG.normal(size=shape) for shape in PAIRS[name]]
    y = f(*arrays, *rest)
    dy = RNG.normal(size=y.shape)
    found = f_backward(dy, *arrays, *rest)
    found = found if isinstance(found, tuple) else (found,)
    for i, grad in enumerate(found):

        def loss(x, i=i):
            return float((dy * f(*arrays[:i], x, *arrays[i + 1 :], *rest)).sum())

        np.testing.assert_allclose(grad, numeric_gradient(loss, arrays[i]), atol=1e-6)
    small = [a.astype("f4") for a in arrays]
    found = f_backward(dy.astype("f4"), *small, *rest)
    found = found if isinstance(found, tuple) else (found,)
    assert f(*small, *rest).dtype == "f4"
    assert [g.dtype for g in found] == ["f4"] * len(found)
    leaves = [tensor(a, requires_grad=True) for a in arrays]
    getattr(twice, name)(*leaves, *rest).backward(dy)
    for t, grad in zip(
        leaves,
        f_backward(dy, *arrays, *rest)
        if len(leaves) > 1
        else [f_backward(dy, *arrays)],
        strict=True,
    ):
        np.testing.assert_array_equal(t.grad.data, grad)


def test_the_loss_is_its_formula_and_never_overflows():
    y, target = abs(RNG.normal(size=(5, 10))) * 9, RNG.integers(10, size=5)
    naive = [
        row[t] + np.log(np.exp(-0.5) + sum(np.exp(-row)))
        for row, t in zip(y, target, strict=True)
    ]
    assert abs(scratch.rbf_loss(y, target, 0.5) - np.mean(naive)) < 1e-12
    expected = numeric_gradient(lambda y: float(scratch.rbf_loss(y, target, 0.5)), y)
    found = scratch.rbf_loss_backward(2.0, y, target, 0.5)
    np.testing.assert_allclose(found, 2 * expected, atol=1e-6)
    with np.errstate(all="raise", under="ignore"):
        assert scratch.rbf_loss(np.array([[1e4, 2e4]]), [0]) == pytest.approx(1e4 - 0.1)
    assert scratch.rbf_loss(y.astype("f4"), target).dtype == "f4"
    assert scratch.rbf_loss_backward(1.0, y.astype("f4"), target).dtype == "f4"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_networks_keep_the_precision(dtype):
    for cls, size in ((layers.LeNet5, 32), (layers.LeNet5Remake, 28)):
        net = cls(rng=RNG, dtype=dtype)
        maps = net.maps(RNG.normal(size=(2, 1, size, size)).astype(dtype))
        assert {y.dtype for y in maps.values()} == {np.dtype(dtype)}
        maps[list(maps)[-1]].sum().backward()
        assert {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}
        assert net(np.zeros((0, 1, size, size), dtype)).shape == (0, 10)


@pytest.mark.slow
def test_the_1998_network_learns_its_codes():
    rng = numpy_generator(1)
    net = layers.LeNet5(rng=rng)
    x = rng.normal(size=(10, 1, 32, 32))
    optimizer, losses = scratch.SGD(net.parameters(), 0.003, 0.9), []
    for _ in range(60):
        optimizer.zero_grad()
        cost = twice.rbf_loss(net(x), np.arange(10))
        cost.backward()
        optimizer.step()
        losses.append(cost.item())
    assert losses[-1] < 0.6 * losses[0]


def test_prepare_puts_images_into_the_middle():
    x = scratch.prepare(np.full((2, 28, 28), 255, np.uint8), dtype="float32")
    assert x.shape == (2, 1, 32, 32)
    assert x.dtype == "f4"
    np.testing.assert_allclose(x[:, :, 2:30, 2:30], 1.175, rtol=1e-6)
    np.testing.assert_allclose(x[:, :, :2], -0.1, rtol=1e-6)
    np.testing.assert_allclose(x[..., 30:], -0.1, rtol=1e-6)


# ---- the fast step -------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 40])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_step_by_hand_equals_the_network(n, dtype):
    rng = numpy_generator(n)
    net = layers.LeNet5Remake(rng=rng, dtype=dtype)
    x, y = rng.normal(size=(n, 28, 28)).astype(dtype), rng.integers(10, size=n)
    fast = BatchLastLeNet(net.state_dict())
    loss = cross_entropy(net(x[:, None]), y)
    loss.backward()
    tol = 1e-10 if dtype == "float64" else 1e-5
    assert abs(fast.gradient(x, y) - loss.item()) < tol
    assert fast.grad.dtype == dtype
    for name, p in net.named_parameters():
        np.testing.assert_allclose(fast.grads[name], p.grad.data, rtol=0, atol=tol)


def test_both_trainings_take_the_same_path():
    rng = numpy_generator(3)
    x, y = rng.normal(size=(50, 1, 28, 28)), rng.integers(10, size=50)
    order, nets, losses = rng.integers(50, size=130), [], []
    for train in (scratch.train_lenet, scratch.train_lenet_batch_last):
        net = layers.LeNet5Remake(rng=numpy_generator(0))
        losses.append(train(net, x, y, order, 0.05, 0.9, 32))
        nets.append(net)
    assert len(losses[0]) == 5
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)
    for p, q in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_allclose(p.data, q.data, atol=1e-12)
    assert scratch.accuracy(nets[0], x, y, 7) == scratch.accuracy(nets[1], x, y)


def test_parts_of_the_buffer_cover_it_once():
    flat = np.arange(61_706.0)
    parts = views(flat)
    assert all(np.shares_memory(part, flat) for part in parts.values())
    joined = np.concatenate([part.ravel() for part in parts.values()])
    np.testing.assert_array_equal(joined, flat)


def test_a_step_takes_little_memory():
    net = BatchLastLeNet(layers.LeNet5Remake(rng=RNG, dtype="float32").state_dict())
    x, y = RNG.normal(size=(128, 28, 28)).astype("f4"), RNG.integers(10, size=128)
    net.step(x, y, 0.01)
    tracemalloc.start()
    net.step(x, y, 0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 11e6


# ---- the helpers ---------------------------------------------------------------------


def test_saliency_is_the_derivative_of_one_score():
    net = layers.LeNet5Remake(rng=numpy_generator(0))
    x, labels = RNG.normal(size=(2, 1, 28, 28)), np.array([3, 8])
    found = scratch.saliency(net, x, labels)
    assert all(p.grad is None for p in net.parameters())  # a look, not a step
    for pixel in [(0, 0, 5, 6), (1, 0, 20, 13)]:
        up, down = x.copy(), x.copy()
        up[pixel] += 1e-6
        down[pixel] -= 1e-6
        n = pixel[0]
        rise = (net(up) - net(down)).data[n, labels[n]] / 2e-6
        assert abs(abs(rise) - found[pixel]) < 1e-7


def test_worst_errors_are_mistakes_the_surest_first():
    scores, labels = RNG.normal(size=(60, 10)), RNG.integers(10, size=60)
    found = scratch.worst_errors(scores, labels, 20)
    assert len(found) == 20
    assert (scores[found].argmax(axis=1) != labels[found]).all()
    below = scores.max(axis=1) - scores[np.arange(60), labels]
    assert (np.diff(below[found]) <= 0).all()
    assert below[found].min() >= np.sort(below)[-20]
