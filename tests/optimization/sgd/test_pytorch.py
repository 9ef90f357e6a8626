"""Fifty steps and all schedules equal torch's, whatever the options."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.optimization.sgd import pytorch as twin
from dlbook_lib.optimization.sgd import scratch
from tests.optimization.against_torch import run, same

SEEDS = st.integers(0, 10**6)
OPTIONS = st.fixed_dictionaries(
    {"lr": st.sampled_from([0, 1, 1e-3, 0.05, np.float64(0.1)])},
    optional={
        "weight_decay": st.sampled_from([0, 0.0, 0.3, 1]),
        "maximize": st.booleans(),
    },
)
SECOND = st.fixed_dictionaries({}, optional={"lr": st.floats(0, 0.1)})


@given(OPTIONS, SECOND, SEEDS, st.sampled_from(["f8", "f4"]))
def test_sgd(options, second, seed, dtype):
    run(scratch.SGD, torch.optim.SGD, options, second, seed, dtype)


FACTOR = st.floats(0.05, 1.0)
WHOLE = st.integers(1, 12)
SCHEDULES = {
    "StepLR": {"step_size": WHOLE, "gamma": FACTOR},
    "MultiStepLR": {
        "milestones": st.lists(st.integers(1, 30), max_size=4),
        "gamma": FACTOR,
    },
    "ExponentialLR": {"gamma": FACTOR},
    "LinearLR": {"start_factor": FACTOR, "end_factor": FACTOR, "total_iters": WHOLE},
    "CosineAnnealingLR": {"T_max": WHOLE, "eta_min": st.floats(0, 0.01)},
    "OneCycleLR": {
        "max_lr": FACTOR,
        "total_steps": st.integers(30, 60),
        "pct_start": st.floats(0.11, 0.6),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.just(False),
        "div_factor": st.floats(2, 30),
        "final_div_factor": st.floats(2, 1e4),
        "three_phase": st.booleans(),
    },
}
ANY = st.sampled_from(list(SCHEDULES)).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(SCHEDULES[name]))
)


def pair(seed=0):
    """Ours and torch's, with two groups at different rates."""
    made = [np.zeros(2), np.zeros(3)]
    theirs = [torch.zeros(n, requires_grad=True) for n in (2, 3)]
    lrs = [0.3, 0.02]
    return [
        cls([{"params": [p], "lr": lr} for p, lr in zip(ps, lrs, strict=True)])
        for cls, ps in ((scratch.SGD, made), (torch.optim.SGD, theirs))
    ]


def follow(ours, theirs, optimizers, steps=30):
    for _ in range(steps):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), 1e-10)
        assert ours.last_epoch == theirs.last_epoch
        for optimizer in optimizers:
            optimizer.step()
        ours.step()
        theirs.step()


@given(ANY)
def test_schedules(drawn):
    name, options = drawn
    optimizers = pair()
    ours = getattr(scratch, name)(optimizers[0], **options)
    theirs = getattr(twin, name)(optimizers[1], **options)
    follow(ours, theirs, optimizers)


@given(st.lists(ANY, min_size=1, max_size=3), st.data())
def test_schedules_in_sequence(drawn, data):
    drawn = drawn[:1] + [
        d for d in drawn[1:] if d[0] != "OneCycleLR"
    ]  # see SequentialLR
    n = len(drawn) - 1
    steps = st.lists(st.integers(1, 28), min_size=n, max_size=n, unique=True)
    milestones = sorted(data.draw(steps))
    optimizers, made = pair(), []
    for module, optimizer in zip((scratch, twin), optimizers, strict=True):
        parts = [getattr(module, name)(optimizer, **o) for name, o in drawn]
        made.append(module.SequentialLR(optimizer, parts, milestones))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own use of step(0)
        follow(*made, optimizers)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("pct_start", [0.0, 0.02, 0.2, 0.4, 0.7, 1.0])
def test_a_cycle_in_three_phases(strategy, pct_start):
    options = {"anneal_strategy": strategy, "three_phase": True, "div_factor": 5.0}
    options |= {"total_steps": 29, "pct_start": pct_start, "cycle_momentum": False}
    optimizers = pair()
    ours = scratch.OneCycleLR(optimizers[0], 1.0, **options)
    follow(ours, twin.OneCycleLR(optimizers[1], 1.0, **options), optimizers, 29)


def test_a_cycle_in_epochs_and_at_its_very_end():
    optimizers = pair()
    options = {"epochs": 3, "steps_per_epoch": 7, "cycle_momentum": False}
    ours = scratch.OneCycleLR(optimizers[0], 1.0, **options)
    follow(ours, twin.OneCycleLR(optimizers[1], 1.0, **options), optimizers, 21)
    with pytest.raises(ValueError, match="the cycle is over"):
        ours.step()


@given(
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.floats(0, 0.9),
            "patience": st.integers(0, 4),
            "threshold": st.sampled_from([0, 1e-4, 0.1, 1]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0, 0.01]),
            "eps": st.sampled_from([1e-8, 1e-3]),
        }
    ),
    st.lists(
        st.sampled_from([0, 1.0, 0.99, 0.5, -1.0, 2.0, np.nan, np.inf]), max_size=40
    ),
)
def test_plateau(options, metrics):
    ours, theirs = pair()
    schedule = scratch.ReduceLROnPlateau(ours, **options)
    other = twin.ReduceLROnPlateau(theirs, **options)
    for metric in metrics:
        schedule.step(metric)
        other.step(metric)
        np.testing.assert_allclose(schedule.get_last_lr(), other.get_last_lr(), 1e-12)
        for name in ("last_epoch", "best", "num_bad_epochs", "cooldown_counter"):
            assert getattr(schedule, name) == getattr(other, name)


@given(st.integers(0, 30), WHOLE, FACTOR, FACTOR)
def test_functions_of_the_step(k, size, gamma, floor):
    for steps in (k, np.arange(k)):
        for name, options in {
            "linear_decay": (1.0, floor, size),
            "step_decay": (1.0, size, gamma, floor),
        }.items():
            ours = getattr(scratch, name)(steps, *options)
            same(ours, getattr(twin, name)(steps, *options))


def test_a_parameter_of_the_twin_shares_its_memory():
    array = np.ones(2)
    p = twin.as_parameter(array)
    optimizer = twin.SGD([p], lr=1.0)
    twin.set_grads(optimizer, [np.ones(2)])
    optimizer.step()
    assert array.tolist() == [0, 0]
    assert twin.as_parameter(p) is p
    twin.set_grads(optimizer, [None])
    assert p.grad is None
