"""Schedules by hand, by their formulas, and as torch has them, whatever the options."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.optimization.sgd import schedules
from dlbook_lib.optimization.sgd import schedules_pytorch as twin
from dlbook_lib.optimization.sgd.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from dlbook_lib.optimization.sgd.scratch import SGD, linear_decay, step_decay

RATES = st.floats(1e-4, 1.0)


def rates(schedule, steps):
    found = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        schedule.step()
        found.append(schedule.get_last_lr()[0])
    return found


def fresh(lr=1.0):
    return SGD([np.zeros(2)], lr=lr)


@given(st.integers(0, 300), st.integers(1, 200), RATES, st.floats(0, 0.1))
def test_linear_decay(k, total, lr, end):
    line = linear_decay(np.arange(k + 1), lr, end, total)
    naive = (1 - k / total) * lr + k / total * end if k < total else end
    np.testing.assert_allclose(line[k], naive, 1e-12, 1e-16)
    np.testing.assert_allclose(linear_decay(k, lr, end, total), naive, 1e-12, 1e-16)
    optimizer = fresh(lr)
    if end <= lr:
        found = rates(LinearLR(optimizer, 1.0, end / lr, total), k)
        np.testing.assert_allclose(line, found, 1e-12, 1e-15)


@given(st.integers(0, 60), st.integers(1, 20), RATES, st.floats(0.1, 0.99), RATES)
def test_step_decay(k, size, lr, gamma, floor):
    found = step_decay(np.arange(k + 1), lr, size, gamma)
    np.testing.assert_allclose(found, rates(StepLR(fresh(lr), size, gamma), k), 1e-12)
    floored = step_decay(np.arange(k + 1), lr, size, gamma, floor)
    np.testing.assert_allclose(floored, np.maximum(found, floor))
    each = step_decay(np.arange(k + 1), lr, 1, gamma)
    np.testing.assert_allclose(each, rates(ExponentialLR(fresh(lr), gamma), k), 1e-12)


def test_schedules_by_hand():
    half = rates(CosineAnnealingLR(fresh(2.0), 4, 1.0), 8)
    assert np.allclose(half[::2], [2, 1.5, 1, 1.5, 2])
    assert np.allclose(rates(MultiStepLR(fresh(), [2, 2, 3]), 3), [1, 1, 0.01, 0.001])
    optimizer = fresh()
    warm = [LinearLR(optimizer, 0.25, total_iters=3), ExponentialLR(optimizer, 0.5)]
    found = rates(SequentialLR(optimizer, warm, [3]), 5)
    assert np.allclose(found, [0.25, 0.5, 0.75, 1, 0.5, 0.25])
    up = OneCycleLR(fresh(), 1.0, 10, pct_start=0.5, cycle_momentum=False)
    found = rates(up, 9)
    assert np.isclose(found[4], 1.0)
    assert np.isclose(found[0], 0.04)
    assert np.isclose(found[9], 4e-6)


def test_a_cycle_without_a_way_up_begins_at_the_top():
    schedule = OneCycleLR(fresh(), 1.0, 10, pct_start=0.1, cycle_momentum=False)
    assert schedule.get_last_lr() == [1.0]


def test_a_plateau_by_hand():
    schedule = ReduceLROnPlateau(fresh(), factor=0.5, patience=1, cooldown=1)
    found = []
    for loss in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]:
        schedule.step(loss)
        found.append(schedule.get_last_lr()[0])
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    schedule.step(Tensor(0.2))
    schedule.step(np.float32(0.1))
    assert schedule.best == pytest.approx(0.1)


def sequence(optimizer):
    parts = [StepLR(optimizer, 2), CosineAnnealingLR(optimizer, 9)]
    return SequentialLR(optimizer, parts, [4])


MADE = [
    lambda o: StepLR(o, 3),
    lambda o: MultiStepLR(o, [2, 6]),
    lambda o: ExponentialLR(o, 0.9),
    LinearLR,
    lambda o: CosineAnnealingLR(o, 20),
    lambda o: OneCycleLR(o, 1.0, 30, cycle_momentum=False),
    sequence,
]


@pytest.mark.parametrize("make", MADE)
def test_a_schedule_goes_on_from_its_state(make):
    first, second = fresh(), fresh()
    schedule, other = make(first), make(second)
    for _ in range(5):
        schedule.step()
    other.load_state_dict(schedule.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(other, 5) == rates(schedule, 5)


def test_a_group_that_comes_later_needs_another_schedule():
    optimizer = fresh()
    schedule = StepLR(optimizer, 2)
    optimizer.add_param_group({"params": [np.zeros(3)]})
    with pytest.raises(ValueError, match="there are 2 groups, but there were 1"):
        schedule.step()
    assert schedule.last_epoch == 0
    assert StepLR(optimizer, 2).get_last_lr() == [1.0, 1.0]


def test_what_a_subclass_must_say():
    with pytest.raises(NotImplementedError, match="no get_lr"):
        LRScheduler(fresh())


# ---- against torch -------------------------------------------------------------------

FACTOR = st.floats(0.05, 1.0)
WHOLE = st.integers(1, 12)
OPTIONS = {
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
ANY = st.sampled_from(list(OPTIONS)).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(OPTIONS[name]))
)


def pair(seed=0):
    """Ours and torch's, with two groups at different rates."""
    made = [np.zeros(2), np.zeros(3)]
    theirs = [torch.zeros(n, requires_grad=True) for n in (2, 3)]
    lrs = [0.3, 0.02]
    return [
        cls([{"params": [p], "lr": lr} for p, lr in zip(ps, lrs, strict=True)])
        for cls, ps in ((SGD, made), (torch.optim.SGD, theirs))
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
    ours = getattr(schedules, name)(optimizers[0], **options)
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
    for module, optimizer in zip((schedules, twin), optimizers, strict=True):
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
    ours = schedules.OneCycleLR(optimizers[0], 1.0, **options)
    follow(ours, twin.OneCycleLR(optimizers[1], 1.0, **options), optimizers, 29)


def test_a_cycle_in_epochs_and_at_its_very_end():
    optimizers = pair()
    options = {"epochs": 3, "steps_per_epoch": 7, "cycle_momentum": False}
    ours = schedules.OneCycleLR(optimizers[0], 1.0, **options)
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
    schedule = schedules.ReduceLROnPlateau(ours, **options)
    other = twin.ReduceLROnPlateau(theirs, **options)
    for metric in metrics:
        schedule.step(metric)
        other.step(metric)
        np.testing.assert_allclose(schedule.get_last_lr(), other.get_last_lr(), 1e-12)
        for name in ("last_epoch", "best", "num_bad_epochs", "cooldown_counter"):
            assert getattr(schedule, name) == getattr(other, name)
