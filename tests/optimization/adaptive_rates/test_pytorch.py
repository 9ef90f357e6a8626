"""Fifty steps and clipping equal torch's and the twins', whatever the options."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor
from dlbook_lib.feedforward.autodiff.modules import Parameter
from dlbook_lib.optimization.adaptive_rates import pytorch as twin
from dlbook_lib.optimization.adaptive_rates import scratch
from dlbook_lib.optimization.sgd import pytorch as sgd_twin
from dlbook_lib.optimization.sgd import schedules as ours_lr
from dlbook_lib.optimization.sgd import schedules_pytorch as torchs_lr
from dlbook_lib.optimization.sgd import scratch as sgd
from tests.optimization.against_torch import compare, draw, gradients, run, same

SEEDS = st.integers(0, 10**6)
DTYPES = st.sampled_from(["f8", "f4"])
LR = st.sampled_from([0, 1e-3, 0.1, 1.0])
DECAY = {"weight_decay": st.sampled_from([0, 0.01, 0.3]), "maximize": st.booleans()}
EPS = st.sampled_from([1e-8, 1e-6, 1e-3])
ADAM = {
    "lr": LR,
    "betas": st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99), (0.95, 0.0)]),
    "eps": EPS,
    "amsgrad": st.booleans(),
    **DECAY,
}
OPTIONS = {
    "Adagrad": {
        "lr": LR,
        "lr_decay": st.sampled_from([0, 0.1, 1]),
        "initial_accumulator_value": st.sampled_from([0, 0.5]),
        "eps": EPS,
        **DECAY,
    },
    "RMSprop": {
        "lr": LR,
        "alpha": st.sampled_from([0.5, 0.9, 0.99, 0.999]),
        "eps": EPS,
        "momentum": st.sampled_from([0, 0.5, 0.9]),
        "centered": st.booleans(),
        **DECAY,
    },
    "Adadelta": {
        "lr": LR,
        "rho": st.sampled_from([0, 0.5, 0.9, 0.99, 1]),
        "eps": EPS,
        **DECAY,
    },
    "Adam": ADAM,
    "AdamW": ADAM,
    "AdamInPlace": ADAM,
    "DeltaBarDelta": {
        "lr": LR,
        "kappa": st.sampled_from([0, 1e-3, 0.1]),
        "phi": st.sampled_from([0, 0.1, 0.5, 1]),
        "theta": st.sampled_from([0, 0.5, 0.9]),
    },
}
SECOND = st.fixed_dictionaries({}, optional={"lr": st.floats(0, 0.1)})


@pytest.mark.parametrize("name", OPTIONS)
@given(data=st.data())
def test_fifty_steps(name, data):
    options = data.draw(st.fixed_dictionaries({}, optional=OPTIONS[name]))
    second, seed, dtype = data.draw(st.tuples(SECOND, SEEDS, DTYPES))
    if dtype == "f4":  # rounding is as large as a variance that is almost 0
        options = {k: v for k, v in options.items() if k != "centered"}
    pair = getattr(scratch, name), getattr(twin, name)
    run(*pair, options, second, seed, dtype)


@pytest.mark.parametrize("name", ["Adam", "RMSprop"])
def test_with_a_cycle(name):
    def cycle(module):
        return lambda optimizer: module.OneCycleLR(optimizer, 0.1, 60)

    options = {"momentum": 0.9} if name == "RMSprop" else {}
    pair = getattr(scratch, name), getattr(twin, name)
    run(*pair, options, {}, 0, schedules=(cycle(ours_lr), cycle(torchs_lr)))


@settings(max_examples=10)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lr": LR,
            "alpha": st.sampled_from([0.5, 0.99]),
            "eps": EPS,
            "momentum": st.sampled_from([0, 0.5, 0.9]),
        },
    ),
    SEEDS,
    DTYPES,
)
def test_rmsprop_with_the_look_ahead(options, seed, dtype):
    rng = numpy_generator(seed)
    params = draw(rng, dtype)
    tparams = [torch.tensor(p, requires_grad=True) for p in params]
    ours = scratch.RMSPropNesterov(params, **options)
    theirs = twin.RMSPropNesterov(tparams, **options)
    for _ in range(50):
        grads = gradients(rng, dtype)
        ours.step(lambda grads=grads: sgd.set_grads(ours, grads))
        theirs.step(lambda grads=grads: sgd_twin.set_grads(theirs, grads))
    compare(ours, theirs, params, tparams, dtype)


@given(
    SEEDS,
    DTYPES,
    st.sampled_from([0, 0.1, 1.0, 50]),
    st.sampled_from([1, 2.0, 3, np.inf]),
)
def test_clipping(seed, dtype, limit, norm_type):
    grads = gradients(numpy_generator(seed), dtype)
    if norm_type == np.inf:  # torch refuses it for an empty gradient
        grads = [g for g in grads if np.size(g)]
    for by_norm in (True, False):
        ours = [Parameter(np.zeros(np.shape(g), dtype)) for g in grads]
        theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
        for p, q, g in zip(ours, theirs, grads, strict=True):
            if g is not None:
                p.grad, q.grad = Tensor(g.copy()), torch.tensor(g)
        if by_norm:
            total = scratch.clip_grad_norm_(ours, limit, norm_type)
            same(total, twin.clip_grad_norm_(theirs, limit, norm_type), dtype)
        else:
            scratch.clip_grad_value_(iter(ours), limit)
            twin.clip_grad_value_(theirs, limit)
        kept = twin.with_grads(theirs)
        for p, q in zip(scratch.with_grads(ours), kept, strict=True):
            same(p.grad.data, q.grad, dtype)
            assert p.grad.dtype == dtype


@pytest.mark.parametrize("g", [1e25, 1e-30, np.inf, np.nan])
def test_clipping_of_extreme_gradients(g):
    p, q = Parameter(np.zeros(3, "f4")), torch.zeros(3, requires_grad=True)
    p.grad, q.grad = Tensor(np.array([g, 1, 0], "f4")), torch.tensor([g, 1.0, 0.0])
    with np.errstate(all="raise"):
        same(scratch.clip_grad_norm_(p, 1.0), twin.clip_grad_norm_(q, 1.0), "f4")
    np.testing.assert_allclose(p.grad.data, q.grad, 1e-6)
