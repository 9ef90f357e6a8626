"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.regularization.adversarial_and_tangent import scratch, tangents
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Reduction,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
NORM = Choice("linf", "l2")
EPS = Positive(zero=True)
LOOSE = ("axis", "missing", "reverse")
BATCH = Floats("N", "n", skip=LOOSE)
UP = Given(lambda x: 2 * x)


def losses(x):
    return (x * x).sum(tuple(range(1, x.ndim)))


def scores(x):
    return x.reshape(len(x), -1)


LOSSES, SCORES, ATTACK = (
    Given(losses),
    Given(scores),
    Given(lambda gradient, x: x + gradient(x)),
)
PAIR = {"input": Floats(..., "C"), "target": Floats(..., "C")}
CALLS = [
    Call(scratch.lengths, input=BATCH),
    Call(scratch.steepest, gradient=BATCH, norm=NORM),
    Call(scratch.project_to_ball, step=BATCH, eps=EPS, norm=NORM),
    Call(scratch.draw_in_ball, shape=Given((2, 3)), eps=EPS, norm=NORM, rng=RNG),
    Call(scratch.total_loss, losses=LOSSES, input=BATCH),
    Call(scratch.uphill, gradient=UP, input=BATCH, norm=NORM),
    Call(scratch.input_range, input=BATCH),
    Call(scratch.answers, scores=SCORES, input=BATCH),
    Call(
        tangents.flat_planes,
        input=Floats("N", "H", "W"),
        tangents=Floats("N", "K", "H", "W", optional=True),
    ),
    Call(scratch.input_gradient, losses=LOSSES, input=BATCH),
    Call(scratch.fgsm, gradient=UP, input=BATCH, eps=EPS, targeted=Choice(False, True)),
    Call(
        scratch.pgd,
        gradient=UP,
        input=BATCH,
        eps=EPS,
        lr=Positive(),
        steps=Whole(),
        norm=NORM,
        targeted=Choice(False, True),
        rng=RNG,
    ),
    Call(
        scratch.adversarial_loss,
        losses=LOSSES,
        input=BATCH,
        attack=ATTACK,
        alpha=Number(0.0, 1.0),
    ),
    Call(scratch.kl_divergence, **PAIR, reduction=Reduction()),
    Call(
        scratch.kl_divergence_backward, dy=Number(), **PAIR, reduction=Reduction("mean")
    ),
    Call(
        scratch.kl_divergence_backward,
        dy=Floats(...),
        **PAIR,
        reduction=Reduction("none"),
    ),
    Call(
        scratch.virtual_perturbation,
        scores=SCORES,
        input=Floats("N", "n"),
        start=Floats("N", "n"),
        eps=EPS,
        xi=Positive(),
        steps=Whole(),
    ),
    Call(
        scratch.vat_loss,
        scores=SCORES,
        input=BATCH,
        eps=EPS,
        xi=Positive(),
        steps=Whole(),
        rng=RNG,
    ),
    Call(
        tangents.image_slopes,
        images=Floats("N", "H", "W", skip=LOOSE),
        sigma=Positive(zero=True),
    ),
    Call(
        tangents.tangent_vectors,
        images=Floats("N", "H", "W", skip=("axis 0", "axis 1", "axis 2", "reverse")),
        sigma=Positive(zero=True),
    ),
    Call(
        tangents.tangent_distance,
        input=Floats("H", "W"),
        other=Floats("H", "W"),
        tangents=Floats("K", "H", "W", optional=True),
        other_tangents=Floats("L", "H", "W", optional=True),
        ridge=Number(0.0),
    ),
    Call(
        tangents.tangent_distances_by_gram,
        input=Floats("M", "H", "W"),
        other=Floats("N", "H", "W"),
        tangents=Floats("M", "K", "H", "W", optional=True),
        other_tangents=Floats("N", "L", "H", "W", optional=True),
        ridge=Positive(),
    ),
    Call(
        tangents.directional_derivative,
        f=Given(lambda x: x * x),
        input=Floats("N", "n"),
        v=Floats("N", "n"),
    ),
    Call(
        tangents.tangent_prop_penalty,
        f=Given(lambda x: x * x),
        input=Floats("N", "n"),
        tangents=Floats("N", "K", "n"),
    ),
    Call(tangents.double_backprop_penalty, losses=LOSSES, input=BATCH),
    Call(tangents.local_directions, points=Floats("M", "n", skip=("axis", "reverse"))),
    Call(
        tangents.manifold_tangents,
        encode=SCORES,
        input=Floats("N", "n", skip=("axis", "reverse")),
        k=Given(1),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


@pytest.mark.parametrize("module", [scratch, tangents], ids=["scratch", "tangents"])
def test_every_function_is_described(module):
    assert not_described(module, CALLS) == set()


X = np.full((2, 3), 0.5)
RNGS = {"rng": numpy_generator(0)}
VAT = {"eps": 0.1, "rng": numpy_generator(0)}
BAD_CALLS = [
    (lambda: scratch.lengths(np.array(1.0)), "lengths: input has no dimensions"),
    (lambda: scratch.steepest(X * np.nan), "steepest: gradient is NaN"),
    (lambda: scratch.project_to_ball(X / 0.0, 1.0), "project_to_ball: step is NaN"),
    (
        lambda: scratch.draw_in_ball(3, 1.0, rng=RNG.value),
        "draw_in_ball: shape must be",
    ),
    (lambda: scratch.draw_in_ball((3,), 1.0, rng=0), "rng must be"),
    (lambda: scratch.draw_in_ball((1, 2), 1.0, **RNGS, dtype=int), "dtype must be fl"),
    (lambda: scratch.draw_in_ball((-1, 2), 1.0, **RNGS), "each size in shape must be"),
    (lambda: scratch.fgsm(np.sign, X, 0.1, (0.6, 1.0)), "input must lie between 0.6"),
    (lambda: scratch.fgsm(np.sign, X, 0.1, (1.0, 0.0)), r"clip\[1\] must be a number"),
    (lambda: scratch.fgsm(np.sign, X, 0.1, 1.0), "clip must be two numbers"),
    (lambda: scratch.fgsm(None, X, 0.1), "gradient must be a function"),
    (lambda: scratch.fgsm(np.sum, X, 0.1), "gradient has shape"),
    (lambda: scratch.fgsm(lambda x: x * np.nan, X, 0.1), "gradient is NaN"),
    (lambda: scratch.pgd(np.sign, X, 0.1, 0.1, 1, rng=0), "rng must be"),
    (lambda: scratch.input_gradient(3, X), "losses must be a function"),
    (lambda: scratch.input_gradient(lambda x: x.data, X), "losses returns a ndarray"),
    (lambda: scratch.input_gradient(lambda x: x.sum(), X), "not one loss for each"),
    (lambda: scratch.adversarial_loss(losses, X, 3), "attack must be a function"),
    (
        lambda: scratch.adversarial_loss(losses, X, lambda g, x: x[:1]),
        "attacked has shape",
    ),
    (lambda: scratch.vat_loss(3, X, **VAT), "scores must be a function"),
    (lambda: scratch.vat_loss(losses, X, **VAT), "the scores must have 2 dimensions"),
    (lambda: scratch.vat_loss(scores, X, 0.1, rng=0), "rng must be"),
    (lambda: tangents.tangent_vectors(X[None], "right"), "kinds must be a list"),
    (lambda: tangents.tangent_vectors(X[None], ["left"]), "kinds must be 'right'"),
    (
        lambda: tangents.tangent_distances_by_gram(X, np.ones((2, 4))),
        "but other",
    ),
    (lambda: tangents.directional_derivative(3, X, X), "f must be a function"),
    (lambda: tangents.directional_derivative(lambda x: 3, X, X), "f returns a int"),
    (lambda: tangents.local_directions(np.ones((3, 2))), "points are the same"),
    (lambda: tangents.local_directions(X * np.nan), "local_directions: points is N"),
    (
        lambda: tangents.manifold_tangents(lambda x: x * np.nan, X, 1),
        "manifold_tangents: the Jacobian is NaN",
    ),
    (lambda: tangents.manifold_tangents(3, X, 1), "encode must be a function"),
    (lambda: tangents.manifold_tangents(scores, X, 4), "k is 4 but there are only 3"),
    (lambda: tangents.manifold_tangents(scores, X, 1.0), "k must be a whole number"),
    (lambda: tangents.manifold_tangents(losses, X, 1), "it should be .N, H."),
    (lambda: tangents.manifold_tangents(lambda x: x.data, X, 1), "encode returns a nd"),
    (lambda: tangents.manifold_tangents(scores, X[0], 1), "is no batch"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    wrong = pytest.raises((ValueError, TypeError), match=sentence)
    with np.errstate(divide="ignore"), wrong:
        call()


def test_a_loss_that_ignores_its_input_is_refused():
    with pytest.raises(RuntimeError, match="do not depend"):
        scratch.input_gradient(lambda x: Tensor(np.ones(2), True), X)
