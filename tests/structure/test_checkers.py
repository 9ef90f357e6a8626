"""Each checker lets its reference pass, and refuses three wrong answers or more."""

import importlib
import importlib.util
import inspect

import pytest

from dlbook_lib.common.exercises import Checker, ExerciseError
from tools.pages import ROOT
from tools.reading import taught

ENOUGH = 3


def faults(checkers, wrong):
    """What is amiss with a page's checkers, given wrong answers for each."""
    for name in checkers.keys() ^ wrong.keys():
        yield f"{name} stands in only one of exercises.py and WRONG"
    for name in checkers.keys() & wrong.keys():
        checker, answers = checkers[name], wrong[name]
        if not checker.reference.__name__.startswith("solve_"):
            yield f"{name}: its reference is not called solve_…"
        if not checker.reference.__doc__:
            yield f"{name}: its reference has no docstring"
        if len(answers) < ENOUGH:
            yield f"{name}: {len(answers)} wrong answers, at least {ENOUGH} are needed"
        if not passes(checker, checker.reference):
            yield f"{name} refuses its own reference"
        for number, answer in enumerate(answers, start=1):
            if passes(checker, answer):
                yield f"{name} lets wrong answer {number} pass"
        if passes(checker, stub):
            yield f"{name} lets an empty function pass"


def stub(*args):
    """What stands in an exercise's cell before the reader writes."""


def passes(checker, candidate):
    try:
        checker.verify(candidate)
    except ExerciseError:
        return False
    return True


def wrong_answers(page):
    path = ROOT / page.tests / "test_exercises.py"
    spec = importlib.util.spec_from_file_location(f"wrong_{page.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG


@pytest.mark.parametrize("page", taught(ROOT), ids=lambda page: page.name)
def test_checkers_tell_right_from_wrong(page, holds):
    module = importlib.import_module(f"{page.package}.exercises")
    checkers = dict(
        inspect.getmembers(module, lambda thing: isinstance(thing, Checker))
    )
    holds([f"{page.path}: {what}" for what in faults(checkers, wrong_answers(page))])


def solve_double(x):
    """Twice x."""
    return 2 * x


WRONG = [lambda x: x, lambda x: x + 2, lambda x: -2 * x]


def test_a_good_checker_passes():
    check = Checker(solve_double, [(1.0,), (3.0,)])
    assert not list(faults({"check_double": check}, {"check_double": WRONG}))


@pytest.mark.parametrize(
    ("cases", "wrong", "sentence"),
    [
        ([(2.0,)], WRONG, "check_double lets wrong answer 2 pass"),
        ([(1.0,), (3.0,)], WRONG[:2], "check_double: 2 wrong answers, at least 3"),
    ],
)
def test_a_weak_checker_is_named(cases, wrong, sentence):
    check = Checker(solve_double, cases)
    (found,) = faults({"check_double": check}, {"check_double": wrong})
    assert found.startswith(sentence)


def test_a_checker_that_refuses_its_reference_is_named():
    check = Checker(solve_double, [(1.0,)], compare=lambda *_: "never right")
    (found,) = faults({"check_double": check}, {"check_double": WRONG})
    assert found == "check_double refuses its own reference"


def test_a_checker_without_wrong_answers_is_named():
    found = list(faults({"check_double": Checker(solve_double, [(1.0,)])}, {}))
    assert found == ["check_double stands in only one of exercises.py and WRONG"]
