r"""Draw calls with one fault each, and check that they end in a sentence of the book.

Describe a good call of a public function by what its arguments are. Shapes read as in
a docstring, and names that stand twice bind: an axis that two arguments share may not
differ between them, one that stands once may have any length. `...` stands for any
number of batch axes, the same ones wherever it stands.

    import pytest
    from hypothesis import given, settings, strategies as st

    from dlbook_lib.feedforward.somewhere import scratch
    from dlbook_lib.feedforward.somewhere.scratch import linear, mse_loss, nll_loss
    from tests.feedforward.bad_input import Call, Floats, Labels, Reduction
    from tests.feedforward.bad_input import not_described, refuses

    WEIGHT, BIAS = Floats("out", "in"), Floats("out", optional=True)
    CALLS = [
        Call(linear, input=Floats(..., "in"), weight=WEIGHT, bias=BIAS),
        Call(mse_loss, input=Floats(...), target=Floats(...), reduction=Reduction()),
        Call(nll_loss, input=Floats("N", "C"), target=Labels("N", classes="C")),
    ]

    @pytest.mark.parametrize("call", CALLS, ids=str)
    @settings(deadline=None)
    @given(data=st.data())
    def test_a_bad_call_ends_in_a_sentence(call, data):
        refuses(data.draw(call.bad()))

    def test_every_function_is_described():
        assert not_described(scratch, CALLS) == set()

While you work on a page, ``print("\n".join(gaps(CALLS)))`` lists everything at once.

`call.bad()` draws sizes, precision, numbers, and then one fault of one argument:
wrong rank, an axis that another argument contradicts (also of length 1, which NumPy
would broadcast without a word), integers, booleans, objects, strings or ragged rows
for floats, labels out of range or not whole, `dim` and `reduction` that do not exist,
numbers out of their range, None. `refuses` runs the good call, which must work, then
the bad one, which must raise ValueError or TypeError with a sentence after the name of
the function, or of one that it calls.

The kinds of argument; all take `skip=("words of a fault",)` for faults that are none:

    Floats(*shape, low=, high=, dtype=)   numbers, or between low and high; None with
                                          optional=True; dtype "f4" or "f8", else drawn
    Probabilities(*shape, dim=)           between 0 and 1; adding up to 1 along dim
    Labels(*shape, classes="C")           0, 1, …, C − 1; a number or the axis named C
    Dim(of="input")                       an axis of that argument
    Reduction("mean", "sum", "none")      one of these, all three if none is named
    Choice("none", "tanh")                one of these
    Positive(), Positive(zero=True)       a number above 0, or from 0 on
    Number(low, high)                     one between; Number(): any, such as a dy
    Whole(low=1)                          a whole number from low on
    Wholes(3, low=1)                      a list of three of them, such as sizes
    Several(Floats(…), Floats(…))         a list of arguments, such as parameters
    Given(value)                          anything else: passed on, never wrong

Constructors and bound methods are called in the same way: ``Call(MLP, sizes=Wholes(3),
rng=Given(rng))``, ``Call(net.forward, input=Floats("N", 2))``. A function that takes
two sorts of call has two descriptions.

>>> def halve(input):
...     return np.asarray(input) / 2
>>> refuses(Bad(halve, "input: integers", {"input": [1]}, {"input": [1.0]}))
Traceback (most recent call last):
AssertionError: halve takes a bad call (input: integers) and answers array([0.5])
"""

import copy
import inspect
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

NOT_OURS = re.compile(
    r"operands could not be broadcast|could not be broadcast|could not convert"
    r"|setting an array element|inhomogeneous|matmul: Input operand|core dimension"
    r"|axis -?\d+ is out of bounds|invalid index|indices must be|only integer"
    r"|index -?\d+ is out of bounds|unsupported operand|ufunc|not aligned"
    r"|cannot reshape|has no attribute|object is not|not supported between"
    r"|truth value of an array|must be real number|zip\(\) argument|to unpack"
    r"|object too deep|an integer is required|zero-size array|must match exactly"
    r"|cannot be interpreted as|positional argument|Traceback"
)
AXES = 2, 3, 4, 5, 6, 7, 8, 9


@dataclass
class Bad:
    """A call with one fault, and the good call it was made from."""

    function: Any
    fault: str
    kwargs: dict
    valid: dict


class Call:
    """A good call: the function, and of what kind each of its arguments is."""

    def __init__(self, function, **arguments):
        self.function, self.arguments = function, arguments

    def __str__(self):
        return name_of(self.function)

    def good(self):
        """A strategy for the arguments of good calls, by name."""
        return _good_calls(self)

    def bad(self):
        """A strategy for calls of this kind with one fault each, as `Bad`."""
        return _bad_calls(self)


def _valid(draw, call):
    axes, valid = Axes(draw, call.arguments.values()), {}
    for name, argument in call.arguments.items():
        valid[name] = argument.valid(axes, valid)
    return axes, valid


@st.composite
def _good_calls(draw, call):
    return _valid(draw, call)[1]


@st.composite
def _bad_calls(draw, call):
    axes, valid = _valid(draw, call)
    faults = [
        (f"{name}: {words}", name, value)
        for name, argument in call.arguments.items()
        for words, value in argument.faults(valid[name], axes, valid)
        if not any(skipped in words for skipped in argument.skip)
    ]
    words, name, value = draw(st.sampled_from(faults))
    return Bad(call.function, words, valid | {name: value}, valid)


def refuses(bad):
    """Fail unless the good call works and the bad one ends in a sentence."""
    name = name_of(bad.function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bad.function(**copy.deepcopy(bad.valid))
        try:
            answer = bad.function(**bad.kwargs)
        except (ValueError, TypeError) as error:
            caught = error
        except Exception as error:
            kind = f"{type(error).__name__}: {error}"
            raise AssertionError(
                f"{name} ends a bad call ({bad.fault}) in {kind}"
            ) from error
        else:
            raise AssertionError(
                f"{name} takes a bad call ({bad.fault}) and answers {answer!r}"
            )
    fault = _fault_of(str(caught), _names_in(caught.__traceback__.tb_next))
    if fault:
        kind = f"{type(caught).__name__}: {caught}"
        raise AssertionError(f"{name}, {bad.fault}: {fault}\n{kind}") from caught


def not_described(module, calls):
    """Names of the module's own functions and classes that no call is about."""
    described = {name_of(call.function).split(".")[0] for call in calls}
    own = {
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    return own - described


def gaps(calls, examples=300):
    """What `refuses` has against the calls: a line for each argument and fault."""
    found = {}

    def collect(bad):
        try:
            refuses(bad)
        except AssertionError as error:
            key = name_of(bad.function), bad.fault.partition(",")[0]
            found.setdefault(key, str(error).replace("\n", " ")[:200])
        except Exception as error:
            key = name_of(bad.function), ""
            found[key] = f"{key[0]} fails at a good call: {error!r}"

    for call in calls:
        drawn = settings(
            max_examples=examples, database=None, derandomize=True, deadline=None
        )
        drawn(given(call.bad())(collect))()
    return [found[key] for key in sorted(found)]


def name_of(function):
    """The name as the sentence has it: `linear`, `MLP`, `MLP.forward`."""
    known = getattr(function, "__qualname__", None) or type(function).__qualname__
    return known.rpartition("<locals>.")[2]


def _names_in(traceback):
    """What a sentence may begin with: the functions that the error came through."""
    names = set()
    while traceback:
        name = traceback.tb_frame.f_code.co_qualname.rpartition("<locals>.")[2]
        names |= {name, name.removesuffix(".__init__")}
        traceback = traceback.tb_next
    hidden = re.compile(r"<|(^|\.)_[^_]")
    return {name for name in names if not hidden.search(name)}


def _fault_of(message, names):
    """What is wrong with a message as an error of the book, or nothing."""
    name, colon, sentence = message.partition(": ")
    if found := NOT_OURS.search(message):
        return f"this is not the book's sentence but NumPy's or Python's: {found[0]!r}"
    if not colon or name not in names:
        return f"the message must begin with '<function>: ', one of {sorted(names)}"
    if len(sentence) < 25 or " " not in sentence:
        return "the message is too short to say what is wrong and what to try"
    return "the message is more than one line" if "\n" in message else ""


# ------------------------------------------------------------------------- the axes


class Axes:
    """Lengths drawn for the axes of one call, and which of them bind."""

    def __init__(self, draw, arguments):
        shapes = [a.shape for a in _flat(arguments) if isinstance(a, Floats)]
        every = [axis for shape in shapes for axis in shape]
        names = sorted({axis for axis in every if isinstance(axis, str)})
        free = [n for n in AXES if n not in every]
        lengths = draw(st.permutations(free))
        self.lengths = dict(zip(names, lengths, strict=False))
        batch = lengths[len(names) :]
        self.lengths[...] = tuple(batch[: draw(st.integers(1, 2))])
        self.shared = {a for a in every if isinstance(a, int) or every.count(a) > 1}
        self.dtype = draw(st.sampled_from(["f8", "f4"]))
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))

    def length(self, axis):
        return axis if isinstance(axis, int) else self.lengths[axis]

    def of(self, shape):
        """The lengths of a shape as it is described."""
        out = []
        for axis in shape:
            length = self.length(axis)
            out += length if axis is ... else [length]
        return tuple(out)

    def fits(self, lengths, shape):
        """Whether an array of these lengths would do just as well."""
        lengths, shape = list(lengths), list(shape)
        if ... in shape:
            at, extra = shape.index(...), len(lengths) - len(shape) + 1
            if extra < 0:
                return False
            batch = tuple(lengths[at : at + extra])
            if ... in self.shared and batch != self.lengths[...]:
                return False
            del lengths[at : at + extra], shape[at]
        return len(lengths) == len(shape) and all(
            axis not in self.shared or n == self.length(axis)
            for n, axis in zip(lengths, shape, strict=True)
        )

    def wrong(self, shape):
        """Words and lengths of arrays that do not fit where `shape` is described."""
        good = self.of(shape)
        found = {
            "the first axis is missing": good[1:],
            "the last axis is missing": good[:-1],
            "one axis more in front": (1, *good),
            "one axis more at the end": (*good, 1),
            "the axes in reverse": good[::-1],
        }
        for i, n in enumerate(good):
            found[f"axis {i} has length 1"] = (*good[:i], 1, *good[i + 1 :])
            found[f"axis {i} is one longer"] = (*good[:i], n + 1, *good[i + 1 :])
        return [
            (f"{words}, {lengths} for {good}", lengths)
            for words, lengths in found.items()
            if not self.fits(lengths, shape)
        ]


def _flat(arguments):
    for argument in arguments:
        if isinstance(argument, Several):
            yield from _flat(argument.arguments)
        else:
            yield argument


def bounds(low, high):
    """Where to draw good numbers: between the bounds, or 2 wide where one lacks."""
    if low is None:
        low = -1 if high is None else high - 2
    return low, low + 2 if high is None else high


# ------------------------------------------------------------- the kinds of argument


class Given:
    """Anything: passed on as it is, and never wrong."""

    def __init__(self, value, *, skip=()):
        self.value, self.skip = value, skip

    def valid(self, axes, others):
        return self.value

    def faults(self, value, axes, others):
        """Words and values that are wrong in the place of `value`."""
        return []


class Floats(Given):
    """An array of floating-point numbers, perhaps between `low` and `high`."""

    def __init__(
        self, *shape, low=None, high=None, dtype=None, optional=False, skip=()
    ):
        self.shape, self.low, self.high = shape, low, high
        self.dtype, self.optional, self.skip = dtype, optional, skip

    def numbers(self, lengths, axes):
        if self.low is None and self.high is None:
            return axes.rng.normal(size=lengths)
        low, high = bounds(self.low, self.high)
        return axes.rng.uniform(low + 0.1 * (high - low), high, lengths)

    def valid(self, axes, others):
        numbers = np.asarray(self.numbers(axes.of(self.shape), axes))
        return numbers.astype(self.dtype or axes.dtype)

    def with_one(self, value, wrong):
        """The array with a wrong number in its last place."""
        changed = value.copy()
        changed[(-1,) * value.ndim] = wrong
        return changed

    def out_of_range(self, value):
        if self.low is not None:
            yield "too low a number", self.with_one(value, self.low - 0.5)
        if self.high is not None:
            yield "too high a number", self.with_one(value, self.high + 0.5)
        if self.low is not None or self.high is not None:
            yield "NaN", self.with_one(value, np.nan)

    def faults(self, value, axes, others):
        yield "integers", np.ones(value.shape, int)
        yield "booleans", np.ones(value.shape, bool)
        yield "objects", value.astype(object)
        yield "an array of strings", value.astype(str)
        yield "a string", "0.5"
        yield "ragged rows", [[1.0], [1.0, 2.0]]
        if not self.optional:
            yield "None", None
        yield from self.out_of_range(value)
        for words, lengths in axes.wrong(self.shape):
            yield words, np.asarray(self.numbers(lengths, axes)).astype(value.dtype)


class Probabilities(Floats):
    """Numbers between 0 and 1; with `dim` they add up to 1 along it."""

    def __init__(self, *shape, dim=None, **options):
        super().__init__(*shape, low=0, high=1, **options)
        self.dim = dim

    def numbers(self, lengths, axes):
        p = super().numbers(lengths, axes)
        if self.dim is None or not -p.ndim <= self.dim < p.ndim:
            return p
        return p / p.sum(axis=self.dim, keepdims=True)

    def out_of_range(self, value):
        yield from super().out_of_range(value)
        if self.dim is not None:
            yield "do not add up to 1", value / 2


class Labels(Floats):
    """Class labels 0, 1, …, one for each place."""

    def __init__(self, *shape, classes, **options):
        super().__init__(*shape, **options)
        self.classes = classes

    def valid(self, axes, others):
        return self.numbers(axes.of(self.shape), axes).astype(int)

    def numbers(self, lengths, axes):
        return axes.rng.integers(axes.length(self.classes), size=lengths)

    def faults(self, value, axes, others):
        classes = axes.length(self.classes)
        yield "a label too high", self.with_one(value, classes)
        yield "a negative label", self.with_one(value, -1)
        yield "whole floats", value.astype(float)
        yield "NaN", self.with_one(value.astype(float), np.nan)
        yield "half a label", self.with_one(value.astype(float), 0.5)
        for words, wrong in super().faults(value, axes, others):
            if words != "integers":
                yield words, wrong


class Dim(Given):
    """An axis of the argument named `of`, which stands before this one."""

    def __init__(self, of="input", *, skip=()):
        self.of, self.skip = of, skip

    def valid(self, axes, others):
        ndim = others[self.of].ndim
        return int(axes.rng.integers(-ndim, ndim))

    def faults(self, value, axes, others):
        ndim = others[self.of].ndim
        yield "past the end", ndim
        yield "before the front", -ndim - 1
        yield "a float", 0.0
        yield "a boolean", True
        yield "a string", "0"
        yield "a list", [0]


class Choice(Given):
    """One of the values; with the first as the good call's."""

    def __init__(self, *allowed, skip=()):
        self.allowed, self.skip = allowed, skip

    def valid(self, axes, others):
        return self.allowed[axes.rng.integers(len(self.allowed))]

    def faults(self, value, axes, others):
        wrong = ["avg", "", 3, None, 0.5, ["mean"]]
        wrong += [a.upper() for a in self.allowed if isinstance(a, str)]
        yield from ((repr(w), w) for w in wrong if w not in self.allowed)


class Reduction(Choice):
    """How a loss is reduced; all of them, or those named."""

    def __init__(self, *allowed, skip=()):
        super().__init__(*(allowed or ("mean", "sum", "none")), skip=skip)


class Number(Given):
    """A number between `low` and `high`, both allowed."""

    def __init__(self, low=None, high=None, *, skip=()):
        self.low, self.high, self.skip = low, high, skip

    def valid(self, axes, others):
        low, high = bounds(self.low, self.high)
        return float(axes.rng.uniform(low + 0.1 * (high - low), high))

    def out_of_range(self):
        if self.low is not None:
            yield "too low", self.low - 0.5
        if self.high is not None:
            yield "too high", self.high + 0.5
        if self.low is not None or self.high is not None:
            yield "NaN", float("nan")

    def faults(self, value, axes, others):
        yield from self.out_of_range()
        yield "a string", "0.5"
        yield "None", None
        yield "three numbers", np.ones(3)
        yield "a list", [value]


class Positive(Number):
    """A number above 0, or with `zero` from 0 on."""

    def __init__(self, *, zero=False, skip=()):
        super().__init__(0, None, skip=skip)
        self.zero = zero

    def out_of_range(self):
        yield from super().out_of_range()
        if not self.zero:
            yield "zero", 0.0
        yield "a boolean", True


class Whole(Given):
    """A whole number from `low` on."""

    def __init__(self, low=1, *, skip=()):
        self.low, self.skip = low, skip

    def valid(self, axes, others):
        return self.low + int(axes.rng.integers(4))

    def faults(self, value, axes, others):
        yield "too low", self.low - 1
        yield "a float", value + 0.5
        yield "a whole float", float(value)
        yield "NaN", float("nan")
        yield "a boolean", True
        yield "a string", str(value)
        yield "None", None
        yield "three numbers", np.full(3, value)


class Wholes(Given):
    """A list of `length` whole numbers, each from `low` on, such as layer sizes."""

    def __init__(self, length=3, *, low=1, skip=()):
        self.length, self.low, self.skip = length, low, skip

    def valid(self, axes, others):
        return [self.low + int(n) for n in axes.rng.integers(4, size=self.length)]

    def faults(self, value, axes, others):
        for words, wrong in Whole(self.low).faults(value[-1], axes, others):
            if words != "three numbers":
                yield f"{words} in the list", [*value[:-1], wrong]
        yield "empty", []
        yield "one number alone", value[0]
        yield "None", None
        yield "a string", "234"


class Several(Given):
    """A list of arguments, such as the parameters of a network."""

    def __init__(self, *arguments, skip=()):
        self.arguments, self.skip = arguments, skip

    def valid(self, axes, others):
        return [argument.valid(axes, others) for argument in self.arguments]

    def faults(self, value, axes, others):
        for i, argument in enumerate(self.arguments):
            for words, wrong in argument.faults(value[i], axes, others):
                if not any(skipped in words for skipped in argument.skip):
                    yield f"[{i}]: {words}", [*value[:i], wrong, *value[i + 1 :]]
        yield "one too few", value[:-1]
        yield "one too many", [*value, value[-1]]
        yield "None", None
