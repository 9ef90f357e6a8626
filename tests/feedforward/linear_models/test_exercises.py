"""Each reference solution passes its checker; at least three wrong ones do not."""

import math

import numpy as np
import pytest

from dlbook_lib.common.exercises import Checker, ExerciseError
from dlbook_lib.feedforward.linear_models import exercises
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient, sigmoid

SIX = np.arange(1.0, 7.0)
LABELS = np.array([0, 0, 0, 1, 1, 1, 1.0])


def fitted(size, degree=1, labels=LABELS):
    return np.polyfit(np.append(SIX, size), labels, degree)


def columns_of(x):
    return np.concatenate([x, np.ones_like(x[:, :1])], axis=1)


def forward_difference(f, x):
    steps = 1e-8 * np.eye(x.size)
    return np.array([(f(x + s.reshape(x.shape)) - f(x)) / 1e-8 for s in steps])


def flat_complex_step(f, x):
    return np.array(
        [f(x + 1e-30j * row.reshape(x.shape)).imag for row in np.eye(x.size)]
    )


def newton(x, y, w, b, *, p_of=sigmoid, sign=1, scale=1.0, weigh=True):
    a = columns_of(x)
    p = p_of(x @ w.T + b)
    hessian = a.T @ (a * p * (1 - p) if weigh else a) * scale
    step = sign * np.linalg.solve(hessian, a.T @ (p - y))[:, 0]
    return w - step[:-1], b - step[-1:]


def lr(x, *, top=2, factor=2, bias=True, mean=True, index=-1):
    a = columns_of(x) if bias else x
    n = len(x) if mean else 1
    return top / np.linalg.eigvalsh(factor / n * a.T @ a)[index]


def ridge(x, y, left=2.0, right=2.0, alpha=1.0):
    n, d = x.shape
    return np.linalg.solve(left / n * x.T @ x + alpha * np.eye(d), right / n * x.T @ y)


def polygon(sides, turn=2 * np.pi, sign=-1.0, bias=1.0):
    angle = turn * np.arange(sides) / sides
    return sign * np.stack([np.cos(angle), np.sin(angle)], 1), np.full(sides, bias)


WRONG = {
    "check_prediction_at_4": [
        lambda size: np.polyval(fitted(size, labels=1 - LABELS), 4),
        lambda size: np.polyval(fitted(size), 3),
        lambda size: fitted(size)[0] * 4,
        lambda size: np.polyval(np.polyfit(SIX, LABELS[:6], 1), 4),
    ],
    "check_number_of_terms": [
        lambda d, k: math.comb(d + k, k),
        lambda d, k: d**k,
        lambda d, k: math.comb(d, k) + d,
        lambda d, k: d + d * (d + 1) // 2,
    ],
    "check_log_sigmoid": [
        lambda z: np.log(1 / (1 + np.exp(-np.clip(z, -700, None)))),
        lambda z: np.log(sigmoid(z) + 1e-300),
        lambda z: -np.logaddexp(0, z),
        lambda z: np.minimum(z, 0),
    ],
    "check_largest_lr": [
        lambda x: lr(x, top=1),
        lambda x: lr(x, bias=False),
        lambda x: lr(x, mean=False),
        lambda x: lr(x, factor=1),
        lambda x: lr(x, index=0),
    ],
    "check_complex_step_gradient": [
        numeric_gradient,
        forward_difference,
        lambda f, x: flat_complex_step(f, x) / 1e-30,
        lambda f, x: flat_complex_step(f, x).reshape(x.shape),
    ],
    "check_weighted_gradient": [
        lambda z, y, c: (sigmoid(z) - y) / len(z),
        lambda z, y, c: (1 - y) * sigmoid(z) - c * y * (1 - sigmoid(z)),
        lambda z, y, c: c * (sigmoid(z) - y) / len(z),
        lambda z, y, c: ((1 - y) * sigmoid(z) * c - y * (1 - sigmoid(z))) / len(z),
    ],
    "check_ridge": [
        lambda x, y, a: ridge(x, y, left=1, right=1, alpha=a),
        lambda x, y, a: ridge(x, y, left=2 * len(x), right=2 * len(x), alpha=a),
        lambda x, y, a: ridge(x, y, alpha=a / 2),
        lambda x, y, a: np.linalg.lstsq(x, y)[0],
    ],
    "check_polygon": [
        lambda k: polygon(k, sign=-2.0),
        lambda k: polygon(k, bias=2.0),
        lambda k: polygon(k, turn=np.pi),
        lambda k: polygon(k + 1),
        lambda k: polygon(k, sign=1.0, bias=-1.0),
    ],
    "check_newton_step": [
        lambda *a: newton(*a, sign=-1),
        lambda *a: newton(*a, weigh=False),
        lambda *a: newton(*a, scale=1 / len(a[0])),
        lambda x, y, w, b: (w - (sigmoid(x @ w.T + b) - y).T @ x / len(x), b),
    ],
}

CHECKERS = {k: v for k, v in vars(exercises).items() if isinstance(v, Checker)}


def test_every_checker_has_its_wrong_answers():
    assert WRONG.keys() == CHECKERS.keys()
    assert all(len(wrong) >= 3 for wrong in WRONG.values())


@pytest.mark.parametrize("name", CHECKERS)
def test_reference_passes(name):
    CHECKERS[name].verify(CHECKERS[name].reference)


@pytest.mark.parametrize(
    ("name", "candidate"),
    [(name, wrong) for name, many in WRONG.items() for wrong in many],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_wrong_answers_fail(name, candidate):
    with pytest.raises(ExerciseError, match="not yet"):
        CHECKERS[name].verify(candidate)


def test_a_stub_is_not_attempted(capsys):
    CHECKERS["check_ridge"](lambda columns, target, alpha: ...)
    assert "not attempted yet" in capsys.readouterr().out
