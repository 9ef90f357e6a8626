"""The twins stop at the same step with the same state, and agree on the quadratic."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.backpropagation.scratch import MLP
from dlbook_lib.feedforward.output_units.scratch import cross_entropy
from dlbook_lib.regularization.early_stopping import pytorch as twin
from dlbook_lib.regularization.early_stopping import scratch

seeds = st.integers(0, 10_000)


def same(ours, theirs, atol=1e-10, rtol=1e-10):
    theirs = theirs.detach().numpy()
    assert np.shape(ours) == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, np.nan, np.inf]), max_size=12),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
)
def test_patience(losses, patience, min_delta):
    ours = scratch.EarlyStopping(patience, min_delta)
    theirs = twin.EarlyStopping(patience, min_delta)
    for t, loss in enumerate(losses):
        array = np.array([float(t)])
        end = ours.update(loss, {"weight": array})
        both = theirs.update(torch.tensor(loss), {"weight": torch.tensor(array)})
        assert end == both
        for name in ("best_loss", "best_evaluation", "evaluations"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert (ours.best_state is None) == (theirs.best_state is None)
        if ours.best_state is not None:
            same(ours.best_state["weight"], theirs.best_state["weight"])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("every", [1, 3])
def test_a_whole_run_and_both_rules(seed, every):
    rng = numpy_generator(seed)
    x = rng.normal(size=(80, 8))
    y = (x[:, 0] + 1.5 * rng.normal(size=80) > 0).astype(int)
    net = MLP([8, 20, 2], rng=numpy_generator(seed))
    start = {name: array.copy() for name, array in net.state_dict().items()}
    module = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 2)).double()
    begin = {name: torch.tensor(array) for name, array in start.items()}
    module.load_state_dict(begin)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.4)
    inputs, labels = torch.tensor(x), torch.tensor(y)
    train, valid, both = slice(0, 40), slice(40, 80), slice(0, 80)

    def loss(rows):
        return cross_entropy(net(x[rows]), y[rows])

    def torch_loss(rows):
        return nn.functional.cross_entropy(module(inputs[rows]), labels[rows])

    def torch_step(rows):
        optimizer.zero_grad()
        torch_loss(rows).backward()
        optimizer.step()

    def step(rows):
        net.step(x[rows], y[rows], lr=0.4)

    def agree(ours, theirs):
        assert ours[0] == theirs[0]
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-10)
        for name, array in net.state_dict().items():
            same(array, module.state_dict()[name])

    options = {"patience": 10, "steps": 200, "every": every}
    ours = scratch.stop_early(
        net, lambda i: step(train), lambda: loss(valid), **options
    )
    theirs = twin.stop_early(
        module, lambda i: torch_step(train), lambda: torch_loss(valid), **options
    )
    assert len(ours[1]) < 200 // every
    agree(ours, theirs)
    options = {"target": loss(train), "steps": 200, "every": every}
    agree(
        scratch.continue_until(lambda i: step(both), lambda: loss(valid), **options),
        twin.continue_until(
            lambda i: torch_step(both), lambda: torch_loss(valid), **options
        ),
    )
    scratch.retrain_same_steps(net, lambda i: step(both), start=start, steps=ours[0])
    twin.retrain_same_steps(
        module, lambda i: torch_step(both), start=begin, steps=ours[0]
    )
    agree((0, []), (0, []))


def test_running_statistics_go_back_with_the_parameters():
    net = nn.BatchNorm1d(2)
    x = torch.arange(8.0).reshape(4, 2)
    losses = iter([1.0, 0.5, 2.0, 3.0])
    steps, _ = twin.stop_early(
        net, lambda i: net(x), lambda: next(losses), patience=2, steps=9
    )
    assert steps == 2 == net.num_batches_tracked


def test_nothing_to_restore():
    with pytest.raises(ValueError, match="nothing to restore"):
        twin.EarlyStopping(1).restore(nn.Linear(1, 1))


@given(seeds, st.integers(1, 4), st.integers(1, 30), st.floats(0.01, 0.9))
def test_quadratic_model(seed, d, steps, lr):
    rng = numpy_generator(seed)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    eigenvalue, optimum = rng.uniform(0, 1, d), rng.normal(size=d)
    hessian = q @ np.diag(eigenvalue) @ q.T
    tensors = torch.tensor(hessian), torch.tensor(optimum)
    for name in ("quadratic_path", "early_stopped"):
        ours, theirs = getattr(scratch, name), getattr(twin, name)
        options = {"lr": lr, "steps": steps}
        same(ours(hessian, optimum, **options), theirs(*tensors, **options))
        low = ours(hessian.astype("f4"), optimum.astype("f4"), **options)
        same(low, theirs(*tensors, **options), rtol=1e-4, atol=1e-5)
    for name in ("remaining", "matching_alpha"):
        ours, theirs = getattr(scratch, name), getattr(twin, name)
        eigenvalues = np.array([0.0, *eigenvalue, 1 / lr])
        same(
            ours(eigenvalues, lr=lr, steps=steps),
            theirs(torch.tensor(eigenvalues), lr=lr, steps=steps),
        )
