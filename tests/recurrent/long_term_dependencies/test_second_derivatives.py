"""Second derivatives through leaks, clocks, skips and reservoirs equal torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.recurrent.long_term_dependencies import (
    layers,
    layers_pytorch,
    reservoirs_pytorch,
)
from dlbook_lib.recurrent.long_term_dependencies import pytorch as twin
from dlbook_lib.recurrent.long_term_dependencies import second_derivatives as twice
from dlbook_lib.recurrent.long_term_dependencies.reservoirs import EchoStateNetwork
from dlbook_lib.recurrent.unfolding.packing import pack_padded_sequence
from tests.feedforward.twice import leaves, same_twice


@st.composite
def cases(draw):
    """Input, state, weights and biases, or None for these; and more to draw from."""
    rng = numpy_generator(draw(st.integers(0, 999)))
    t, d, h = (draw(st.integers(1, 3)) for _ in range(3))
    n = draw(st.integers(0, 2))
    shapes = (t, n, d), (n, h), (h, d), (h, h), (h,), (h,)
    arrays = [rng.normal(size=s) for s in shapes]
    if draw(st.booleans()):
        arrays[4:] = None, None
    return *arrays, rng


@given(cases(), st.sampled_from(["tanh", "relu", "linear"]), st.booleans())
def test_through_leaky_units(case, kind, each_step):
    x, hx, w_ih, w_hh, *biases, rng = case
    shape = (len(x), len(w_hh)) if each_step else len(w_hh)
    a, b = leaves([x, hx, w_ih, w_hh, rng.uniform(0.1, 0.9, shape), *biases])
    same_twice(twice.leaky_rnn(*a, kind), twin.leaky_rnn(*b, kind), a, b)


@given(cases(), st.integers(1, 4), st.booleans(), st.sampled_from(["tanh", "relu"]))
def test_through_links_that_skip(case, d, short, kind):
    x, hx, w_ih, w_hh, *biases, rng = case
    w_skip, hx = rng.normal(size=w_hh.shape), rng.normal(size=(d, *hx.shape))
    w_hh = w_hh if short else None
    a, b = leaves([x, hx, w_ih, w_hh, w_skip, *biases])
    same_twice(twice.skip_rnn(*a, kind), twin.skip_rnn(*b, kind), a, b)


NETS = {
    "leaky": ("LeakyRNN", {"alpha": [0.1, 0.5, 0.6, 1.0]}),
    "relu": ("LeakyRNN", {"nonlinearity": "relu", "bias": False, "batch_first": True}),
    "learned": ("LeakyRNN", {"alpha": 0.8, "learned": True}),
    "linear": ("LeakyRNN", {"learned": True, "nonlinearity": "linear", "bias": False}),
    "clock": ("ClockworkRNN", {"periods": (1, 3)}),
    "clocks": ("ClockworkRNN", {"periods": [1, 2, 2, 4], "batch_first": True}),
    "unbiased": ("ClockworkRNN", {"periods": (1, 2), "bias": False}),
    "skip": ("SkipRNN", {"skip": 3}),
    "long": ("SkipRNN", {"skip": 2, "short": False, "batch_first": True}),
}


def both(kind, options):
    """Ours and the twin with the same numbers, and their parameters in one order."""
    ours = getattr(layers, kind)(3, 4, rng=numpy_generator(0), **options)
    theirs = getattr(layers_pytorch, kind)(3, 4, rng=torch_generator(0), **options)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    own = dict(ours.named_parameters())
    names = [name for name, _ in theirs.named_parameters()]
    return ours, theirs, [own[name] for name in names], list(theirs.parameters())


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_through_layers(name, started):
    kind, options = NETS[name]
    ours, theirs, p, q = both(kind, options)
    rng, n = numpy_generator(1), 5 if "batch_first" in options else 2
    a, b = leaves([rng.normal(size=(5, 2, 3))])
    if started:
        more = leaves([rng.normal(size=(options.get("skip", 1), n, 4))])
        a, b = a + more[0], b + more[1]
    (y, end), (z, told) = ours(*a), theirs(*b)
    y, z = (y * y).sum() + end.sum(), (z * z).sum() + told.sum()
    same_twice(y, z, [*a, *p], [*b, *q])
    same_twice(*(f(*x)[0] for f, x in ((ours, a), (theirs, b))), [*a, *p], [*b, *q])


@pytest.mark.parametrize("name", ["leaky", "learned", "clock"])
def test_through_ragged_batches(name):
    ours, theirs, p, q = both(*NETS[name])
    lengths, (a, b) = [4, 2, 1], leaves([numpy_generator(1).normal(size=(4, 3, 3))])
    packed, end = ours(pack_padded_sequence(a[0], lengths))
    alone = [theirs(b[0][:n, i : i + 1]) for i, n in enumerate(lengths)]
    y = (packed.data * packed.data).sum() + end.sum()
    z = sum((output * output).sum() + last.sum() for output, last in alone)
    same_twice(y, z, [*a, *p], [*b, *q])


@pytest.mark.parametrize("kind", ["tanh", "relu", "linear"])
def test_through_a_reservoir(kind):
    sizes, options = (2, 9, 1), {"leak": 0.3, "density": 0.5, "nonlinearity": kind}
    ours = EchoStateNetwork(*sizes, **options, rng=numpy_generator(0))
    theirs = reservoirs_pytorch.EchoStateNetwork(
        *sizes, **options, rng=torch_generator(0)
    )
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = numpy_generator(1)
    a, b = leaves([rng.normal(size=s) for s in ((4, 2, 2), (1, 2, 9))])
    p, q = list(ours.parameters()), list(theirs.parameters())
    same_twice(ours(*a)[0], theirs(*b)[0], [*a, *p], [*b, *q])


def test_a_layer_has_curvature_after_long_sequences_too():
    ours, theirs, p, q = both("ClockworkRNN", {"periods": (1, 8)})
    x = numpy_generator(0).normal(size=(20, 1, 3))
    same_twice(ours(x)[0][-1], theirs(torch.tensor(x))[0][-1], p, q)
