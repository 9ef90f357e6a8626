r"""Scaled dot-product attention by tiles of scores that fit into the cache.

It computes what `scratch.scaled_dot_product_attention` does, faster, and never holds
all scores. A forward pass leaves ready what its backward needs.
"""

import math

import numpy as np

from dlbook_lib.applications.translation_and_attention.scratch import attention_inputs
from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    require,
)


def tiles(groups, length, source, budget=2**17):
    """Slices of groups and of queries whose scores fit into the cache.

    Parameters
    ----------
    groups, length, source : int
        How many pairs of matrices there are, queries L in each, and keys S.
    budget : int
        How many scores a tile may hold (at least one query's).

    Returns
    -------
    list of (slice, slice)
        Every pair of a group and a query is in one tile; one of shape (g, l) has
        g · S · l scores.

    >>> [(i.stop, j.start, j.stop) for i, j in tiles(1, 512, 512, budget=2**17)]
    [(1, 0, 256), (1, 256, 512)]
    """
    for name, n in ("groups", groups), ("length", length), ("source", source):
        check_positive(n, name, integer=True, zero=True)
    check_positive(budget, "budget", integer=True)
    rows = max(1, min(length, budget // max(1, source)))
    several = max(1, budget // max(1, source * rows))
    return [
        (slice(g, min(g + several, groups)), slice(t, min(t + rows, length)))
        for g in range(0, groups, several)
        for t in range(0, length, rows)
    ]


def _exponentials(query, key, first=0, is_causal=False, bounded=False):
    r"""What a softmax divides, :math:`e^{s}`, kept as keys × queries.

    To find the largest score of a query, or their sum, NumPy then adds whole rows to
    each other; along the last axis it would go through each row by itself.

    Parameters
    ----------
    query : array_like (g, l, E)
        Already scaled.
    key : array_like (g, S, E)
    first : int
        The place of the first of these queries among all.
    is_causal : bool
        Whether a query at place t sees the keys 0, …, t only.
    bounded : bool
        Whether no score can be so large that its exponential overflows; else each
        query's largest is subtracted first.

    Returns
    -------
    ndarray (g, S, l)

    >>> _exponentials(np.zeros((1, 2, 1)), np.ones((1, 2, 1)), is_causal=True)
    array([[[1., 1.],
            [0., 1.]]])
    """
    scores = key @ query.swapaxes(1, 2)
    if is_causal:
        keys, queries = map(np.arange, scores.shape[1:])
        np.copyto(scores, -np.inf, where=np.greater.outer(keys, queries + first))
    if not bounded:
        top = scores.max(axis=1, keepdims=True, initial=-np.inf)
        scores -= np.where(np.isfinite(top), top, 0)
    return np.exp(scores, out=scores)


def _within_range(query, key, value, scale):
    r"""Whether exponentials of scores, and values times them, stay within precision.

    It is by :math:`|s|\le|\mathrm{scale}|\,\lVert q\rVert\,\lVert k\rVert` that no
    score need be known. Half of the powers that the precision has stay free for
    gradients.

    Parameters
    ----------
    query, key, value : ndarray (G, L, E), (G, S, E), (G, S, Ev)
    scale : float

    Returns
    -------
    bool

    >>> x = np.ones((1, 2, 4), "float32")
    >>> _within_range(x, x, x, 10.0), _within_range(x, x, x, 11.0)
    (True, False)
    """
    q, k, v = (
        math.sqrt(np.einsum("gtd,gtd->gt", x, x).real.max(initial=0))
        for x in (query, key, value)
    )
    kind = np.finfo(value.dtype)
    values = abs(np.log(max(v, kind.tiny))) + np.log(max(1, key.shape[1]))
    return bool(float(abs(scale)) * q * k + values < np.log(kind.max) / 2)


def attention_keys_by_queries(query, key, value, is_causal=False, scale=None):
    r"""The same as `scaled_dot_product_attention`, in passes that stay in the cache.

    Four things make it fast. Scores are kept as keys × queries, a tile at a time. The
    sum of a query's weights is a product with ones, and divides the sum of the values,
    L × Ev numbers instead of L × S. A column of ones beside the values lets a product
    subtract for the gradient what softmax subtracts. And since
    :math:`|s|\le\lVert q\rVert\lVert k\rVert`, most often no exponential can
    overflow, and the largest score need not be found.

    The gradient computes the exponentials again, so that memory grows as L + S instead
    of L × S.

    Parameters
    ----------
    query : array_like (..., L, E)
    key : array_like (..., S, E)
    value : array_like (..., S, Ev)
    is_causal, scale
        As in `scaled_dot_product_attention`.

    Returns
    -------
    y : ndarray (..., L, Ev)
    pull : callable
        ``pull(dy)`` gives the gradients (..., L, E), (..., S, E) and (..., S, Ev), of
        which `second_derivatives` makes an operation on Tensors. It looks at what was
        given and at `y` again, so change none of them before.

    Source: Dao et al. (2022), section 3.1, for tiles and for computing again.

    >>> x = np.eye(2)[None]
    >>> attention_keys_by_queries(x, x, x, scale=0.0)[0]
    array([[[0.5, 0.5],
            [0.5, 0.5]]])
    """
    check_in(is_causal, "is_causal", (True, False))
    q, k, v, _, scale = attention_inputs(query, key, value, None, False, scale)
    batch, dtype = q.shape[:-2], np.result_type(q, k, v)
    q, k, v = (
        x.astype(dtype, copy=False).reshape(math.prod(batch), *x.shape[-2:])
        for x in (q, k, v)
    )
    scale, plan = dtype.type(scale), tiles(*q.shape[:2], k.shape[1])
    how = scale, is_causal, _within_range(q, k, v, scale), plan
    y, total = means_by_tiles(q, k, v, *how)

    def pull(dy):
        dy, shape = as_float(dy, "dy", empty=True), (*batch, *y.shape[1:])
        require(
            dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}"
        )
        saved = q, k, v, y, total, *how
        grads = attention_keys_by_queries_backward(dy.reshape(y.shape), *saved)
        return tuple(g.reshape(*batch, *g.shape[1:]) for g in grads)

    return y.reshape(*batch, *y.shape[1:]), pull


def means_by_tiles(query, key, value, scale, is_causal, bounded, plan):
    r"""The forward half of `attention_keys_by_queries`, a tile of scores at a time.

    Parameters
    ----------
    query : ndarray (G, L, E)
    key : ndarray (G, S, E)
    value : ndarray (G, S, Ev)
    scale : float
        What scores are multiplied by.
    is_causal, bounded
        As in `_exponentials`.
    plan : list of (slice, slice)
        As `tiles` gives it.

    Returns
    -------
    output : ndarray (G, L, Ev)
    total : ndarray (G, L, 1)
        The sum of the weights of each query, 1 where they are all 0.

    >>> x = np.ones((1, 2, 1))
    >>> means_by_tiles(x, x, x, 0.0, False, True, tiles(1, 2, 2))
    (array([[[1.],
            [1.]]]), array([[[2.],
            [2.]]]))
    """
    output = np.empty((*query.shape[:2], value.shape[2]), value.dtype)
    total = np.empty((*query.shape[:2], 1), value.dtype)
    for i, j in plan:
        seen = slice(j.stop if is_causal else None)
        q, k = query[i, j] * scale, key[i, seen]
        p = _exponentials(q, k, j.start, is_causal, bounded)
        np.matmul(p.swapaxes(1, 2), value[i, seen], out=output[i, j])
        z = (np.ones((1, p.shape[1]), p.dtype) @ p)[:, 0]
        total[i, j, 0] = np.where(z == 0, 1, z)  # 0 if no score is above −∞
        output[i, j] /= total[i, j]
        del p  # the next tile takes its memory, which is in the cache
    return output, total


def _with_column(x, column):
    """Matrices (g, n, d) with a further column (g, n), as (g, n, d + 1).

    >>> _with_column(np.zeros((1, 2, 1)), np.ones((1, 2)))
    array([[[0., 1.],
            [0., 1.]]])
    """
    wide = np.empty((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
    wide[..., :-1], wide[..., -1] = x, column
    return wide


def attention_keys_by_queries_backward(
    dy, query, key, value, output, total, scale, is_causal, bounded, plan
):
    r"""Gradients of `attention_keys_by_queries`, from what it has left ready.

    With :math:`p=e^s`, :math:`z=\sum p` and :math:`\delta=\mathrm dy/z` they are
    :math:`\mathrm dv=p\,\delta` and
    :math:`\mathrm ds=p\,(v\cdot\delta-y\cdot\delta)`.

    Parameters
    ----------
    dy, output : ndarray (G, L, Ev)
    query : ndarray (G, L, E)
    key : ndarray (G, S, E)
    value : ndarray (G, S, Ev)
    total : ndarray (G, L, 1)
    scale, is_causal, bounded, plan
        As in `means_by_tiles`.

    Returns
    -------
    dquery, dkey, dvalue : ndarray (G, L, E), (G, S, E), (G, S, Ev)
    """
    dquery, dkey, dvalue = map(np.zeros_like, (query, key, value))
    for i, j in plan:
        seen = slice(j.stop if is_causal else None)
        q, values = query[i, j] * scale, _with_column(value[i, seen], 1)
        p = _exponentials(q, key[i, seen], j.start, is_causal, bounded)
        delta = dy[i, j] / total[i, j]
        dvalue[i, seen] += p @ delta
        share = np.einsum("gtd,gtd->gt", delta, output[i, j])
        dscores = values @ _with_column(delta, -share).swapaxes(1, 2)
        dscores *= p
        dkey[i, seen] += dscores @ q
        np.matmul(dscores.swapaxes(1, 2), key[i, seen], out=dquery[i, j])
        del p, dscores  # the next tile takes their memory, which is in the cache
    dquery *= scale
    return dquery, dkey, dvalue
