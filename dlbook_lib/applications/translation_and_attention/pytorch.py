"""Attention in PyTorch: torch's own where it has it; `rng` is a `torch.Generator`."""

import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention

__all__ = [
    "AdditiveAttention",
    "MultiheadAttention",
    "additive_mask",
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
    return torch.ones(length, source or length, dtype=torch.bool).tril()


def padding_mask(lengths, size=None):
    """As in scratch: (N, S)."""
    lengths = torch.as_tensor(lengths)
    size = int(lengths.max()) if size is None else size
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


class AdditiveAttention(nn.Module):
    """As in scratch: `query_weight` (A, Dq), `key_weight` (A, Dk) and `v` (A,)."""

    def __init__(self, query_size, key_size, hidden_size, *, rng, dtype=float):
        super().__init__()
        kind = torch.float64 if dtype is float else dtype

        def start(*shape):
            bound = shape[-1] ** -0.5
            weight = torch.empty(shape, dtype=kind, device=rng.device)
            return nn.Parameter(weight.uniform_(-bound, bound, generator=rng))

        self.query_weight = start(hidden_size, query_size)
        self.key_weight = start(hidden_size, key_size)
        self.v = start(hidden_size)

    def forward(self, query, key, value, attn_mask=None):
        """As in scratch: contexts (..., L, Ev) and weights (..., L, S)."""
        parameters = self.query_weight, self.key_weight, self.v
        weights = masked_softmax(additive_scores(query, key, *parameters), attn_mask)
        return weights @ value, weights


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


def additive_mask(mask, name, allowed, dtype=float):
    """As in scratch: (...) to (...)."""
    mask, kind = torch.as_tensor(mask), torch.float64 if dtype is float else dtype
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=kind).masked_fill(mask, -torch.inf)
    return mask.view(allowed[tuple(mask.shape)])


class MultiheadAttention(nn.MultiheadAttention):
    """As in scratch; torch's own, started by `rng`; `in_proj_weight` (3 * E, E)."""

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        kdim=None,
        vdim=None,
        batch_first=False,
        *,
        rng,
        dtype=float,
    ):
        options = {"kdim": kdim, "vdim": vdim, "batch_first": batch_first}
        kind = torch.float64 if dtype is float else dtype
        super().__init__(embed_dim, num_heads, dropout, bias, **options, dtype=kind)
        for name, p in self.named_parameters():
            if name == "out_proj.weight":
                bound = embed_dim**-0.5
                nn.init.uniform_(p, -bound, bound, generator=rng)
            elif p.ndim == 2:
                nn.init.xavier_uniform_(p, generator=rng)
