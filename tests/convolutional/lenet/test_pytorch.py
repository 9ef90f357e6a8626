"""LeNet-5: twin against twin, from the same weights, and the same path of training."""

import numpy as np
import pytest
import torch

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.lenet import layers, layers_pytorch, pytorch, scratch
from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.feedforward.autodiff.engine import tensor

RNG = numpy_generator(0)
CASES = {
    "scaled_tanh": ([(3, 4)], []),
    "subsample2d": ([(2, 3, 4, 6), (3,), (3,)], []),
    "rbf": ([(3, 5), (4, 5)], []),
    "partial_conv2d": ([(2, 6, 7, 8), (60, 5, 5), (16,)], [C3_TABLE]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [0, 2])
def test_functions_and_gradients_equal_their_twins(name, n):
    shapes, rest = CASES[name]
    arrays = [RNG.normal(size=s) for s in shapes]
    arrays[0] = arrays[0][:n]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = (
        getattr(scratch, name)(*arrays, *rest),
        getattr(pytorch, name)(*tensors, *rest),
    )
    np.testing.assert_allclose(y, expected.detach(), atol=1e-10)
    dy = RNG.normal(size=y.shape)
    expected.backward(torch.tensor(dy))
    found = getattr(scratch, f"{name}_backward")(dy, *arrays, *rest)
    for ours, t in zip(
        found if isinstance(found, tuple) else (found,), tensors, strict=True
    ):
        np.testing.assert_allclose(ours, t.grad, atol=1e-10)


def test_losses_codes_and_images_equal_their_twins():
    y, target = abs(RNG.normal(size=(5, 10))) * 9, RNG.integers(10, size=5)
    t = torch.tensor(y, requires_grad=True)
    expected = pytorch.rbf_loss(t, torch.tensor(target), 0.3)
    expected.backward()
    assert abs(scratch.rbf_loss(y, target, 0.3) - expected.item()) < 1e-12
    found = scratch.rbf_loss_backward(1.0, y, target, 0.3)
    np.testing.assert_allclose(found, t.grad, atol=1e-12)
    np.testing.assert_array_equal(scratch.digit_codes(), pytorch.digit_codes())
    images = RNG.integers(256, size=(3, 28, 28)).astype(np.uint8)
    for size in (28, 32, 33):
        ours, twin = scratch.prepare(images, size), pytorch.prepare(images, size)
        np.testing.assert_allclose(ours, twin, atol=1e-12)


@pytest.mark.parametrize(("name", "size"), [("LeNet5", 32), ("LeNet5Remake", 28)])
def test_networks_load_each_others_weights_and_agree(name, size):
    ours = getattr(layers, name)(rng=numpy_generator(0))
    twin = getattr(layers_pytorch, name)(rng=torch_generator(0))
    assert list(ours.state_dict()) == list(twin.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in twin.state_dict().items()})
    twin.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = RNG.normal(size=(3, 1, size, size))
    pixels = tensor(x, requires_grad=True)
    tx = torch.tensor(x, requires_grad=True)
    maps, expected = ours.maps(pixels), twin.maps(tx)
    assert list(maps) == list(expected)
    for key, y in maps.items():
        np.testing.assert_allclose(y.data, expected[key].detach(), atol=1e-10)
    ours(pixels).sum().backward()
    twin(tx).sum().backward()
    np.testing.assert_allclose(pixels.grad.data, tx.grad, atol=1e-10)
    for (k, p), q in zip(ours.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad, atol=1e-9, err_msg=k)
    starts = [abs(p.detach().numpy()).max() for p in twin.parameters()]
    fresh = getattr(layers, name)(rng=numpy_generator(1)).parameters()
    for ours_, theirs in zip(fresh, starts, strict=True):
        if ours_.numel() > 50:
            assert 0.9 < abs(ours_.data).max() / theirs < 1.1


def test_the_table_of_layers_equals_what_its_twin_counts():
    for table in (C3_TABLE, ((0, 1, 2, 3, 4, 5),) * 16):
        assert layers.layer_table(table) == layers_pytorch.layer_table(table)


@pytest.mark.slow
@pytest.mark.parametrize("train", ["train_lenet", "train_lenet_batch_last"])
def test_training_follows_the_same_losses(train):
    rng = numpy_generator(0)
    x, y = rng.normal(size=(64, 1, 28, 28)), rng.integers(10, size=64)
    order, options = rng.integers(64, size=500), (0.02, 0.9, 48)
    ours, twin = (
        layers.LeNet5Remake(rng=rng),
        layers_pytorch.LeNet5Remake(rng=torch_generator(0)),
    )
    ours.load_state_dict({k: v.numpy() for k, v in twin.state_dict().items()})
    found = getattr(scratch, train)(ours, x, y, order, *options)
    arrays = torch.tensor(x), torch.tensor(y), order
    expected = getattr(pytorch, train)(twin, *arrays, *options)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    for p, q in zip(ours.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.detach(), atol=1e-8)
    assert scratch.accuracy(ours, x, y) == pytorch.accuracy(twin, *arrays[:2])
    np.testing.assert_allclose(
        scratch.saliency(ours, x[:3], y[:3]),
        pytorch.saliency(twin, *(a[:3] for a in arrays[:2])),
        atol=1e-8,
    )
    scores = ours(x).data
    np.testing.assert_array_equal(
        scratch.worst_errors(scores, y, 9),
        pytorch.worst_errors(torch.tensor(scores), arrays[1], 9),
    )
