"""Twins compute where their tensors are: nothing of theirs stays behind on the CPU.

No GPU is needed. Fake tensors have a shape, a precision and a device but no numbers,
and an operation on tensors of two devices is an error. The calls are those that the
tests of bad input describe.
"""

import importlib
import inspect
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch._subclasses.fake_tensor import FakeTensorMode

from tools.pages import ROOT

pytestmark = pytest.mark.slow
GPU = "cuda"  # its name; PyTorch may have been built without it


class CannotTellError(Exception):
    """A fake tensor cannot record a graph where PyTorch knows no GPU."""


def described():
    """Pairs of a twin function and the calls of its other half, by package."""
    for path in sorted((ROOT / "tests").glob("*/*/test_*.py")):
        calls = "\nCALLS = [" in path.read_text("utf-8")
        chapter, page = path.parts[-3:-1]
        package = ROOT / "dlbook_lib" / chapter / page
        if not calls or not package.is_dir():
            continue
        test = importlib.import_module(f"tests.{chapter}.{page}.{path.stem}")
        twins = twins_of(package)
        for call in test.CALLS:
            twin = twins.get(getattr(call.function, "__name__", ""))
            if twin:
                yield twin, call


def twins_of(package):
    """The functions of all twin modules of a package, by name."""
    found = {}
    for path in package.glob("*pytorch.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts))
        for name, f in vars(module).items():
            if inspect.isfunction(f) and f.__module__ == module.__name__:
                found[name] = f
    return found


def on_gpu(x):
    """The same argument, with fake tensors on the GPU for arrays (...)."""
    if isinstance(x, np.ndarray):
        return torch.empty(x.shape, dtype=getattr(torch, x.dtype.name), device=GPU)
    if isinstance(x, np.random.Generator):
        return torch.Generator()  # on the CPU: it serves all devices
    return type(x)(map(on_gpu, x)) if isinstance(x, (list, tuple)) else x


def arrays(x):
    """All arrays and tensors in an argument or a result."""
    if isinstance(x, (np.ndarray, torch.Tensor)):
        yield x
    elif isinstance(x, (list, tuple)):
        for each in x:
            yield from arrays(each)


def verdict(twin, arguments):
    """What is wrong with a call on the GPU: a sentence, nothing, or "cannot tell"."""
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
            result = twin(**{name: on_gpu(x) for name, x in arguments.items()})
    except Exception as error:
        mixed = "same device" in str(error)
        return f"{twin.__name__}: {error}" if mixed else "cannot tell"
    left = [y for y in arrays(result) if y.is_floating_point() and y.device.type != GPU]
    return f"{twin.__name__} answers on the CPU" if left else ""


@pytest.fixture
def no_graph(monkeypatch):
    """Whatever would record a graph is not tried."""

    def refuse(*_args, **_options):
        raise CannotTellError

    for name in ("requires_grad_", "backward"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    monkeypatch.setattr(torch.autograd, "grad", refuse)


def judge(verdicts, twin, call):
    """Add the verdicts on some calls, if anything in them can be on a GPU."""

    @settings(max_examples=2)
    @given(call.good())
    def one(arguments):
        if any(a.dtype.kind == "f" for a in arrays(list(arguments.values()))):
            verdicts.add(verdict(twin, arguments))

    one()


def test_twins_compute_where_their_tensors_are(no_graph):
    verdicts = defaultdict(set)
    for twin, call in described():
        judge(verdicts[f"{twin.__module__}.{twin.__name__}"], twin, call)
    wrong = {name: v - {"", "cannot tell"} for name, v in verdicts.items()}
    assert {name: v for name, v in wrong.items() if v} == {}
    assert sum("" in v for v in verdicts.values()) > 150


def test_what_stays_behind_is_seen(no_graph):
    def careless(x):
        return x + torch.ones(3)

    def lost(x):
        return torch.zeros(3)

    x = {"x": np.ones(3)}
    assert "same device" in verdict(careless, x)
    assert verdict(lost, x) == "lost answers on the CPU"
    assert verdict(lambda x: x + torch.ones(3).to(x), x) == ""
    assert verdict(lambda x: x.requires_grad_(), x) == "cannot tell"
