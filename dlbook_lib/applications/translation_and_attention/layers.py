"""Modules: additive and multi-head attention, with the masks and names of torch."""

import numpy as np

from dlbook_lib.applications.translation_and_attention import (
    second_derivatives as tensors,
)
from dlbook_lib.applications.translation_and_attention.scratch import (
    as_mask,
    merge_heads,
    split_heads,
)
from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_number,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw, to
from dlbook_lib.feedforward.autodiff.modules import Linear, Module, Parameter
from dlbook_lib.regularization.dropout.scratch import dropout


class AdditiveAttention(Module):
    r"""Attention that learns how to compare, with a small network.

    Parameters
    ----------
    query_size, key_size : int
        Dq and Dk.
    hidden_size : int
        A.
    rng : numpy.random.Generator
    dtype : dtype
        Of the parameters.

    `query_weight` (A, Dq), `key_weight` (A, Dk) and `v` (A,) start uniform in
    :math:`\pm1/\sqrt n`, with n the length of the last axis.

    Source: Bahdanau et al. (2015), section 3.1.

    >>> attention = AdditiveAttention(3, 4, 5, rng=np.random.default_rng(0))
    >>> context, weights = attention(*(np.ones((2, n, n + 1)) for n in (2, 3, 3)))
    >>> context.shape, weights.shape
    ((2, 2, 4), (2, 2, 3))
    """

    def __init__(self, query_size, key_size, hidden_size, *, rng, dtype=float):
        super().__init__()
        check_positive(query_size, "query_size", integer=True)
        check_positive(key_size, "key_size", integer=True)
        check_positive(hidden_size, "hidden_size", integer=True)
        check_rng(rng)

        def start(*shape):
            bound = shape[-1] ** -0.5
            return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))

        self.query_weight = start(hidden_size, query_size)
        self.key_weight = start(hidden_size, key_size)
        self.v = start(hidden_size)

    def forward(self, query, key, value, attn_mask=None):
        """Contexts (..., L, Ev) and weights (..., L, S), for queries (..., L, Dq), keys
        (..., S, Dk), values (..., S, Ev) and a mask as in `apply_mask`."""
        parameters = self.query_weight, self.key_weight, self.v
        scores = tensors.additive_scores(query, key, *parameters)
        weights = tensors.masked_softmax(scores, attn_mask)
        array = as_float(raw(value), "value", empty=True)
        require(
            array.shape[:-1] == (*weights.shape[:-2], weights.shape[-1]),
            f"value has shape {array.shape} but the weights have {weights.shape}; they "
            "should be (..., S, Ev) and (..., L, S)",
        )
        return weights @ value, weights


def additive_mask(mask, name, allowed, dtype=float):
    """A mask as numbers to add: −∞ where it is true, in the shape of the scores.

    Parameters
    ----------
    mask : array_like (...) or Tensor (...)
        Booleans, true where nothing may be seen, or floats.
    name : str
        What the caller calls it.
    allowed : dict
        The shapes that it may have, each with the one that it is brought to.
    dtype : dtype
        Of the numbers.

    Returns
    -------
    ndarray (...) or Tensor (...)

    >>> additive_mask([[True, False]], "attn_mask", {(1, 2): (1, 1, 1, 2)}).tolist()
    [[[[-inf, 0.0]]]]
    """
    array = as_mask(raw(mask), name)
    if array.dtype == bool:
        mask = np.array([0, -np.inf], dtype)[array.astype(int)]
    else:
        mask = to(mask if isinstance(mask, Tensor) else array, dtype)
    sentence = f"{name} has shape {mask.shape}; for these sequences it must be "
    require(mask.shape in allowed, f"{sentence}{' or '.join(map(str, allowed))}")
    return operations.reshape(mask, allowed[mask.shape])


class MultiheadAttention(Module):
    r"""Multi-head attention as a layer, with torch's names and its masks.

    Parameters
    ----------
    embed_dim : int
        E, the length of queries and of results.
    num_heads : int
        H, which divides E.
    dropout : float
        Probability to drop a weight in training.
    bias : bool
        Whether the projections have biases; they start at 0.
    kdim, vdim : int, optional
        Lengths of keys and of values; E unless given.
    batch_first : bool
        Whether sequences are (N, L, E), else (L, N, E).
    rng : numpy.random.Generator
    dtype : dtype
        Of the parameters. Where conventions differ: torch starts with float32.

    Parameters are `in_proj_weight` (3 * E, E), or `q_proj_weight`, `k_proj_weight` and
    `v_proj_weight` if lengths differ; `in_proj_bias` (3 * E,), `out_proj.weight` (E, E)
    and `out_proj.bias` (E,). Torch's `add_bias_kv` and `add_zero_attn` are left out,
    and `is_causal` of its forward pass, which only tells what `attn_mask` holds.

    >>> attention = MultiheadAttention(4, 2, rng=np.random.default_rng(0))
    >>> output, weights = attention(*[np.ones((3, 5, 4))] * 3)
    >>> output.shape, weights.shape
    ((3, 5, 4), (5, 3, 3))
    """

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
        super().__init__()
        check_positive(embed_dim, "embed_dim", integer=True)
        check_positive(num_heads, "num_heads", integer=True)
        sentence = f"embed_dim {embed_dim} cannot be dealt out to {num_heads} heads"
        require(embed_dim % num_heads == 0, f"{sentence}; take a divisor of it")
        check_number(dropout, "dropout", 0, 1)
        check_rng(rng)
        for name, flag in ("bias", bias), ("batch_first", batch_first):
            check_in(flag, name, (True, False))
        sizes = [embed_dim if n is None else n for n in (embed_dim, kdim, vdim)]
        for name, n in zip(("embed_dim", "kdim", "vdim"), sizes, strict=True):
            check_positive(n, name, integer=True)
        self.num_heads, self.dropout = num_heads, dropout
        self.batch_first, self.rng = batch_first, rng
        self._start_projections(sizes, dtype)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if bias:
            self.out_proj.bias.data[...] = 0

    def _start_projections(self, sizes, dtype):
        """Draw the weights (E, E), (E, Ek), (E, Ev) for these three sizes, as Xavier.

        Those of one shape are one, (3 * E, E).
        """

        def start(*shape):
            bound = (6 / sum(shape)) ** 0.5
            return Parameter(self.rng.uniform(-bound, bound, shape).astype(dtype))

        embed_dim, self.in_proj_weight = sizes[0], None
        if sizes == [embed_dim] * 3:
            self.in_proj_weight = start(3 * embed_dim, embed_dim)
            return
        names = "q_proj_weight", "k_proj_weight", "v_proj_weight"
        for name, n in zip(names, sizes, strict=True):
            setattr(self, name, start(embed_dim, n))

    def _projections(self):
        """Weights (E, ·) and biases (E,) of queries, keys and values."""
        e = self.out_proj.in_features
        parts = [slice(i * e, i * e + e) for i in range(3)]
        if self.in_proj_weight is None:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        else:
            weights = [self.in_proj_weight[part] for part in parts]
        if self.in_proj_bias is None:
            return [(w, None) for w in weights]
        biases = [self.in_proj_bias[part] for part in parts]
        return list(zip(weights, biases, strict=True))

    def _merged_mask(self, attn_mask, key_padding_mask, shape):
        """What is added to the scores, in their `shape` (N, H, L, S); or None."""
        n, heads, length, source = shape
        per_query = {(length, source): (1, 1, length, source)}
        per_query[n * heads, length, source] = shape
        per_key = {(n, source): (n, 1, 1, source)}
        if n == 1:
            per_key[(source,)] = 1, 1, 1, source
        total, dtype = None, self.out_proj.weight.dtype
        for name, mask, allowed in (
            ("attn_mask", attn_mask, per_query),
            ("key_padding_mask", key_padding_mask, per_key),
        ):
            if mask is not None:
                mask = additive_mask(mask, name, allowed, dtype)
                total = mask if total is None else total + mask
        return total

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
    ):
        r"""Attend to a batch of sequences, or to one without the axis N.

        Parameters
        ----------
        query, key, value : array_like or Tensor (L, N, E), (S, N, Ek), (S, N, Ev)
            With `batch_first` (N, L, E), (N, S, Ek), (N, S, Ev).
        key_padding_mask : array_like or Tensor (N, S), optional
            True where a key must not be seen, or floats to add.
        need_weights : bool
            Whether weights are handed back too. As in torch, a query that may look
            nowhere then has NaN; without them it has 0 before the last projection.
        attn_mask : array_like or Tensor (L, S) or (N * H, L, S), optional
            True where a query must not look, or floats to add.
        average_attn_weights : bool
            Whether the weights are those of all heads on average.

        Returns
        -------
        output : Tensor (L, N, E) or (N, L, E)
        weights : Tensor (N, L, S), or (N, H, L, S) if not averaged, or None
            After dropout.
        """
        named = {"query": query, "key": key, "value": value}
        x = [as_float(raw(each), name, empty=True) for name, each in named.items()]
        widths = [w.shape[-1] for w, _ in self._projections()]
        fits = x[0].ndim in (2, 3) and [n.shape[-1] for n in x if n.ndim] == widths
        batch = (0 if self.batch_first else 1) if x[0].ndim == 3 else -1
        require(
            fits
            and x[0].ndim == x[1].ndim
            and x[1].shape[:-1] == x[2].shape[:-1]
            and (batch < 0 or x[0].shape[batch] == x[1].shape[batch]),
            f"shapes do not fit: query {x[0].shape}, key {x[1].shape}, value "
            f"{x[2].shape}; of 2 or 3 axes the last is {widths}, each key has a value",
        )
        several, given = x[0].ndim == 3, zip((query, key, value), x, strict=True)
        x = [each if isinstance(each, Tensor) else array for each, array in given]
        if not several:
            x = [operations.unsqueeze(each, 0) for each in x]
        elif not self.batch_first:
            x = [operations.transpose(each, 0, 1) for each in x]
        output, weights = self._attend(*x, key_padding_mask, need_weights, attn_mask)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not several:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.transpose(0, 1), weights

    def _attend(self, query, key, value, key_padding_mask, need_weights, attn_mask):
        """Outputs (N, L, E) and weights (N, H, L, S) for (N, L, E), (N, S, ·)."""
        pairs = zip((query, key, value), self._projections(), strict=True)
        q, k, v = (
            split_heads(operations.linear(x, *layer), self.num_heads)
            for x, layer in pairs
        )
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        mask = self._merged_mask(attn_mask, key_padding_mask, scores.shape)
        if need_weights:
            with np.errstate(invalid="ignore"):  # −∞ − (−∞), where all is masked
                weights = (scores if mask is None else scores + mask).softmax(-1)
        else:
            weights = tensors.masked_softmax(scores, mask)
        weights = dropout(weights, self.dropout, self.training, rng=self.rng)
        output = self.out_proj(merge_heads(weights @ v))
        return output, weights if need_weights else None

    def extra_repr(self):
        """Nothing, as torch prints it."""
        return ""
