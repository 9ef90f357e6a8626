"""Networks that lose weights, or win units, while they are trained."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from dlbook_lib.common.data.toys import curve, spirals
from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
)
from dlbook_lib.feedforward.linear_models.scratch import numeric_gradient
from dlbook_lib.regularization.sparsity_and_sharing import sizes
from dlbook_lib.regularization.sparsity_and_sharing import sizes_pytorch as twin
from tests.regularization.sparsity_and_sharing.test_sharing import (
    close,
    kinds,
    seeds,
)

amounts = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 0, 1]), st.floats(0, 1), st.integers(0, 4)
)


@given(seeds, st.integers(1, 4), st.integers(1, 3), amounts, amounts, kinds)
def test_pruning_one_layer_is_that_of_torch(seed, out, width, first, second, dtype):
    weight = numpy_generator(seed).normal(size=(out, width)).astype(dtype)
    first = min(first, weight.size) if isinstance(first, int) else first
    layer = nn.Linear(width, out)
    layer.weight = nn.Parameter(torch.tensor(weight))
    prune.l1_unstructured(layer, "weight", first)
    mask = sizes.keep_mask(np.abs(weight), first)
    close(mask, layer.weight_mask)
    close(mask, twin.keep_mask(torch.tensor(weight).abs(), first))
    left = int(mask.sum())
    second = min(second, left) if isinstance(second, int) else second
    if left:
        prune.l1_unstructured(layer, "weight", second)
        again = sizes.keep_mask(np.abs(weight), second, mask)
        close(again, layer.weight_mask)
        told = twin.keep_mask(torch.tensor(weight).abs(), second, torch.tensor(mask))
        close(again, told)


def test_random_pruning_is_that_of_torch_for_its_numbers():
    layer = nn.Linear(5, 4)
    torch.manual_seed(3)
    numbers = torch.rand_like(layer.weight)
    torch.manual_seed(3)
    prune.random_unstructured(layer, "weight", 0.3)
    mask = sizes.keep_mask(-numbers.detach().numpy(), 0.3)  # the largest go
    close(mask, layer.weight_mask)


@given(seeds, st.floats(0, 1), kinds)
def test_global_pruning_is_that_of_torch(seed, amount, dtype):
    rng = numpy_generator(seed)
    weights = [rng.normal(size=s).astype(dtype) for s in [(3, 4), (2, 3), (1, 2)]]
    layers = [nn.Linear(w.shape[1], w.shape[0]) for w in weights]
    for layer, w in zip(layers, weights, strict=True):
        layer.weight = nn.Parameter(torch.tensor(w))
    places = [(layer, "weight") for layer in layers]
    scores, masks = [np.abs(w) for w in weights], None
    for share in (amount, 0.5):
        prune.global_unstructured(places, prune.L1Unstructured, amount=share)
        masks = sizes.keep_masks(scores, share, masks)
        for mask, layer in zip(masks, layers, strict=True):
            close(mask, layer.weight_mask)
    told = twin.keep_masks(list(map(torch.tensor, scores)), amount)
    for mask, t in zip(sizes.keep_masks(scores, amount), told, strict=True):
        close(mask, t)
    ones = [torch.ones_like(torch.tensor(s)) for s in scores]
    again = twin.keep_masks(list(map(torch.tensor, scores)), amount, ones)
    assert all(torch.equal(a, b) for a, b in zip(told, again, strict=True))


def test_equal_scores_go_in_their_order():
    np.testing.assert_array_equal(
        sizes.keep_mask([1.0, 1.0, 1.0, 1.0], 3), [0, 0, 0, 1]
    )
    assert sizes.keep_mask(np.ones(3), 0).all()
    assert not sizes.keep_mask(np.ones(3), 1.0).any()
    assert sizes.keep_mask(np.ones(3), 1).sum() == 2


def networks(widths=(5, 6, 4, 2), seed=0):
    rng = numpy_generator(seed)
    pairs = list(pairwise(widths))
    ours = Sequential(
        Sequential(Linear(*pairs[0], rng=rng), ReLU()),
        *[m for p in pairs[1:] for m in (Linear(*p, rng=rng), ReLU())],
    )
    theirs = nn.Sequential(
        nn.Sequential(nn.Linear(*pairs[0]), nn.ReLU()),
        *[m for p in pairs[1:] for m in (nn.Linear(*p), nn.ReLU())],
    ).double()
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours, theirs


def same_state(ours, theirs):
    state = theirs.state_dict()
    assert set(ours.state_dict()) == set(state)
    for name, array in ours.state_dict().items():
        close(array, state[name])


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_masks_survive_training(scope):
    ours, theirs = networks()
    rng = numpy_generator(1)
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(7, 2))
    optimizers = None
    for share in (0.4, 0.5):  # prune, train, prune what is left, train
        assert sizes.prune_layers(ours, share, scope) is ours
        twin.prune_layers(theirs, share, scope)
        same_state(ours, theirs)
        how = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
        optimizers = (
            SGD(ours.parameters(), **how),
            torch.optim.SGD(theirs.parameters(), **how),
        )
        for _ in range(5):
            for optimizer in optimizers:
                optimizer.zero_grad()
            ((ours(x) - y) ** 2).mean().backward()
            ((theirs(torch.tensor(x)) - torch.tensor(y)) ** 2).mean().backward()
            for optimizer in optimizers:
                optimizer.step()
        same_state(ours, theirs)
        close(ours(x).data, theirs(torch.tensor(x)))
    weights = [layer.weight.data for layer in (ours[0][0], ours[1], ours[3])]
    left = sum(map(np.count_nonzero, weights))
    assert left == sum(w.size for w in weights) - {"global": 43, "layer": 43}[scope]


def test_a_pruned_torch_layer_loads():
    theirs = nn.Linear(4, 3).double()
    prune.l1_unstructured(theirs, "weight", 0.5)
    ours = sizes.PrunedLinear(Linear(4, 3, rng=numpy_generator(0)), np.ones((3, 4)))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = numpy_generator(1).normal(size=(2, 5, 4))
    close(ours(x).data, theirs(torch.tensor(x)))
    again = twin.PrunedLinear(nn.Linear(4, 3).double(), torch.ones(3, 4))
    again.load_state_dict(theirs.state_dict())
    close(ours(x).data, again(torch.tensor(x)))
    assert len(list(ours.parameters())) == 2
    assert len(list(ours.buffers())) == 1


def test_importance_may_be_anything():
    net, _ = networks()
    sizes.prune_layers(net, 0.5, "layer", lambda w: -np.abs(w))
    layer = net[1]
    kept = np.abs(layer.weight_orig.data)[layer.weight_mask.data == 1]
    gone = np.abs(layer.weight_orig.data)[layer.weight_mask.data == 0]
    assert kept.max() < gone.min()
    x = torch.tensor([[-2.0, 1.0]])
    np.testing.assert_array_equal(sizes.magnitude(x.numpy()), twin.magnitude(x))


# ---- adding units --------------------------------------------------------------------


def test_uniform():
    for module, rng in ((sizes, numpy_generator(0)), (twin, torch_generator(0))):
        drawn = np.asarray(module.uniform(500, 2, rng=rng))
        assert drawn.shape == (500, 2)
        assert -1 <= drawn.min() < -0.98
        assert 0.98 < drawn.max() <= 1


def test_has_flattened():
    for module in (sizes, twin):
        flat = module.has_flattened
        assert not flat([], 1, 0.5)
        assert not flat([1.0], 1, 0.5)
        assert not flat([1.0, 1.0], 2, 0.5)  # the window reaches before the first
        assert flat([1.0, 1.0, 1.0], 2, 0.5)
        assert flat([4.0, 3.0, 2.0], 1, 0.3)  # 1 is less than 0.3 of 4
        assert not flat([4.0, 3.0, 2.0], 2, 0.3)
        assert flat([1.0, 2.0, 2.1], 1, 0.2)  # a rise is flat as well
        assert not flat([1.0, 1.0], 1, 0.0)


def two_nets(inputs=1, outputs=1, seed=0):
    rng = numpy_generator(seed)
    first, last = Linear(inputs, 1, rng=rng), Linear(1, outputs, rng=rng)
    ours = Sequential(first, Sigmoid(), last)
    theirs = nn.Sequential(
        nn.Linear(inputs, 1), nn.Sigmoid(), nn.Linear(1, outputs)
    ).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs


@pytest.fixture
def same_numbers(monkeypatch):
    """The twin draws what scratch draws."""
    rng = numpy_generator(5)
    drawn = lambda *shape, rng: torch.tensor(rng.uniform(-1, 1, shape))  # noqa: E731
    monkeypatch.setattr(twin, "uniform", drawn)
    return lambda: (rng, numpy_generator(5))


def test_a_new_unit_leaves_the_others(same_numbers):
    ours, theirs = two_nets(3, 2)
    before = {k: v.copy() for k, v in ours.state_dict().items()}
    rng, same = same_numbers()
    sizes.add_unit(ours, rng=rng)
    twin.add_unit(theirs, rng=same)
    same_state(ours, theirs)
    after = ours.state_dict()
    np.testing.assert_array_equal(after["0.weight"][:1], before["0.weight"])
    np.testing.assert_array_equal(after["2.weight"][:, :1], before["2.weight"])
    assert after["0.weight"].shape == (2, 3)
    assert np.abs(after["2.weight"]).max() <= 1
    x = np.ones((4, 3))
    close(ours(x).data, theirs(torch.tensor(x)))
    assert ours[0].out_features == ours[2].in_features == 2


def test_dynamic_node_creation(same_numbers):
    ours, theirs = two_nets()
    x, y = curve(30, 0.0, rng=numpy_generator(0))
    x, y = 2 * x, y[:, None]
    rng, same = same_numbers()
    how = {"lr": 0.5, "steps": 400, "window": 20, "slope": 0.02, "max_units": 5}
    losses, units = sizes.dynamic_node_creation(ours, x, y, **how, rng=rng)
    t = map(torch.tensor, (x, y))
    told, width = twin.dynamic_node_creation(theirs, *t, **how, rng=same)
    assert units == width
    np.testing.assert_allclose(losses, told, rtol=1e-9)
    same_state(ours, theirs)
    assert len(losses) == len(units) == 400
    assert units[0] == 1
    assert 2 < units[-1] <= 5
    assert set(np.diff(units)) == {0, 1}
    grown = 1 + np.flatnonzero(np.diff(units))  # the first step with a new unit
    for start, end in zip([0, *grown], grown, strict=False):
        assert end - start > how["window"]
        stretch = losses[start:end]
        assert sizes.has_flattened(stretch, 20, 0.02)
        assert not sizes.has_flattened(stretch[:-1], 20, 0.02)


def test_it_stops_at_the_goal():
    net, _ = two_nets()
    x, y = np.array([[0.0], [1.0]]), np.array([[0.3], [0.4]])
    how = {"lr": 0.5, "window": 10, "slope": 0.01, "max_units": 3, "goal": 1e-3}
    losses, _ = sizes.dynamic_node_creation(
        net, x, y, steps=500, **how, rng=numpy_generator(0)
    )
    assert losses[-1] <= 1e-3 < losses[-2]


def test_float32_stays_float32():
    net = Sequential(
        Linear(1, 1, rng=numpy_generator(0), dtype="f4"),
        Sigmoid(),
        Linear(1, 1, rng=numpy_generator(0), dtype="f4"),
    )
    x = np.ones((3, 1), "f4")
    how = {"lr": 0.1, "steps": 9, "window": 1, "slope": 9.0, "max_units": 3}
    sizes.dynamic_node_creation(net, x, x, **how, rng=numpy_generator(0))
    assert net[0].out_features == 3
    assert {p.dtype for p in net.parameters()} == {np.dtype("f4")}
    sizes.prune_layers(net, 0.5)
    assert net(x).dtype == "f4"
    cascade = sizes.CascadeCorrelation(4, 5, rng=numpy_generator(0))
    line = np.arange(6, dtype="f4")[:, None]
    cascade.fit(line, 2 * np.cos(2 * line), 2, 0.01)
    assert len(cascade.frozen) == 2
    arrays = [cascade(line), cascade.weight, cascade.features(line), *cascade.frozen]
    assert {a.dtype for a in arrays} == {np.dtype("f4")}


# ---- cascade-correlation -------------------------------------------------------------


@given(seeds, st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), kinds)
def test_candidate_score(seed, n, c, o, dtype):
    rng = numpy_generator(seed)
    value, residual = (rng.normal(size=(n, k)).astype(dtype) for k in (c, o))
    dy = rng.normal(size=c).astype(dtype)
    ours = sizes.candidate_score(value, residual)
    v, e = (torch.tensor(z, requires_grad=True) for z in (value, residual))
    told = twin.candidate_score(v, e)
    low = dtype == "f4"
    close(ours, told, low)
    gradients = torch.autograd.grad(told, (v, e), torch.tensor(dy))
    for g, t in zip(
        sizes.candidate_score_backward(dy, value, residual), gradients, strict=True
    ):
        if n > 1:  # with one example all is 0, and so is the sign of rounding
            close(g, t, low)
    naive = [
        sum(
            abs(
                sum(
                    (value[p, j] - value[:, j].mean())
                    * (residual[p, i] - residual[:, i].mean())
                    for p in range(n)
                )
            )
            for i in range(o)
        )
        for j in range(c)
    ]
    np.testing.assert_allclose(ours, naive, rtol=1e-4 if low else 1e-9, atol=1e-5)


def test_candidate_score_on_the_engine():
    score = register(sizes.candidate_score, sizes.candidate_score_backward)
    rng = numpy_generator(0)
    value, residual = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    t = Tensor(value, True)
    score(t, residual).sum().backward()

    def total(value):
        return sizes.candidate_score(value, residual).sum()

    np.testing.assert_allclose(t.grad.data, numeric_gradient(total, value), atol=1e-7)


@given(seeds, st.integers(1, 30))
def test_candidates_climb_as_by_rprop_of_torch(seed, steps):
    rng = numpy_generator(seed)
    features, residual = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    start = rng.uniform(-1, 1, (4, 3))
    kept = start.copy()
    ours = sizes.train_candidates(features, residual, start, steps=steps)
    t = map(torch.tensor, (features, residual, start))
    close(ours, twin.train_candidates(*t, steps=steps))
    np.testing.assert_array_equal(start, kept)


def two_spirals():
    """The 194 points of Lang and Witbrock, as in the paper."""
    i = np.arange(97)
    angle, radius = i * np.pi / 16, 6.5 * (104 - i) / 104
    arm = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return np.concatenate([arm, -arm]), np.repeat([1.0, -1.0], 97)[:, None]


def test_two_spirals_are_learned():
    x, y = two_spirals()
    net = sizes.CascadeCorrelation(rng=numpy_generator(0)).fit(x, y, 25)
    assert (np.sign(net(x)) == y).all()
    assert 10 <= len(net.frozen) <= 20
    assert len(net.errors) == len(net.frozen) + 1
    assert (np.diff(net.errors) < 0).all()  # least squares with one more column
    assert net.features(x).shape == (194, 3 + len(net.frozen))


@pytest.mark.slow
def test_cascade_twin(same_numbers):
    x, labels = spirals(40, rng=numpy_generator(0))
    y = np.stack([2.0 * labels - 1, x[:, 0] ** 2], axis=1)
    rng, same = same_numbers()
    ours = sizes.CascadeCorrelation(5, 20, rng=rng).fit(x, y, 4, 0.01)
    theirs = twin.CascadeCorrelation(5, 20, rng=same)
    theirs.fit(*map(torch.tensor, (x, y)), 4, 0.01)
    assert len(ours.frozen) == len(theirs.frozen) == 4
    np.testing.assert_allclose(ours.errors, theirs.errors, rtol=1e-9)
    for a, b in zip(ours.frozen, theirs.frozen, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)), atol=1e-8)
    early = sizes.CascadeCorrelation(2, 3, rng=numpy_generator(0)).fit(x, x, 4, 0.01)
    assert len(early.frozen) == 0  # linear, so no unit is needed


def test_old_units_stay_as_they_are():
    x, y = two_spirals()
    few, more = (
        sizes.CascadeCorrelation(4, 20, rng=numpy_generator(0)).fit(x, y, n)
        for n in (2, 4)
    )
    for a, b in zip(few.frozen, more.frozen, strict=False):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(few.features(x), more.features(x)[:, :5])
    again = more.fit(x, y, 1)
    assert len(again.frozen) == 1
    assert again(x[:0]).shape == (0, 1)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_shared_layer_is_pruned_once_as_in_torch(scope):
    layer = Linear(2, 2, rng=numpy_generator(0))
    theirs = nn.Linear(2, 2).double()
    theirs.load_state_dict({k: torch.tensor(a) for k, a in layer.state_dict().items()})
    net = sizes.prune_layers(Sequential(layer, ReLU(), layer), 1, scope)
    copy = twin.prune_layers(nn.Sequential(theirs, nn.ReLU(), theirs), 1, scope)
    assert net[0] is net[2]
    close(net[0].weight.data, copy[0].weight)
    assert np.count_nonzero(net[2].weight.data) == 3


def test_scores_in_float64_leave_a_net_in_float32():
    rng = numpy_generator(0)
    net = Sequential(Linear(4, 3, rng=rng, dtype="f4"))
    for _ in range(2):
        sizes.prune_layers(net, 0.5, importance=lambda w: rng.random(w.shape))
        assert net(np.ones((2, 4), "f4")).dtype == net[0].weight_mask.dtype == "f4"
