r"""Attention in NumPy: weights that say where to look, and the mean that they take.

A *query* is compared with every *key*; the scores become weights that add up to 1, and
the result is the mean of the *values* with these weights. Shapes: queries (..., L, E),
keys (..., S, E), values (..., S, Ev), so weights are (..., L, S). Nothing is broadcast
between the three; a mask is, to the shape of the weights.

Where conventions differ: for `scaled_dot_product_attention` a mask of booleans says
where to look; for `MultiheadAttention` it says where not to. Both are as in torch.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_labels,
    check_in,
    check_ndim,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward
from dlbook_lib.regularization.dropout.scratch import dropout, dropout_mask


def causal_mask(length, source=None):
    """Where a query may look that must not see what comes after it.

    Parameters
    ----------
    length : int
        L, the number of queries.
    source : int, optional
        S, the number of keys; as many as queries unless given.

    Returns
    -------
    ndarray of bool (L, S)
        True at [t, i] for i ≤ t.

    >>> causal_mask(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    check_positive(length, "length", integer=True, zero=True)
    if source is not None:
        check_positive(source, "source", integer=True, zero=True)
    return np.tri(length, source, dtype=bool)


def padding_mask(lengths, size=None):
    """Which places of a batch of sequences come after the end of their sequence.

    Parameters
    ----------
    lengths : array_like of int (N,)
    size : int, optional
        S, the number of places; the longest length unless given.

    Returns
    -------
    ndarray of bool (N, S)
        True where there is padding, as `key_padding_mask` of `MultiheadAttention` has
        it; ``~padding_mask(lengths)[:, None]`` is a mask (N, 1, S) for
        `scaled_dot_product_attention`.

    >>> padding_mask([1, 3]).astype(int)
    array([[0, 1, 1],
           [0, 0, 0]])
    """
    lengths = as_labels(lengths, "lengths", empty=True)
    check_ndim(lengths, "lengths", 1)
    if size is None:
        size = int(lengths.max(initial=0))
    check_positive(size, "size", integer=True, zero=True)
    longest = lengths.max(initial=0)
    require(size >= longest, f"size is {size} but a sequence has {longest} places")
    return np.arange(size) >= lengths[:, None]


def as_mask(mask, name):
    """Hand back `mask` (...) as an array of booleans or of floats; refuse the rest.

    >>> as_mask([True, False], "attn_mask")
    array([ True, False])
    """
    try:
        is_bool = np.asarray(mask).dtype == bool
    except ValueError:  # its rows have different lengths; as_float says so
        is_bool = False
    return np.asarray(mask) if is_bool else as_float(mask, name, empty=True)


def apply_mask(scores, attn_mask=None):
    """Scores with −∞ where nothing may be seen, or with a bias added to them.

    Parameters
    ----------
    scores : array_like (..., L, S)
    attn_mask : array_like, optional
        Of any shape that broadcasts to (..., L, S). Booleans: True where a query may
        look. Floats: what is added.

    Returns
    -------
    ndarray (..., L, S)

    >>> apply_mask([[1.0, 2.0]], [[True, False]])
    array([[  1., -inf]])
    """
    scores = as_float(scores, "scores", empty=True)
    if attn_mask is None:
        return scores
    mask = as_mask(attn_mask, "attn_mask")
    pairs = zip(mask.shape[::-1], scores.shape[::-1], strict=False)
    require(
        mask.ndim <= scores.ndim and all(n in (1, m) for n, m in pairs),
        f"attn_mask {mask.shape} does not fit scores {scores.shape}; it must be "
        "(L, S), or broadcast to the shape of the scores",
    )
    if mask.dtype == bool:
        return np.where(mask, scores, -np.inf)
    return scores + (mask if np.iscomplexobj(mask) else mask.astype(scores.real.dtype))


def masked_softmax(scores, attn_mask=None):
    r"""Weights from scores, :math:`\alpha_i=e^{s_i}/\sum_je^{s_j}`, 0 where masked.

    Parameters
    ----------
    scores : array_like (..., L, S)
    attn_mask : array_like, optional
        As in `apply_mask`.

    Returns
    -------
    ndarray (..., L, S)
        Each row adds up to 1, except one that is masked as a whole: it is 0. Where
        conventions differ: torch does so in `scaled_dot_product_attention`, while its
        softmax gives NaN.

    >>> masked_softmax(np.zeros((2, 3)), [[True, False, True], [False] * 3])
    array([[0.5, 0. , 0.5],
           [0. , 0. , 0. ]])
    """
    scores = apply_mask(scores, attn_mask)
    top = np.max(scores.real, axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def masked_softmax_backward(dy, scores, attn_mask=None):
    r"""Gradients of `masked_softmax`:
    :math:`\alpha_i(\delta_i-\sum_j\alpha_j\delta_j)`.

    Parameters
    ----------
    dy : array_like (..., L, S)
    scores, attn_mask
        As given to `masked_softmax`.

    Returns
    -------
    dscores : ndarray (..., L, S)
        0 where masked.
    dattn_mask : ndarray of the shape of `attn_mask`, or None if that is not floats

    >>> masked_softmax_backward([[1.0, 0.0]], [[0.0, 0.0]])[0]
    array([[ 0.25, -0.25]])
    """
    weights, dy = masked_softmax(scores, attn_mask), as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, weights=weights)
    dscores = weights * (dy - (weights * dy).sum(axis=-1, keepdims=True))
    if attn_mask is None or as_mask(attn_mask, "attn_mask").dtype == bool:
        return dscores, None
    return dscores, summed_to(dscores, np.shape(attn_mask))


def summed_to(x, shape):
    """An array (...), summed over the axes along which `shape` is broadcast to it.

    >>> summed_to(np.ones((2, 3)), (1, 3))
    array([[2., 2., 2.]])
    """
    x = as_float(x, "x", empty=True)
    is_shape = isinstance(shape, tuple)
    require(is_shape, f"shape must be a tuple, not {shape!r}; try x.shape", TypeError)
    pairs = zip(x.shape[::-1], shape[::-1], strict=False)
    fits = len(shape) <= x.ndim and all(m in (1, n) for n, m in pairs)
    require(fits, f"x has shape {x.shape}, to which {shape} does not broadcast")
    lead = x.ndim - len(shape)
    pairs = enumerate(zip(x.shape[lead:], shape, strict=True), lead)
    axes = tuple(range(lead)) + tuple(i for i, (n, m) in pairs if n != m)
    return x.sum(axis=axes, keepdims=True).reshape(shape)


def attention_inputs(query, key, value, attn_mask=None, is_causal=False, scale=None):
    r"""What all dot-product attention begins with: checks, the mask and the scale.

    Parameters
    ----------
    query, key, value, attn_mask, is_causal, scale
        As given to `scaled_dot_product_attention`.

    Returns
    -------
    query, key, value : ndarray (..., L, E), (..., S, E), (..., S, Ev)
    attn_mask : ndarray or None
        With `is_causal` that of `causal_mask`, (L, S).
    scale : float
        :math:`1/\sqrt E` unless given.

    >>> attention_inputs(np.ones((2, 4)), np.ones((3, 4)), np.ones((3, 5)))[3:]
    (None, 0.5)
    """
    query, key = as_float(query, "query", empty=True), as_float(key, "key", empty=True)
    value = as_float(value, "value", empty=True)
    fits = (
        min(query.ndim, key.ndim, value.ndim) > 1
        and query.shape[-1] == key.shape[-1]
        and key.shape[:-1] == value.shape[:-1]
        and query.shape[:-2] == key.shape[:-2]
    )
    require(
        fits,
        f"shapes do not fit: query {query.shape}, key {key.shape}, value "
        f"{value.shape}; they should be (..., L, E), (..., S, E) and (..., S, Ev)",
    )
    check_in(is_causal, "is_causal", (True, False))
    require(
        attn_mask is None or not is_causal,
        "is_causal is a mask of its own; pass attn_mask or is_causal, not both",
    )
    if is_causal:
        attn_mask = causal_mask(query.shape[-2], key.shape[-2])
    if scale is None:
        scale = max(query.shape[-1], 1) ** -0.5
    check_number(scale, "scale")
    return query, key, value, attn_mask, float(scale)


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    *,
    rng=None,
):
    r"""Attention by scaled products, :math:`\mathrm{softmax}(QK^{\mathsf T}/\sqrt d)V`.

    Torch's `enable_gqa`, by which heads of queries share keys, is left out.

    Parameters
    ----------
    query : array_like (..., L, E)
    key : array_like (..., S, E)
    value : array_like (..., S, Ev)
    attn_mask : array_like, optional
        As in `apply_mask`: True where a query may look, or floats to add.
    dropout_p : float
        Probability to drop a weight; those kept are divided by 1 − p.
    is_causal : bool
        Whether query t sees no key after t, counted from the first of each.
    scale : float, optional
        What products are multiplied by; :math:`1/\sqrt E` unless given, which keeps
        scores of independent numbers with variance 1 at variance 1.
    rng : numpy.random.Generator
        Needed if `dropout_p` is not 0.

    Returns
    -------
    ndarray (..., L, Ev)
        0 for a query that may look nowhere.

    Source: Vaswani et al. (2017), section 3.2.1.

    >>> x = np.eye(2)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True, scale=1e3)
    array([[1., 0.],
           [0., 1.]])
    """
    query, key, value, mask, scale = attention_inputs(
        query, key, value, attn_mask, is_causal, scale
    )
    weights = masked_softmax((query * scale) @ key.swapaxes(-1, -2), mask)
    check_number(dropout_p, "dropout_p", 0, 1)
    if dropout_p:
        weights = dropout(weights, dropout_p, rng=rng)
    return weights @ value


def scaled_dot_product_attention_backward(
    dy,
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    *,
    rng=None,
):
    r"""Gradients of `scaled_dot_product_attention`.

    With :math:`O=AV` and :math:`A=\mathrm{softmax}(S)` they are
    :math:`\mathrm dV=A^{\mathsf T}\mathrm dO`,
    :math:`\mathrm dA=\mathrm dO\,V^{\mathsf T}`, and from :math:`\mathrm dS` those of a
    product.

    Parameters
    ----------
    dy : array_like (..., L, Ev)
    query, key, value, attn_mask, dropout_p, is_causal, scale
        As given to `scaled_dot_product_attention`.
    rng : numpy.random.Generator
        In the state in which the forward pass found its own, so that it drops the same
        weights; this costs less memory than to keep them.

    Returns
    -------
    dquery, dkey, dvalue : ndarray (..., L, E), (..., S, E), (..., S, Ev)
    dattn_mask : ndarray of the shape of `attn_mask`, or None if that is not floats

    >>> one = np.ones((1, 1))
    >>> scaled_dot_product_attention_backward(one, one, one, one)[2]
    array([[1.]])
    """
    query, key, value, mask, scale = attention_inputs(
        query, key, value, attn_mask, is_causal, scale
    )
    dy = as_float(dy, "dy", empty=True)
    shape = *query.shape[:-1], value.shape[-1]
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    scores = (query * scale) @ key.swapaxes(-1, -2)
    weights, dweights = masked_softmax(scores, mask), dy @ value.swapaxes(-1, -2)
    check_number(dropout_p, "dropout_p", 0, 1)
    if dropout_p:
        kept = dropout_mask(weights.shape, dropout_p, rng=rng, dtype=weights.dtype)
        weights, dweights = weights * kept, dweights * kept
    dscores, dmask = masked_softmax_backward(dweights, scores, mask)
    dquery, dkey = dscores @ key, dscores.swapaxes(-1, -2) @ query
    return dquery * scale, dkey * scale, weights.swapaxes(-1, -2) @ dy, dmask


def additive_scores(query, key, query_weight, key_weight, v):
    r"""How well a query fits a key: :math:`\mathbf v^{\mathsf T}\tanh(W\mathbf
    s_t+U\mathbf h_i)`.

    Parameters
    ----------
    query : array_like (..., L, Dq)
        :math:`\mathbf s_t`, such as the states of a decoder.
    key : array_like (..., S, Dk)
        :math:`\mathbf h_i`, such as those of an encoder.
    query_weight : array_like (A, Dq)
        W.
    key_weight : array_like (A, Dk)
        U.
    v : array_like (A,)

    Returns
    -------
    ndarray (..., L, S)
        Computed for one query after the other, so that only S · A numbers are needed
        at a time.

    Source: Bahdanau et al. (2015), appendix A.1.2.

    >>> additive_scores([[1.0]], [[0.0], [-1.0]], [[1.0]], [[1.0]], [2.0]).round(3)
    array([[1.523, 0.   ]])
    """
    query, key = as_float(query, "query", empty=True), as_float(key, "key", empty=True)
    query_weight = as_float(query_weight, "query_weight", ndim=2)
    key_weight = as_float(key_weight, "key_weight", ndim=2)
    v = as_float(v, "v", ndim=1)
    (a, dq), (b, dk) = query_weight.shape, key_weight.shape
    fits = min(query.ndim, key.ndim) > 1 and query.shape[:-2] == key.shape[:-2]
    require(
        fits
        and (query.shape[-1], key.shape[-1]) == (dq, dk)
        and v.shape == (a,) == (b,),
        f"shapes do not fit: query {query.shape}, key {key.shape}, query_weight "
        f"{(a, dq)}, key_weight {(b, dk)}, v {v.shape}; they should be (..., L, Dq), "
        "(..., S, Dk), (A, Dq), (A, Dk) and (A,)",
    )
    s, h = query @ query_weight.T, key @ key_weight.T  # (..., L, A), (..., S, A)
    shape = *s.shape[:-1], h.shape[-2]
    scores = np.empty(shape, np.result_type(s, h, v))
    for t in range(s.shape[-2]):
        scores[..., t, :] = np.tanh(s[..., t, None, :] + h) @ v
    return scores


def additive_scores_backward(dy, query, key, query_weight, key_weight, v):
    """Gradients of `additive_scores`, also of one query after the other.

    Parameters
    ----------
    dy : array_like (..., L, S)
    query, key, query_weight, key_weight, v
        As given to `additive_scores`.

    Returns
    -------
    dquery, dkey : ndarray (..., L, Dq), (..., S, Dk)
    dquery_weight, dkey_weight : ndarray (A, Dq), (A, Dk)
    dv : ndarray (A,)

    >>> one = np.ones((1, 1))
    >>> additive_scores_backward(one, 0 * one, 0 * one, one, one, one[0])[0]
    array([[1.]])
    """
    scores = additive_scores(query, key, query_weight, key_weight, v)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, scores=scores)
    query, key, query_weight, key_weight, v = map(
        np.asarray, (query, key, query_weight, key_weight, v)
    )
    s, h = query @ query_weight.T, key @ key_weight.T
    ds, dh, dv = np.zeros_like(s), np.zeros_like(h), np.zeros_like(v)
    for t in range(s.shape[-2]):
        bent, d = np.tanh(s[..., t, None, :] + h), dy[..., t, :, None]  # (..., S, A)
        dv += (bent * d).reshape(-1, len(v)).sum(axis=0)
        inner = d * v * (1 - bent * bent)
        ds[..., t, :] = inner.sum(axis=-2)
        dh += inner
    dquery, dquery_weight, _ = linear_backward(ds, query, query_weight)
    dkey, dkey_weight, _ = linear_backward(dh, key, key_weight)
    return dquery, dkey, dquery_weight, dkey_weight, dv


def attend(scores, value, attn_mask=None):
    r"""The mean of the values with the weights of these scores.

    :math:`\mathbf c_t=\sum_i\alpha_{ti}\mathbf h_i` with
    :math:`\boldsymbol\alpha_t=\mathrm{softmax}(\mathbf s_t)`, however the scores
    came about.

    Parameters
    ----------
    scores : array_like (..., L, S)
    value : array_like (..., S, Ev)
    attn_mask : array_like, optional
        As in `apply_mask`.

    Returns
    -------
    ndarray (..., L, Ev)

    >>> attend([[0.0, 0.0]], [[1.0], [3.0]])
    array([[2.]])
    """
    value = as_float(value, "value", empty=True)
    weights = masked_softmax(scores, attn_mask)
    fits = value.ndim > 1 and weights.shape[:-2] == value.shape[:-2]
    require(
        fits and weights.shape[-1] == value.shape[-2],
        f"scores {weights.shape} do not fit values {value.shape}; they should be "
        "(..., L, S) and (..., S, Ev)",
    )
    return weights @ value


def attend_backward(dy, scores, value, attn_mask=None):
    """Gradients of `attend`.

    Parameters
    ----------
    dy : array_like (..., L, Ev)
    scores, value, attn_mask
        As given to `attend`.

    Returns
    -------
    dscores, dvalue : ndarray (..., L, S), (..., S, Ev)
    dattn_mask : ndarray of the shape of `attn_mask`, or None if that is not floats

    >>> attend_backward([[1.0]], [[0.0, 0.0]], [[1.0], [3.0]])[0]
    array([[-0.5,  0.5]])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=attend(scores, value, attn_mask))
    weights = masked_softmax(scores, attn_mask)
    dweights = dy @ np.swapaxes(value, -1, -2)
    dscores, dmask = masked_softmax_backward(dweights, scores, attn_mask)
    return dscores, weights.swapaxes(-1, -2) @ dy, dmask


def dot_product_attention(query, key, value, attn_mask=None):
    r"""Attention by plain products, :math:`\mathrm{softmax}(QK^{\mathsf T})V`.

    Parameters
    ----------
    query, key, value, attn_mask
        As in `scaled_dot_product_attention`: (..., L, E), (..., S, E), (..., S, Ev).

    Returns
    -------
    ndarray (..., L, Ev)

    Source: Luong et al. (2015), section 3.1, "dot".

    >>> dot_product_attention([[9.0, 0.0]], np.eye(2), np.eye(2)).round(3)
    array([[1., 0.]])
    """
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


def dot_product_attention_backward(dy, query, key, value, attn_mask=None):
    """Gradients of `dot_product_attention`, as those of the scaled one.

    Parameters
    ----------
    dy : array_like (..., L, Ev)
    query, key, value, attn_mask
        As given to `dot_product_attention`.

    Returns
    -------
    dquery, dkey, dvalue : ndarray (..., L, E), (..., S, E), (..., S, Ev)
    dattn_mask : ndarray of the shape of `attn_mask`, or None if that is not floats

    >>> one = np.ones((1, 1))
    >>> dot_product_attention_backward(one, one, one, one)[2]
    array([[1.]])
    """
    return scaled_dot_product_attention_backward(
        dy, query, key, value, attn_mask, scale=1.0
    )


def split_heads(input, num_heads):
    """The features of each place, dealt out to heads in equal parts.

    Parameters
    ----------
    input : ndarray or Tensor (N, L, E)
    num_heads : int
        H, which divides E.

    Returns
    -------
    ndarray or Tensor (N, H, L, E / H)

    >>> split_heads(np.arange(4.0).reshape(1, 1, 4), 2)[0].tolist()
    [[[0.0, 1.0]], [[2.0, 3.0]]]
    """
    check_positive(num_heads, "num_heads", integer=True)
    n, length, features = as_float(raw(input), "input", ndim=3, empty=True).shape
    require(
        features % num_heads == 0,
        f"{features} features cannot be dealt out to {num_heads} heads; take a number "
        "of heads that divides them",
    )
    parts = n, length, num_heads, features // num_heads
    return operations.transpose(operations.reshape(input, parts), 1, 2)


def merge_heads(input):
    """The inverse of `split_heads`.

    Parameters
    ----------
    input : ndarray or Tensor (N, H, L, D)

    Returns
    -------
    ndarray or Tensor (N, L, H * D)

    >>> merge_heads(np.arange(4.0).reshape(1, 2, 1, 2)).tolist()
    [[[0.0, 1.0, 2.0, 3.0]]]
    """
    n, heads, length, d = as_float(raw(input), "input", ndim=4, empty=True).shape
    return operations.reshape(operations.transpose(input, 1, 2), (n, length, heads * d))


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
    r"""Several small attentions side by side, each in a projection of its own.

    :math:`[A_1,\dots,A_H]\,W_O^{\mathsf T}` with the attention
    :math:`A_h` of the h-th parts of :math:`QW_Q^{\mathsf T}`,
    :math:`KW_K^{\mathsf T}` and :math:`VW_V^{\mathsf T}`.

    Parameters
    ----------
    query : array_like (N, L, E)
    key : array_like (N, S, Ek)
    value : array_like (N, S, Ev)
    q_proj_weight, k_proj_weight, v_proj_weight : array_like (E, E), (E, Ek), (E, Ev)
    out_proj_weight : array_like (E, E)
    in_proj_bias : array_like (3 * E,), optional
        Those of queries, keys and values, one after the other.
    out_proj_bias : array_like (E,), optional
    num_heads : int
        H, which divides E.
    attn_mask : array_like, optional
        As in `apply_mask`, for scores (N, H, L, S).

    Returns
    -------
    ndarray (N, L, E)

    Source: Vaswani et al. (2017), section 3.2.2.

    >>> x, one = np.array([[[1.0], [3.0]]]), np.ones((1, 1))
    >>> multi_head_attention(x, x, x, 0 * one, one, one, one).tolist()
    [[[2.0], [2.0]]]
    """
    q, k, v = projected(
        (query, key, value), (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias
    )
    q, k, v = (split_heads(x, num_heads) for x in (q, k, v))
    heads = scaled_dot_product_attention(q, k, v, attn_mask)  # (N, H, L, E / H)
    return linear(merge_heads(heads), out_proj_weight, out_proj_bias)


def projected(inputs, weights, bias=None):
    """Queries, keys and values (N, ·, E), each by a linear layer of its own.

    Parameters
    ----------
    inputs : three array_like (N, ·, ·)
    weights : three array_like (E, ·)
    bias : array_like (3 * E,), optional

    Returns
    -------
    list of three ndarray (N, ·, E)

    >>> x = np.ones((1, 1, 1))
    >>> [y.item() for y in projected([x, x, x], [x[0]] * 3, np.array([0.0, 1.0, 2.0]))]
    [1.0, 2.0, 3.0]
    """
    weights = as_floats(weights, "weights", count=3)
    three = isinstance(inputs, (list, tuple)) and len(inputs) == 3
    require(three, "inputs must be a list of three arrays: query, key and value")
    named = zip(inputs, ("query", "key", "value"), strict=True)
    q, k, v = inputs = [as_float(x, name, empty=True) for x, name in named]
    fits = q.ndim == k.ndim == v.ndim == 3 and k.shape[:2] == v.shape[:2]
    require(
        fits and len(q) == len(k),
        f"shapes do not fit: query {q.shape}, key {k.shape}, value {v.shape}; they "
        "should be (N, L, E), (N, S, Ek) and (N, S, Ev)",
    )
    biases = [None] * 3
    if bias is not None:
        biases = as_float(bias, "in_proj_bias", ndim=1)
        width = [len(w) for w in weights]
        require(
            width == [len(biases) / 3] * 3,
            f"in_proj_bias has {len(biases)} numbers but the projections have {width} "
            "outputs; pass those of queries, keys and values one after the other",
        )
        biases = np.split(biases, 3)
    return [linear(*each) for each in zip(inputs, weights, biases, strict=True)]


def multi_head_attention_backward(
    dy,
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
    """Gradients of `multi_head_attention`: the same steps in reverse.

    Parameters
    ----------
    dy : array_like (N, L, E)
    query, key, value, q_proj_weight, k_proj_weight, v_proj_weight, out_proj_weight
        As given to `multi_head_attention`.
    in_proj_bias, out_proj_bias, num_heads, attn_mask
        As given to `multi_head_attention`.

    Returns
    -------
    dquery, dkey, dvalue : ndarray (N, L, E), (N, S, Ek), (N, S, Ev)
    dq_proj_weight, dk_proj_weight, dv_proj_weight : ndarray (E, E), (E, Ek), (E, Ev)
    dout_proj_weight : ndarray (E, E)
    din_proj_bias, dout_proj_bias : ndarray (3 * E,), (E,), or None if there is none
    None
        In the place of `num_heads`.
    dattn_mask : ndarray of the shape of `attn_mask`, or None if that is not floats

    >>> x, one = np.ones((1, 1, 1)), np.ones((1, 1))
    >>> multi_head_attention_backward(x, x, x, x, one, one, one, one)[6]
    array([[1.]])
    """
    inputs = query, key, value
    weights = q_proj_weight, k_proj_weight, v_proj_weight
    q, k, v = (
        split_heads(x, num_heads) for x in projected(inputs, weights, in_proj_bias)
    )
    heads = merge_heads(scaled_dot_product_attention(q, k, v, attn_mask))
    d, dout, dout_bias = linear_backward(dy, heads, out_proj_weight, out_proj_bias)
    *dheads, dmask = scaled_dot_product_attention_backward(
        split_heads(d, num_heads), q, k, v, attn_mask
    )
    dqkv = [merge_heads(each) for each in dheads]
    back = [linear_backward(*each) for each in zip(dqkv, inputs, weights, strict=True)]
    dinputs, dweights, _ = zip(*back, strict=True)
    dbias = None
    if in_proj_bias is not None:
        dbias = np.concatenate([each.sum(axis=(0, 1)) for each in dqkv])
    return *dinputs, *dweights, dout, dbias, dout_bias, None, dmask
