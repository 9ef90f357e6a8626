"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.gated_units.layers import GRU
from dlbook_lib.recurrent.recurrent_architectures import layers, scratch
from dlbook_lib.recurrent.recurrent_architectures.layers import (
    BiRNN,
    DeepRNN,
    Layers,
    RecursiveNet,
    Seq2Seq,
    both_ways,
    over_frames,
)
from dlbook_lib.recurrent.recurrent_architectures.scratch import (
    as_log_probs,
    balanced_tree,
    beam_search,
    chain_tree,
    check_search,
    greedy_decode,
    merges,
    normalized,
    recursive_states,
    recursive_states_backward,
    tree_depth,
    with_stop,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Positive,
    Whole,
    not_described,
    refuses,
)

RNG = numpy_generator(0)


class Tree(Given):
    """A tree of four leaves."""

    def __init__(self, *, skip=()):
        super().__init__(None, skip=skip)

    def valid(self, axes, others):
        return balanced_tree(4)

    def faults(self, value, axes, others):
        yield "another number of leaves", balanced_tree(3)
        yield "a leaf twice", ((0, 1), (1, 2))
        yield "a leaf that is not there", ((0, 1), (2, 4))
        yield "a triple", ((0, 1), 2, 3)
        yield "a list", [[0, 1], [2, 3]]
        yield "floats", ((0, 1), (2.0, 3))
        yield "None", None


def step(token, state):
    """Three symbols, all alike."""
    return np.log(np.full(3, 1 / 3)), state


SEARCH = {"step": Given(step), "state": Given(None), "start": Whole(0)}
SEARCH |= {"stop": Given(2), "max_length": Whole()}
NODES = {"leaves": Floats(4, 3), "tree": Tree(), "weight": Floats(3, 6)}
NODES |= {"bias": Floats(3)}
SIZES = {"input_size": Whole(), "hidden_size": Whole(), "output_size": Whole()}
PARTS = {"encoder": Given(GRU(3, 4, rng=RNG)), "decoder": Given(GRU(3, 4, rng=RNG))}
NET = Seq2Seq(GRU(3, 4, rng=RNG), GRU(3, 4, rng=RNG), 6, 5, rng=RNG)
TREE = Given(balanced_tree(4))
CELL = BiRNN(3, 4, 2, rng=RNG)
CALLS = [
    Call(check_search, start=Whole(0), stop=Whole(0), max_length=Whole()),
    Call(
        as_log_probs,
        log_probs=Floats("V", high=0.0, skip=("axis", "NaN")),
        stop=Given(0),
    ),
    Call(greedy_decode, **SEARCH),
    Call(beam_search, **SEARCH, beam_size=Whole(), alpha=Positive(zero=True)),
    Call(normalized, log_prob=Given(-1.0), length=Given(2), alpha=Positive(zero=True)),
    Call(chain_tree, n=Whole()),
    Call(balanced_tree, n=Whole(), first=Whole(0)),
    Call(merges, tree=Tree(skip=("another",))),
    Call(tree_depth, tree=Tree(skip=("another",))),
    Call(recursive_states, **NODES),
    Call(recursive_states_backward, dy=Floats(7, 3), **NODES),
    Call(RecursiveNet, size=Whole(), rng=Given(RNG)),
    Call(RecursiveNet(3, rng=RNG).forward, leaves=Floats(4, 3), tree=TREE),
    Call(
        both_ways,
        forward_cell=Given(CELL.forward_cell),
        backward_cell=Given(CELL.backward_cell),
        input=Floats("T", "N", 3, skip=("axis 0", "axis 1")),
    ),
    Call(BiRNN, **SIZES, rng=Given(RNG)),
    Call(
        DeepRNN,
        **SIZES,
        where=Given(("transition",)),
        depth=Whole(),
        skip=Choice(True, False),
        rng=Given(RNG),
    ),
    Call(
        DeepRNN(3, 4, 2, rng=RNG).forward,
        input=Floats("T", "N", 3, skip=("axis 0", "axis 1")),
    ),
    Call(over_frames, module=Given(abs), input=Floats("T", "N", skip=("axis",))),
    Call(
        with_stop,
        target=Labels("T", "N", classes=9, skip=("too high", "axis 0", "reverse")),
        start=Whole(0),
        stop=Whole(0),
    ),
    Call(
        with_stop,
        target=Given(np.ones((4, 3), int)),
        start=Given(0),
        stop=Given(1),
        lengths=Labels(3, classes=5, optional=True),
    ),
    Call(Seq2Seq, **PARTS, source_size=Whole(), target_size=Whole(2), rng=Given(RNG)),
    Call(
        NET.translate,
        source=Labels("T", classes=6, skip=("axis 0",)),
        beam_size=Whole(),
        max_length=Whole(),
        alpha=Positive(zero=True),
    ),
    Call(
        NET.loss,
        source=Labels("S", "N", classes=6, skip=("axis 0",)),
        target=Labels("T", "N", classes=5, skip=("axis 0",)),
    ),
]
DESCRIBED = [*CALLS, Call(Layers)]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, DESCRIBED) == set()
    assert not_described(layers, DESCRIBED) == set()
