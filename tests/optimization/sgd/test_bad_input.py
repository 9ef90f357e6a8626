"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.optimization.momentum.scratch import SGD as WithMomentum
from dlbook_lib.optimization.sgd import schedules, scratch
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
from dlbook_lib.optimization.sgd.scratch import (
    SGD,
    Optimizer,
    as_parameter,
    linear_decay,
    set_grads,
    step_decay,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Several,
    Whole,
    Wholes,
    not_described,
    refuses,
)

PARAMS = Several(
    Floats(3, skip=("axis", "axes")),
    Floats("n", "m", skip=("axis", "axes")),
    skip=("one too",),
)
RATE = Positive(zero=True)
FRACTION = Number(0.0, 1.0, skip=("a boolean",))
FLAG = Choice(True, False)
ONE = SGD([np.zeros(3), np.zeros((2, 4))])


class Any(Given):
    """An optimizer, and things that are none."""

    def faults(self, value, axes, others):
        yield "None", None
        yield "a string", "SGD"
        yield "the parameters", [np.zeros(2)]


OPTIMIZER = Any(ONE)
CALLS = [
    Call(Optimizer, params=PARAMS, defaults=Given({"lr": 0.1})),
    Call(SGD, params=PARAMS, lr=RATE, weight_decay=RATE, maximize=FLAG),
    Call(as_parameter, p=Floats(..., skip=("axis", "axes", "ragged"))),
    Call(
        set_grads,
        optimizer=OPTIMIZER,
        grads=Several(
            Floats(3, dtype="f8", optional=True),
            Floats(2, 4, dtype="f8", optional=True),
        ),
    ),
    Call(
        linear_decay,
        k=Whole(0, skip=("three numbers",)),
        lr=Positive(),
        end_lr=RATE,
        total_iters=Whole(),
    ),
    Call(
        step_decay,
        k=Whole(0, skip=("three numbers",)),
        lr=Positive(),
        step_size=Whole(),
        gamma=Positive(),
        min_lr=RATE,
    ),
    Call(StepLR, optimizer=OPTIMIZER, step_size=Whole(), gamma=RATE),
    Call(MultiStepLR, optimizer=OPTIMIZER, milestones=Wholes(skip=("empty",))),
    Call(ExponentialLR, optimizer=OPTIMIZER, gamma=RATE),
    Call(
        LinearLR,
        optimizer=OPTIMIZER,
        start_factor=Number(0.0, 1.0),
        end_factor=Number(0.0, 1.0),
        total_iters=Whole(),
    ),
    Call(CosineAnnealingLR, optimizer=OPTIMIZER, T_max=Whole(), eta_min=RATE),
    Call(
        OneCycleLR,
        optimizer=OPTIMIZER,
        max_lr=Positive(),
        total_steps=Whole(5, skip=("None", "too low")),
        pct_start=FRACTION,
        anneal_strategy=Choice("cos", "linear"),
        cycle_momentum=Given(False),
        base_momentum=FRACTION,
        max_momentum=FRACTION,
        div_factor=Positive(),
        final_div_factor=Positive(),
        three_phase=FLAG,
    ),
    Call(
        ReduceLROnPlateau,
        optimizer=OPTIMIZER,
        mode=Choice("min", "max"),
        factor=Number(0.0, 0.9, skip=("a boolean",)),
        patience=Whole(0),
        threshold=RATE,
        threshold_mode=Choice("rel", "abs"),
        cooldown=Whole(0),
        min_lr=RATE,
        eps=RATE,
    ),
    Call(
        ReduceLROnPlateau(ONE).step,
        metrics=Number(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
    below = {"LRScheduler", "SequentialLR"}
    assert not_described(schedules, CALLS) == below


def fresh():
    return SGD([np.zeros(2)], lr=0.1)


def sequential(schedulers=None, milestones=(3,), other=None):
    optimizer = fresh()
    parts = [LinearLR(optimizer), ExponentialLR(other or optimizer, 0.9)]
    return SequentialLR(
        optimizer, parts if schedulers is None else schedulers, milestones
    )


FIXED = np.zeros(2)
FIXED.flags.writeable = False
RESULT = tensor([1.0], requires_grad=True) * 2
BAD_CALLS = [
    (lambda: SGD([]), "Optimizer: params is empty"),
    (lambda: SGD(np.zeros(2)), "Optimizer: params must be a list"),
    (lambda: SGD(as_parameter(np.zeros(2))), "Optimizer: params must be a list"),
    (lambda: SGD({"params": [np.zeros(2)]}), "Optimizer: params must be a list"),
    (lambda: SGD([FIXED]), "as_parameter: .* can only be read"),
    (lambda: SGD([RESULT]), "as_parameter: .* result of an operation"),
    (lambda: SGD([np.zeros(2, complex)]), "as_parameter: .* complex128"),
    (lambda: SGD([{"lr": 0.1}]), "a group must be a dict with 'params'"),
    (lambda: SGD([{"params": "w"}]), "params of a group must be a list"),
    (lambda: SGD([{"params": FIXED + 0, "Lr": 1}]), "option must be 'params', 'lr'"),
    (lambda: SGD([{"params": FIXED + 0, "lr": "1"}]), "lr must be a number above 0"),
    (lambda: SGD([RESULT.data] * 2), "a parameter comes twice"),
    (lambda: SGD([np.zeros(2)], 0.1, 0.9), "takes from 2 to 3 positional arguments"),
    (lambda: fresh().step(3), "Optimizer.step: closure must be a function, not 3"),
    (
        lambda: WithMomentum([np.zeros(2)]).load_state_dict(fresh().state_dict()),
        "no momentum, dampening, nesterov in it; is it another optimizer's",
    ),
    (lambda: Optimizer([np.zeros(2)], None), "Optimizer: defaults must be a dict"),
    (lambda: fresh().load_state_dict({}), "load_state_dict: pass what state_dict"),
    (lambda: fresh().load_state_dict(ONE.state_dict()), "groups of .2. parameters"),
    (lambda: set_grads(fresh(), [np.zeros(2, "f4")]), "is float32 but its parameter"),
    (lambda: LRScheduler(None), "LRScheduler: optimizer must be an Optimizer"),
    (lambda: OneCycleLR(fresh(), 1.0, 9), "with momentum or betas"),
    (lambda: OneCycleLR(fresh(), 1.0, cycle_momentum=False), "epochs, without total"),
    (lambda: ReduceLROnPlateau(fresh(), factor=1.0), "factor must be below 1"),
    (lambda: sequential([]), "SequentialLR: schedulers must be a list"),
    (lambda: sequential([None], ()), "SequentialLR: schedulers must be a list"),
    (lambda: sequential(other=fresh()), "schedulers must be .* of this optimizer"),
    (lambda: sequential(milestones=(1, 2)), "milestones must be 1 steps"),
    (lambda: sequential(milestones=3), "milestones must be 1 steps"),
    (lambda: sequential(milestones=(0,)), "each of milestones must be a whole"),
    (lambda: StepLR(fresh(), 3).load_state_dict({"gamma": 1}), "pass what state_dict"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_milestones_must_rise_and_a_gradient_must_fit():
    optimizer = fresh()
    parts = [LinearLR(optimizer) for _ in range(3)]
    with pytest.raises(ValueError, match="milestones must rise"):
        SequentialLR(optimizer, parts, [4, 2])
    p = optimizer.param_groups[0]["params"][0]
    p.grad = np.zeros((2, 2))
    with pytest.raises(ValueError, match="grad has shape"):
        optimizer.step()


def test_a_state_of_another_shape_is_refused():
    state = fresh().state_dict()
    state["state"][0] = {"sum": np.zeros((1, 2))}
    with pytest.raises(ValueError, match="sum has shape"):
        fresh().load_state_dict(state)
