"""The twins, and torch.nn, give the same losses, gradients and defaults."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dlbook_lib.feedforward.cost_functions.pytorch as twin
import dlbook_lib.feedforward.cost_functions.scratch as scratch
from dlbook_lib.common.rng import numpy_generator

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)


def same(ours, theirs):
    ours = np.asarray(ours)
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-10)


def compare(name, arrays, parameters=(0,), **options):
    """Value and gradients of a loss, for the arrays in the places `parameters`."""
    tensors = [torch.tensor(a) for a in arrays]
    for place in parameters:
        tensors[place].requires_grad_()
    value = getattr(scratch, name)(*arrays, **options)
    theirs = getattr(twin, name)(*tensors, **options)
    same(value, theirs)
    dy = numpy_generator(5).normal(size=np.shape(value))
    ours = getattr(scratch, f"{name}_backward")(dy, *arrays, **options)
    ours = ours if isinstance(ours, tuple) else (ours,)
    leaves = [tensors[place] for place in parameters]
    gradients = torch.autograd.grad(theirs, leaves, torch.tensor(dy))
    for a, b in zip(ours, gradients, strict=True):
        same(a, b)


def pair(shape, seed):
    """Errors of all sizes, and some of exactly 0."""
    rng = numpy_generator(seed)
    input, target = 2 * rng.normal(size=(2, *shape))
    return [input, np.where(rng.random(shape) < 0.2, input, target)]


@given(SHAPES, REDUCTIONS, st.integers(0, 99))
def test_errors(shape, reduction, seed):
    arrays = pair(shape, seed)
    compare("l1_loss", arrays, reduction=reduction)
    for delta in (0.5, 1.0, 3.0):
        compare("huber_loss", arrays, reduction=reduction, delta=delta)
    for quantile in (0.1, 0.5, 0.9):
        compare("pinball_loss", arrays, quantile=quantile, reduction=reduction)


@given(
    st.sampled_from([(4, 3), (4, 1), (1, 3), (4,)]),
    st.booleans(),
    REDUCTIONS,
    st.integers(0, 99),
)
def test_gaussian_and_laplace_with_a_scale_of_each_shape(scale, full, reduction, seed):
    rng = numpy_generator(seed)
    arrays = [*pair((4, 3), seed), rng.uniform(0, 1, scale)]
    for name in ("gaussian_nll_loss", "laplace_nll_loss"):
        for eps in (1e-6, 0.3):  # the larger one clamps some of them
            options = {"full": full, "eps": eps, "reduction": reduction}
            compare(name, arrays, parameters=(0, 2), **options)
            compare_float(name, arrays[:2], **options)


def compare_float(name, arrays, **options):
    ours = getattr(scratch, name)(*arrays, 0.7, **options)
    same(ours, getattr(twin, name)(*map(torch.tensor, arrays), 0.7, **options))


@given(SHAPES, st.booleans(), st.booleans(), REDUCTIONS, st.integers(0, 99))
def test_poisson(shape, log_input, full, reduction, seed):
    rng = numpy_generator(seed)
    input = rng.normal(size=shape) if log_input else rng.exponential(size=shape)
    counts = rng.poisson(2.0, size=shape).astype(float)
    options = {"log_input": log_input, "full": full, "reduction": reduction}
    compare("poisson_nll_loss", [np.asarray(input), np.asarray(counts)], **options)


@given(
    st.sampled_from([(5,), (3, 5), (2, 5, 3), (2, 5, 1, 2)]),
    st.booleans(),
    st.sampled_from([-100, 3]),
    REDUCTIONS,
    st.integers(0, 99),
)
def test_nll(shape, weighted, ignore_index, reduction, seed):
    rng = numpy_generator(seed)
    input = torch.log_softmax(
        torch.tensor(rng.normal(size=shape)), min(1, len(shape) - 1)
    )
    places = () if len(shape) == 1 else (shape[0], *shape[2:])
    target = np.asarray(rng.integers(5, size=places))
    target[rng.random(places) < 0.2] = ignore_index
    target.flat[0] = 1
    weight = rng.uniform(0.2, 2, 5) if weighted else None
    arrays = [input.numpy(), target] + ([weight] if weighted else [])
    compare("nll_loss", arrays, ignore_index=ignore_index, reduction=reduction)


def test_where_torch_says_nan_there_is_a_sentence():
    log_p, none = np.zeros((2, 3)), np.array([-100, -100])
    assert torch.isnan(twin.nll_loss(torch.tensor(log_p), torch.tensor(none)))
    with pytest.raises(ValueError, match="no target counts"):
        scratch.nll_loss(log_p, none)


def test_modules_of_torch_nn_agree():
    rng = numpy_generator(0)
    input, target = rng.normal(size=(2, 2, 6))
    var, counts = rng.uniform(0.1, 1, (2, 6)), rng.poisson(3.0, (2, 6)).astype(float)
    f, y, v, k = map(torch.tensor, (input, target, var, counts))
    labels = np.array([4, 0])
    for ours, theirs in [
        (scratch.l1_loss(input, target), torch.nn.L1Loss()(f, y)),
        (scratch.huber_loss(input, target), torch.nn.HuberLoss()(f, y)),
        (
            scratch.gaussian_nll_loss(input, target, var),
            torch.nn.GaussianNLLLoss()(f, y, v),
        ),
        (scratch.poisson_nll_loss(input, counts), torch.nn.PoissonNLLLoss()(f, k)),
        (scratch.nll_loss(input, labels), torch.nn.NLLLoss()(f, torch.tensor(labels))),
    ]:
        same(ours, theirs)


def test_laplace_is_that_of_torch_distributions():
    f, y = (torch.tensor(a) for a in pair((5,), 0))
    scale = torch.linspace(0.2, 2, 5, dtype=torch.float64)
    wanted = -torch.distributions.Laplace(f, scale).log_prob(y)
    got = twin.laplace_nll_loss(f, y, scale, full=True, reduction="none")
    same(got.numpy(), wanted)


def test_the_best_function_and_the_total_cost():
    rng = numpy_generator(0)
    x, y = rng.uniform(0, 1, 80), rng.exponential(size=80)
    edges, values = np.linspace(0, 1, 5), np.linspace(0, 3, 301)
    t = [torch.tensor(a) for a in (x, y, edges, values)]
    squared = scratch.loss_from_distribution("gaussian")[0]
    for ours, theirs in [
        (squared, twin.loss_from_distribution("gaussian")),
        (scratch.huber_loss, twin.huber_loss),
    ]:
        best = twin.best_function_on_grid(theirs, *t)
        same(scratch.best_function_on_grid(ours, x, y, edges, values), best)

    def bowl(w):
        return ((w - 1) ** 2).sum(), [2 * (w - 1)]

    w = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    cost = twin.total_cost(lambda w: ((w - 1) ** 2).sum(), alpha=0.7)(w)
    ours, (gradient,) = scratch.total_cost(bowl, alpha=0.7)(w.detach().numpy())
    same(ours, cost)
    same(gradient, torch.autograd.grad(cost, w)[0])


def test_the_tables_name_the_same_distributions():
    assert scratch.LOSSES.keys() == twin.LOSSES.keys()
    for name, (loss, _) in scratch.LOSSES.items():
        assert loss.__name__ == twin.LOSSES[name].__name__
