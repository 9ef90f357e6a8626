"""Modules in PyTorch: attention; `rng` is a `torch.Generator`."""

import torch
from torch import nn

from dlbook_lib.applications.translation_and_attention.pytorch import (
    additive_scores,
    masked_softmax,
)

__all__ = ["AdditiveAttention", "MultiheadAttention", "additive_mask"]


class AdditiveAttention(nn.Module):
    """As in scratch: `query_weight` (A, Dq), `key_weight` (A, Dk) and `v` (A,)."""

    def __init__(self, query_size, key_size, hidden_size, *, rng, dtype=float):
        super().__init__()

        def start(*shape):
            bound = shape[-1] ** -0.5
            weight = torch.empty(shape, dtype=dtype, device=rng.device)
            return nn.Parameter(weight.uniform_(-bound, bound, generator=rng))

        self.query_weight = start(hidden_size, query_size)
        self.key_weight = start(hidden_size, key_size)
        self.v = start(hidden_size)

    def forward(self, query, key, value, attn_mask=None):
        """As in scratch: contexts (..., L, Ev) and weights (..., L, S)."""
        parameters = self.query_weight, self.key_weight, self.v
        weights = masked_softmax(additive_scores(query, key, *parameters), attn_mask)
        return weights @ value, weights


def additive_mask(mask, name, allowed, dtype=float):
    """As in scratch: (...) to (...)."""
    mask = torch.as_tensor(mask)
    if mask.dtype == torch.bool:
        zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        mask = zeros.masked_fill(mask, -torch.inf)
    return mask.to(dtype).view(allowed[tuple(mask.shape)])


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
        super().__init__(embed_dim, num_heads, dropout, bias, **options, dtype=dtype)
        for name, p in self.named_parameters():
            if name == "out_proj.weight":
                bound = embed_dim**-0.5
                nn.init.uniform_(p, -bound, bound, generator=rng)
            elif p.ndim == 2:
                nn.init.xavier_uniform_(p, generator=rng)
