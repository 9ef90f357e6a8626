"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.regularization.norm_penalties import projections, scratch
from dlbook_lib.regularization.norm_penalties.projections import (
    length,
    max_norm,
    max_norm_backward,
    project_l1,
    project_l1_backward,
    project_l2,
    project_l2_backward,
)
from dlbook_lib.regularization.norm_penalties.scratch import (
    Lasso,
    Ridge,
    decay_step,
    group_penalty,
    group_penalty_backward,
    group_soft_threshold,
    group_soft_threshold_backward,
    l1_penalty,
    l1_penalty_backward,
    l2_penalty,
    l2_penalty_backward,
    l2_shrink,
    l2_shrink_backward,
    l2_solution,
    lasso_cd,
    moments,
    penalized,
    proximal_step,
    ridge,
    shrinkage,
    soft_threshold,
    soft_threshold_backward,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Dim,
    Floats,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)

ALPHA = Positive(zero=True)
ANY, DY, WEIGHT = Floats(...), Number(), Floats("out", "in")
EACH = Floats(..., low=0, high=2, skip=("too high", "axis is missing"))
ROWS = Floats("units", "in", skip=("one axis more",))
PENALTY = Choice("l2", "l1", "group")
DATA = {"columns": Floats("N", "D"), "target": Floats("N", "out")}
FIT = {"input": Floats("N", "in"), "target": Floats("N", "out")}
RIDGE = Ridge(0.1).fit(np.eye(3), np.eye(3))
CALLS = [
    Call(l2_penalty, weight=ANY, alpha=ALPHA),
    Call(l2_penalty_backward, dy=DY, weight=ANY, alpha=ALPHA),
    Call(l1_penalty, weight=ANY, alpha=ALPHA),
    Call(l1_penalty_backward, dy=DY, weight=ANY, alpha=ALPHA),
    Call(length, input=ANY, dim=Dim("input")),
    Call(group_penalty, weight=ANY, alpha=ALPHA),
    Call(group_penalty, weight=ANY, dim=Dim("weight")),
    Call(group_penalty_backward, dy=DY, weight=ANY, alpha=ALPHA),
    Call(group_penalty_backward, dy=DY, weight=ANY, dim=Dim("weight")),
    Call(
        soft_threshold, input=ANY, threshold=Number(0, None, skip=("three", "a list"))
    ),
    Call(soft_threshold, input=ANY, threshold=EACH),
    Call(soft_threshold_backward, dy=ANY, input=ANY, threshold=EACH),
    Call(group_soft_threshold, input=ANY, threshold=ALPHA),
    Call(group_soft_threshold, input=ANY, threshold=ALPHA, dim=Dim()),
    Call(group_soft_threshold_backward, dy=ANY, input=ANY, threshold=ALPHA),
    Call(l2_shrink, input=ANY, threshold=ALPHA),
    Call(l2_shrink_backward, dy=ANY, input=ANY, threshold=ALPHA),
    Call(decay_step, weight=ANY, gradient=ANY, lr=Positive(), alpha=ALPHA),
    Call(
        proximal_step,
        weight=ANY,
        gradient=ANY,
        lr=Positive(),
        alpha=ALPHA,
        penalty=PENALTY,
    ),
    Call(
        shrinkage, eigenvalue=Floats(..., low=0, skip=("too low", "NaN")), alpha=ALPHA
    ),
    Call(moments, **DATA),
    Call(ridge, **DATA, alpha=ALPHA),
    Call(lasso_cd, **DATA, alpha=ALPHA, sweeps=Whole(), tol=ALPHA),
    Call(Ridge, alpha=ALPHA),
    Call(Lasso, alpha=ALPHA),
    Call(Ridge(0.1).fit, **FIT),
    Call(Lasso(9.0).fit, **FIT),
    Call(RIDGE.predict, input=Floats(..., 3)),
    Call(project_l2, input=ANY, radius=ALPHA),
    Call(project_l2, input=ANY, radius=ALPHA, dim=Dim()),
    Call(project_l2_backward, dy=ANY, input=ANY, radius=ALPHA),
    Call(project_l2_backward, dy=ANY, input=ANY, radius=ALPHA, dim=Dim("input")),
    Call(project_l1, input=ANY, radius=ALPHA),
    Call(project_l1_backward, dy=ANY, input=ANY, radius=ALPHA),
    Call(max_norm, weight=ROWS, maxnorm=ALPHA),
    Call(max_norm_backward, dy=WEIGHT, weight=WEIGHT, maxnorm=ALPHA),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {"l2_solution", "penalized"}  # below
    assert not_described(projections, CALLS) == set()


X, W = np.ones((3, 2)), np.ones(2)
NAN = np.array([[1.0, np.nan]])


def cost(*params):
    return 0.0, list(params)


BAD_CALLS = [
    (
        lambda: l2_solution(np.ones((2, 3)), W, 0.1),
        "l2_solution: hessian must be a mat",
    ),
    (lambda: l2_solution(np.eye(3), W, 0.1), "l2_solution: hessian must be a mat"),
    (lambda: l2_solution(np.eye(2), X, 0.1), "l2_solution: optimum must have 1"),
    (lambda: l2_solution(W, W, 0.1), "l2_solution: hessian must have 2 dim"),
    (lambda: l2_solution(np.eye(2, dtype=int), W, 0.1), "l2_solution: hessian .* flo"),
    (lambda: l2_solution([[1.0, 2.0], [0.0, 1.0]], W, 0.1), "hessian is not symmet"),
    (lambda: l2_solution(np.eye(2) * np.nan, W, 0.1), "hessian is not symmetric or"),
    (lambda: l2_solution(np.eye(2), W, -0.1), "alpha must be a number above 0 or 0"),
    (lambda: l2_solution(np.zeros((2, 2)), W, 0.0), "shrinkage: .* raise alpha"),
    (lambda: shrinkage([-1.0, 2.0], 1.0), "shrinkage: eigenvalue -1 and alpha 1.0"),
    (lambda: shrinkage([np.nan], 1.0), "shrinkage: eigenvalue nan and alpha"),
    (lambda: penalized(None, [0.1]), "penalized: objective must be a function"),
    (lambda: penalized(cost, 0.1), "penalized: alphas must be a list of numbers"),
    (lambda: penalized(cost, [-0.1]), "penalized: each of alphas must be a number"),
    (lambda: penalized(cost, [0.1], "L2"), "penalized: penalty must be 'l2', 'l1' or"),
    (lambda: penalized(cost, [0.1])(W, W), "penalized.*: there are 2 param.* 1 alphas"),
    (lambda: penalized(cost, [0.1])(np.array([1])), "gradients.0. must hold float"),
    (
        lambda: penalized(lambda w: (0.0, [w[:1]]), [0.1])(W),
        r"parameter has shape \(2,\) but gradient has shape \(1,\)",
    ),
    (lambda: penalized(lambda w: (0.0, w), [0.1])(W), "gradients must be a list of a"),
    (lambda: penalized(lambda w: (0.0, None), [0.1])(W), "gradients must be a list o"),
    (lambda: penalized(lambda w: (0.0, []), [0.1])(W), "gradients must be 1 arrays"),
    (lambda: Ridge().predict(X), "Ridge.predict: there are no weights yet; call fit"),
    (lambda: ridge(X, X, 0.0), "ridge: the penalized 2 columns have rank 1"),
    (lambda: ridge(NAN, X[:1], 0.1), "moments: columns is NaN or infinite"),
    (lambda: lasso_cd(1e200 * X, X, 0.1), "moments: products of columns overflow"),
    (lambda: lasso_cd(X[:1], NAN, 0.1), "moments: target is NaN or infinite"),
    (lambda: Ridge(0.1).fit(NAN, X[:1]), "moments: columns is NaN or infinite"),
    (lambda: project_l2(NAN, 1.0), "project_l2: input is NaN or infinite"),
    (lambda: project_l1(NAN, 1.0), "project_l1: input is NaN or infinite"),
    (lambda: max_norm(NAN, 1.0), "project_l2: input is NaN or infinite"),
    (lambda: max_norm(W, 1.0), "max_norm: weight .* has no units"),
    (lambda: group_penalty(np.array(1.0)), "group_penalty: the array has no dim"),
    (lambda: soft_threshold(W, -1.0), "soft_threshold: threshold must lie between 0"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
