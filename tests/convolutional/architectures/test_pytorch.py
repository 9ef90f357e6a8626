"""Blocks against the twin: values, gradients and running state on the same weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.convolutional.architectures import pytorch, scratch
from dlbook_lib.feedforward.autodiff.engine import tensor
from tests.convolutional.architectures.test_scratch import modules

TOLERANCE = {
    "float64": {"rtol": 1e-9, "atol": 1e-10},
    "float32": {"rtol": 2e-3, "atol": 2e-4},
}


@modules
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_modules_with_the_same_weights_agree(case, dtype):
    kind, sizes, options, shape, out = case
    close, rng = TOLERANCE[dtype], numpy_generator(0)
    ours = kind(*sizes, **options, rng=rng, dtype=dtype)
    twin = getattr(pytorch, kind.__name__)
    own = {"rng": torch_generator(0), "dtype": getattr(torch, dtype)}
    theirs = twin(*sizes, **options, **own)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():  # the same bounds of the start
        fan_in = state[name.replace("bias", "weight")]
        if fan_in.ndim > 1:
            bound = fan_in[0].numel() ** -0.5
            assert abs(value).max() <= bound
            assert state[name].abs().max() <= bound
    ours.load_state_dict(state)
    x = rng.normal(size=(3, *shape)).astype(dtype)
    dy = rng.normal(size=(3, *out)).astype(dtype)
    a, b = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a), theirs(b)
    np.testing.assert_allclose(y.data, z.detach(), **close)
    y.backward(dy)
    z.backward(torch.tensor(dy))
    pairs = zip((a, *ours.parameters()), (b, *theirs.parameters()), strict=True)
    for mine, other in pairs:
        scale = 1 + float(other.grad.abs().max())
        np.testing.assert_allclose(mine.grad.data / scale, other.grad / scale, **close)
    for name, value in ours.state_dict().items():  # running statistics have moved
        np.testing.assert_allclose(value, theirs.state_dict()[name], **close)
    last = ours.eval()(x), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(last[0].data, last[1].detach(), **close)


def test_columns_and_paths_agree():
    theirs = pytorch.FractalBlock(2, 3, 3, rng=torch_generator(0)).eval()
    ours = scratch.FractalBlock(2, 3, 3, rng=numpy_generator(0)).eval()
    ours.load_state_dict(theirs.state_dict())
    x = numpy_generator(1).normal(size=(2, 2, 5, 5))
    t = torch.tensor(x)
    for i, (a, b) in enumerate(zip(ours.paths(x), theirs.paths(t), strict=True)):
        np.testing.assert_allclose(a.data, b.detach(), rtol=1e-10)
        alone = theirs.column(t, i).detach()
        np.testing.assert_allclose(ours.column(x, i).data, alone, rtol=1e-10)
    live = [pytorch.draw_paths(3, 0.9, rng=torch_generator(s)) for s in range(30)]
    assert all(each.any() for each in live)
    theirs.train()(t)
    mean = pytorch.join([t, 3 * t, 5 * t], [True, False, True])
    np.testing.assert_allclose(mean, scratch.join([x, 3 * x, 5 * x], [1, 0, 1]))


@given(
    st.integers(0, 2),
    st.integers(1, 6),
    st.integers(1, 7),
    st.sampled_from(["f8", "f4"]),
    st.booleans(),
)
def test_response_normalisation_is_torchs(n, channels, size, dtype, wide):
    close = {"f8": {"rtol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-5}}[dtype]
    rng = numpy_generator(size)
    shape = (n, channels, 3, 2) if wide else (n, channels, 4)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    x = np.repeat(x, 2, axis=-1)[..., ::2]  # not contiguous
    options = size, 0.8, 0.7, 1.2
    t = torch.tensor(x.copy(), requires_grad=True)
    if not n:
        assert scratch.local_response_norm(x, *options).shape == x.shape
        return
    y = torch.nn.functional.local_response_norm(t, *options)
    np.testing.assert_allclose(
        scratch.local_response_norm(x, *options), y.detach(), **close
    )
    y.backward(torch.tensor(dy))
    dx = scratch.local_response_norm_backward(dy, x, *options)
    assert dx.dtype == x.dtype
    np.testing.assert_allclose(dx, t.grad, **{"atol": 1e-10} | close)


@pytest.mark.parametrize("transposed", [False, True])
def test_neighbour_channels_agree(transposed):
    x = numpy_generator(0).normal(size=(2, 5, 3))
    for size in (1, 2, 3, 6):
        ours = scratch.across_channels(x, size, transposed)
        theirs = pytorch.across_channels(torch.tensor(x), size, transposed)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_occlusion_maps_agree():
    image = numpy_generator(0).normal(size=(2, 6, 7))
    ours = scratch.occlusion_map(
        lambda x: (x**3).sum(axis=(1, 2, 3)), image, (2, 3), 2, 0.5
    )
    theirs = pytorch.occlusion_map(
        lambda x: (x**3).sum(dim=(1, 2, 3)), torch.tensor(image), (2, 3), 2, 0.5
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
