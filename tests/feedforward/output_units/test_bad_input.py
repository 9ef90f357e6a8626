"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.output_units import scratch
from dlbook_lib.feedforward.output_units.scratch import (
    HeteroscedasticHead,
    LinearHead,
    MixtureDensityNetwork,
    PoissonHead,
    SigmoidHead,
    SoftmaxHead,
    class_probabilities,
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_in_one_buffer,
    fit_head,
    heteroscedastic_nll,
    heteroscedastic_nll_backward,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    logsumexp_backward,
    mixture_density_nll,
    mixture_density_nll_backward,
    mixture_log_joint,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
    target_weights,
)
from tests.feedforward.bad_input import (
    Call,
    Dim,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Probabilities,
    Reduction,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG = Given(numpy_generator(0))
NET = MixtureDensityNetwork(2, 4, 3, 2, rng=numpy_generator(0))
ANY = Floats(...)
BEND = {"beta": Positive(), "threshold": Positive()}
MAP, HOT = Floats("N", "C", "L"), Probabilities("N", "C", dim=1)
SPREAD = {
    "weight": Floats("C", low=0, optional=True),
    "ignore_index": Whole(low=-9, skip=("too low",)),
}
SMOOTH = {"label_smoothing": Number(0, 1)}
ONE, EACH = Reduction("mean", "sum"), Reduction("none")
SCALAR = Number(skip=("a list",))
GAUSS = {"mean": ANY, "a": ANY, "target": ANY}
MIXED = {
    "logits": Floats("N", "K"),
    "mean": Floats("N", "K", "D"),
    "log_scale": Floats("N", "K"),
    "target": Floats("N", "D"),
}
TWO = Floats("N", 2, skip=("in reverse",))  # which is (2, even) now and then
TWO_LAYERS = Several(Floats("W", "in"), Floats("W"), Floats("out", "W"), Floats("out"))
LABELS = Labels("N", "L", classes="C")
NEVER = SPREAD | {"ignore_index": Given(-100)}


def head_calls(head, output, target):
    yield Call(head.link, output=output)
    yield Call(head.loss, output=output, target=target)
    yield Call(head.gradient, output=output, target=target)


CALLS = [
    Call(softplus, input=ANY, **BEND),
    Call(softplus_backward, dy=ANY, input=ANY, **BEND),
    Call(softmax, input=ANY, dim=Dim()),
    Call(softmax_backward, dy=ANY, input=ANY, dim=Dim()),
    Call(log_softmax, input=ANY, dim=Dim()),
    Call(log_softmax_backward, dy=ANY, input=ANY, dim=Dim()),
    Call(logsumexp, input=ANY, dim=Dim()),
    Call(logsumexp_backward, dy=Floats("N"), input=Floats("N", "C"), dim=Given(1)),
    Call(class_probabilities, input=MAP, target=LABELS),
    Call(target_weights, input=MAP, target=LABELS, **SPREAD, **SMOOTH),
    Call(cross_entropy, input=MAP, target=LABELS, **SPREAD, reduction=Reduction()),
    Call(cross_entropy, input=Floats("N", "C"), target=HOT, **NEVER, **SMOOTH),
    Call(
        cross_entropy_backward,
        dy=SCALAR,
        input=MAP,
        target=LABELS,
        **NEVER,
        reduction=ONE,
        **SMOOTH,
    ),
    Call(
        cross_entropy_backward,
        dy=Floats("N", "L"),
        input=MAP,
        target=LABELS,
        reduction=EACH,
    ),
    Call(
        cross_entropy_in_one_buffer,
        input=Floats("N", "C"),
        target=Labels("N", classes="C"),
    ),
    Call(heteroscedastic_nll, **GAUSS, reduction=Reduction()),
    Call(heteroscedastic_nll_backward, dy=SCALAR, **GAUSS, reduction=ONE),
    Call(heteroscedastic_nll_backward, dy=ANY, **GAUSS, reduction=EACH),
    Call(mixture_log_joint, **MIXED),
    Call(mixture_density_nll, **MIXED, reduction=Reduction()),
    Call(mixture_density_nll_backward, dy=SCALAR, **MIXED, reduction=ONE),
    Call(mixture_density_nll_backward, dy=Floats("N"), **MIXED, reduction=EACH),
    Call(LinearHead),
    Call(SigmoidHead),
    Call(SoftmaxHead),
    Call(PoissonHead),
    Call(HeteroscedasticHead),
    *head_calls(LinearHead(), ANY, ANY),
    *head_calls(SigmoidHead(), ANY, Floats(..., low=0, high=1)),
    *head_calls(SoftmaxHead(), Floats("N", "C"), Labels("N", classes="C")),
    *head_calls(PoissonHead(), ANY, Floats(..., low=0)),
    *head_calls(HeteroscedasticHead(), TWO, Floats("N", 1)),
    Call(HeteroscedasticHead().split, output=TWO),
    Call(
        MixtureDensityNetwork,
        in_features=Whole(),
        width=Whole(),
        components=Whole(),
        out_features=Whole(),
        rng=RNG,
    ),
    Call(NET.split, output=Floats("N", 12)),
    *head_calls(NET, Floats("N", 12), Floats("N", 2)),
    Call(
        fit_head,
        head=Given(LinearHead()),
        parameters=TWO_LAYERS,
        input=Floats("N", "in"),
        target=Floats("N", "out"),
        lr=Number(1e-6, 1e-3, skip=("too high",)),
        steps=Whole(),
    ),
]
FAULTLESS = {"LinearHead", "SigmoidHead", "SoftmaxHead", "PoissonHead"}
FAULTLESS |= {"HeteroscedasticHead"}
FAULTY = [call for call in CALLS if str(call) not in FAULTLESS]


@pytest.mark.parametrize("call", FAULTY, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == set()


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        (np.array([0, 3]), {}, "holds label 3 but there are 3 classes"),
        (np.array([0.0, 1.0]), {}, "class labels must be integers"),
        (np.full((2, 3), 0.5), {}, "probabilities, 0 or more, that add up to 1"),
        (np.array([1, 1]), {"weight": np.array([1.0, 0, 1])}, "no label counts"),
        (np.array([5, 5]), {"ignore_index": 5}, "no label counts"),
        (np.eye(3)[:2], {"ignore_index": 1}, "ignore_index"),
    ],
)
def test_targets_are_told_what_is_wrong(target, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        cross_entropy(np.zeros((2, 3)), target, **options)
