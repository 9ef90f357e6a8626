"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.lenet import batch_last, layers, scratch
from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.feedforward.autodiff.modules import Parameter
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
DTYPE = Choice("float64", "float32")
NET = layers.LeNet5Remake(rng=RNG.value)
SUB = {
    "input": Floats("N", 3, 4, 6, skip=("axis 2", "axis 3", "reverse")),
    "weight": Floats(3),
    "bias": Floats(3),
}
TABLE = [(0, 2), (1,), (2, 1)]
PARTIAL = {
    "input": Floats(
        "N", 3, 4, 5, skip=("axis 1 is one longer", "axis 2", "axis 3", "reverse")
    ),  # a map that the table does not name is no fault
    "weight": Floats(5, 2, 2, skip=("axis 1", "axis 2", "reverse")),
    "bias": Floats(3),
    "table": Given(TABLE),
}
RBF = {"input": Floats("N", "D"), "weight": Floats("C", "D")}
IMAGES = Floats("N", 1, 28, 28, skip=("axis 2", "axis 3", "reverse"))
TRAIN = {
    "net": Given(NET),
    "images": IMAGES,
    "labels": Labels("N", classes=10),
    "order": Given([0]),
    "batch_size": Whole(),
}
CALLS = [
    Call(
        scratch.prepare,
        images=Given(np.zeros((2, 28, 28), np.uint8)),
        size=Given(32),
        dtype=DTYPE,
    ),
    Call(scratch.scaled_tanh, input=Floats(...)),
    Call(scratch.scaled_tanh_backward, dy=Floats(3, 4), input=Floats(3, 4)),
    Call(scratch.subsample2d, **SUB),
    Call(scratch.subsample2d_backward, dy=Floats("N", 3, 2, 3), **SUB),
    Call(scratch.partial_conv2d, **PARTIAL),
    Call(scratch.partial_conv2d_backward, dy=Floats("N", 3, 3, 4), **PARTIAL),
    Call(scratch.rbf, **RBF),
    Call(scratch.rbf_backward, dy=Floats("N", "C"), **RBF),
    Call(
        scratch.rbf_loss,
        input=Floats("N", 10, skip=("axis 1", "reverse")),
        target=Labels("N", classes=10),
    ),
    Call(
        scratch.rbf_loss_backward,
        dy=Given(1.0),
        input=Floats("N", 10, skip=("axis 1", "reverse")),
        target=Labels("N", classes=10),
    ),
    Call(scratch.digit_codes, dtype=DTYPE),
    Call(
        layers.start_,
        parameter=Given(Parameter(np.zeros(3))),
        fan_in=Whole(),
        rng=RNG,
    ),
    Call(layers.Subsampling2d, channels=Whole(), rng=RNG, dtype=DTYPE),
    Call(
        layers.PartialConv2d,
        table=Given(C3_TABLE),
        kernel_size=Whole(),
        rng=RNG,
        dtype=DTYPE,
    ),
    Call(layers.RBF, codes=Floats("C", "D", skip=("axis", "reverse"))),
    Call(layers.LeNet5, rng=RNG, dtype=DTYPE),
    Call(layers.LeNet5Remake, rng=RNG, dtype=DTYPE),
    Call(
        scratch.saliency, net=Given(NET), images=IMAGES, labels=Labels("N", classes=10)
    ),
    Call(
        scratch.worst_errors,
        scores=Floats("N", 10, skip=("axis 1", "reverse")),
        labels=Labels("N", classes=10),
        count=Whole(),
    ),
    Call(scratch.train_lenet, **TRAIN),
    Call(scratch.train_lenet_batch_last, **TRAIN),
    Call(
        scratch.accuracy,
        net=Given(NET),
        images=IMAGES,
        labels=Labels("N", classes=10),
        batch_size=Whole(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()
    assert not_described(layers, CALLS) == {"layer_table"}  # below


FAST = batch_last.BatchLastLeNet(NET.state_dict())
OLD = layers.LeNet5(rng=RNG.value)
X, Y = np.zeros((2, 28, 28)), np.array([1, 2])
BAD_CALLS = [
    (lambda: NET(np.zeros((25, 1, 32, 32))), r"must be \(N, 1, 28, 28\), not"),
    (lambda: NET(X), r"must be \(N, 1, 28, 28\), not"),
    (lambda: OLD(np.zeros((2, 1, 36, 36))), r"must be \(N, 1, 32, 32\), not"),
    (lambda: scratch.train_lenet(None, X[:, None], Y, [0]), "net must be a Module"),
    (lambda: scratch.train_lenet_batch_last(0, X[:, None], Y, [0]), "be a Module"),
    (lambda: scratch.prepare(np.zeros((2, 28, 28))), "prepare: images must be uint8"),
    (lambda: scratch.prepare(np.zeros((2, 40, 28), np.uint8)), "do not fit into 32"),
    (lambda: layers.PartialConv2d([(0, 0)], 5, rng=RNG.value), "table must name"),
    (lambda: layers.PartialConv2d([(0, -1)], 5, rng=RNG.value), "table must name"),
    (lambda: layers.PartialConv2d([], 5, rng=RNG.value), "table must name"),
    (lambda: layers.PartialConv2d("ab", 5, rng=RNG.value), "table must name"),
    (lambda: layers.layer_table([(0, 1.0)]), "connections: table must name"),
    (lambda: layers.layer_table(3), "connections: table must name"),
    (lambda: scratch.saliency(len, X[:, None], Y), "saliency: net must be a Module"),
    (lambda: scratch.accuracy(len, X[:, None], Y), "accuracy: net must be a Module"),
    (lambda: scratch.train_lenet(NET, X[:, None], Y, [0, 2]), "order holds label 2"),
    (lambda: scratch.train_lenet(NET, X[:, None], Y, [0], lr=-1.0), "lr must be"),
    (lambda: batch_last.BatchLastLeNet({}), "BatchLastLeNet: state_dict must hold"),
    (lambda: FAST.gradient(X[:, :20], Y), r"images must be \(N, 28, 28\)"),
    (lambda: FAST.gradient(X, [1, 10]), "labels holds label 10"),
    (lambda: FAST.step(X, Y, -1.0), "step: lr must be a number from 0"),
    (lambda: FAST.step(X, Y, 0.1, 2.0), "step: momentum must be a number from 0 to 1"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
