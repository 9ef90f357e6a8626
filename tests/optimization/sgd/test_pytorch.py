"""Fifty steps equal torch's, whatever the options."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.optimization.sgd import pytorch as twin
from dlbook_lib.optimization.sgd import scratch
from tests.optimization.against_torch import run, same

SEEDS = st.integers(0, 10**6)
OPTIONS = st.fixed_dictionaries(
    {"lr": st.sampled_from([0, 1, 1e-3, 0.05, np.float64(0.1)])},
    optional={
        "weight_decay": st.sampled_from([0, 0.0, 0.3, 1]),
        "maximize": st.booleans(),
    },
)
SECOND = st.fixed_dictionaries({}, optional={"lr": st.floats(0, 0.1)})


@given(OPTIONS, SECOND, SEEDS, st.sampled_from(["f8", "f4"]))
def test_sgd(options, second, seed, dtype):
    run(scratch.SGD, torch.optim.SGD, options, second, seed, dtype)


FACTOR = st.floats(0.05, 1.0)


@given(st.integers(0, 30), st.integers(1, 12), FACTOR, FACTOR)
def test_functions_of_the_step(k, size, gamma, floor):
    for steps in (k, np.arange(k)):
        for name, options in {
            "linear_decay": (1.0, floor, size),
            "step_decay": (1.0, size, gamma, floor),
        }.items():
            ours = getattr(scratch, name)(steps, *options)
            same(ours, getattr(twin, name)(steps, *options))


def test_a_parameter_of_the_twin_shares_its_memory():
    array = np.ones(2)
    p = twin.as_parameter(array)
    optimizer = twin.SGD([p], lr=1.0)
    twin.set_grads(optimizer, [np.ones(2)])
    optimizer.step()
    assert array.tolist() == [0, 0]
    assert twin.as_parameter(p) is p
    twin.set_grads(optimizer, [None])
    assert p.grad is None
