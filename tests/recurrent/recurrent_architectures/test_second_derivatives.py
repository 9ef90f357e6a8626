"""Second derivatives through trees and networks equal torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.gated_units.layers import GRU, LSTM, GRUCell
from dlbook_lib.recurrent.recurrent_architectures import layers, layers_pytorch
from dlbook_lib.recurrent.recurrent_architectures import pytorch as twin
from dlbook_lib.recurrent.recurrent_architectures import second_derivatives as twice
from dlbook_lib.recurrent.recurrent_architectures.scratch import (
    balanced_tree,
    chain_tree,
)
from tests.feedforward.twice import leaves, same_twice

sizes = st.integers(1, 4)


@given(sizes, st.integers(1, 3), st.permutations(range(4)), st.booleans())
def test_through_trees(n, size, order, chain):
    """Their leaves in any order; and those of a single leaf, which use no weight."""
    tree, rng = (chain_tree if chain else balanced_tree)(n), numpy_generator(n)

    def renamed(node):
        return tuple(map(renamed, node)) if isinstance(node, tuple) else place[node]

    place = dict(enumerate(i for i in order if i < n))
    shapes = (n, size), (size, 2 * size), (size,)
    a, b = leaves([rng.normal(size=s) for s in shapes])
    y = twice.recursive_states(a[0], renamed(tree), *a[1:])
    z = twin.recursive_states(b[0], renamed(tree), *b[1:])
    same_twice(y, z + 0 * (b[1].sum() + b[2].sum()), a, b)  # torch wants all used


def both(ours, theirs):
    """The parameters of two modules, (...) each, with new numbers in both."""
    rng = numpy_generator(0)
    for p in theirs.parameters():
        p.data = torch.tensor(rng.normal(size=tuple(p.shape)) / 2)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    own = dict(ours.named_parameters())
    names = [name for name, _ in theirs.named_parameters()]
    return [own[name] for name in names], list(theirs.parameters())


def test_through_a_recursive_net():
    ours = layers.RecursiveNet(3, rng=numpy_generator(0))
    theirs = layers_pytorch.RecursiveNet(3, rng=torch.Generator())
    p, q = both(ours, theirs)
    (a,), (b,) = leaves([numpy_generator(1).normal(size=(4, 3))])
    tree = balanced_tree(4)
    same_twice(ours(a, tree)[-1], theirs(b, tree)[-1], [a, *p], [b, *q])


def cell_of_torch(input_size, hidden_size, *, rng, dtype):
    return torch.nn.GRUCell(input_size, hidden_size, dtype=torch.float64)


NETS = {
    "both ways": ("BiRNN", {}, {}),
    "gated": ("BiRNN", {"cell": GRUCell}, {"cell": cell_of_torch}),
    "plain": ("DeepRNN", *[{}] * 2),
    "input": ("DeepRNN", *[{"where": ("input",), "depth": 3}] * 2),
    "deep": ("DeepRNN", *[{"where": ("transition", "output")}] * 2),
    "skip": ("DeepRNN", *[{"where": ("transition",), "depth": 3, "skip": True}] * 2),
}


@pytest.mark.parametrize("name", NETS)
def test_through_both_directions_and_more_depth(name):
    kind, options, told = NETS[name]
    ours = getattr(layers, kind)(3, 4, 2, **options, rng=numpy_generator(0))
    theirs = getattr(layers_pytorch, kind)(3, 4, 2, **told, rng=torch.Generator())
    p, q = both(ours, theirs)
    (a,), (b,) = leaves([numpy_generator(1).normal(size=(3, 2, 3))])
    same_twice(ours(a), theirs(b), [a, *p], [b, *q])


def test_through_films():
    a, b = leaves([numpy_generator(0).normal(size=s) for s in ((3, 2, 4), (5, 4))])
    y = layers.over_frames(lambda x: operations.linear(x, a[1]).tanh(), a[0])
    z = layers_pytorch.over_frames(lambda x: (x @ b[1].T).tanh(), b[0])
    same_twice(y, z, a, b)


KINDS = [(RNN, torch.nn.RNN), (GRU, torch.nn.GRU), (LSTM, torch.nn.LSTM)]


@pytest.mark.parametrize(("kind", "theirs_kind"), KINDS)
@pytest.mark.parametrize("depth", [1, 2])
def test_through_one_sequence_to_another(kind, theirs_kind, depth):
    rng = numpy_generator(5)
    parts = [kind(n, 3, depth, rng=rng) for n in (3, 2)]
    ours = layers.Seq2Seq(*parts, 6, 5, rng=rng)
    parts = [theirs_kind(n, 3, depth, dtype=torch.float64) for n in (3, 2)]
    theirs = layers_pytorch.Seq2Seq(*parts, 6, 5, rng=torch.Generator())
    p, q = both(ours, theirs)
    source, target = rng.integers(6, size=(4, 3)), rng.integers(2, 5, (3, 3))
    ends = [4, 2, 3], [1, 3, 0]
    y = ours.loss(source, target, *ends)
    z = theirs.loss(*map(torch.tensor, (source, target)), *ends)
    same_twice(y, z, p, q)
