"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.hidden_units import scratch
from dlbook_lib.feedforward.hidden_units.scratch import (
    ACTIVATIONS,
    LowRankLinear,
    Maxout,
    PReLU,
    RBFLayer,
    activation_bakeoff,
    dead_fraction,
    gradient_by_layer,
    init_stack,
    low_rank_linear,
    low_rank_linear_backward,
    maxout,
    maxout_backward,
    prelu,
    prelu_backward,
    rbf,
    rbf_backward,
    sequential_tasks,
    stack_accuracy,
    stack_scores,
    stack_scores_backward,
    train_stack,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Several,
    Whole,
    Wholes,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
RELU = Given(ACTIVATIONS["relu"])
INIT = Choice("he", "xavier", "torch")
LOWER, UPPER = Number(-2.0, -0.5, skip=("too",)), Number(0.5, 2.0, skip=("too",))
EXTRA = {
    "leaky_relu": {"negative_slope": Number()},
    "elu": {"alpha": Number()},
    "gelu": {"approximate": Choice("none", "tanh")},
    "hardtanh": {"min_val": LOWER, "max_val": UPPER},
}
OURS = [
    name for name, (f, _) in ACTIVATIONS.items() if f.__module__ == scratch.__name__
]
ELEMENTWISE = [
    Call(ACTIVATIONS[name][0], input=Floats(...), **EXTRA.get(name, {}))
    for name in OURS
] + [
    Call(ACTIVATIONS[name][1], dy=Floats(...), input=Floats(...), **EXTRA.get(name, {}))
    for name in OURS
]
SLOPES = Floats("C", skip=("axis 0 has length 1", "the first axis", "the last axis"))
IMAGES = Floats("N", "C", "H", skip=("at the end", "the last axis"))
RBF = {
    "input": Floats(..., "in"),
    "weight": Floats("units", "in"),
    "sigma": Floats("units", low=0.5, high=2.0, skip=("too", "NaN")),
}
FACTORS = {
    "input": Floats(..., "in"),
    "left": Floats("out", "rank"),
    "right": Floats("rank", "in"),
    "bias": Floats("out", optional=True),
}
WEIGHTS = Several(Floats("S", "h", "in"), Floats("S", "C", "h"))
BIASES = Several(Floats("S", "h"), Floats("S", "C"))
STACK = {"weights": WEIGHTS, "biases": BIASES}
INPUT = Floats("N", "in")
LABELS = Labels("N", classes="C")
RATE = Number(1e-6, 1e-3, skip=("too high", "a list"))
CALLS = [
    *ELEMENTWISE,
    Call(prelu, input=IMAGES, weight=SLOPES),
    Call(prelu_backward, dy=IMAGES, input=IMAGES, weight=SLOPES),
    Call(maxout, input=Floats(..., 6, skip=("axis", "axes")), k=Given(3)),
    Call(maxout_backward, dy=Floats(..., 2), input=Floats(..., 6), k=Given(3)),
    Call(rbf, **RBF),
    Call(rbf_backward, dy=Floats(..., "units"), **RBF),
    Call(low_rank_linear, **FACTORS),
    Call(low_rank_linear_backward, dy=Floats(..., "out"), **FACTORS),
    Call(PReLU, num_parameters=Whole(), init=Number()),
    Call(PReLU(4).forward, input=Floats("N", 4, skip=("at the end",))),
    Call(Maxout, in_features=Whole(), units=Whole(), k=Whole(), rng=RNG),
    Call(Maxout(3, 2, rng=numpy_generator(0)).forward, input=Floats(..., 3)),
    Call(RBFLayer, in_features=Whole(), units=Whole(), sigma=Positive(), rng=RNG),
    Call(RBFLayer(3, 2, rng=numpy_generator(0)).forward, input=Floats(..., 3)),
    Call(
        LowRankLinear,
        in_features=Whole(),
        out_features=Whole(),
        rank=Whole(),
        rng=RNG,
    ),
    Call(LowRankLinear(3, 2, 1, rng=numpy_generator(0)).forward, input=Floats(..., 3)),
    Call(
        init_stack,
        sizes=Wholes(3),
        seeds=Given([0, 1]),
        init=INIT,
        bias=Number(),
        k=Whole(),
    ),
    Call(stack_scores, input=INPUT, **STACK, activation=RELU),
    Call(
        stack_scores_backward,
        dy=Floats("S", "N", "C"),
        input=INPUT,
        **STACK,
        activation=RELU,
    ),
    Call(
        train_stack,
        **STACK,
        activation=RELU,
        input=INPUT,
        target=LABELS,
        lr=RATE,
        epochs=Whole(),
        batch_size=Whole(),
        rng=RNG,
    ),
    Call(stack_accuracy, input=INPUT, target=LABELS, **STACK, activation=RELU),
    Call(dead_fraction, score=Floats("N", "units", skip=("axis",))),
    Call(
        gradient_by_layer,
        dy=Floats("S", "N", "C"),
        input=INPUT,
        **STACK,
        activation=RELU,
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    trials = {"activation_bakeoff", "sequential_tasks"}  # below
    assert not_described(scratch, CALLS) == trials


X, Y = np.ones((4, 3)), np.array([0, 1, 0, 1])
REST = {"hidden": [2], "seeds": [0], "epochs": 1, "rng": numpy_generator(0)}


def bake(names=("relu",), train=(X, Y), valid=(X, Y), test=(X, Y), lrs=(0.1,), **other):
    rest = REST | {"lrs": lrs} | other
    return activation_bakeoff(names, train, valid, test, **rest)


def in_turn(tasks=((X, Y, X, Y),), lr=0.1, **other):
    return sequential_tasks(ACTIVATIONS["relu"], tasks, lr=lr, **(REST | other))


BAD_CALLS = [
    (lambda: maxout(np.ones((2, 6)), 4), "maxout: input .* groups of 4"),
    (lambda: maxout(np.ones((2, 6)), 2.0), "maxout: k must be a whole number"),
    (lambda: maxout(np.ones((2, 6)), 0), "maxout: k must be a whole number"),
    (lambda: maxout_backward(X, X, 3), "maxout_backward: dy has shape"),
    (lambda: rbf(X, X[:1], np.zeros(1)), "rbf: sigma .* width of 0"),
    (lambda: scratch.hardtanh(X, 1.0, -1.0), "hardtanh: max_val must be a number"),
    (lambda: init_stack([3, 2], []), "init_stack: seeds is empty"),
    (lambda: init_stack([3], [0]), "init_stack: sizes must be a list"),
    (lambda: dead_fraction(np.ones(3)), "dead_fraction: score .* must be"),
    (lambda: bake(names=["reul"]), "activation_bakeoff: each of names must be 'relu'"),
    (lambda: bake(names=None), "activation_bakeoff: names must be a list"),
    (lambda: bake(names="relu"), "activation_bakeoff: names must be a list"),
    (lambda: bake(train=(X, 1.0 * Y)), "activation_bakeoff: train.* integer"),
    (lambda: bake(train=(X[0], Y)), "activation_bakeoff: train.* 2 dimensions"),
    (lambda: bake(train=(X, Y[:2])), "train_stack: target .* does not match"),
    (lambda: bake(valid=(X[:, :2], Y)), "stack_scores: shapes do not chain"),
    (lambda: bake(test=(X, Y + 1)), "stack_accuracy: target holds label 2"),
    (lambda: bake(test=(X, Y[:3])), "stack_accuracy: target .* does not match"),
    (lambda: bake(lrs=[]), "activation_bakeoff: lrs .* seeds"),
    (lambda: bake(lrs=[-1.0]), "train_stack: lr must be a number above 0"),
    (lambda: bake(seeds=[]), "activation_bakeoff: lrs .* seeds"),
    (lambda: bake(epochs=0), "train_stack: epochs must be a whole number"),
    (lambda: bake(hidden=[0]), "init_stack: each of sizes must be a whole number"),
    (lambda: bake(init="He"), "init_stack: init must be 'he'"),
    (lambda: in_turn(tasks=[]), "sequential_tasks: tasks is empty"),
    (lambda: in_turn(tasks=[(X, 1.0 * Y, X, Y)]), "sequential_tasks: y_train must"),
    (lambda: in_turn(tasks=[(X[0], Y, X, Y)]), "sequential_tasks: x_train must have"),
    (lambda: in_turn(tasks=[(X, Y, X, Y + 5)]), "stack_accuracy: target holds"),
    (lambda: in_turn(tasks=[(X, Y)]), "sequential_tasks: each of tasks needs"),
    (lambda: in_turn(lr=0.0), "train_stack: lr must be a number above 0"),
    (lambda: in_turn(k=0), "init_stack: k must be a whole number"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()


def test_the_trials_run_at_good_arguments():
    assert bake()["relu"][1].shape == (1,)
    assert in_turn().shape == (1, 1, 1)
