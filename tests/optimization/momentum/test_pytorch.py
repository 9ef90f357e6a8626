"""Fifty steps equal torch's and the twin's, whatever the options."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.momentum import pytorch as twin
from dlbook_lib.optimization.momentum import scratch
from dlbook_lib.optimization.sgd import pytorch as sgd_twin
from dlbook_lib.optimization.sgd import schedules as ours_lr
from dlbook_lib.optimization.sgd import schedules_pytorch as torchs_lr
from dlbook_lib.optimization.sgd import scratch as sgd
from tests.optimization.against_torch import compare, draw, gradients, run, same

SEEDS = st.integers(0, 10**6)
DTYPES = st.sampled_from(["f8", "f4"])
LR = st.sampled_from([0, 1e-3, 0.05, 1.0])
MOMENTUM = st.sampled_from([0, 0.5, 0.9, 0.99, 1])
OPTIONS = st.fixed_dictionaries(
    {"lr": LR},
    optional={
        "momentum": MOMENTUM,
        "dampening": st.sampled_from([0, 0.1, 0.5, 1]),
        "weight_decay": st.sampled_from([0, 1e-2, 0.3]),
        "maximize": st.booleans(),
    },
)
NESTEROV = st.fixed_dictionaries(
    {"lr": LR, "momentum": st.sampled_from([0.5, 0.9]), "nesterov": st.just(True)},
    optional={"weight_decay": st.sampled_from([0, 1e-2]), "maximize": st.booleans()},
)
SECOND = st.fixed_dictionaries(
    {}, optional={"lr": st.floats(0, 0.1), "momentum": st.sampled_from([0.3, 0.95])}
)


@given(OPTIONS | NESTEROV, SECOND, SEEDS, DTYPES)
def test_sgd(options, second, seed, dtype):
    run(scratch.SGD, torch.optim.SGD, options, second, seed, dtype)


@pytest.mark.parametrize("three_phase", [False, True])
@given(OPTIONS | NESTEROV, SECOND, SEEDS)
def test_sgd_with_a_cycle(three_phase, options, second, seed):
    how = {"three_phase": three_phase}

    def cycle(module):
        return lambda optimizer: module.OneCycleLR(optimizer, 0.1, 60, **how)

    options = options | {"dampening": 0}
    schedules = cycle(ours_lr), cycle(torchs_lr)
    run(scratch.SGD, torch.optim.SGD, options, second, seed, schedules=schedules)


TEXTBOOK = st.fixed_dictionaries(
    {}, optional={"lr": LR, "momentum": st.sampled_from([0, 0.5, 0.9])}
)


@given(st.sampled_from(["Momentum", "EMAMomentum"]), TEXTBOOK, SECOND, SEEDS, DTYPES)
def test_the_twins_of_the_other_forms(name, options, second, seed, dtype):
    run(getattr(scratch, name), getattr(twin, name), options, second, seed, dtype)


@settings(max_examples=10)
@given(TEXTBOOK, SEEDS, DTYPES)
def test_the_twin_of_the_look_ahead(options, seed, dtype):
    rng = numpy_generator(seed)
    params = draw(rng, dtype)
    tparams = [torch.tensor(p, requires_grad=True) for p in params]
    ours, theirs = (
        scratch.Nesterov(params, **options),
        twin.Nesterov(tparams, **options),
    )
    for _ in range(50):
        pull = gradients(rng, dtype)
        given = [None if g is None else g / 8 for g in pull]

        def closure(given=given):
            pairs = zip(given, params, strict=True)
            sgd.set_grads(
                ours, [g if g is None else np.asarray(g + p) for g, p in pairs]
            )
            return 1.5

        def tclosure(given=given):
            pairs = zip(given, (p.detach().numpy() for p in tparams), strict=True)
            grads = [None if g is None else torch.tensor(p + g) for g, p in pairs]
            sgd_twin.set_grads(theirs, grads)
            return 1.5

        assert ours.step(closure) == theirs.step(tclosure) == 1.5
    compare(ours, theirs, params, tparams, dtype)


def test_the_rate_of_the_average():
    same(scratch.average_lr(0.1, 0.9), torch.tensor(twin.average_lr(0.1, 0.9)).double())
