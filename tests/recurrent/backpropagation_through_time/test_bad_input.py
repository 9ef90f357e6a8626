"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.recurrent.backpropagation_through_time import layers, scratch
from dlbook_lib.recurrent.backpropagation_through_time.layers import (
    RNN,
    CharRNN,
    Embedding,
)
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    bigram_bits,
    bits_per_character,
    bptt,
    decode,
    detached,
    draw,
    embedding,
    embedding_backward,
    encode,
    one_hot,
    packed_nll,
    packed_nll_backward,
    packed_terms,
    rnn,
    rnn_backward,
    rnn_inputs_in_one_product,
    sample,
    score_gradients,
    sequence_nll,
    sequence_nll_backward,
    step_contributions,
    steps_that_count,
    text_columns,
)
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Positive,
    Reduction,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG = numpy_generator(0)
FLAG, KIND = Choice(False, True), Choice("tanh", "relu")
STATES = Floats("T", "N", "H")
LAYER = {"hx": Floats("N", "H"), "w_ih": Floats("H", "D"), "w_hh": Floats("H", "H")}
LAYER |= {"b_ih": Floats("H"), "b_hh": Floats("H"), "nonlinearity": KIND}
STEPS = {"input": Floats("T", "N", "D"), **LAYER}
NLL = {"input": Floats("T", "N", "C"), "target": Labels("T", "N", classes="C")}
NLL |= {"lengths": Given(None)}
ROWS = {"input": Floats(3, "C"), "target": Labels(3, classes="C")}
ROWS |= {"batch_sizes": Given([2, 1])}
WEIGHTS = Several(Floats("H", "D"), Floats("H", "H"), skip=("one too",))
NET = CharRNN(RNN(4, 3, rng=RNG), 4, rng=RNG)
SIZES = {"input_size": Whole(), "hidden_size": Whole(), "num_layers": Whole()}
NO_RNG = {"rng": Given(RNG)}
CALLS = [
    Call(rnn, **STEPS, batch_first=Given(False)),
    Call(rnn_backward, dy=STATES, **STEPS, batch_first=Given(False)),
    Call(score_gradients, dy=STATES, output=STATES, w_hh=Floats("H", "H")),
    Call(step_contributions, dy=STATES, **STEPS),
    Call(
        rnn_inputs_in_one_product,
        input=Floats(3, "D"),
        batch_sizes=Given([2, 1]),
        states=Several(Floats(2, "H"), skip=("one too",)),
        weights=WEIGHTS,
        reverse=FLAG,
        nonlinearity=KIND,
    ),
    Call(
        RNN,
        **SIZES,
        nonlinearity=KIND,
        bias=FLAG,
        batch_first=FLAG,
        dropout=Number(0, 1),
        bidirectional=FLAG,
        **NO_RNG,
    ),
    Call(sequence_nll, **NLL, reduction=Reduction()),
    Call(sequence_nll_backward, dy=Given(1.0), **NLL, reduction=Given("mean")),
    Call(steps_that_count, **NLL),
    Call(packed_terms, **ROWS),
    Call(packed_nll, **ROWS, reduction=Reduction()),
    Call(packed_nll_backward, dy=Given(1.0), **ROWS, reduction=Given("sum")),
    Call(
        bptt,
        net=Given(NET),
        loss=Given(lambda output, target: output.sum()),
        input=Given(np.zeros((3, 2), int)),
        target=Given(np.zeros((3, 2), int)),
        k=Whole(),
    ),
    Call(decode, letters=Labels("T", classes=2), alphabet=Given("ab")),
    Call(
        text_columns,
        indices=Labels("K", classes=3, skip=("too high",)),
        count=Given(1),
    ),
    Call(one_hot, input=Labels(..., classes=3), num_classes=Given(3)),
    Call(embedding, input=Labels(..., classes="V"), weight=Floats("V", "E")),
    Call(
        embedding_backward,
        dy=Floats(2, "E"),
        input=Labels(2, classes="V"),
        weight=Floats("V", "E"),
    ),
    Call(Embedding, num_embeddings=Whole(), embedding_dim=Whole(), **NO_RNG),
    Call(
        CharRNN,
        rnn=Given(RNN(4, 3, rng=RNG)),
        vocab_size=Whole(),
        embedding=Choice(True),
        **NO_RNG,
    ),
    Call(
        CharRNN(RNN(4, 3, rng=RNG), 4, rng=RNG).forward,
        input=Labels("T", "N", classes=4, skip=("missing",)),
    ),
    Call(draw, input=Floats("C"), temperature=Number(0), **NO_RNG),
    Call(
        sample,
        net=Given(NET),
        start=Labels("T", classes=4),
        steps=Whole(),
        temperature=Number(0),
        **NO_RNG,
    ),
    Call(bits_per_character, input=Floats("N", "C"), target=Labels("N", classes="C")),
    Call(
        bigram_bits,
        text=Labels("T", classes=3, skip=("length 1",)),
        test=Labels("K", classes=3, skip=("length 1",)),
        num_classes=Given(3),
        smoothing=Positive(),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, CALLS) == {"detached", "encode"}
    assert not_described(layers, CALLS) == {"check_same_dtype"}


X, Y = np.zeros((4, 2, 3)), np.zeros((4, 2), int)
W = np.ones((3, 3))
BAD_CALLS = [
    (lambda: rnn(X[:0], X[0], W, W), "rnn: input .* has no steps"),
    (lambda: rnn(X, X[0], W, W, batch_first=1), "rnn: batch_first must be"),
    (lambda: rnn(X, X[0], W, W, np.ones(3)), "check_cell: give both b_ih and b_hh"),
    (lambda: score_gradients(X, X, W[:2]), "score_gradients: w_hh must be"),
    (lambda: sequence_nll(X, Y, [4]), "as_lengths: lengths has shape"),
    (lambda: sequence_nll(X, Y, [5, 1]), "as_lengths: lengths must lie between 1 and"),
    (lambda: sequence_nll_backward(X, X, Y), "dy must be a number with reduction"),
    (lambda: packed_nll(X[0], Y[0], [2, 2]), "packed_nll: |add up to 4"),
    (lambda: packed_nll(X[0], Y[0], [1, 3]), "packed_places: batch_sizes must"),
    (lambda: bptt(NET, None, Y, Y[:3], 2), "bptt: input has 4 steps but target 3"),
    (lambda: bptt(NET, None, Y, Y, 0), "bptt: k must be a whole number above 0"),
    (lambda: detached(X), "detached: hx must be a Tensor"),
    (lambda: encode("abc", "ab"), "encode: text holds 'c'"),
    (lambda: encode(3, "ab"), "encode: text must be a string"),
    (lambda: decode([0], 3), "decode: alphabet must be a string"),
    (lambda: text_columns([1, 2], 3), "text_columns: indices .* too few"),
    (lambda: CharRNN(RNN(3, 2, rng=RNG), 4, rng=RNG), "CharRNN: rnn takes 3 features"),
    (lambda: CharRNN(X, 4, rng=RNG), "CharRNN: rnn must be recurrent layers"),
    (
        lambda: CharRNN(RNN(3, 2, bidirectional=True, rng=RNG), 3, rng=RNG),
        "CharRNN: rnn is bidirectional",
    ),
    (
        lambda: CharRNN(RNN(3, 2, batch_first=True, rng=RNG), 3, rng=RNG),
        "CharRNN: rnn is batch_first, but letters are",
    ),
    (
        lambda: CharRNN(RNN(3, 2, rng=RNG, dtype="f4"), 3, rng=RNG),
        "check_same_dtype: rnn holds float32 but dtype is float64",
    ),
    (lambda: bptt(lambda x, h: x[:2], None, X, X, 2), "bptt: net must give a pair"),
    (lambda: bptt(NET, lambda y, t: 1.0, Y, Y, 2), "bptt: loss must give a Tensor"),
    (lambda: draw([0.0, np.nan], rng=RNG), "draw: the best score is nan"),
    (lambda: draw([0.0, np.inf], 0.0, rng=RNG), "draw: the best score is inf"),
    (lambda: draw(np.ones(3), rng=0), "draw: rng must be a numpy.random.Generator"),
    (lambda: bits_per_character(X[0, 0], Y[0]), "bits_per_character: input must be"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
