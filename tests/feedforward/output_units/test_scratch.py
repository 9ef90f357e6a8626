"""Output units in NumPy: values, gradients, extremes and precision."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.feedforward.output_units.scratch import (
    HeteroscedasticHead,
    LinearHead,
    MixtureDensityNetwork,
    PoissonHead,
    SigmoidHead,
    SoftmaxHead,
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_in_one_buffer,
    fit_head,
    heteroscedastic_nll,
    heteroscedastic_nll_backward,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    logsumexp_backward,
    mixture_density_nll,
    mixture_density_nll_backward,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
)
from dlbook_lib.feedforward.xor.scratch import TwoLayerNet, two_layer

REDUCTIONS = ("mean", "sum", "none")
seeds = st.integers(0, 999)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def loud():
    """No overflow and no 0/0 may pass in silence; underflow to 0 is meant."""
    return np.errstate(over="raise", divide="raise", invalid="raise")


def close(got, wanted, atol=1e-7):
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=atol)


@given(shapes, seeds, st.data())
def test_the_softmax_family_has_the_numeric_gradient(shape, seed, data):
    rng = numpy_generator(seed)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    z = 3 * rng.normal(size=shape)
    for f, f_backward in [
        (softmax, softmax_backward),
        (log_softmax, log_softmax_backward),
        (logsumexp, logsumexp_backward),
    ]:
        dy = rng.normal(size=np.shape(f(z, dim)))
        wanted = numeric_gradient(lambda x, f=f, dy=dy: (dy * f(x, dim)).sum(), z)
        close(f_backward(dy, z, dim), wanted)
    dy = rng.normal(size=logsumexp(z, dim, True).shape)
    wanted = numeric_gradient(lambda x: (dy * logsumexp(x, dim, True)).sum(), z)
    close(logsumexp_backward(dy, z, dim, True), wanted)


@given(seeds, st.sampled_from([0.5, 1.0, 3.0]))
def test_softplus_has_the_gradient_of_the_complex_step(seed, beta):
    z = 8 * numpy_generator(seed).normal(size=9)
    wanted = softplus(z + 1e-30j, beta).imag / 1e-30
    close(softplus_backward(np.ones(9), z, beta), wanted)


@given(shapes, seeds)
def test_softmax_family_takes_a_complex_step(shape, seed):
    rng = numpy_generator(seed)
    z, v = rng.normal(size=(2, *shape))
    for f, f_backward in [
        (softmax, softmax_backward),
        (log_softmax, log_softmax_backward),
    ]:
        dy = rng.normal(size=shape)
        slope = (dy * f(z + 1e-30j * v, -1).imag).sum() / 1e-30
        close((f_backward(dy, z, -1) * v).sum(), slope, atol=1e-10)


@given(shapes, seeds, st.floats(-500, 500))
def test_shifting_all_logits_changes_nothing(shape, seed, shift):
    z = numpy_generator(seed).normal(size=shape)
    close(softmax(z + shift, -1), softmax(z, -1), atol=1e-12)
    close(logsumexp(z + shift, -1), logsumexp(z, -1) + shift, atol=1e-12)
    close(softmax(z, -1).sum(axis=-1), 1, atol=1e-12)


def test_three_large_logits():
    z = np.array([1000.0, 1001.0, 1002.0])
    with loud():
        assert softmax(z, 0).round(4).tolist() == [0.09, 0.2447, 0.6652]
        close(log_softmax(z, 0), log_softmax(z - 1002, 0), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_extreme_logits_stay_finite_without_a_warning(dtype):
    z = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [3e38, -3e38, 0]], dtype)
    with loud():
        p = softmax(z, 1)
        assert np.isfinite(p).all()
        close(p.sum(axis=1), 1)
        close(p[:2], [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
        assert log_softmax(z, 1)[0].tolist() == [0, -2e4, -1e4]
        assert logsumexp(z, 1)[0] == dtype(1e4)
        for y in (0, 1):
            labels = np.full(2, y)
            assert np.isfinite(cross_entropy(z[:2], labels))
            loss, gradient = cross_entropy_in_one_buffer(z[:2], labels)
            close(loss, cross_entropy(z[:2], labels))
            close(gradient, cross_entropy_backward(1.0, z[:2], labels))
        assert softplus(z)[0, :2].tolist() == [dtype(1e4), 0]
        a, zero = z[:2, :2], np.zeros((2, 2), dtype)
        assert np.isfinite(heteroscedastic_nll(zero, a, zero + dtype(0.5)))
        for slope in heteroscedastic_nll_backward(1.0, zero, a, zero + dtype(0.5)):
            assert np.isfinite(slope).all()


def test_a_masked_logit_has_probability_zero():
    z = np.array([[0.0, -np.inf, 0.0]])
    with loud():
        assert softmax(z, 1).tolist() == [[0.5, 0, 0.5]]
        close(logsumexp(z, 1), math.log(2))
        close(cross_entropy(z, np.array([0])), math.log(2))
        assert logsumexp(np.full(2, -np.inf), 0) == -np.inf


def test_one_class_costs_nothing():
    z = np.array([[3.0], [-1e4]])
    assert cross_entropy(z, np.zeros(2, int)) == 0
    assert cross_entropy_in_one_buffer(z, np.zeros(2, int))[0] == 0
    assert not cross_entropy_backward(1.0, z, np.zeros(2, int)).any()


def draw_targets(rng, shape, kind):
    dim = min(1, len(shape) - 1)
    labels = shape[:dim] + shape[dim + 1 :]
    if kind == "labels":
        return rng.integers(shape[dim], size=labels)
    return softmax(rng.normal(size=shape), dim)


@given(
    shapes,
    seeds,
    st.sampled_from(["labels", "probabilities"]),
    st.sampled_from(REDUCTIONS),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_cross_entropy_has_its_gradient(shape, seed, kind, reduction, weigh, smooth):
    rng = numpy_generator(seed)
    z, target = rng.normal(size=shape), draw_targets(rng, shape, kind)
    classes = shape[min(1, len(shape) - 1)]
    weight = rng.uniform(0.5, 2, classes) if weigh else None
    options = weight, -100, reduction, smooth
    dy = rng.normal(size=np.shape(cross_entropy(z, target, *options)))
    gradient = cross_entropy_backward(dy, z, target, *options)

    def cost(z):
        return (dy * cross_entropy(z, target, *options)).sum()

    close(gradient, numeric_gradient(cost, z))


def test_ignored_labels_count_for_nothing():
    z, y = np.eye(3), np.array([0, 7, 2])
    kept = cross_entropy(z[[0, 2]], y[[0, 2]], label_smoothing=0.2)
    close(cross_entropy(z, y, ignore_index=7, label_smoothing=0.2), kept, 1e-14)
    gradient = cross_entropy_backward(1.0, z, y, ignore_index=7)
    assert not gradient[1].any()
    assert cross_entropy(z, y, ignore_index=7, reduction="none")[1] == 0


@given(st.integers(1, 40), st.integers(1, 30), seeds, st.sampled_from([1, 30, 1e3]))
def test_one_buffer_equals_the_plain_form(n, classes, seed, spread):
    rng = numpy_generator(seed)
    z = spread * rng.normal(size=(n, classes)) + spread * rng.normal(size=(n, 1))
    y = rng.integers(classes, size=n)
    with loud():
        loss, gradient = cross_entropy_in_one_buffer(z, y)
    close(loss, cross_entropy(z, y), 1e-12)
    close(gradient, cross_entropy_backward(1.0, z, y), 1e-12)


def test_one_buffer_takes_several_blocks_of_rows_and_keeps_its_input():
    rng = numpy_generator(0)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-6)):
        z = rng.normal(size=(70, 9000)).astype(dtype)
        z[3] += 200
        z[40] -= 200
        y, before = rng.integers(9000, size=70), z.copy()
        loss, gradient = cross_entropy_in_one_buffer(z, y)
        assert (z == before).all()
        assert loss.dtype == gradient.dtype == dtype
        close(loss, cross_entropy(z.astype(float), y), 10 * tolerance)
        wanted = cross_entropy_backward(1.0, z.astype(float), y)
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=tolerance)


@given(shapes, seeds, st.sampled_from(REDUCTIONS))
def test_heteroscedastic_nll_has_its_gradients(shape, seed, reduction):
    rng = numpy_generator(seed)
    mean, a, y = rng.normal(size=(3, *shape))
    a = 20 * a
    dy = rng.normal(size=np.shape(heteroscedastic_nll(mean, a, y, reduction)))
    got = heteroscedastic_nll_backward(dy, mean, a, y, reduction)
    for i, slope in enumerate(got):

        def cost(x, i=i):
            given = [x if i == k else old for k, old in enumerate((mean, a))]
            return (dy * heteroscedastic_nll(*given, y, reduction)).sum()

        close(slope, numeric_gradient(cost, (mean, a)[i]), atol=1e-5)


def test_best_constant_precision_is_the_inverse_mean_square():
    residual = numpy_generator(0).normal(size=50)
    best = np.full(50, np.log(np.expm1(1 / np.mean(residual**2))))
    _, da = heteroscedastic_nll_backward(1.0, np.zeros(50), best, residual)
    assert abs(da.sum()) < 1e-14


def mixture(seed, batch=(5,), components=3, directions=2):
    rng = numpy_generator(seed)
    shapes = [(components,), (components, directions), (components,), (directions,)]
    return [rng.normal(size=(*batch, *shape)) for shape in shapes]


@given(
    seeds,
    st.lists(st.integers(1, 3), max_size=2).map(tuple),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(REDUCTIONS),
)
def test_mixture_density_has_its_gradients(seed, batch, k, d, reduction):
    arguments = mixture(seed, batch, k, d)
    loss = mixture_density_nll(*arguments, reduction)
    dy = numpy_generator(seed + 1).normal(size=np.shape(loss))
    got = mixture_density_nll_backward(dy, *arguments, reduction)
    for i, slope in enumerate(got):

        def cost(x, i=i):
            given = [x if i == j else old for j, old in enumerate(arguments)]
            return (dy * mixture_density_nll(*given, reduction)).sum()

        close(slope, numeric_gradient(cost, arguments[i]), atol=1e-5)


def test_mixture_is_a_density():
    y = np.linspace(-30, 30, 6001)[:, None]
    logits, mean, log_scale, _ = mixture(3, (), 3, 1)
    spread = [np.broadcast_to(a, (6001, *a.shape)) for a in (logits, mean, log_scale)]
    density = np.exp(-mixture_density_nll(*spread, y, "none"))
    assert abs(density.sum() * 0.01 - 1) < 1e-9


def test_far_outcomes_do_not_underflow():
    logits, mean, log_scale, target = mixture(0)
    with loud():
        far = mixture_density_nll(logits, mean, log_scale, target + 1e4, "none")
        assert (far > 1e5).all()
        slopes = mixture_density_nll_backward(
            1.0, logits, mean, log_scale, target + 1e4
        )
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_precision_is_kept():
    z = numpy_generator(0).normal(size=(4, 3)).astype(np.float32)
    y, q, one = np.arange(4) % 3, softmax(z, 1), np.float32(1)
    row = z[:, 0]
    found = [softplus(z), softplus_backward(z, z), logsumexp(z, 1), softmax(z, 1)]
    found += [
        softmax_backward(z, z, 1),
        log_softmax(z, 1),
        log_softmax_backward(z, z, 1),
    ]
    found += [logsumexp_backward(row, z, 1), logsumexp_backward(1.0, row, 0)]
    for reduction in REDUCTIONS:
        dy = row if reduction == "none" else 1.0
        for target in (y, q):
            options = [np.ones(3), -100, reduction, 0.1]
            found.append(cross_entropy(z, target, *options))
            found.append(cross_entropy_backward(dy, z, target, *options))
        found.append(heteroscedastic_nll(row, row, row, reduction))
        found += heteroscedastic_nll_backward(dy, row, row, row, reduction)
        parts = [a.astype(np.float32) for a in mixture(0, (4,))]
        found.append(mixture_density_nll(*parts, reduction))
        found += mixture_density_nll_backward(dy, *parts, reduction)
    found += cross_entropy_in_one_buffer(z, y)
    assert {np.asarray(array).dtype for array in found} == {one.dtype}


def test_empty_batches():
    none = np.zeros((0, 3))
    for f in (softmax, log_softmax):
        assert f(none, 1).shape == f(none, 0).shape == (0, 3)
    assert logsumexp(none, 1).shape == softplus(none[:, 0]).shape == (0,)
    assert softplus_backward(none, none).shape == (0, 3)
    for target in (np.zeros(0, int), none):
        assert cross_entropy(none, target, reduction="none").shape == (0,)
        assert cross_entropy(none, target, reduction="sum") == 0
        assert cross_entropy_backward(0.0, none, target, reduction="sum").shape == (
            0,
            3,
        )
        with pytest.raises(ValueError, match="no mean of an empty batch"):
            cross_entropy(none, target)
    assert heteroscedastic_nll(none, none, none, "sum") == 0
    assert mixture_density_nll(none, none[..., None], none, none[:, :1], "sum") == 0
    net = MixtureDensityNetwork(2, 4, 3, 2, rng=numpy_generator(0))
    assert [part.shape for part in net.link(np.zeros((0, 12)))] == [
        (0, 3),
        (0, 3, 2),
        (0, 3),
    ]


HEADS = [
    (LinearHead(), 2, lambda rng: rng.normal(size=(6, 2))),
    (SigmoidHead(), 2, lambda rng: rng.integers(2, size=(6, 2)).astype(float)),
    (SoftmaxHead(), 4, lambda rng: rng.integers(4, size=6)),
    (PoissonHead(), 2, lambda rng: rng.poisson(3.0, (6, 2)).astype(float)),
    (HeteroscedasticHead(), 4, lambda rng: rng.normal(size=(6, 2))),
    (
        MixtureDensityNetwork(3, 5, 3, 2, rng=numpy_generator(0)),
        12,
        lambda rng: rng.normal(size=(6, 2)),
    ),
]


@pytest.mark.parametrize(("head", "outputs", "draw"), HEADS)
def test_heads_have_the_gradient_of_their_loss_and_learn(head, outputs, draw):
    rng = numpy_generator(1)
    target, output = draw(rng), rng.normal(size=(6, outputs))
    wanted = numeric_gradient(lambda z: head.loss(z, target), output)
    close(head.gradient(output, target), wanted)
    start = TwoLayerNet(3, 5, outputs, rng=rng).parameters()
    before, x = [p.copy() for p in start], rng.normal(size=(6, 3))
    parameters, losses = fit_head(head, start, x, target, lr=0.01, steps=30)
    assert head.loss(two_layer(x, *parameters), target) < losses[0]
    for p, q in zip(start, before, strict=True):
        np.testing.assert_array_equal(p, q)


def test_links():
    z = np.array([[0.0, 0.0]])
    assert LinearHead().link(z) is z
    assert SigmoidHead().link(z).tolist() == [[0.5, 0.5]]
    assert SoftmaxHead().link(z).tolist() == [[0.5, 0.5]]
    assert PoissonHead().link(z).tolist() == [[1, 1]]
    close(HeteroscedasticHead().link(z)[1], math.log(2))
    net = MixtureDensityNetwork(2, 4, 2, 3, rng=numpy_generator(0))
    pi, mean, scale = net.link(np.arange(10.0)[None])
    assert mean.tolist() == [[[2, 3, 4], [5, 6, 7]]]
    close(scale, np.exp([[8, 9]]))
    close(pi, softmax(np.array([[0.0, 1.0]]), 1))
