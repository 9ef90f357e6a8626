"""L-BFGS takes torch's path and keeps torch's state, whatever the options."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.modules import Linear, MSELoss, Sequential, Tanh
from dlbook_lib.optimization.adaptive_rates import lbfgs
from dlbook_lib.optimization.adaptive_rates import pytorch as twin
from dlbook_lib.optimization.adaptive_rates.lbfgs import LBFGS
from dlbook_lib.optimization.sgd.schedules import StepLR
from dlbook_lib.optimization.sgd.scratch import set_grads
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Positive,
    Several,
    Whole,
    not_described,
    refuses,
)

SHAPES = [(3,), (2, 3), (), (0, 2), (3, 2)]
CLOSE = {"f8": {"rtol": 1e-10, "atol": 1e-10}, "f4": {"rtol": 1e-3, "atol": 1e-3}}


def problem(rng, dtype, wavy):
    """Parameters, the loss of them as a vector, and its gradient: an uneven bowl with
    small waves."""
    params = [np.asarray(rng.normal(size=s), dtype) for s in SHAPES]
    params[-1] = params[-1].T.copy().T  # not contiguous
    n = sum(p.size for p in params)
    scale = np.geomspace(0.5, 20, n)[rng.permutation(n)].astype(dtype)
    wave = np.asarray(0.5 * wavy, dtype)

    def loss_and_slope(x):
        loss = (scale * x**2).sum() / 2 + wave * (1 - np.cos(2 * x)).sum()
        return loss, scale * x + 2 * wave * np.sin(2 * x)

    return params, loss_and_slope


def ours_and_torchs(params, loss_and_slope, options, missing=None):
    """Two optimizers with their closures, on the same loss."""
    tparams = [torch.tensor(p, requires_grad=True) for p in params]
    pair = LBFGS(params, **options), torch.optim.LBFGS(tparams, **options)

    def flat(arrays):
        return np.concatenate([np.ravel(a) for a in arrays])

    def split(g):
        ends = np.cumsum([p.size for p in params])[:-1]
        parts = [
            h.reshape(p.shape) for h, p in zip(np.split(g, ends), params, strict=True)
        ]
        return [None if i == missing else h for i, h in enumerate(parts)]

    def closure():
        loss, slope = loss_and_slope(flat(params))
        set_grads(pair[0], split(slope))
        return loss

    def tclosure():
        loss, slope = loss_and_slope(flat(p.detach().numpy() for p in tparams))
        for p, g in zip(tparams, split(slope), strict=True):
            p.grad = None if g is None else torch.tensor(g)
        return torch.tensor(loss)

    return *pair, closure, tclosure, tparams


def compare(ours, theirs, params, tparams, dtype):
    for p, q in zip(params, tparams, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(p, q.detach(), **CLOSE[dtype])
    mine, torchs = ours.state_dict(), theirs.state_dict()
    for name, value in mine["param_groups"][0].items():
        assert value == torchs["param_groups"][0][name]
    mine, torchs = mine["state"][0], dict(torchs["state"][0])
    torchs.pop("al", None)
    assert mine.keys() == torchs.keys()
    if dtype == "f8":
        for name, value in mine.items():
            other = torchs[name]
            assert np.shape(value) == np.shape(
                [np.asarray(o) for o in other] if isinstance(other, list) else other
            )
            loose = {"rtol": 1e-6, "atol": 1e-8} if name in ("ro", "t") else CLOSE["f8"]
            for a, b in zip(np.atleast_1d(value), np.atleast_1d(other), strict=True):
                np.testing.assert_allclose(a, np.asarray(b), **loose)


OPTIONS = st.fixed_dictionaries(
    {"lr": st.sampled_from([0.05, 0.5, 1])},
    optional={
        "max_iter": st.sampled_from([1, 2, 5]),
        "max_eval": st.sampled_from([1, 3, 12]),
        "tolerance_grad": st.sampled_from([0, 1e-3, 0.5]),
        "tolerance_change": st.sampled_from([0, 1e-4, 0.1]),
        "history_size": st.sampled_from([1, 3, 100]),
        "line_search_fn": st.sampled_from([None, "strong_wolfe"]),
    },
)


@given(
    OPTIONS,
    st.booleans(),
    st.sampled_from([None, 0, 3]),
    st.integers(0, 10**6),
    st.sampled_from(["f8", "f8", "f4"]),
)
def test_steps_are_torchs(options, wavy, missing, seed, dtype):
    if dtype == "f4":  # rounding decides when to stop, and where a search ends
        options = options | {"max_iter": 3, "tolerance_change": 1e-3}
        options |= {"line_search_fn": None}
        wavy = False
    params, loss_and_slope = problem(numpy_generator(seed), dtype, wavy)
    found = ours_and_torchs(params, loss_and_slope, options, missing)
    ours, theirs, closure, tclosure, tparams = found
    for _ in range(2 if dtype == "f8" else 1):
        loss, tloss = ours.step(closure), theirs.step(tclosure)
        np.testing.assert_allclose(loss, tloss.item(), **CLOSE[dtype])
    compare(ours, theirs, params, tparams, dtype)


def test_a_search_whose_second_place_is_above_the_first():
    def loss_and_slope(x):
        (t,) = x
        slope = np.full(1, -3 * np.sin(3 * t + 3.4) - 1)
        return np.cos(3 * t + 3.4) - t, slope

    params = [np.zeros(1)]
    (slope,) = loss_and_slope(params[0])[1]
    options = {"lr": -2 / slope, "max_iter": 1, "max_eval": 9}
    options["line_search_fn"] = "strong_wolfe"
    found = ours_and_torchs(params, loss_and_slope, options)
    ours, theirs, closure, tclosure, tparams = found
    ours.step(closure)
    theirs.step(tclosure)
    compare(ours, theirs, params, tparams, "f8")
    assert ours.state_dict()["state"][0]["func_evals"] == 3
    np.testing.assert_allclose(params[0], 2.920028, 1e-6)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_many_steps(search):
    options = {"lr": 0.5, "max_iter": 4, "history_size": 6, "line_search_fn": search}
    options |= {"tolerance_grad": 1e-4}
    params, loss_and_slope = problem(numpy_generator(0), "f8", search is not None)
    found = ours_and_torchs(params, loss_and_slope, options)
    ours, theirs, closure, tclosure, tparams = found
    for k in range(12):
        ours.step(closure)
        theirs.step(tclosure)
        if k == 5:  # a new one goes on with torch's memory
            ours = LBFGS(params, **options)
            ours.load_state_dict(theirs.state_dict())
            assert ours.state_dict()["state"][0]["d"].dtype == np.float64

            def closure(old=closure, ours=ours, first=found[0]):
                loss = old()
                grads = [p.grad for p in first.param_groups[0]["params"]]
                set_grads(ours, [g.data for g in grads])
                return loss

    compare(ours, theirs, params, tparams, "f8")


def test_the_state_goes_to_torch_and_back():
    params, loss_and_slope = problem(numpy_generator(1), "f8", True)
    options = {"max_iter": 3}
    ours, _, closure, *_ = ours_and_torchs(params, loss_and_slope, options)
    ours.step(closure)
    state = ours.state_dict()
    again = LBFGS(params, **options)
    again.load_state_dict(state)
    for name, value in state["state"][0].items():
        np.testing.assert_array_equal(again.state_dict()["state"][0][name], value)
    d = state["state"][0]["d"]
    assert again.state_dict()["state"][0]["d"] is not d
    other = LBFGS([np.zeros(2) for _ in params], **options)
    with pytest.raises(
        ValueError, match=r"it remembers 16 parameters but there are 10"
    ):
        other.load_state_dict(state)
    with pytest.raises(TypeError, match="pass what state_dict"):
        ours.load_state_dict({})
    fresh = LBFGS(params)
    fresh.load_state_dict(LBFGS(params, max_iter=7).state_dict())
    assert fresh.state == {}
    assert fresh.param_groups[0]["max_iter"] == 7


def test_a_network_in_float32_learns_and_stays_float32():
    rng = numpy_generator(0)
    options = {"rng": rng, "dtype": np.float32}
    net = Sequential(Linear(2, 8, **options), Tanh(), Linear(8, 1, **options))
    x = rng.normal(size=(40, 2)).astype("f4")
    y = (x[:, :1] * x[:, 1:]).astype("f4")
    optimizer = LBFGS(net.parameters(), line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = MSELoss()(net(x), y)
        loss.backward()
        return loss

    for _ in range(8):
        losses.append(optimizer.step(closure).item())
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < 0.02 * losses[0]
    assert {p.data.dtype for p in net.parameters()} == {np.dtype("f4")}
    (state,) = optimizer.state_dict()["state"].values()
    arrays = [state["d"], state["prev_flat_grad"], *state["old_dirs"]]
    assert {a.dtype for a in [*arrays, *state["old_stps"]]} == {np.dtype("f4")}


def test_at_the_minimum_nothing_happens():
    w = np.zeros(2)
    optimizer = LBFGS([w])
    optimizer.step(lambda: set_grads(optimizer, [w]) or 0.0)
    assert optimizer.state_dict()["state"][0] == {"func_evals": 1, "n_iter": 0}


def test_a_closure_that_fails_in_a_search_leaves_everything_in_its_place():
    w, calls = np.ones(2), []
    optimizer = LBFGS([w], line_search_fn="strong_wolfe")

    def closure():
        calls.append(w.copy())
        if len(calls) > 1:
            raise KeyError("no data")
        set_grads(optimizer, [2 * w])
        return w @ w

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert calls[1].tolist() != w.tolist() == [1, 1]


def test_a_schedule_turns_its_rate():
    w = np.array([3.0])
    optimizer = LBFGS([w], lr=0.5)
    schedule = StepLR(optimizer, 1)
    optimizer.step(lambda: set_grads(optimizer, [w]) or float(w @ w / 2))
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_the_signature_is_torchs():
    assert twin.LBFGS is torch.optim.LBFGS
    ours, theirs = (inspect.signature(c).parameters for c in (LBFGS, twin.LBFGS))
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


PARAMS = Several(
    Floats(3, skip=("axis", "axes")),
    Floats("n", "m", skip=("axis", "axes")),
    skip=("one too",),
)
CALLS = [
    Call(
        LBFGS,
        params=PARAMS,
        lr=Positive(zero=True),
        max_iter=Whole(),
        max_eval=Whole(skip=("None",)),
        tolerance_grad=Positive(zero=True),
        tolerance_change=Positive(zero=True),
        history_size=Whole(),
        line_search_fn=Choice(None, "strong_wolfe", skip=("None",)),
    )
]


@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(data):
    refuses(data.draw(CALLS[0].bad()))


def test_every_function_is_described():
    assert not_described(lbfgs, CALLS) == set()


def test_a_float64_rate_does_not_promote():
    w = np.array([1.0, 4.0], "f4")
    optimizer = LBFGS([w], lr=np.float64(0.5), max_iter=3)

    def closure():
        set_grads(optimizer, [w**3])
        return (w**4).sum() / 4

    optimizer.step(closure)
    state = optimizer.state_dict()["state"][0]
    kept = w, state["d"], *state["old_stps"], *state["old_dirs"]
    assert {a.dtype for a in kept} == {np.dtype("f4")}


W = np.zeros(2)
BAD_CALLS = [
    (lambda: LBFGS([{"params": [W]}, {"params": [W + 1]}]), "one group only"),
    (lambda: LBFGS([W]).step(None), "LBFGS.step: closure must compute"),
    (lambda: LBFGS([W]).step(lambda: None), "must return the loss, one number, not No"),
    (lambda: LBFGS([W]).step(lambda: W), "must return the loss, one number, not array"),
    (lambda: LBFGS([{"params": W, "beta": 1}]), "must be 'params' or 'lr'"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
