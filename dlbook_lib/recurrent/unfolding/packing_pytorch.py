"""Ragged batches in PyTorch: torch's own packing, and the masks around it."""

import torch
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)

__all__ = [
    "PackedSequence",
    "as_lengths",
    "as_places",
    "masked_loss",
    "pack_padded_sequence",
    "pack_sequence",
    "packed_places",
    "pad_packed_sequence",
    "put_steps",
    "ragged_batch",
    "take_steps",
]


def as_lengths(lengths, steps, count=None):
    """As in scratch: a tensor (N,) of whole numbers from 1 to `steps`."""
    lengths = torch.as_tensor(lengths)
    if not ((lengths >= 1) & (lengths <= steps)).all():
        raise ValueError(f"as_lengths: lengths must lie between 1 and {steps}")
    return lengths


def as_places(first, second, shape):
    """As in scratch: two tensors (K,); torch itself refuses places that are not."""
    return torch.as_tensor(first), torch.as_tensor(second)


def take_steps(input, first, second):
    """As in scratch: (A, B, ...) to (K, ...)."""
    return input[as_places(first, second, input.shape)]


def put_steps(data, first, second, shape, value=0.0):
    """As in scratch: (K, ...) to (A, B, ...)."""
    output = data.new_full((*shape, *data.shape[1:]), value)
    return output.index_put(as_places(first, second, shape), data)


def ragged_batch(sequences, batch_first=False, padding_value=0.0):
    """As in scratch, by torch's `pad_sequence`: (T, N, ...) and a mask (T, N)."""
    lengths = torch.tensor([len(x) for x in sequences], device=sequences[0].device)
    times = torch.arange(int(lengths.max()), device=lengths.device)
    mask = times < lengths[:, None]  # (N, T)
    mask = mask if batch_first else mask.T
    return pad_sequence(sequences, batch_first, padding_value), mask


def masked_loss(input, mask, reduction="mean"):
    """As in scratch; `input` and `mask` (...)."""
    if reduction == "none":
        return torch.where(mask, input, torch.zeros_like(input))
    return (torch.mean if reduction == "mean" else torch.sum)(input[mask])


def packed_places(batch_sizes):
    """As in scratch: two tensors (K,)."""
    sizes = torch.as_tensor(batch_sizes)
    return torch.nonzero(
        torch.arange(sizes[0]).to(sizes) < sizes[:, None], as_tuple=True
    )
