"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.modules import Parameter
from dlbook_lib.optimization.loss_landscapes import scratch
from dlbook_lib.optimization.loss_landscapes.scratch import (
    as_pairs,
    as_parameters,
    as_two_layers,
    clip_norm,
    descent_path,
    equivalent_settings,
    filter_normalized,
    hessian_eigenvalues,
    hessian_product,
    inexact_gradient,
    loss_along,
    loss_plane,
    move_along,
    path_length,
    permute_units,
    power_from_eigenvalues,
    power_norms,
    rescale_units,
    saddle_statistics,
    sharpness,
    step_limit,
    taylor_step,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Number,
    Positive,
    Several,
    Whole,
    not_described,
    refuses,
)


class Thing(Given):
    """A good value, and some that are wrong in its place."""

    def __init__(self, value, *wrong):
        super().__init__(value)
        self.wrong = wrong

    def faults(self, value, axes, others):
        yield from ((repr(w)[:30], w) for w in self.wrong)


W = Parameter(np.ones(2))
RNG = Thing(numpy_generator(0), None, 0, "rng")
HALF = Thing(lambda x: x / 2, None, np.ones(3), "x")
CLOSURE = Thing(lambda: 1.0, None, 1.0, "loss")
LAYERS = {
    "weight": Floats("n", "in"),
    "bias": Floats("n"),
    "next_weight": Floats("out", "n"),
}
BOTH = Several(Floats("n", "in"), Floats("n"))
PARAMS = Thing([W], None, [], W, [np.ones(2)], [None])
LOSS = Thing((W**2).sum(), None, 1.0, np.ones(()))
CALLS = [
    Call(taylor_step, g=Floats("n"), Hg=Floats("n"), lr=Positive()),
    Call(clip_norm, g=Floats(...), max_norm=Positive()),
    Call(
        descent_path,
        gradient=Given(lambda x: x),
        x=Floats("n"),
        lr=Positive(),
        steps=Whole(),
        max_norm=Positive(),
    ),
    Call(path_length, path=Floats("steps", "n")),
    Call(
        inexact_gradient,
        gradient=HALF,
        bias=Floats("n", skip=("the last", "the first", "axis", "axes")),
        noise=Positive(zero=True),
        rng=RNG,
    ),
    Call(as_two_layers, **LAYERS),
    Call(rescale_units, **LAYERS, factor=Floats("n", low=0.0)),
    Call(equivalent_settings, units=Whole(), layers=Whole()),
    Call(saddle_statistics, n=Whole(), trials=Whole(), rng=RNG),
    Call(power_norms, W=Floats("n", "n"), steps=Whole()),
    Call(power_from_eigenvalues, W=Floats("n", "n"), t=Whole(0)),
    Call(as_parameters, params=PARAMS),
    Call(hessian_product, loss=LOSS, params=PARAMS),
    Call(
        hessian_eigenvalues,
        product=Given(lambda v: v),
        n=Whole(),
        steps=Whole(),
        rng=RNG,
    ),
    Call(sharpness, loss=LOSS, params=PARAMS, steps=Whole(), rng=RNG),
    Call(step_limit, curvature=Number()),
    Call(as_pairs, direction=BOTH, params=BOTH),
    Call(filter_normalized, direction=BOTH, params=BOTH),
    Call(loss_along, closure=CLOSURE, params=BOTH, direction=BOTH, at=Floats("K")),
    Call(
        loss_plane,
        closure=CLOSURE,
        params=BOTH,
        first=BOTH,
        second=BOTH,
        at=Floats("K"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {"permute_units", "move_along"}


X, B = np.ones((2, 3)), np.ones(2)
BAD_CALLS = [
    (lambda: permute_units(X, B, X.T, [0, 0]), "permute_units: order must hold each"),
    (lambda: permute_units(X, B, X.T, [0.0, 1.0]), "permute_units: order must hold"),
    (lambda: permute_units(X, B, X, [0, 1]), "as_two_layers: weight"),
    (lambda: rescale_units(X, B, X.T, 0 * B), "rescale_units: factor must be above 0"),
    (lambda: power_norms(np.full((2, 2), np.nan), 2), "power_norms: W is NaN"),
    (lambda: descent_path(lambda x: x[:1], B, lr=1.0, steps=2), "descent_path: x has"),
    (
        lambda: inexact_gradient(lambda x: x, bias=np.ones(3), rng=numpy_generator(0))(
            B
        ),
        "bias has shape",
    ),
    (lambda: hessian_product((W**2).sum(), [W])(np.ones(3)), "v has 3 entries for 2"),
    (lambda: descent_path(None, B, lr=1.0, steps=2), "descent_path: gradient must be"),
    *[
        (
            lambda y=y: loss_along(lambda: y, [B], [B], B),
            "must return the loss, one num",
        )
        for y in (None, B, "loss")
    ],
    (lambda: step_limit(float("nan")), "step_limit: curvature must be a number"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_moving_goes_home():
    w = np.ones(2)
    move_along([w, W], [w, np.ones(2)], [B, B], 2.0)
    assert w.tolist() == W.data.tolist() == [3, 3]
    move_along([W], [np.ones(2)], [B], 0.0)
    assert W.data.tolist() == [1, 1]


def test_an_order_may_be_unsigned():
    order = np.array([1, 0], "u1")
    assert permute_units(X, np.array([3.0, 4.0]), X.T, order)[1].tolist() == [4, 3]
