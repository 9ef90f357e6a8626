"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.regularization.early_stopping import scratch
from dlbook_lib.regularization.early_stopping.scratch import (
    EarlyStopping,
    continue_until,
    early_stopped,
    matching_alpha,
    quadratic_path,
    remaining,
    retrain_same_steps,
    stop_early,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)


class Net:
    """The least that counts as a network."""

    def state_dict(self):
        return {"weight": np.ones(1)}

    def load_state_dict(self, state_dict):
        pass


def step(i):
    pass


def loss():
    return 1.0


STATE = {"weight": np.ones(1)}
NET, STEP, LOSS = Given(Net()), Given(step), Given(loss)
RATE = Number(1e-3, 0.1, skip=("too high",))
CURVATURE = Floats(..., low=0, high=1, skip=("too low", "too high"))
CALLS = [
    Call(EarlyStopping, patience=Whole(), min_delta=Positive(zero=True)),
    Call(EarlyStopping(2).update, loss=Number(), state=Given(STATE)),
    Call(
        stop_early,
        net=NET,
        step=STEP,
        validate=LOSS,
        patience=Whole(),
        steps=Whole(5, skip=("too low",)),
        every=Whole(),
        min_delta=Positive(zero=True),
    ),
    Call(retrain_same_steps, net=NET, step=STEP, start=Given(STATE), steps=Whole()),
    Call(
        continue_until,
        step=STEP,
        validate=LOSS,
        target=Number(),
        steps=Given(5),
        every=Whole(skip=("infinite",)),
    ),
    Call(continue_until, step=STEP, validate=LOSS, target=Number(), steps=Whole()),
    Call(remaining, eigenvalue=CURVATURE, lr=RATE, steps=Whole(0)),
    Call(matching_alpha, eigenvalue=CURVATURE, lr=RATE, steps=Whole()),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    quadratics = {"early_stopped", "quadratic_path"}  # below
    assert not_described(scratch, CALLS) == quadratics


H, W = np.eye(2), np.ones(2)
SLOW = {"lr": 0.1, "steps": 3}
RUN = {"patience": 1, "steps": 3}
BAD_CALLS = [
    (lambda: stop_early(Net(), None, loss, **RUN), "stop_early: step must be a func"),
    (lambda: stop_early(Net(), step, 0.5, **RUN), "stop_early: validate must be a f"),
    (lambda: stop_early(Net(), step, loss, **RUN, every=4), "every is 4, but .* 3 st"),
    (lambda: stop_early(Net(), step, loss, patience=1, steps=0), "steps must be a wh"),
    (
        lambda: stop_early(Net(), step, lambda: np.nan, **RUN),
        "EarlyStopping.restore: none of 1 losses .* nothing to restore",
    ),
    (lambda: EarlyStopping(1).update(1.0, None), "update: state must be a state_dict"),
    (lambda: EarlyStopping(1).update(1.0, [W]), "update: state must be a state_dict"),
    (lambda: EarlyStopping(1).restore(Net()), "EarlyStopping.restore: none of 0 los"),
    (lambda: retrain_same_steps(Net(), None, start=STATE, steps=1), "step must be a"),
    (lambda: retrain_same_steps(Net(), step, start=[W], steps=1), "start must be a s"),
    (lambda: stop_early(None, step, loss, **RUN), "net must have state_dict and load"),
    (
        lambda: stop_early(Net(), step, lambda: None, **RUN),
        "validate: it must return a number, not None; has it a return",
    ),
    (
        lambda: continue_until(step, lambda: "a", target=0.0, steps=1),
        "validate: it must return a number, not 'a'",
    ),
    (
        lambda: continue_until(step, loss, target=0.0, steps=4, every=5),
        "every is 5, but there are only 4 steps",
    ),
    (lambda: quadratic_path([[1.0, 2.0], [0.0, 1.0]], W, **SLOW), "is not symmetric"),
    (lambda: continue_until(None, loss, target=0.0, steps=1), "step must be a func"),
    (lambda: continue_until(step, 1.0, target=0.0, steps=1), "validate must be a fu"),
    (lambda: continue_until(step, loss, target=np.nan, steps=1), "target must be a n"),
    (
        lambda: remaining([21.0], **SLOW),
        "remaining: descent diverges .* at most 2 / 21",
    ),
    (lambda: remaining([np.nan], **SLOW), "remaining: descent diverges along"),
    (lambda: matching_alpha([11.0], **SLOW), "matching_alpha: lr times eigenvalue mu"),
    (lambda: matching_alpha([-1.0], **SLOW), "matching_alpha: lr times eigenvalue mu"),
    (lambda: matching_alpha([np.nan], **SLOW), "matching_alpha: lr times eigenvalue"),
]
for f in (early_stopped, quadratic_path):
    BAD_CALLS += [
        (
            lambda f=f: f(np.ones((2, 3)), W, **SLOW),
            f"{f.__name__}: hessian must be a mat",
        ),
        (
            lambda f=f: f(np.eye(3), W, **SLOW),
            f"{f.__name__}: hessian must be a mat",
        ),
        (lambda f=f: f(H, H, **SLOW), f"{f.__name__}: optimum must have 1 dim"),
        (lambda f=f: f(W, W, **SLOW), f"{f.__name__}: hessian must have 2 dim"),
        (lambda f=f: f(H.astype(int), W, **SLOW), f"{f.__name__}: hessian must hold"),
        (lambda f=f: f(H, None, **SLOW), f"{f.__name__}: optimum must hold"),
        (lambda f=f: f(H, W, lr=0.0, steps=3), "lr must be a number above 0"),
        (lambda f=f: f(H, W, lr=0.1, steps=-1), "steps must be a whole number above 0"),
        (lambda f=f: f(H, W, lr=0.1, steps=1.5), "steps must be a whole number above"),
    ]
BAD_CALLS += [
    (lambda: early_stopped([[1.0, 2.0], [0.0, 1.0]], W, **SLOW), "is not symmetric"),
    (lambda: early_stopped(H * np.nan, W, **SLOW), "is not symmetric or not finite"),
    (lambda: early_stopped(21 * H, W, **SLOW), "remaining: descent diverges"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
