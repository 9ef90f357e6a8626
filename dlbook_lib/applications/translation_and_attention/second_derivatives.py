"""Attention that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch` or `tiled`, on a `Tensor` (..., L, E) or so
instead of an array. The pair or the kernel there gives values and gradients; what
stands here is the definition in operations on Tensors, and serves where the gradient is
differentiated again. Dropout is left to the layers, since a draw cannot be repeated.
"""

import numpy as np

from dlbook_lib.applications.translation_and_attention import scratch, tiled
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, fused, raw, register, to


def _apply_mask(scores, attn_mask=None):
    if attn_mask is None:
        return scores
    mask = scratch.as_mask(raw(attn_mask), "attn_mask")
    if mask.dtype == bool:
        return operations.where(mask, scores, -np.inf)
    bias = attn_mask if isinstance(attn_mask, Tensor) else mask
    return scores + to(bias, scores.dtype)


def _masked_softmax(scores, attn_mask=None):
    scores = _apply_mask(scores, attn_mask)
    hidden = (raw(scores) == -np.inf).all(-1, keepdims=True)  # whole rows
    return operations.softmax(operations.where(hidden, 0.0, scores), -1) * ~hidden


def _attend(scores, value, attn_mask=None):
    return operations.matmul(_masked_softmax(scores, attn_mask), value)


def _additive_scores(query, key, query_weight, key_weight, v):
    s = operations.unsqueeze(operations.linear(query, query_weight), -2)
    h = operations.unsqueeze(operations.linear(key, key_weight), -3)
    return operations.matmul(operations.tanh(s + h), v)  # of (..., L, S, A)


def _scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
):
    if is_causal:
        attn_mask = scratch.causal_mask(query.shape[-2], key.shape[-2])
    scale = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    scores = operations.matmul(query * scale, operations.transpose(key, -2, -1))
    return _attend(scores, value, attn_mask)


def _dot_product_attention(query, key, value, attn_mask=None):
    return _scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


def _attention_keys_by_queries(query, key, value, is_causal=False, scale=None):
    options = None, 0.0, is_causal, scale
    return _scaled_dot_product_attention(query, key, value, *options)


def _multi_head_attention(
    query,
    key,
    value,
    q_proj_weight,
    k_proj_weight,
    v_proj_weight,
    out_proj_weight,
    in_proj_bias=None,
    out_proj_bias=None,
    num_heads=1,
    attn_mask=None,
):
    inputs, e = (query, key, value), out_proj_weight.shape[1]
    weights = q_proj_weight, k_proj_weight, v_proj_weight
    biases = [None] * 3
    if in_proj_bias is not None:
        biases = [in_proj_bias[i * e : i * e + e] for i in range(3)]
    q, k, v = (
        scratch.split_heads(operations.linear(*layer), num_heads)
        for layer in zip(inputs, weights, biases, strict=True)
    )
    heads = scratch.merge_heads(_scaled_dot_product_attention(q, k, v, attn_mask))
    return operations.linear(heads, out_proj_weight, out_proj_bias)


masked_softmax = register(
    scratch.masked_softmax, scratch.masked_softmax_backward, _masked_softmax
)
attend = register(scratch.attend, scratch.attend_backward, _attend)
additive_scores = register(
    scratch.additive_scores, scratch.additive_scores_backward, _additive_scores
)
scaled_dot_product_attention = register(
    scratch.scaled_dot_product_attention,
    scratch.scaled_dot_product_attention_backward,
    _scaled_dot_product_attention,
)
dot_product_attention = register(
    scratch.dot_product_attention,
    scratch.dot_product_attention_backward,
    _dot_product_attention,
)
multi_head_attention = register(
    scratch.multi_head_attention,
    scratch.multi_head_attention_backward,
    _multi_head_attention,
)
attention_keys_by_queries = fused(
    tiled.attention_keys_by_queries, _attention_keys_by_queries
)
