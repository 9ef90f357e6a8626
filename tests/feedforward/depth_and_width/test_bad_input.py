"""Every public function answers a bad call with a sentence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.feedforward.depth_and_width import scratch
from dlbook_lib.feedforward.depth_and_width.scratch import (
    MLP,
    break_points,
    bump_network,
    collapse_linear,
    count_linear_regions,
    count_params,
    describe,
    disc_polygon,
    fit_output_layer,
    identity,
    layer_by_layer_embedding,
    linear_probe_accuracy,
    mode_strength,
    neuron,
    sawtooth,
    signed_distance,
    step,
    train_deep_linear,
)
from dlbook_lib.feedforward.linear_models.scratch import sigmoid
from dlbook_lib.feedforward.xor.scratch import relu
from tests.feedforward.bad_input import (
    Call,
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

RNG = np.random.default_rng(0)
NET = MLP([3, 4, 2], rng=RNG)
BENT = MLP([3, 4, 2], sigmoid, rng=RNG)
X = np.ones((3, 3))
ROWS = Floats("N", 3, dtype="f8")
POINT = Floats(3, dtype="f8")

CALLS = [
    Call(neuron, x=Floats(..., "in"), w=Floats("in"), b=Number(), g=Given(relu)),
    Call(signed_distance, x=Floats(..., "in"), w=Floats("in"), b=Number()),
    Call(identity, input=Floats(...)),
    Call(step, input=Floats(...)),
    Call(MLP, sizes=Wholes(3), rng=Given(RNG)),
    Call(NET, input=Floats(..., 3)),
    Call(NET.layers, input=Floats(..., 3)),
    Call(
        MLP.from_arrays,
        weights=Several(Floats("b", "a"), Floats("c", "b")),
        biases=Several(Floats("b"), Floats("c")),
    ),
    Call(
        train_deep_linear,
        weights=Several(Floats("b", "a"), Floats("c", "b")),
        target=Floats("c", "a"),
        lr=Given(0.01),
        steps=Whole(),
    ),
    Call(
        mode_strength,
        time=Floats(..., low=0),
        strength=Positive(),
        start=Given(1e-9),
    ),
    Call(
        linear_probe_accuracy,
        train=Floats("N", "in"),
        train_labels=Labels("N", classes=2, skip=("a label too high",)),
        test=Floats(7, "in"),
        test_labels=Given(np.zeros(7, int)),
    ),
    Call(
        linear_probe_accuracy,
        train=Floats(4, "in"),
        train_labels=Given(np.array([0, 1, 1, 0])),
        test=Floats("M", "in"),
        test_labels=Labels("M", classes=2),
    ),
    Call(
        layer_by_layer_embedding,
        net=Given(NET),
        input=ROWS,
        labels=Labels("N", classes=2),
    ),
    Call(bump_network, edges=Given(np.arange(4.0)), heights=Floats(3)),
    Call(fit_output_layer, net=Given(NET), input=ROWS, target=Floats("N", 2)),
    Call(sawtooth, depth=Whole()),
    Call(break_points, net=Given(NET), start=POINT, end=POINT),
    Call(count_linear_regions, net=Given(NET), start=POINT, end=POINT),
    Call(disc_polygon, sides=Whole(3), distance=Positive()),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


ONLY_A_NET = {collapse_linear, count_params, describe}


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {f.__name__ for f in ONLY_A_NET}


@pytest.mark.parametrize("net", [None, [1.0], MLP])
def test_what_is_no_network_is_refused(net):
    x = np.ones((3, 3))
    others = {
        fit_output_layer: (x, x),
        layer_by_layer_embedding: (x, np.zeros(3, int)),
        break_points: (x[0], x[0]),
        count_linear_regions: (x[0], x[0]),
    }
    for function in ONLY_A_NET | others.keys():
        if (net, function) != (MLP, count_params):
            with pytest.raises(TypeError, match=r"^\w+: net (must be|has no)"):
                function(net, *others.get(function, ()))


BAD_CALLS = [
    (lambda: collapse_linear(NET), "the activation is relu"),
    (lambda: count_linear_regions(BENT, X[0], X[0]), "must be relu, not sigmoid"),
    (lambda: mode_strength(X, 1.0, 2.0), "start 2.0 lies above the strength 1.0"),
    (lambda: signed_distance(X, np.zeros(3), 1.0), "w is zero"),
    (lambda: bump_network(np.zeros(3), np.ones(2)), "edges must rise"),
    (lambda: MLP([3], rng=RNG), "sizes needs two numbers or more"),
    (lambda: NET.load_state_dict({"0.weight": X}), "do the depths agree"),
    (lambda: MLP.from_arrays([X], [X[0], X[0]]), "two lists of equal length"),
    (lambda: train_deep_linear([X], X, lr=-1.0, steps=2), "lr must be a number above"),
    (lambda: disc_polygon(2), "sides must be 3 or more"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_special_cases_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_state_of_other_shapes_is_refused():
    state = MLP([3, 5, 2], rng=RNG).state_dict()
    before = NET.parameters()[0].copy()
    with pytest.raises(ValueError, match=r"given has shape \(5, 3\)"):
        NET.load_state_dict(state)
    np.testing.assert_array_equal(NET.parameters()[0], before)
