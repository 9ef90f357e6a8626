"""scratch.py and pytorch.py have the same public names with the same parameters."""

import ast
import importlib
import inspect
import re
import types

from tools.pages import ROOT
from tools.reading import packaged

# Autograd is the twin of a derivative and of its numeric check.
ONLY_SCRATCH = re.compile(r".*_backward|numeric_\w+|complex_step\w*|check_gradient\w*")


def public(module):
    """The functions and classes that the module itself defines."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }


def parameters(thing):
    """Kind and default of each parameter but `self`; None where torch says none."""
    try:
        found = inspect.signature(thing).parameters.values()
    except ValueError:
        return None
    return {p.name: (p.kind.name, p.default) for p in found if p.name != "self"}


def from_torch(thing):
    """Whether torch wrote it, so that it may have options we do not offer."""
    return not (getattr(thing, "__module__", None) or "torch").startswith("dlbook_lib")


def same_parameters(ours, theirs, theirs_is_torch):
    """None, or what differs between two signatures."""
    if ours is None or theirs is None:
        return None
    if theirs_is_torch:
        if extra := [name for name in ours if name not in theirs]:
            return f"torch has no {', '.join(extra)}"
        pairs = [(name, ours[name][1], theirs[name][1]) for name in ours]
        wrong = [name for name, a, b in pairs if not same_default(a, b)]
        return f"torch has another default of {', '.join(wrong)}" if wrong else None
    if list(ours) != list(theirs):
        return f"({', '.join(ours)}) against ({', '.join(theirs)})"
    wrong = [
        name
        for name in ours
        if ours[name][0] != theirs[name][0]
        or not same_default(ours[name][1], theirs[name][1])
    ]
    return f"{', '.join(wrong)} by another kind or default" if wrong else None


def same_default(ours, theirs):
    """Equal values, or a function or class and its twin."""
    if all(inspect.isroutine(each) or inspect.isclass(each) for each in (ours, theirs)):
        return ours.__name__ == theirs.__name__
    return ours is theirs or repr(ours) == repr(theirs)


def differences(scratch, pytorch):
    """What the two modules do not share; both ways for what we wrote ourselves."""
    ours = public(scratch)
    for name, thing in ours.items():
        twin = getattr(pytorch, name, None)
        if ONLY_SCRATCH.fullmatch(name):
            continue
        if twin is None:
            yield f"{pytorch.__name__} lacks {name}"
            continue
        for what, a, b in members(name, thing, twin):
            if b is None:
                yield f"{pytorch.__name__} lacks {what}"
            elif fault := same_parameters(parameters(a), parameters(b), from_torch(b)):
                yield f"{what}: {fault}"
    for name in public(pytorch).keys() - ours.keys():
        yield f"{scratch.__name__} lacks {name}"


def members(name, thing, twin):
    """What has to be compared: a function; a class's constructor and methods."""
    if not inspect.isclass(thing):
        yield name, thing, twin
        return
    if "__init__" in vars(thing):
        yield name, thing.__init__, twin.__init__
    for method, function in vars(thing).items():
        if inspect.isfunction(function) and not method.startswith("_"):
            yield f"{name}.{method}", function, getattr(twin, method, None)


def pairs(package):
    """Names of the modules of a package with a twin: winograd has winograd_pytorch."""
    folder = ROOT / package.replace(".", "/")
    yield f"{package}.scratch", f"{package}.pytorch"
    for path in sorted(folder.glob("*_pytorch.py")):
        twin = f"{package}.{path.stem}"
        yield twin.removesuffix("_pytorch"), twin


def test_twins_have_the_same_names_and_parameters(holds):
    found = []
    for page in packaged(ROOT):
        for pair in pairs(page.package):
            found += differences(*map(importlib.import_module, pair))
    holds(found)


def module(name, source):
    made = types.ModuleType(f"dlbook_lib.{name}")
    exec(compile(ast.parse(source), name, "exec"), vars(made))
    return made


def found(scratch, pytorch):
    return list(differences(module("scratch", scratch), module("pytorch", pytorch)))


def test_equal_twins_pass():
    code = "def f(x, *, dim=-1): ...\nclass A:\n  def __init__(self, n): ...\n"
    assert not found(code + "def f_backward(dy, x): ...", code)


def test_a_function_as_default_is_compared_by_name():
    code = "def relu(x): ...\ndef bent(x, g=relu): ...\n"
    assert not found(code, code)
    other = code.replace("g=relu", "g=tanh").replace("relu(", "tanh(")
    assert "bent: g by another kind or default" in found(code, other)


def test_a_missing_twin_is_named_on_either_side():
    assert found("def f(x): ...", "") == ["dlbook_lib.pytorch lacks f"]
    assert found("", "def g(x): ...") == ["dlbook_lib.scratch lacks g"]
    assert not found("def _f(x): ...", "from math import tau")


def test_another_name_kind_or_default_is_named():
    assert found("def f(x, dim): ...", "def f(x, axis): ...") == [
        "f: (x, dim) against (x, axis)"
    ]
    assert found("def f(x, *, dim=1): ...", "def f(x, dim=1): ...")
    assert found("def f(x, dim=1): ...", "def f(x, dim=0): ...") == [
        "f: dim by another kind or default"
    ]


def test_methods_and_constructors_count():
    ours = "class A:\n  def __init__(self, n): ...\n  def fit(self, x): ..."
    assert found(ours, "class A:\n  def __init__(self, m): ...") == [
        "A: (n) against (m)",
        "dlbook_lib.pytorch lacks A.fit",
    ]


def test_torch_may_have_more_options_but_no_other_default():
    reuse = "from torch.nn.functional import mse_loss, linear"
    assert not found("def mse_loss(input, target, reduction='mean'): ...", reuse)
    assert found("def mse_loss(input, target, reduction='sum'): ...", reuse) == [
        "mse_loss: torch has another default of reduction"
    ]
    assert found("def mse_loss(pred, target): ...", reuse) == [
        "mse_loss: torch has no pred"
    ]
    assert not found("def linear(input, weight, bias=None): ...", reuse)
