"""Networks, costs and penalties can be differentiated twice: equal to torch's."""

import numpy as np
import pytest
import torch
from hypothesis import given

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from dlbook_lib.feedforward.autodiff.modules import Linear
from dlbook_lib.feedforward.autodiff.operations import cat
from dlbook_lib.regularization.sparsity_and_sharing import (
    codes,
    codes_pytorch,
    scratch,
    sizes,
    sizes_pytorch,
)
from dlbook_lib.regularization.sparsity_and_sharing import pytorch as twin
from tests.feedforward.twice import leaves, same_twice
from tests.regularization.sparsity_and_sharing.test_sharing import seeds, twins

X = numpy_generator(0).normal(size=(5, 4))
LABELS = numpy_generator(1).integers(2, size=5)
TASKS = [LABELS + 1, LABELS]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("SemiSupervisedNet", (4, 3, 2)),
        ("MultiTaskNet", (4, 6, [3, 2])),
        ("SparseAutoencoder", (4, 6)),
        ("SparseAutoencoder", (4, 6, "relu")),
    ],
)
def test_networks(name, sizes):
    ours, theirs = twins(name, *sizes)
    a, b = leaves([X])
    y, z = ours(*a), theirs(*b)
    if isinstance(y, (list, tuple)):
        y, z = cat(y, 1), torch.cat(z, 1)
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


def test_a_pruned_layer():
    mask = (numpy_generator(2).random((3, 4)) > 0.5).astype(float)
    ours = sizes.PrunedLinear(Linear(4, 3, rng=numpy_generator(0)), mask)
    layer = torch.nn.Linear(4, 3).double()
    theirs = sizes_pytorch.PrunedLinear(layer, torch.tensor(mask))
    state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    a, b = leaves([X])
    y, z = ours(a[0].tanh()), theirs(b[0].tanh())
    same_twice(y, z, [*a, *ours.parameters()], [*b, *theirs.parameters()])


COSTS = {
    "hybrid": lambda module, of, net: module.hybrid_cost(
        net, of(X), of(LABELS), of(2 * X), 0.3
    ),
    "multitask": lambda module, of, net: module.multitask_loss(
        net(of(X)), [of(t) for t in TASKS], [0.3, 2.0]
    ),
    "kl": lambda _, of, net: net.cost(of(X), 0.3),
    "l1": lambda _, of, net: net.cost(of(X), 0.3, "l1"),
}
NETS = {
    "hybrid": ("SemiSupervisedNet", 4, 3, 2),
    "multitask": ("MultiTaskNet", 4, 6, [3, 2]),
    "kl": ("SparseAutoencoder", 4, 6),
    "l1": ("SparseAutoencoder", 4, 6, "relu"),
}


@pytest.mark.parametrize("cost", COSTS)
def test_costs(cost):
    ours, theirs = twins(*NETS[cost])
    y = COSTS[cost](scratch, lambda x: x, ours)
    z = COSTS[cost](twin, torch.tensor, theirs)
    same_twice(y, z, list(ours.parameters()), list(theirs.parameters()))


@given(seeds)
def test_penalties(seed):
    rng = numpy_generator(seed)
    code, option = rng.uniform(0.05, 0.95, size=rng.integers(1, 6, 2)), rng.random()
    for operation, name in ((codes._kl, "kl_sparsity"), (codes._code_l1, None)):
        ours, theirs = leaves([code])
        z = getattr(codes_pytorch, name or "code_l1_penalty")(*theirs, option)
        same_twice(operation(*ours, option), z, ours, theirs)


def test_penalties_of_float32_stay_float32():
    for operation in (codes._kl, codes._code_l1):
        code = tensor(np.full((3, 2), 0.3, "f4"), requires_grad=True)
        (slope,) = grad(operation(code, np.float64(0.1)), code, create_graph=True)
        (bend,) = grad((slope * slope).sum(), code, allow_unused=True)
        assert slope.dtype == "f4"
        assert bend is None or bend.dtype == "f4"
