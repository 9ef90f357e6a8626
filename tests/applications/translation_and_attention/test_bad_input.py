"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.applications.translation_and_attention import layers, scratch, tiled
from dlbook_lib.applications.translation_and_attention.layers import (
    AdditiveAttention,
    MultiheadAttention,
    additive_mask,
)
from dlbook_lib.applications.translation_and_attention.scratch import (
    additive_scores,
    additive_scores_backward,
    apply_mask,
    as_mask,
    attend,
    attend_backward,
    attention_inputs,
    causal_mask,
    dot_product_attention,
    dot_product_attention_backward,
    masked_softmax,
    masked_softmax_backward,
    merge_heads,
    multi_head_attention,
    multi_head_attention_backward,
    padding_mask,
    projected,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    split_heads,
    summed_to,
)
from dlbook_lib.applications.translation_and_attention.tiled import (
    attention_keys_by_queries,
    attention_keys_by_queries_backward,
    means_by_tiles,
    tiles,
)
from dlbook_lib.common.rng import numpy_generator
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Labels,
    Number,
    Several,
    Whole,
    not_described,
    refuses,
)

RNG, FLAG = numpy_generator(0), Choice(True, False)
SCALE = Number(skip=("None",))
Q, K, V = Floats("N", "L", "E"), Floats("N", "S", "E"), Floats("N", "S", "V")
QUERY = {"query": Q, "key": K, "value": V}
MASK = {"attn_mask": Floats("L", "S", optional=True, skip=("length 1", "first axis"))}
MASK["attn_mask"].skip += ("boolean", "in front")
NO_MASK = {"attn_mask": Given(None)}
OPTIONS = {"dropout_p": Number(0, 1), "is_causal": Choice(False), "scale": Given(None)}
OPTIONS |= {"rng": Given(RNG)}
OUT, SCORES = Floats("N", "L", "V"), Floats("N", "L", "S")
ADDITIVE = {"query": Floats("N", "L", "D"), "key": Floats("N", "S", "F")}
ADDITIVE |= {"query_weight": Floats("A", "D"), "key_weight": Floats("A", "F")}
ADDITIVE |= {"v": Floats("A")}
HEADS = {"query": Floats("N", "L", 6), "key": Floats("N", "S", "F")}
HEADS |= {"value": Floats("N", "S", "G"), "q_proj_weight": Floats(6, 6)}
HEADS |= {"k_proj_weight": Floats(6, "F"), "v_proj_weight": Floats(6, "G")}
HEADS |= {"out_proj_weight": Floats(6, 6), "in_proj_bias": Floats(18, optional=True)}
HEADS |= {"out_proj_bias": Floats(6, optional=True), "num_heads": Given(3)}
LAYER = {"query": Floats("L", "N", 4), "key": Floats("S", "N", 3)}
LAYER |= {"value": Floats("S", "N", 5)}
SIZES = {"kdim": Whole(skip=("None",)), "vdim": Whole(skip=("None",))}
LENGTHS = Labels(3, classes=4, skip=("too high", "axis 0"))
FEW = Floats("N", "L", "S", skip=("in front", "first axis"))
CALLS = [
    Call(causal_mask, length=Whole(0), source=Whole(0, skip=("None",))),
    Call(padding_mask, lengths=LENGTHS, size=Given(7)),
    Call(padding_mask, lengths=Given([1, 2]), size=Whole(2, skip=("None",))),
    Call(apply_mask, scores=FEW, **MASK),
    Call(masked_softmax, scores=FEW, **MASK),
    Call(masked_softmax_backward, dy=SCORES, scores=SCORES, **NO_MASK),
    Call(summed_to, x=Floats("N", 2, skip=("in front",)), shape=Given((1, 2))),
    Call(attention_inputs, **QUERY, **NO_MASK, is_causal=FLAG, scale=SCALE),
    Call(scaled_dot_product_attention, **QUERY, **MASK, **OPTIONS),
    Call(scaled_dot_product_attention_backward, dy=OUT, **QUERY, **MASK, **OPTIONS),
    Call(dot_product_attention, **QUERY, **MASK),
    Call(dot_product_attention_backward, dy=OUT, **QUERY, **NO_MASK),
    Call(attend, scores=SCORES, value=V, **MASK),
    Call(attend_backward, dy=OUT, scores=SCORES, value=V, **NO_MASK),
    Call(additive_scores, **ADDITIVE),
    Call(additive_scores_backward, dy=SCORES, **ADDITIVE),
    Call(tiles, groups=Whole(0), length=Whole(0), source=Whole(0), budget=Whole()),
    Call(attention_keys_by_queries, **QUERY, is_causal=FLAG, scale=SCALE),
    Call(split_heads, input=Floats("N", "L", 6, skip=("reverse",)), num_heads=Given(2)),
    Call(split_heads, input=Given(np.ones((1, 1, 12))), num_heads=Whole()),
    Call(merge_heads, input=Floats("N", "H", "L", "D")),
    Call(
        projected,
        inputs=Several(Floats("N", "L", 3), Floats("N", "S", 3), Floats("N", "S", 3)),
        weights=Several(*[Floats(2, 3)] * 3),
        bias=Floats(6, optional=True),
    ),
    Call(
        additive_mask,
        mask=Floats(2, 3, skip=("boolean",)),
        name=Given("attn_mask"),
        allowed=Given({(2, 3): (1, 1, 2, 3)}),
    ),
    Call(as_mask, mask=Floats(..., skip=("axis", "axes", "boolean")), name=Given("m")),
    Call(multi_head_attention, **HEADS),
    Call(multi_head_attention_backward, dy=Floats("N", "L", 6), **HEADS),
    Call(
        AdditiveAttention,
        query_size=Whole(),
        key_size=Whole(),
        hidden_size=Whole(),
        rng=Given(RNG),
    ),
    Call(
        MultiheadAttention,
        embed_dim=Given(12),
        num_heads=Given(3),
        dropout=Number(0, 1),
        bias=FLAG,
        **SIZES,
        batch_first=FLAG,
        rng=Given(RNG),
    ),
    Call(MultiheadAttention, embed_dim=Whole(), num_heads=Given(1), rng=Given(RNG)),
    Call(MultiheadAttention(4, 2, kdim=3, vdim=5, rng=RNG).forward, **LAYER),
    Call(
        MultiheadAttention(4, 2, rng=RNG).forward,
        query=Given(np.ones((2, 3, 4))),
        key=Given(np.ones((5, 3, 4))),
        value=Given(np.ones((5, 3, 4))),
        key_padding_mask=Floats(3, 5, optional=True, skip=("boolean",)),
        need_weights=Given(True),
        attn_mask=Floats(2, 5, optional=True, skip=("boolean",)),
    ),
]
DESCRIBED = [*CALLS, Call(means_by_tiles), Call(attention_keys_by_queries_backward)]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    assert not_described(scratch, DESCRIBED) == set()
    assert not_described(layers, DESCRIBED) == set()
    assert not_described(tiled, DESCRIBED) == set()


X = np.ones((2, 3, 4))
BAD_CALLS = [
    (lambda: scaled_dot_product_attention(X[0, 0], X[0], X[0]), "attention_inputs: sh"),
    (lambda: scaled_dot_product_attention(X, X, X[:1]), "attention_inputs: shapes"),
    (
        lambda: scaled_dot_product_attention(X, X, X, np.ones((3, 3)), 0.0, True),
        "attention_inputs: is_causal is a mask",
    ),
    (lambda: scaled_dot_product_attention(X, X, X, dropout_p=0.5), "rng must be"),
    (
        lambda: scaled_dot_product_attention(X, X, X, X),
        "apply_mask: attn_mask .2, 3, 4",
    ),
    (lambda: padding_mask([2, 3], 2), "padding_mask: size is 2 but a sequence has 3"),
    (lambda: padding_mask([-1]), "padding_mask: lengths holds label -1"),
    (lambda: split_heads(X, 3), "split_heads: 4 features cannot be dealt out to 3"),
    (lambda: MultiheadAttention(4, 3, rng=RNG), "MultiheadAttention: embed_dim 4 can"),
    (lambda: MultiheadAttention(4, 2, rng=None), "MultiheadAttention: rng must be"),
    (lambda: AdditiveAttention(1, 1, 1, rng=3), "AdditiveAttention: rng must be"),
    (lambda: attention_keys_by_queries(X, X, X)[1](X[:1]), "pull: dy has shape"),
    (lambda: AdditiveAttention(4, 4, 1, rng=RNG)(X, X, X[:1]), "forward: value has s"),
    (lambda: projected(None, [X[0]] * 3), "projected: inputs must be a list of three"),
    (lambda: summed_to(X, 4), "summed_to: shape must be a tuple, not 4"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
