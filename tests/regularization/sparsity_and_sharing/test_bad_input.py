"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.modules import (
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
)
from dlbook_lib.regularization.sparsity_and_sharing import codes, scratch, sizes
from dlbook_lib.regularization.sparsity_and_sharing.codes import (
    SparseAutoencoder,
    active_fraction,
    code_l1_penalty,
    code_l1_penalty_backward,
    first_atoms,
    kl_sparsity,
    kl_sparsity_backward,
    learn_dictionary,
    omp,
    omp_by_shared_products,
    unit_atoms,
)
from dlbook_lib.regularization.sparsity_and_sharing.scratch import (
    MultiTaskNet,
    SemiSupervisedNet,
    hybrid_cost,
    multitask_loss,
    principal_components,
    slide,
    slide_backward,
    tie_penalty,
    tie_penalty_backward,
)
from dlbook_lib.regularization.sparsity_and_sharing.sizes import (
    CascadeCorrelation,
    PrunedLinear,
    add_unit,
    candidate_score,
    candidate_score_backward,
    dynamic_node_creation,
    has_flattened,
    keep_mask,
    keep_masks,
    magnitude,
    prune_layers,
    train_candidates,
    uniform,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Several,
    Whole,
    Wholes,
    not_described,
    refuses,
)


def generator():
    return numpy_generator(0)


RNG = Given(generator())
FREE = ("axis", "axes")
ANY = Floats(..., skip=FREE)
DY = Number(skip=("a list", "three"))
ALPHA = Positive(zero=True)
CODE = Floats("N", "m", low=0.0, high=1.0)
NET = SemiSupervisedNet(4, 3, 2, rng=generator())
CODER = SparseAutoencoder(4, 6, rng=generator())
MASK = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
LAYER = Linear(3, 2, rng=generator())
GROWING = Sequential(
    Linear(2, 1, rng=generator()), Sigmoid(), Linear(1, 1, rng=generator())
)
DEEP = Sequential(*[Linear(2, 2, rng=generator()) for _ in range(3)])
LOOSE = Sequential(Linear(2, 4, rng=generator()), Linear(3, 1, rng=generator()))
BARE = Sequential(Linear(2, 2, False, rng=generator()), Linear(2, 2, rng=generator()))
PRUNABLE = Sequential(Linear(3, 4, rng=generator()), ReLU())
CASCADE = CascadeCorrelation(2, 3, rng=generator())
CASCADE.fit(np.eye(3)[:, :2], np.ones((3, 1)), 1)

CALLS = [
    Call(principal_components, input=Floats("N", "D"), k=Given(1)),
    Call(principal_components, input=Given(np.eye(5)), k=Whole()),
    Call(
        SemiSupervisedNet, in_features=Whole(), width=Whole(), classes=Whole(), rng=RNG
    ),
    Call(
        hybrid_cost,
        net=Given(NET),
        input=Floats("N", 4),
        target=Labels("N", classes=2),
        unlabelled=Floats("M", 4),
        strength=Positive(zero=True),
    ),
    Call(MultiTaskNet, in_features=Whole(), width=Whole(), classes=Wholes(2), rng=RNG),
    Call(
        multitask_loss,
        outputs=Given([np.zeros((3, 2)), np.ones((3, 4))]),
        targets=Several(Labels(3, classes=2), Labels(3, classes=4)),
        weights=Given([1.0, 2.0]),
    ),
    Call(tie_penalty, input=Floats(...), other=Floats(...), alpha=ALPHA),
    Call(
        tie_penalty_backward, dy=DY, input=Floats(...), other=Floats(...), alpha=ALPHA
    ),
    Call(slide, input=Floats(..., 9, skip=FREE), weight=Floats(3, skip=("axis 0",))),
    Call(
        slide_backward,
        dy=Floats(..., 7),
        input=Floats(..., 9),
        weight=Floats(3),
    ),
    Call(code_l1_penalty, code=Floats("N", "m"), alpha=ALPHA),
    Call(code_l1_penalty_backward, dy=DY, code=Floats("N", "m"), alpha=ALPHA),
    Call(kl_sparsity, code=CODE, rho=Number(0.0, 1.0)),
    Call(kl_sparsity_backward, dy=DY, code=CODE, rho=Number(0.0, 1.0)),
    Call(active_fraction, code=ANY, threshold=Positive(zero=True)),
    Call(
        SparseAutoencoder,
        in_features=Whole(),
        units=Whole(),
        activation=Choice("sigmoid", "relu"),
        rng=RNG,
    ),
    Call(
        CODER.cost,
        input=Floats("N", 4),
        strength=Positive(zero=True),
        penalty=Choice("kl", "l1"),
        rho=Given(0.05),
    ),
    *[
        Call(f, input=Floats("N", "D"), weight=Floats("D", "m"), k=Given(1))
        for f in (omp, omp_by_shared_products)
    ],
    *[
        Call(f, input=Given(np.ones((3, 4))), weight=Given(np.eye(4)), k=Whole())
        for f in (omp, omp_by_shared_products)
    ],
    Call(unit_atoms, weight=Floats("D", "m", skip=("axis", "reverse"))),
    Call(
        learn_dictionary,
        input=Floats("N", "D"),
        units=Whole(),
        k=Given(1),
        steps=Whole(),
        rng=RNG,
    ),
    Call(first_atoms, in_features=Whole(), units=Whole(), rng=RNG),
    Call(keep_mask, scores=Floats(2, 3), amount=Number(0.0, 1.0), mask=Given(MASK)),
    Call(keep_mask, scores=Floats(2, 3), amount=Given(2), mask=Given(MASK)),
    Call(
        keep_masks,
        scores=Several(Floats(2, 3), Floats(3), skip=("one too",)),
        amount=Number(0.0, 1.0),
        masks=Given([MASK, np.ones(3)]),
    ),
    Call(PrunedLinear, linear=Given(LAYER), mask=Floats(2, 3, low=1.0, high=1.0)),
    Call(magnitude, weight=ANY),
    Call(
        prune_layers,
        net=Given(PRUNABLE),
        amount=Number(0.0, 1.0),
        scope=Choice("global", "layer"),
    ),
    Call(uniform, rows=Whole(), columns=Whole(), rng=RNG),
    Call(
        has_flattened,
        losses=Floats("T", skip=("longer", "length 1")),
        window=Whole(),
        slope=Positive(zero=True),
    ),
    Call(
        dynamic_node_creation,
        net=Given(GROWING),
        input=Floats("N", 2),
        target=Floats("N", 1),
        lr=Given(0.01),
        steps=Whole(),
        window=Whole(),
        slope=Positive(zero=True),
        max_units=Whole(),
        goal=Positive(zero=True),
        rng=RNG,
    ),
    Call(candidate_score, value=Floats("N", "C"), residual=Floats("N", "O")),
    Call(
        candidate_score_backward,
        dy=Floats("C"),
        value=Floats("N", "C"),
        residual=Floats("N", "O"),
    ),
    Call(
        train_candidates,
        features=Floats("N", "F"),
        residual=Floats("N", "O"),
        weight=Floats("C", "F"),
        steps=Whole(),
    ),
    Call(CascadeCorrelation, candidates=Whole(), steps=Whole(), rng=RNG),
    Call(
        CascadeCorrelation(2, 2, rng=generator()).fit,
        input=Floats("N", "D"),
        target=Floats("N", "O"),
        units=Whole(),
        tolerance=Positive(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == not_described(codes, CALLS) == set()
    assert not_described(sizes, CALLS) == {"add_unit"}  # below


X = np.ones((3, 4))
BAD_CALLS = [
    (
        lambda: principal_components(X, 4),
        "principal_components: k is 4, but 3 examples",
    ),
    (
        lambda: principal_components(X * np.nan, 1),
        "principal_components: input is NaN",
    ),
    (lambda: hybrid_cost(LAYER, X, [0, 1, 0], X), "net must be a SemiSupervisedNet"),
    (lambda: hybrid_cost(NET, X, [0, 1], X), "hybrid_cost: shapes do not fit"),
    (
        lambda: hybrid_cost(NET, X, [0, 1, 0], X[:, :2]),
        "hybrid_cost: shapes do not fit",
    ),
    (lambda: MultiTaskNet(4, 2, [], rng=generator()), "MultiTaskNet: classes must be"),
    (
        lambda: multitask_loss([X], [[0, 1, 0]], [1.0, 1.0]),
        "multitask_loss: there are 1",
    ),
    (
        lambda: multitask_loss([X], [[0, 1, 0]], [-1.0]),
        "multitask_loss: weights must be",
    ),
    (lambda: multitask_loss(X, [0, 1]), "multitask_loss: outputs must be a list"),
    (lambda: slide(np.ones(2), np.ones(3)), "slide: input .* is shorter"),
    (lambda: slide(np.float64(2.0), np.ones(1)), "slide: input .* is shorter"),
    (lambda: kl_sparsity(X, 0.0), "kl_sparsity: rho is 0.0"),
    (lambda: kl_sparsity_backward(1.0, X, 1.0), "kl_sparsity_backward: rho is 1.0"),
    (lambda: code_l1_penalty(X[:0]), "code_l1_penalty: code is empty"),
    (lambda: omp(X, np.ones((4, 9)), 5), "omp: input .* and k = 5 do not fit"),
    (lambda: omp(X, np.ones((9, 4)), 2), "omp: input .* do not fit"),
    (lambda: omp(X * np.nan, np.ones((4, 9)), 2), "omp: input is NaN"),
    (lambda: omp_by_shared_products(X, X.T * np.inf, 2), "unit_atoms: weight is NaN"),
    (
        lambda: keep_mask(np.ones(3), 4),
        "keep_mask: amount must be a number from 0 to 3",
    ),
    (lambda: keep_mask(np.ones(3), True), "keep_mask: amount must be a number"),
    (lambda: keep_mask(np.ones(2), 1, [0.5, 1.0]), "keep_mask: mask must hold only"),
    (lambda: keep_masks([], 0.5), "keep_masks: scores is empty"),
    (
        lambda: keep_masks([np.ones(2)], 0.5, [np.ones(3)]),
        "keep_masks: scores has shape",
    ),
    (lambda: PrunedLinear(ReLU(), MASK), "PrunedLinear: linear must be a Linear"),
    (lambda: PrunedLinear(LAYER, MASK.T), "PrunedLinear: mask has shape"),
    (lambda: prune_layers(LAYER, 0.5), "prune_layers: there is no linear layer below"),
    (lambda: prune_layers(MASK, 0.5), "prune_layers: net must be a Module"),
    (
        lambda: add_unit(Sequential(ReLU(), LAYER), rng=generator()),
        "add_unit: net must",
    ),
    (lambda: add_unit(LAYER, rng=generator()), "add_unit: net must be linear"),
    (
        lambda: dynamic_node_creation(
            *(None, X, X),
            lr=1,
            steps=1,
            window=1,
            slope=0,
            max_units=1,
            rng=generator(),
        ),
        "dynamic_node_creation: net must be a Sequential, not None",
    ),
    (lambda: add_unit(DEEP, rng=generator()), "net must have one hidden layer"),
    (lambda: add_unit(LOOSE, rng=generator()), "net must have one hidden layer"),
    (lambda: add_unit(BARE, rng=generator()), "must have one hidden layer, with a b"),
    (lambda: prune_layers(PRUNABLE, 0.5, importance=None), "importance must be a fun"),
    (
        lambda: CascadeCorrelation(rng=generator())(X),
        "CascadeCorrelation.__call__: there are no weights yet; call fit first",
    ),
    (lambda: CASCADE(X), r"input \(3, 4\) has not the 2 features it was fitted to"),
    (
        lambda: CascadeCorrelation(rng=generator()).fit(X * np.nan, X, 1),
        "CascadeCorrelation.fit: input is NaN",
    ),
    (
        lambda: CascadeCorrelation(rng=generator()).fit(X, X * np.inf, 1),
        "CascadeCorrelation.fit: target is NaN or infinite",
    ),
    (lambda: uniform(2, 1, rng=0), "uniform: rng must be a numpy.random.Generator"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
