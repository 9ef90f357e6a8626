"""Blocks in NumPy: gradients, the engine, what each architecture promises."""

import numpy as np
import pytest

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.architectures import scratch, second_derivatives
from dlbook_lib.convolutional.architectures.counts import (
    conv,
    inception,
    measure,
    pool,
    residual_block,
    total,
)
from dlbook_lib.convolutional.architectures.scratch import (
    BasicBlock,
    Bottleneck,
    DenseBlock,
    DenseLayer,
    FractalBlock,
    Inception,
    MiniAlexNet,
    ResNetSmall,
    Transition,
    VGGBlock,
    draw_paths,
    join,
    local_response_norm,
    local_response_norm_backward,
    occlusion_map,
    projection,
)
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.feedforward.autodiff.modules import SGD
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient

MODULES = [
    (MiniAlexNet, (4,), {"width": 2, "p": 0.0}, (3, 32, 32), (4,)),
    (VGGBlock, (3, 4, 3), {}, (3, 6, 7), (4, 3, 3)),
    (Inception, (3, 1, 2, 3, 1, 2, 2), {}, (3, 5, 6), (8, 5, 6)),
    (BasicBlock, (3, 3), {}, (3, 5, 6), (3, 5, 6)),
    (BasicBlock, (3, 4, 2), {}, (3, 5, 6), (4, 3, 3)),
    (BasicBlock, (3, 4), {"residual": False}, (3, 5, 6), (4, 5, 6)),
    (projection, (3, 4, 2), {}, (3, 5, 6), (4, 3, 3)),
    (Bottleneck, (8, 2), {}, (8, 4, 5), (8, 4, 5)),
    (Bottleneck, (3, 2, 2), {}, (3, 4, 5), (8, 2, 3)),
    (ResNetSmall, (1, 2, 4), {}, (3, 8, 8), (4,)),
    (FractalBlock, (2, 3, 3), {"p": 0.0}, (2, 4, 5), (3, 4, 5)),
    (DenseLayer, (3, 2), {}, (3, 4, 5), (5, 4, 5)),
    (DenseBlock, (3, 2, 3, 2), {}, (3, 4, 5), (9, 4, 5)),
    (Transition, (4, 2), {}, (4, 5, 6), (2, 2, 3)),
]
IDS = [f"{m[0].__name__}{i}" for i, m in enumerate(MODULES)]
modules = pytest.mark.parametrize("case", MODULES, ids=IDS)


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def made(case, dtype="float64"):
    kind, sizes, options, shape, out = case
    net = kind(*sizes, **options, rng=numpy_generator(0), dtype=dtype)
    return net, shape, out


@modules
def test_shapes_and_precision(case):
    for dtype in ("float64", "float32"):
        net, shape, out = made(case, dtype)
        for n in (2, 1):
            if n == 1:
                net.eval()
            x = numpy_generator(1).normal(size=(n, *shape)).astype(dtype)
            y = net(tensor(x, requires_grad=True))
            assert y.shape == (n, *out)
            assert y.dtype == dtype
            y.backward(np.ones(y.shape, dtype))
            assert {p.grad.dtype for p in net.parameters()} == {np.dtype(dtype)}
        assert net(np.zeros((0, *shape), dtype)).shape == (0, *out)


@modules
def test_gradients_along_a_direction(case):
    net, shape, out = made(case)
    rng = numpy_generator(2)
    x, dy = rng.normal(size=(3, *shape)), rng.normal(size=(3, *out))
    given = tensor(x, requires_grad=True)
    net(given).backward(dy)
    ways = [rng.normal(size=p.shape) for p in net.parameters()]
    along = rng.normal(size=x.shape)
    slope = (given.grad.data * along).sum()
    for p, way in zip(net.parameters(), ways, strict=True):
        slope += (p.grad.data * way).sum()
    h, ends = 1e-6, []
    for step in (h, -h):
        for p, way in zip(net.parameters(), ways, strict=True):
            p.data += step * way
        ends.append((np.asarray(net(x + step * along).data) * dy).sum())
        for p, way in zip(net.parameters(), ways, strict=True):
            p.data -= step * way
    assert abs((ends[0] - ends[1]) / (2 * h) - slope) < 1e-5 * (1 + abs(slope))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_the_gradient_of_response_normalisation(size):
    rng = numpy_generator(0)
    x, dy = rng.normal(size=(2, 2, 5, 3))
    options = size, 0.7, 0.6, 1.3
    dx = local_response_norm_backward(dy, x, *options)
    wanted = numeric_gradient(
        lambda a: (dy * local_response_norm(a, *options)).sum(), x.copy()
    )
    np.testing.assert_allclose(dx, wanted, rtol=1e-6, atol=1e-8)
    t = tensor(x, requires_grad=True)
    second_derivatives.local_response_norm(t, *options).backward(dy)
    np.testing.assert_array_equal(t.grad.data, dx)
    few = local_response_norm(x.astype("f4"), *options)
    assert few.dtype == np.float32
    assert local_response_norm(x[:0], *options).shape == (0, 5, 3)


def test_the_arithmetic_counts_the_modules():
    cases = [
        (
            VGGBlock(3, 8, 2, rng=numpy_generator(0)),
            [conv(8, 3, 1, 1), conv(8, 3, 1, 1), pool(2)],
            (3, 8, 8),
        ),
        (
            Inception(6, 1, 2, 3, 4, 5, 6, rng=numpy_generator(0)),
            [inception(1, 2, 3, 4, 5, 6)],
            (6, 8, 8),
        ),
        (
            BasicBlock(3, 4, 2, rng=numpy_generator(0)),
            [residual_block(4, 2, shortcut=4)],
            (3, 8, 8),
        ),
        (
            Bottleneck(8, 2, rng=numpy_generator(0)),
            [residual_block(2, bottleneck=True)],
            (8, 8, 8),
        ),
    ]
    for net, layers, shape in cases:
        assert sum(p.numel() for p in net.parameters()) == total(layers, shape)[0]
        end = shape
        for layer in layers:
            end = measure(layer, end)[0]
        assert net(np.zeros((2, *shape))).shape == (2, *end)


def test_a_residual_block_without_weights_is_its_input():
    block = BasicBlock(3, 3, rng=numpy_generator(0)).eval()
    for p in block.parameters():
        p.data[...] = 0
    x = abs(numpy_generator(1).normal(size=(2, 3, 4, 4)))
    np.testing.assert_array_equal(block(x).data, x)


def test_any_column_of_a_fractal_works_alone():
    block = FractalBlock(2, 3, 3, rng=numpy_generator(0)).eval()
    x = numpy_generator(1).normal(size=(2, 2, 5, 5))
    each = [block.column(x, i).data for i in range(3)]
    assert {y.shape for y in each} == {(2, 3, 5, 5)}
    paths = block.paths(x)
    np.testing.assert_array_equal(paths[0].data, each[0])
    np.testing.assert_allclose(
        block(x).data, np.mean([p.data for p in paths], axis=0), rtol=1e-12
    )
    block.train()
    block.p = 1.0  # one column at the last join, drawn anew each time
    ends = [block(x).data for _ in range(12)]
    assert len({y.tobytes() for y in ends}) > 1
    with pytest.raises(ValueError, match="index must be 0 to 2"):
        block.column(x, 3)


def test_paths_are_dropped_as_often_as_asked():
    rng = numpy_generator(0)
    drawn = np.array([draw_paths(4, 0.3, rng=rng) for _ in range(4000)])
    assert drawn.any(axis=1).all()
    share = 0.7 + 0.3**4 / 4  # one of four comes back if all would go
    np.testing.assert_allclose(drawn.mean(axis=0), share, atol=0.03)
    last = np.array([draw_paths(4, 1.0, rng=rng) for _ in range(400)])
    assert (last.sum(axis=1) == 1).all()
    assert last.mean(axis=0).min() > 0.15
    live = [np.array([1.0, 2.0]), np.array([3.0, 6.0])]
    np.testing.assert_array_equal(join(live, [False, True]), live[1])
    np.testing.assert_array_equal(join([*live, live[0]], [True, True, False]), [2, 4])


def test_dropout_belongs_to_training():
    net = MiniAlexNet(4, width=2, rng=numpy_generator(0))
    x = numpy_generator(1).normal(size=(2, 3, 32, 32))
    assert not np.array_equal(net(x).data, net(x).data)
    net.eval()
    np.testing.assert_array_equal(net(x).data, net(x).data)


def test_a_small_network_learns():
    rng = numpy_generator(0)
    y = rng.integers(0, 2, 24)
    x = 0.3 * rng.normal(size=(24, 1, 8, 8))
    x[y == 1, :, 2:6, 2:6] += 1.0
    net = ResNetSmall(1, 2, 2, 1, rng=rng)
    optimizer, losses = SGD(net.parameters(), lr=0.1, momentum=0.9), []
    for _ in range(12):
        loss = cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_what_is_covered_counts():
    image = numpy_generator(0).normal(size=(2, 6, 7))

    def predict(x):
        return x[:, 0, 2, 3]

    found = occlusion_map(predict, image, (2, 3), (1, 2), fill=9.0)
    assert found.shape == (5, 3)
    covered = np.zeros((5, 3), bool)
    covered[1:3, 1] = True
    assert (found[covered] == 9).all()
    assert (found[~covered] == image[0, 2, 3]).all()


def test_occlusion_covers_few_large_images_at_a_time(monkeypatch):
    image = numpy_generator(0).normal(size=(2, 5, 7))
    seen = []

    def predict(images):
        seen.append(len(images))
        return images.sum(axis=(1, 2, 3))

    whole = occlusion_map(predict, image, 2)
    assert seen == [6] * 4  # a row of places
    monkeypatch.setattr(scratch, "COLUMN_BYTES", 5 * image.nbytes)
    np.testing.assert_array_equal(occlusion_map(predict, image, 2), whole)
    assert max(seen[4:]) == 5


def test_every_public_name_of_the_module_is_here():
    assert scratch.BasicBlock.expansion == 1
    assert scratch.Bottleneck.expansion == 4
