r"""Scaled dot-product attention by tiles of scores that fit into the cache.

It computes what `scratch.scaled_dot_product_attention` does, faster, and if asked
without ever holding all scores. A forward pass leaves ready what its backward needs.
"""

import numpy as np

from dlbook_lib.applications.translation_and_attention.scratch import attention_inputs
from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    check_same_shape,
    require,
)


def tiles(groups, length, source, budget=2**18):
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


def rooms_for(plan, source, is_causal, keep, dtype=float):
    """Memory for the scores of each tile: a piece of its own, or the same for all.

    Parameters
    ----------
    plan : list of (slice, slice)
        As `tiles` gives it.
    source : int
        S, the number of keys.
    is_causal : bool
        Whether no query of a tile sees a key after the last of them.
    keep : bool
        Whether each tile has memory of its own.
    dtype : dtype

    Returns
    -------
    list of ndarray (g, S, l)
        With fewer than S keys where `is_causal` allows it.

    >>> plan = tiles(1, 4, 4, budget=8)
    >>> [room.shape for room in rooms_for(plan, 4, True, True)]
    [(1, 2, 2), (1, 4, 2)]
    """
    check_positive(source, "source", integer=True, zero=True)
    for name, flag in ("is_causal", is_causal), ("keep", keep):
        check_in(flag, name, (True, False))
    shapes = [
        (
            i.stop - i.start,
            min(j.stop, source) if is_causal else source,
            j.stop - j.start,
        )
        for i, j in plan
    ]
    sizes = [int(np.prod(shape)) for shape in shapes]
    space = np.empty(sum(sizes) if keep else max(sizes, default=0), dtype)
    starts = np.cumsum([0, *sizes]) if keep else [0] * len(plan)
    return [
        space[at : at + n].reshape(shape)
        for at, n, shape in zip(starts, sizes, shapes, strict=False)
    ]


def exponentials(query, key, first=0, is_causal=False, bounded=False, out=None):
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
    out : ndarray (g, S, l), optional
        Where to write.

    Returns
    -------
    ndarray (g, S, l)

    >>> exponentials(np.zeros((1, 2, 1)), np.ones((1, 2, 1)), is_causal=True)
    array([[[1., 1.],
            [0., 1.]]])
    """
    query = as_float(query, "query", ndim=3, empty=True)
    key = as_float(key, "key", ndim=3, empty=True)
    fits = query.shape[::2] == key.shape[::2]
    check_positive(first, "first", integer=True, zero=True)
    for name, flag in ("is_causal", is_causal), ("bounded", bounded):
        check_in(flag, name, (True, False))
    sentence = f"query {query.shape} and key {key.shape} do not fit"
    require(fits, f"{sentence}; they should be (g, l, E) and (g, S, E)")
    scores = np.matmul(key, query.swapaxes(1, 2), out=out)
    if is_causal:
        keys, queries = map(np.arange, scores.shape[1:])
        np.copyto(scores, -np.inf, where=np.greater.outer(keys, queries + first))
    if not bounded:
        scores -= scores.max(axis=1, keepdims=True, initial=-np.inf)
    return np.exp(scores, out=scores)


def attention_keys_by_queries(
    query, key, value, is_causal=False, scale=None, keep=None
):
    r"""The same as `scaled_dot_product_attention`, in passes that stay in the cache.

    Four things make it fast. Scores are kept as keys × queries, a tile at a time. A
    column of ones beside the values lets the product that adds up the values add up the
    weights too, :math:`[\sum_ie^{s_i}v_i,\ \sum_ie^{s_i}]`, so that L × Ev numbers
    are divided instead of L × S. A column beside dy does the same for the gradient. And
    since :math:`|s|\le\lVert q\rVert\lVert k\rVert`, most often no exponential can
    overflow, and the largest score need not be found.

    Parameters
    ----------
    query : array_like (..., L, E)
    key : array_like (..., S, E)
    value : array_like (..., S, Ev)
    is_causal, scale
        As in `scaled_dot_product_attention`.
    keep : bool, optional
        Whether exponentials stay for the gradient, S numbers for each query; else they
        are computed again, and memory grows as L + S. Unless given they stay if they
        take no more than 16 MB.

    Returns
    -------
    y : ndarray (..., L, Ev)
    pull : callable
        ``pull(dy)`` gives the gradients (..., L, E), (..., S, E) and (..., S, Ev), of
        which `second_derivatives` makes an operation on Tensors.

    Source: Dao et al. (2022), section 3.1, for tiles and for computing again.

    >>> x = np.eye(2)[None]
    >>> attention_keys_by_queries(x, x, x, scale=0.0)[0]
    array([[[0.5, 0.5],
            [0.5, 0.5]]])
    """
    check_in(is_causal, "is_causal", (True, False))
    check_in(keep, "keep", (True, False, None))
    q, k, v, _, scale = attention_inputs(query, key, value, None, False, scale)
    batch, dtype = q.shape[:-2], np.result_type(q, k, v)
    groups = int(np.prod(batch))
    q, k, v = (x.reshape(groups, *x.shape[-2:]) for x in (q, k, v))
    q, v = q * dtype.type(scale), with_column(v, np.ones(v.shape[:2], dtype))
    longest = (np.einsum("gtd,gtd->gt", x, x).max(initial=0) for x in (q, k))
    bounded = bool(np.sqrt(np.prod([*map(float, longest)])) < 40)  # e^40 is 2e17
    if keep is None:
        keep = groups * q.shape[1] * k.shape[1] * dtype.itemsize <= 2**24
    plan = tiles(groups, q.shape[1], k.shape[1])
    rooms = rooms_for(plan, k.shape[1], is_causal, keep, dtype)
    y, total = means_by_tiles(q, k, v, is_causal, bounded, plan, rooms)
    saved = q, k, v, y, total, scale, is_causal, bounded, plan, rooms, keep

    def pull(dy):
        dy, shape = as_float(dy, "dy", empty=True), (*batch, *y.shape[1:])
        require(
            dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}"
        )
        grads = attention_keys_by_queries_backward(dy.reshape(y.shape), *saved)
        return tuple(g.reshape(*batch, *g.shape[1:]) for g in grads)

    return y.reshape(*batch, *y.shape[1:]), pull


def means_by_tiles(query, key, value, is_causal, bounded, plan, rooms):
    r"""The forward half of `attention_keys_by_queries`, a tile of scores at a time.

    Parameters
    ----------
    query : ndarray (G, L, E)
        Scaled.
    key : ndarray (G, S, E)
    value : ndarray (G, S, Ev + 1)
        With a column of ones.
    is_causal, bounded
        As in `exponentials`.
    plan : list of (slice, slice)
        As `tiles` gives it.
    rooms : list of ndarray (g, S, l)
        As `rooms_for` gives it; the exponentials are left there.

    Returns
    -------
    output : ndarray (G, L, Ev)
    total : ndarray (G, L, 1)
        The sum of the weights of each query, 1 for none.

    >>> x, plan = np.ones((1, 2, 1)), tiles(1, 2, 2)
    >>> v = with_column(x, x[..., 0])
    >>> means_by_tiles(0 * x, x, v, False, True, plan, rooms_for(plan, 2, False, True))
    (array([[[1.],
            [1.]]]), array([[[2.],
            [2.]]]))
    """
    sums = np.empty((*query.shape[:2], value.shape[2]), value.dtype)
    for (i, j), room in zip(plan, rooms, strict=True):
        seen = slice(room.shape[1])
        p = exponentials(query[i, j], key[i, seen], j.start, is_causal, bounded, room)
        np.matmul(p.swapaxes(1, 2), value[i, seen], out=sums[i, j])
    total = np.where(sums[..., -1:] == 0, 1, sums[..., -1:])
    return sums[..., :-1] / total, total


def with_column(x, column):
    """Matrices (g, n, d) with a further column (g, n), as (g, n, d + 1).

    >>> with_column(np.zeros((1, 2, 1)), np.ones((1, 2)))
    array([[[0., 1.],
            [0., 1.]]])
    """
    x, column = as_float(x, "x", empty=True), as_float(column, "column", empty=True)
    wide = np.empty((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
    check_same_shape(column=column, one_of_x=wide[..., 0])
    wide[..., :-1], wide[..., -1] = x, column
    return wide


def attention_keys_by_queries_backward(
    dy, query, key, value, output, total, scale, is_causal, bounded, plan, rooms, keep
):
    r"""Gradients of `attention_keys_by_queries`, from what it has left ready.

    With :math:`p=e^s`, :math:`z=\sum p` and :math:`\delta=\mathrm dy/z` they are
    :math:`\mathrm dv=p\,\delta` and
    :math:`\mathrm ds=p\,(v\cdot\delta-y\cdot\delta)`.

    Parameters
    ----------
    dy, output : ndarray (G, L, Ev)
    query : ndarray (G, L, E)
        Scaled.
    key : ndarray (G, S, E)
    value : ndarray (G, S, Ev + 1)
        With the column of ones.
    total : ndarray (G, L, 1)
    scale, is_causal, bounded, plan, rooms, keep
        As `attention_keys_by_queries` has them.

    Returns
    -------
    dquery, dkey, dvalue : ndarray (G, L, E), (G, S, E), (G, S, Ev)
    """
    delta = dy / total
    delta = with_column(delta, -np.einsum("gtd,gtd->gt", delta, output))
    dquery, dkey = np.empty_like(query), np.zeros_like(key)
    dvalue = np.zeros_like(value)
    spare = rooms_for(plan, key.shape[1], is_causal, False, value.dtype)
    for (i, j), p, dscores in zip(plan, rooms, spare, strict=True):
        seen = slice(p.shape[1])
        if not keep:
            exponentials(query[i, j], key[i, seen], j.start, is_causal, bounded, p)
        dvalue[i, seen] += p @ delta[i, j]
        np.matmul(value[i, seen], delta[i, j].swapaxes(1, 2), out=dscores)
        dscores *= p
        dkey[i, seen] += dscores @ query[i, j]
        np.matmul(dscores.swapaxes(1, 2), key[i, seen], out=dquery[i, j])
    return dquery * query.dtype.type(scale), dkey, dvalue[..., :-1]
