"""Checkers of exercises: they take the reader's own function and say what is wrong.

>>> def solve_double(x):
...     return 2 * x
>>> check_double = Checker(solve_double, [(1.0,), (3.0,)])
>>> def my_double(x):
...     ...
>>> check_double(my_double)
double: not attempted yet; write my_double, then run this cell again.
>>> check_double(lambda x: x + 1)
double: not yet. Case 2 of 2 differs.
  x        = 3.0
  got      = 4.0
  expected = 6.0
  because it differs by up to 2
>>> check_double(lambda x: x + x)
double: correct, all 2 cases agree.
"""

import copy
import inspect
import re

import numpy as np


class ExerciseError(AssertionError):
    """A candidate does not pass its checker."""


class Checker:
    """Compares a candidate with a reference solution, case by case.

    Parameters
    ----------
    reference : callable
        The worked solution, ``solve_<exercise>``.
    cases : sequence of tuple, or callable returning one
        The arguments of each call. A function is asked at each check, so it should seed
        what it draws. Candidate and reference each get a copy, so a candidate that
        changes its arguments harms nobody but itself.
    name : str, optional
        What the verdict calls the exercise; the reference's name without ``solve_``.
    compare : callable, optional
        ``compare(got, expected, *args)`` returns None if `got` will do, else a sentence
        to follow "because". By default numbers, arrays, strings, tuples, lists and
        dicts of these must agree in structure, shape and value.
    rtol, atol : float
        Relative and absolute tolerance of the default comparison, as in
        `numpy.isclose`. NaN equals NaN.
    """

    def __init__(
        self, reference, cases, *, name=None, compare=None, rtol=1e-9, atol=1e-12
    ):
        self.reference = reference
        self.cases = cases
        self.name = name or reference.__name__.removeprefix("solve_")
        self.compare = compare or (
            lambda got, expected, *_: difference(got, expected, rtol, atol)
        )

    def __call__(self, candidate):
        """Print the verdict on `candidate`; never raises for what a candidate does."""
        _, verdict = self._judge(candidate)
        print(verdict)

    def verify(self, candidate):
        """Raise `ExerciseError` with the verdict unless `candidate` passes."""
        passed, verdict = self._judge(candidate)
        if not passed:
            raise ExerciseError(verdict)

    def _judge(self, candidate):
        """Whether `candidate` passes, and the verdict in words."""
        if not callable(candidate):
            given = f"{self.name}: that is {_show(candidate)}, not a function"
            return False, f"{given}; pass the function's name without brackets."
        cases = list(self.cases() if callable(self.cases) else self.cases)
        if not cases:
            raise ValueError(f"{self.name}: the checker has no cases")
        for number, args in enumerate(cases, start=1):
            expected = self.reference(*copy.deepcopy(args))
            got = _call(candidate, args)
            if number == 1 and _is_stub(got) and not _is_stub(expected):
                body = getattr(candidate, "__name__", "the function")
                todo = f"write {body}, then run this cell again"
                return False, f"{self.name}: not attempted yet; {todo}."
            fault = self._fault(got, expected, args)
            if fault:
                head = f"{self.name}: not yet. Case {number} of {len(cases)} differs."
                return False, f"{head}\n{self._explain(args, got, expected, fault)}"
        count = f"all {len(cases)} cases agree" if len(cases) > 1 else "its case agrees"
        return True, f"{self.name}: correct, {count}."

    def _fault(self, got, expected, args):
        """None if `got` will do, else what follows "because"."""
        if isinstance(got, _Raised):
            return f"it {got}"
        try:
            return self.compare(got, expected, *copy.deepcopy(args))
        except Exception as error:
            return f"comparing it {_Raised(error)}"

    def _explain(self, args, got, expected, fault):
        rows = dict(zip(_parameters(self.reference, args), args, strict=True))
        rows |= {"got": got, "expected": expected}
        width = max(map(len, rows))
        lines = [
            f"  {name:<{width}} = {_show(value, indent=width + 5)}"
            for name, value in rows.items()
        ]
        return "\n".join([*lines, f"  because {fault}"])


def difference(got, expected, rtol=1e-9, atol=1e-12):
    """None if two values agree in structure, shape and value, else what differs.

    Parameters
    ----------
    got, expected : number, array (...), tensor (...), string, or tuple, list or dict
        Compared as `numpy.isclose` does; NaN equals NaN. A list or an array is as
        good as a tuple, a number as good as an array of shape (), float32 as good as
        float64 if the tolerance allows.

    >>> difference([1.0, 2.0], np.array([[1.0, 2.0]]))
    'its shape is (2,), not (1, 2)'
    >>> difference((1.0, np.zeros(3)), (1.0, np.array([0, 0.5, 0.25])))
    'item 1: it differs by up to 0.5, first at index 1'
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            return f"it is no dict with the keys {', '.join(map(str, expected))}"
        pairs = [(key, got[key], expected[key]) for key in expected]
    elif isinstance(expected, (tuple, list)):
        if not isinstance(got, (tuple, list)) and np.ndim(got):
            got = list(_as_array(got))
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            return f"it is no tuple of {len(expected)}"
        pairs = [(i, *pair) for i, pair in enumerate(zip(got, expected, strict=True))]
    else:
        return _difference_of_arrays(got, expected, rtol, atol)
    for key, a, b in pairs:
        if fault := difference(a, b, rtol, atol):
            return f"item {key}: {fault}"
    return None


def _difference_of_arrays(got, expected, rtol, atol):
    got, expected = _as_array(got), _as_array(expected)
    if got.dtype.kind in "OUS" or expected.dtype.kind in "OUS":
        same = got.shape == expected.shape and bool(np.all(got == expected))
        return None if same else "it is something else"
    if got.shape != expected.shape:
        return f"its shape is {got.shape}, not {expected.shape}"
    wrong = ~np.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    index = ", ".join(str(i) for i in np.argwhere(wrong)[0])
    where = f", first at index {index}" if index else ""
    with np.errstate(invalid="ignore"):
        gap = np.abs(1.0 * got - expected)[wrong]
    if not np.isfinite(gap).all():
        return f"it is NaN or infinite{where}"
    return f"it differs by up to {gap.max():.2g}{where}"


class _Raised:
    """An error that a candidate raised, as a value that reads "raised …"."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        return f"raised {type(self.error).__name__}: {_stable(str(self.error))}"


def _call(candidate, args):
    try:
        return candidate(*copy.deepcopy(args))
    except Exception as error:
        return _Raised(error)


def _is_stub(value):
    unwritten = isinstance(value, _Raised) and isinstance(
        value.error, NotImplementedError
    )
    return value is None or value is Ellipsis or unwritten


def _parameters(function, args):
    """Names for `args`: the function's own where it has them, else numbers."""
    try:
        bound = inspect.signature(function).bind(*args).arguments
    except (TypeError, ValueError):
        bound = {}
    if [id(value) for value in bound.values()] != [id(value) for value in args]:
        return [f"argument {i}" for i in range(1, len(args) + 1)]
    return list(bound)


def _as_array(value):
    if hasattr(value, "detach"):  # a tensor, without importing torch here
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _show(value, indent=0):
    """A short, stable picture of `value`; later lines are indented."""
    if isinstance(value, np.generic):
        value = value.item()
    if inspect.isroutine(value):
        return value.__name__
    with np.printoptions(precision=4, threshold=20, edgeitems=2, linewidth=70):
        text = _stable(repr(value))
    if len(text) > 400:
        text = f"{text[:400]} …"
    return text.replace("\n", "\n" + " " * indent)


def _stable(text):
    """`text` without memory addresses, which change from run to run."""
    return re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
