"""The twins agree to 1e-10 in float64, with each other and with torch.nn."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dlbook_lib.feedforward.output_units.pytorch as twin
import dlbook_lib.feedforward.output_units.scratch as scratch
from dlbook_lib.common.rng import numpy_generator, torch_generator

REDUCTIONS = ("mean", "sum", "none")
seeds = st.integers(0, 999)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def tensor(x):
    return torch.tensor(x) if isinstance(x, np.ndarray) else x


def tensors(*arrays):
    return [tensor(a) for a in arrays]


def same(ours, theirs, atol=1e-10):
    if isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, atol)
    else:
        theirs = theirs.detach().numpy()
        assert np.shape(ours) == theirs.shape
        assert np.asarray(ours).dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=atol)


def agree(name, seed, *arguments):
    """The function and its backward give the same in both halves."""
    ours, theirs = (getattr(half, name) for half in (scratch, twin))
    y = ours(*arguments)
    same(y, theirs(*tensors(*arguments)))
    dy = np.asarray(numpy_generator(seed).normal(size=np.shape(y)))
    ours, theirs = (getattr(half, f"{name}_backward") for half in (scratch, twin))
    same(ours(dy, *arguments), theirs(*tensors(dy, *arguments)))


@given(shapes, seeds, st.sampled_from([1.0, 30.0]), st.data())
def test_the_softmax_family(shape, seed, spread, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    z = spread * numpy_generator(seed).normal(size=shape)
    for name in ("softmax", "log_softmax", "logsumexp"):
        agree(name, seed, z, dim)
    agree("logsumexp", seed, z, dim, True)


@given(shapes, seeds, st.sampled_from([0.5, 1.0, 4.0]), st.sampled_from([5.0, 20.0]))
def test_softplus(shape, seed, beta, threshold):
    z = 20 * numpy_generator(seed).normal(size=shape)
    agree("softplus", seed, z, beta, threshold)


def targets(rng, shape, kind):
    dim = min(1, len(shape) - 1)
    if kind == "labels":
        y = np.asarray(rng.integers(shape[dim], size=shape[:dim] + shape[dim + 1 :]))
        if y.size > 1:
            y[np.unravel_index(rng.integers(y.size), y.shape)] = -7
        return y
    return scratch.softmax(rng.normal(size=shape), dim)


@given(
    shapes,
    seeds,
    st.sampled_from(["labels", "probabilities"]),
    st.sampled_from(REDUCTIONS),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_cross_entropy(shape, seed, kind, reduction, weigh, smooth):
    rng = numpy_generator(seed)
    z, target = 3 * rng.normal(size=shape), targets(rng, shape, kind)
    weight = rng.uniform(0.5, 2, shape[min(1, len(shape) - 1)]) if weigh else None
    options = {"ignore_index": -7, "reduction": reduction, "label_smoothing": smooth}
    ours = scratch.cross_entropy(z, target, weight, **options)
    tz, ty, tw = tensors(z, target, weight)
    same(ours, twin.cross_entropy(tz, ty, tw, **options))
    dy = np.asarray(rng.normal(size=np.shape(ours)))
    same(
        scratch.cross_entropy_backward(dy, z, target, weight, **options),
        twin.cross_entropy_backward(torch.tensor(dy), tz, ty, tw, **options),
    )
    ours = scratch.target_weights(z, target, weight, -7, smooth)
    theirs = twin.target_weights(tz, ty, tw, -7, smooth)
    same(ours[0], theirs[0])
    assert abs(ours[1] - theirs[1]) < 1e-12
    same(
        scratch.class_probabilities(z, target, -7),
        twin.class_probabilities(tz, ty, -7),
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_extreme_logits(dtype):
    z = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [3e38, -3e38, 0]], dtype)
    for name in ("softmax", "log_softmax", "logsumexp"):
        same(
            getattr(scratch, name)(z, 1), getattr(twin, name)(torch.tensor(z), 1), 1e-6
        )
    same(scratch.softplus(z), twin.softplus(torch.tensor(z)), 1e-6)
    y = np.array([1, 2, 0])
    same(
        scratch.cross_entropy(z, y, reduction="none"),
        twin.cross_entropy(*tensors(z, y), reduction="none"),
        1e-6,
    )


@given(seeds)
def test_cross_entropy_in_one_buffer(seed):
    rng = numpy_generator(seed)
    z, y = rng.normal(size=(7, 5)), rng.integers(5, size=7)
    same(
        scratch.cross_entropy_in_one_buffer(z, y),
        twin.cross_entropy_in_one_buffer(*tensors(z, y)),
    )


@given(shapes, seeds, st.sampled_from(REDUCTIONS))
def test_heteroscedastic_nll(shape, seed, reduction):
    mean, a, y = numpy_generator(seed).normal(size=(3, *shape))
    agree("heteroscedastic_nll", seed, mean, 5 * a, y, reduction)


def test_heteroscedastic_head_is_torchs_gaussian_loss():
    mean, a, y = numpy_generator(0).normal(size=(3, 9))
    var = torch.tensor(1 / scratch.softplus(a))
    loss = torch.nn.GaussianNLLLoss(reduction="none")
    same(
        scratch.heteroscedastic_nll(mean, a, y, "none"),
        loss(*tensors(mean, y), var),
    )


@given(
    seeds,
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(REDUCTIONS),
)
def test_mixture_density_nll(seed, batch, k, d, reduction):
    rng = numpy_generator(seed)
    shapes = [(k,), (k, d), (k,), (d,)]
    arguments = [rng.normal(size=(*batch, *shape)) for shape in shapes]
    agree("mixture_density_nll", seed, *arguments, reduction)
    theirs = twin.mixture_log_joint(*tensors(*arguments))
    same(scratch.mixture_log_joint(*arguments), theirs)


HEADS = [
    ("LinearHead", 2, lambda rng: rng.normal(size=(6, 2))),
    ("SigmoidHead", 2, lambda rng: rng.integers(2, size=(6, 2)).astype(float)),
    ("SoftmaxHead", 4, lambda rng: rng.integers(4, size=6)),
    ("PoissonHead", 2, lambda rng: rng.poisson(3.0, (6, 2)).astype(float)),
    ("HeteroscedasticHead", 4, lambda rng: rng.normal(size=(6, 2))),
    ("MixtureDensityNetwork", 12, lambda rng: rng.normal(size=(6, 2))),
]


def pair_of(name):
    if name != "MixtureDensityNetwork":
        return [getattr(half, name)() for half in (scratch, twin)]
    ours = scratch.MixtureDensityNetwork(3, 5, 3, 2, rng=numpy_generator(0))
    theirs = twin.MixtureDensityNetwork(3, 5, 3, 2, rng=torch_generator(0)).double()
    state = {key: torch.tensor(array) for key, array in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    return ours, theirs


@pytest.mark.parametrize(("name", "outputs", "draw"), HEADS)
def test_heads(name, outputs, draw):
    ours, theirs = pair_of(name)
    rng = numpy_generator(1)
    output, target = rng.normal(size=(6, outputs)), draw(rng)
    a, b = ours.link(output), theirs.link(torch.tensor(output))
    same(a, b)
    z, y = tensors(output, target)
    same(ours.loss(output, target), theirs.loss(z, y))
    same(ours.gradient(output, target), theirs.gradient(z, y))
    net = scratch.TwoLayerNet(3, 5, outputs, rng=rng).parameters()
    x = rng.normal(size=(6, 3))
    fitted, losses = scratch.fit_head(ours, net, x, target, lr=0.05, steps=40)
    others, trace = twin.fit_head(
        theirs, tensors(*net), *tensors(x, target), lr=0.05, steps=40
    )
    np.testing.assert_allclose(losses, trace, rtol=1e-10)
    same(tuple(fitted), tuple(others))


def test_a_mixture_network_has_the_state_of_its_twin():
    ours, theirs = pair_of("MixtureDensityNetwork")
    x = numpy_generator(2).normal(size=(4, 3))
    same(ours(x), theirs(torch.tensor(x)))


def test_registries_agree_and_name_classes_of_torch():
    assert scratch.OUTPUT_UNITS.keys() == twin.OUTPUT_UNITS.keys()
    for name, (_, loss, told) in scratch.OUTPUT_UNITS.items():
        *module, last = told.split(".")
        found = torch
        for part in module[1:]:
            found = getattr(found, part)
        assert getattr(found, last) is twin.OUTPUT_UNITS[name][2]
        assert "reduction" in inspect.signature(loss).parameters
