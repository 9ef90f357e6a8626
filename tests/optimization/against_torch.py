"""Run an optimizer of the book beside torch's on the same gradients, and compare."""

import numpy as np
import torch

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.sgd import pytorch as twin
from dlbook_lib.optimization.sgd.scratch import set_grads

SHAPES = [(3,), (2, 4), (), (0, 2), (4, 3)]


def same(ours, theirs, dtype="f8"):
    """Arrays (...) equal to 1e-10, or to float32's precision, in shape and type."""
    theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
    assert np.shape(ours) == theirs.shape
    tight = {"rtol": 1e-10, "atol": 1e-10}
    loose = {"rtol": 2e-5, "atol": 2e-6}
    np.testing.assert_allclose(ours, theirs, **(tight if dtype == "f8" else loose))


def draw(rng, dtype="f8"):
    """An array for each of the shapes; one is not contiguous."""
    arrays = [np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES]
    arrays[-1] = arrays[-1].T.copy().T
    return arrays


def gradients(rng, dtype="f8", missing=0.2):
    """Gradients of very different sizes, some of them zero, some of them None."""
    grads = [g * np.exp2(rng.integers(-6, 4)) for g in draw(rng, dtype)]
    grads = [g.astype(dtype) * (rng.random(g.shape) < 0.9) for g in grads]
    grads = [np.asarray(g, dtype) for g in grads]
    return [g if rng.random() > missing else None for g in grads]


def groups(params, second):
    """The parameters in two groups, the second with options of its own."""
    return [{"params": params[:2]}, {"params": params[2:], **second}]


def compare(ours, theirs, params, tparams, dtype):
    for p, q in zip(params, tparams, strict=True):
        same(p, q, dtype)
        assert p.dtype == dtype
    mine, torchs = ours.state_dict(), theirs.state_dict()
    assert mine["state"].keys() == torchs["state"].keys()
    for i, memory in mine["state"].items():
        known = {k: v for k, v in torchs["state"][i].items() if v is not None}
        assert memory.keys() == known.keys()
        for name, value in memory.items():
            same(value, known[name], dtype)
            if name != "step":
                assert value.dtype == dtype
    for group, other in zip(mine["param_groups"], torchs["param_groups"], strict=True):
        for name, value in group.items():
            if value is not None:  # as some of torch's own options are
                np.testing.assert_allclose(value, other[name], 1e-12, 1e-15)


def run(cls, torch_cls, options, second, seed, dtype="f8", steps=50, schedules=None):
    """Fifty steps side by side; half-way the state goes from torch to a new one."""
    rng = numpy_generator(seed)
    params = draw(rng, dtype)
    tparams = [torch.tensor(p, requires_grad=True) for p in params]
    ours = cls(groups(params, second), **options)
    theirs = torch_cls(groups(tparams, second), **options)
    mine, torchs = (
        (schedules[0](ours), schedules[1](theirs)) if schedules else (None, None)
    )
    for k in range(steps):
        grads = gradients(rng, dtype)
        set_grads(ours, grads)
        twin.set_grads(theirs, grads)
        ours.step()
        theirs.step()
        if schedules:
            mine.step()
            torchs.step()
        elif k == steps // 2:
            ours = cls(groups(params, second), **options)
            ours.load_state_dict(theirs.state_dict())
    compare(ours, theirs, params, tparams, dtype)
    return params
