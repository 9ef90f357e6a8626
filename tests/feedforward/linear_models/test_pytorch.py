"""The twins agree with each other, with torch.nn, and with the autograd of PyTorch."""

import numpy as np
import pytest
import torch

from dlbook_lib.feedforward.linear_models import pytorch, scratch

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def tensors(*values):
    return [torch.tensor(v) if isinstance(v, np.ndarray) else v for v in values]


def assert_same(name, *args, **kw):
    """Value of `name` for arrays and for tensors; tuples item by item."""
    ours = getattr(scratch, name)(*args, **kw)
    twin = getattr(pytorch, name)(*tensors(*args), **kw)
    pairs = zip(ours, twin, strict=True) if isinstance(ours, tuple) else [(ours, twin)]
    for a, b in pairs:
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, **CLOSE)


@pytest.mark.parametrize("batch", [(), (0,), (5,), (4, 1, 3)])
@pytest.mark.parametrize("out", [1, 3])
def test_linear_and_its_gradients(out, batch):
    x, w, b, dy = draw((*batch, 2), (out, 2), (out,), (*batch, out))
    assert_same("linear", x, w, b)
    assert_same("linear", x, w)
    assert_same("linear_backward", dy, x, w, b)
    assert_same("linear_backward", dy, x, w)


LOSSES = ["mse_loss", "binary_cross_entropy_with_logits"]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients(name, reduction):
    s, y, dy = draw((6, 2), (6, 2), (6, 2))
    y, dy = 1 / (1 + np.exp(-y)), dy if reduction == "none" else 0.7
    assert_same(name, 50 * s, y, reduction=reduction)
    assert_same(f"{name}_backward", dy, 50 * s, y, reduction)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_empty_batches_agree(name, reduction):
    empty = np.ones((0, 2))
    assert_same(name, empty, empty, reduction=reduction)
    dy = empty if reduction == "none" else 1.0
    assert_same(f"{name}_backward", dy, empty, empty, reduction)


def test_extreme_scores_agree():
    z = np.array([-1e4, -800.0, 0.0, 800.0, 1e4])
    for y in (np.zeros(5), np.ones(5)):
        assert_same("binary_cross_entropy_with_logits", z, y, reduction="none")
        assert_same("binary_cross_entropy_with_logits_backward", 1.0, z, y)
    assert_same("sigmoid", z)
    assert_same("sigmoid_backward", np.ones(5), z)


def test_sigmoid_and_features():
    x, dy = draw((4, 3), (4, 3))
    assert_same("sigmoid", x)
    assert_same("sigmoid_backward", dy, x)
    assert_same("quadratic_features", x)


def test_halfplanes():
    assert_same("and_of_halfplanes", *draw((30, 2), (3, 2), (3,)))


def test_numeric_gradients():
    (x,) = draw((2, 3))
    ours = scratch.numeric_gradient(lambda v: (v**3).sum(), x)
    twin = pytorch.numeric_gradient(lambda v: (v**3).sum(), torch.tensor(x))
    np.testing.assert_allclose(ours, twin, **CLOSE)
    with pytest.raises(ValueError, match="too coarse for a step"):
        pytorch.numeric_gradient(torch.sum, torch.ones(2))


def test_closed_forms():
    x, y = draw((20, 3), (20, 2))
    assert_same("normal_equations", x, y)
    ours, twin = scratch.LinearRegression(), pytorch.LinearRegression()
    ours.fit_normal(x, y)
    twin.fit_normal(*tensors(x, y))
    np.testing.assert_allclose(ours.weight, twin.weight, **CLOSE)
    np.testing.assert_allclose(ours.bias, twin.bias, **CLOSE)


def test_descents_of_the_line():
    x, y = draw((20, 3), (20, 2))
    ours, twin = scratch.LinearRegression(), pytorch.LinearRegression()
    losses = ours.fit_gd(x, y, lr=0.1, steps=30)
    twin_losses = twin.fit_gd(*tensors(x, y), lr=0.1, steps=30)
    np.testing.assert_allclose(losses, twin_losses, **CLOSE)
    np.testing.assert_allclose(ours.predict(x), twin.predict(torch.tensor(x)), **CLOSE)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("features", [1, 4])
def test_logistic_models(features, weight_decay):
    x, noise = draw((25, features), (25, 1))
    y = (x[:, :1] + noise > 0).astype(float)
    ours, twin = scratch.LogisticRegression(), pytorch.LogisticRegression()
    how = {"lr": 0.5, "steps": 40, "weight_decay": weight_decay}
    losses, twin_losses = ours.fit(x, y, **how), twin.fit(*tensors(x, y), **how)
    np.testing.assert_allclose(losses, twin_losses, **CLOSE)
    for part in ("weight", "bias"):
        np.testing.assert_allclose(getattr(ours, part), getattr(twin, part), **CLOSE)
    for method in ("probability", "predict"):
        np.testing.assert_allclose(
            getattr(ours, method)(x), getattr(twin, method)(torch.tensor(x)), **CLOSE
        )


def test_against_a_layer_and_an_optimizer_of_torch():
    x, noise = draw((25, 3), (25, 1))
    y = (x[:, :1] + noise > 0).astype(float)
    ours = scratch.LogisticRegression()
    ours.fit(x, y, lr=0.5, steps=20, weight_decay=0.1)
    layer = torch.nn.Linear(3, 1, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    groups = [{"params": [layer.weight], "weight_decay": 0.1}, {"params": [layer.bias]}]
    optimizer = torch.optim.SGD(groups, lr=0.5)
    cost = torch.nn.BCEWithLogitsLoss()
    for _ in range(20):
        optimizer.zero_grad()
        cost(layer(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
    np.testing.assert_allclose(ours.weight, layer.weight.detach(), **CLOSE)
    np.testing.assert_allclose(ours.bias, layer.bias.detach(), **CLOSE)


def test_descent_leaves_its_start_and_its_graph_alone():
    start = torch.tensor([4.0])
    (end,), losses = pytorch.gradient_descent(
        lambda v: v @ v, [start], lr=0.25, steps=3
    )
    assert (start.item(), end.item(), losses) == (4.0, 0.5, [16.0, 4.0, 1.0])
    assert not end.requires_grad
