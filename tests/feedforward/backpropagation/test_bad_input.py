"""Calls with one fault each end in a sentence."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.backpropagation import scratch
from dlbook_lib.feedforward.backpropagation.scratch import (
    MLP,
    InPlaceMLP,
    check_gradient,
    complex_step_jacobian,
    minibatches,
    numeric_jacobian,
    tensor_chain_rule,
    train_mlp,
)
from tests.feedforward.bad_input import (
    Call,
    Floats,
    Given,
    Labels,
    Positive,
    Several,
    Whole,
    Wholes,
    not_described,
    refuses,
)

SIZES = [3, 4, 2]


def rng():
    return numpy_generator(0)


def net(kind=MLP):
    return kind(SIZES, rng=rng())


def step(kind):
    """A step of a new network each time; in-place ones need float64 for theirs."""

    def step(input, target, lr, weight_decay):
        return net(kind).step(input, target, lr=lr, weight_decay=weight_decay)

    step.__qualname__ = f"{kind.__name__}.step"
    return step


def backward(dy):
    trained = net()
    trained.forward(np.ones((5, 3)))
    return trained.backward(dy)


backward.__qualname__ = "MLP.backward"
LABELS = Labels("N", classes=2, skip=("axis",))
F8 = Floats("N", 3, dtype="f8", skip=("axis 0",))
ANY, ANYWAY = Floats("a", "b", dtype="f8"), ("axis", "in reverse")
COST = Given(lambda: 1.0)
CALLS = [
    Call(
        numeric_jacobian,
        f=Given(np.sin),
        x=Floats("n", dtype="f8", skip=ANYWAY),
        eps=Positive(),
    ),
    Call(complex_step_jacobian, f=Given(np.sin), x=Floats("n", skip=ANYWAY)),
    Call(
        tensor_chain_rule,
        dy=Floats("out", skip=("axis",)),
        jacobian=Floats("out", "in", skip=("axis 1", "more at the end", "last axis")),
    ),
    Call(
        check_gradient,
        cost=COST,
        parameters=Several(Floats("a", "b", dtype="f8"), Floats("a", dtype="f8")),
        gradients=Several(Floats("a", "b", dtype="f8"), Floats("a", dtype="f8")),
        rng=Given(rng()),
        eps=Positive(),
    ),
    *(Call(kind, sizes=Wholes(3), rng=Given(rng())) for kind in (MLP, InPlaceMLP)),
    Call(net().forward, input=Floats("N", 3)),
    Call(backward, dy=Floats(5, 2)),
    *(
        Call(
            step(kind),
            input=F8,
            target=LABELS,
            lr=Positive(),
            weight_decay=Positive(zero=True),
        )
        for kind in (MLP, InPlaceMLP)
    ),
    Call(
        minibatches,
        count=Whole(1),
        batch_size=Given(1),
        epochs=Whole(1),
        rng=Given(rng()),
    ),
    Call(
        minibatches,
        count=Given(9),
        batch_size=Whole(1),
        epochs=Given(2),
        rng=Given(rng()),
    ),
    Call(
        train_mlp,
        net=Given(net()),
        input=Floats(4, 3),
        target=Labels(4, classes=2),
        batches=Labels("steps", "size", classes=4),
        lr=Positive(),
        weight_decay=Positive(zero=True),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


BAD_CALLS = [
    (lambda: numeric_jacobian(3, np.ones(2)), TypeError, "f is 3, no function"),
    (
        lambda: numeric_jacobian(np.sin, np.ones(2, "f4")),
        ValueError,
        "numeric_jacobian: x is float32, too coarse",
    ),
    (
        lambda: complex_step_jacobian(np.sin, np.ones(2, complex)),
        ValueError,
        "complex_step_jacobian: x is complex128",
    ),
    (
        lambda: tensor_chain_rule(np.ones(3), np.ones((2, 3))),
        ValueError,
        "tensor_chain_rule: jacobian has shape (2, 3), which does not begin",
    ),
    (
        lambda: check_gradient(sum, [np.ones(2)], [], rng=rng()),
        ValueError,
        "check_gradient: 1 parameters but 0 gradients",
    ),
    (
        lambda: check_gradient(sum, [np.ones(2, "f4")], [np.ones(2)], rng=rng()),
        ValueError,
        "check_gradient: a parameter is float32",
    ),
    (
        lambda: minibatches(3, 4, 1, rng=rng()),
        ValueError,
        "minibatches: batch_size is 4 but there are 3 examples",
    ),
    (
        lambda: train_mlp("net", np.ones((4, 3)), [0, 1, 0, 1], [[0]], lr=0.1),
        TypeError,
        "train_mlp: net must be an MLP of this page",
    ),
    (
        lambda: train_mlp(net(), np.ones((4, 3)), [0, 1, 0, 1], [[0], [1]], lr=[0.1]),
        ValueError,
        "train_mlp: lr has 1 rates but there are 2 batches",
    ),
    (
        lambda: net(InPlaceMLP).step(np.ones((2, 3), "f4"), [0, 1], lr=0.1),
        ValueError,
        "InPlaceMLP.step: input is float32 (2, 3) but the first weight float64",
    ),
    (
        lambda: InPlaceMLP(SIZES, np.tanh, rng=rng()).step(
            np.ones((2, 3)), [0, 1], lr=1.0
        ),
        ValueError,
        "InPlaceMLP.reserve: only relu is built in here",
    ),
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD_CALLS)
def test_bad_calls_get_a_sentence(call, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        call()
