"""The harness bites: careless functions are caught, a careful one is not."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_dim,
    check_positive,
    check_reduction,
    check_same_shape,
    require,
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
    Wholes,
    not_described,
    refuses,
)

pytestmark = pytest.mark.slow


def careful(input, weight, bias=None):
    """A linear layer that checks what it is given."""
    input, weight = as_float(input, "input"), as_float(weight, "weight", ndim=2)
    fits = input.ndim and input.shape[-1] == weight.shape[1]
    require(fits, f"input {input.shape} does not fit weight {weight.shape}; reshape it")
    if bias is not None:
        bias = as_float(bias, "bias", ndim=1)
        fits = len(bias) == len(weight)
        require(fits, f"bias {bias.shape} does not fit weight {weight.shape}; fix it")
    return input @ weight.T + (0 if bias is None else bias)


LINEAR = {
    "input": Floats(..., "in"),
    "weight": Floats("out", "in"),
    "bias": Floats("out", optional=True),
}


class Careful:
    """A loss as an object, checked at each door."""

    def __init__(self, lr, steps):
        check_positive(lr, "lr")
        check_positive(steps, "steps", integer=True)

    def loss(self, input, target, reduction="mean"):
        input, target = as_float(input, "input"), as_float(target, "target")
        check_same_shape(input=input, target=target)
        loss = (input - target) ** 2
        check_reduction(reduction, loss)
        return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def careful_nll(input, target, dim=-1):
    input = as_float(input, "input", ndim=2)
    target = as_labels(target, "target", classes=input.shape[1])
    require(target.shape == input.shape[:1], "one label for each row is needed here")
    check_dim(dim, input)
    return -input[np.arange(len(input)), target].sum()


def first_complaint(call):
    """What `refuses` says of some bad call, or nothing if it refuses all."""

    def complaint(bad):
        try:
            refuses(bad)
        except AssertionError as error:
            return str(error)
        return ""

    drawn = settings(max_examples=400, database=None, derandomize=True, deadline=None)
    try:
        return complaint(find(call.bad(), complaint, settings=drawn))
    except NoSuchExample:
        return ""


def test_a_careful_function_passes():
    assert first_complaint(Call(careful, **LINEAR)) == ""


def test_constructors_and_methods_pass():
    new = Careful(0.1, 1)
    values = {"input": Floats(...), "target": Floats(...), "reduction": Reduction()}
    assert first_complaint(Call(new.loss, **values)) == ""
    assert first_complaint(Call(Careful, lr=Positive(), steps=Whole())) == ""


def test_labels_and_dims_pass():
    call = Call(
        careful_nll,
        input=Floats("N", "C"),
        target=Labels("N", classes="C"),
        dim=Dim(of="input"),
    )
    assert first_complaint(call) == ""


def broadcasts(input, target):
    input, target = as_float(input, "input"), as_float(target, "target")
    require(input.size and target.size, "an array is empty; pass some numbers to it")
    return np.mean((input - target[..., :1]) ** 2)


def lets_numpy_speak(input, target):
    return (as_float(input, "input") - as_float(target, "target")).mean()


def names_nobody(input, target):
    if np.shape(input) != np.shape(target):
        raise ValueError("the shapes of input and target differ; reshape one of them")
    return input - target


def is_curt(input, target):
    input, target = as_float(input, "input"), as_float(target, "target")
    require(input.shape == target.shape, "bad shapes")
    return input - target


def indexes(input, target):
    return np.asarray(input)[target]


def looks_up(input, target):
    return {"mean": 1}[target]


PAIR = {"input": Floats(...), "target": Floats(...)}
OF_NUMBERS = "ragged", "integers", "booleans", "objects", "string", "None"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (broadcasts, "takes a bad call"),
        (lets_numpy_speak, "NumPy's or Python's"),
        (names_nobody, "must begin with"),
        (is_curt, "too short"),
    ],
)
def test_careless_functions_are_caught(function, words):
    skip = (*OF_NUMBERS, "missing", "one axis", "length 1")
    skip = OF_NUMBERS if function is broadcasts else skip
    pair = {name: Floats(..., skip=skip) for name in PAIR}
    assert words in first_complaint(Call(function, **pair))


def test_a_label_that_wraps_round_is_caught():
    labels = Labels("N", classes="N", skip=("axis", "axes"))
    found = first_complaint(Call(indexes, input=Given(np.ones(9)), target=labels))
    assert "takes a bad call" in found


def test_an_error_of_another_kind_is_caught():
    found = first_complaint(Call(looks_up, input=Given(1), target=Reduction("mean")))
    assert "in KeyError" in found


def test_a_description_of_a_call_that_fails_is_caught():
    wrong = LINEAR | {"weight": Floats("in", "out")}
    with pytest.raises(ValueError, match="does not fit"):
        find(Call(careful, **wrong).bad(), refuses)


@pytest.mark.parametrize(
    "kind",
    [
        Floats("N", 3, low=0),
        Probabilities("N", "C", dim=1),
        Labels("N", classes=4),
        Number(0, 1),
        Positive(zero=True),
        Whole(0),
        Wholes(4),
        Several(Floats("N"), Whole()),
        Reduction("none"),
    ],
    ids=lambda kind: type(kind).__name__,
)
@given(data=st.data())
def test_a_bad_call_differs_from_the_good_one_in_one_argument(kind, data):
    bad = data.draw(Call(lambda **_: None, x=kind, y=Given("y")).bad())
    assert bad.kwargs["y"] == bad.valid["y"]
    assert repr(bad.kwargs["x"]) != repr(bad.valid["x"])


@given(bad=Call(careful, **LINEAR).bad())
def test_names_that_stand_once_are_free(bad):
    """A batch of any size or rank is no fault of `input`, nor `out` without a bias."""
    weight, bias = bad.valid["weight"], bad.valid["bias"]
    assert bad.valid["input"].shape[-1] == weight.shape[1]
    assert bias.shape == weight.shape[:1]
    assert not bad.fault.startswith("input: axis 0 is one longer")


@given(bad=Call(careful, **LINEAR).bad())
def test_a_fault_that_is_skipped_is_not_drawn(bad):
    assert not bad.fault.startswith("bias: None")


def test_what_is_not_described_is_named():
    module = type(pytest)(__name__)
    module.__dict__.update(careful=careful, Careful=Careful, broadcasts=broadcasts)
    calls = [Call(careful, **LINEAR), Call(Careful(1.0, 1).loss, **PAIR)]
    assert not_described(module, calls) == {"broadcasts"}
