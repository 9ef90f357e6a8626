"""Attention in PyTorch: torch's own where it has it."""

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

__all__ = [
    "additive_scores",
    "apply_mask",
    "as_mask",
    "attend",
    "attention_inputs",
    "causal_mask",
    "dot_product_attention",
    "masked_softmax",
    "merge_heads",
    "multi_head_attention",
    "padding_mask",
    "projected",
    "scaled_dot_product_attention",
    "split_heads",
    "summed_to",
]


def causal_mask(length, source=None):
    """As in scratch: (L, S)."""
    source = length if source is None else source
    return torch.ones(length, source, dtype=torch.bool).tril()


def padding_mask(lengths, size=None):
    """As in scratch: (N, S)."""
    lengths = torch.as_tensor(lengths)
    size = max(lengths.tolist(), default=0) if size is None else size
    return torch.arange(size, device=lengths.device) >= lengths[:, None]


def as_mask(mask, name):
    """As in scratch: (...), booleans or floats."""
    return torch.as_tensor(mask)


def apply_mask(scores, attn_mask=None):
    """As in scratch: (..., L, S)."""
    if attn_mask is None:
        return scores
    if attn_mask.dtype == torch.bool:
        return scores.masked_fill(~attn_mask, -torch.inf)
    return scores + attn_mask


def masked_softmax(scores, attn_mask=None):
    """As in scratch: (..., L, S)."""
    scores = apply_mask(scores, attn_mask)
    nothing = (scores == -torch.inf).all(-1, keepdim=True)
    return scores.masked_fill(nothing, 0).softmax(-1).masked_fill(nothing, 0)


def summed_to(x, shape):
    """As in scratch: (...) to `shape`."""
    return x.sum_to_size(shape)


def attention_inputs(query, key, value, attn_mask=None, is_causal=False, scale=None):
    """As in scratch, for (..., L, E), (..., S, E) and (..., S, Ev)."""
    if is_causal:
        attn_mask = causal_mask(query.shape[-2], key.shape[-2]).to(query.device)
    scale = max(query.shape[-1], 1) ** -0.5 if scale is None else scale
    return query, key, value, attn_mask, scale


def additive_scores(query, key, query_weight, key_weight, v):
    """As in scratch: (..., L, S)."""
    s, h = linear(query, query_weight), linear(key, key_weight)
    return (s[..., :, None, :] + h[..., None, :, :]).tanh() @ v


def attend(scores, value, attn_mask=None):
    """As in scratch: (..., L, Ev)."""
    return masked_softmax(scores, attn_mask) @ value


def dot_product_attention(query, key, value, attn_mask=None):
    """As in scratch: (..., L, Ev)."""
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


def split_heads(input, num_heads):
    """As in scratch: (N, H, L, E / H)."""
    return input.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(input):
    """As in scratch: (N, L, H * D)."""
    return input.transpose(1, 2).flatten(2)


def projected(inputs, weights, bias=None):
    """As in scratch: three tensors (N, ·, E)."""
    biases = [None] * 3 if bias is None else bias.chunk(3)
    return [linear(*each) for each in zip(inputs, weights, biases, strict=True)]


def multi_head_attention(
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
    """As in scratch: (N, L, E)."""
    weights = q_proj_weight, k_proj_weight, v_proj_weight
    projections = projected((query, key, value), weights, in_proj_bias)
    q, k, v = (split_heads(x, num_heads) for x in projections)
    heads = scaled_dot_product_attention(q, k, v, attn_mask)
    return linear(merge_heads(heads), out_proj_weight, out_proj_bias)
