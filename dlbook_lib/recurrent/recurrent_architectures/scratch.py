r"""Vectors for trees in NumPy, and how to find what a decoder likes best.

A *step* of a decoder is a function ``log_probs, state = step(token, state)``: it reads
a symbol and says how likely each of V symbols is to come next. Search needs nothing
else of a model. Sequences are (T, N, ...): time first, then the batch.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import raw

# ------------------------------------------------------------------------------- search


def check_search(start, stop, max_length):
    """Refuse symbols and lengths that no search can do with.

    Parameters
    ----------
    start, stop : int
        Symbols, from 0 on; they are numbers without a shape.
    max_length : int

    >>> check_search(0, -1, 5)
    Traceback (most recent call last):
    ValueError: check_search: stop must be a whole number above 0 or 0, not -1
    """
    check_positive(start, "start", integer=True, zero=True)
    check_positive(stop, "stop", integer=True, zero=True)
    check_positive(max_length, "max_length", integer=True)


def as_log_probs(log_probs, stop):
    """Hand back what a step said as an array (V,); refuse what is none.

    >>> as_log_probs([-0.5, -1.0], stop=2)
    Traceback (most recent call last):
    ValueError: as_log_probs: the step speaks of 2 symbols, so stop cannot be 2
    """
    log_probs = as_float(raw(log_probs), "log_probs", ndim=1)
    sentence = f"the step speaks of {len(log_probs)} symbols, so stop cannot be {stop}"
    require(stop < len(log_probs), sentence)
    best = log_probs.max()
    sentence = f"log_probs holds {best:.4g}; a logarithm of a probability is at most 0"
    require(-np.inf < best < 1e-6, f"{sentence}, and for some symbol above -inf")
    return log_probs


def greedy_decode(step, state, start, stop, max_length=50):
    """Take the likeliest symbol again and again, until it is the one that ends.

    Parameters
    ----------
    step : callable
        ``log_probs, state = step(token, state)``, with log_probs (V,), in nats.
    state : any
        Where the decoder begins, such as what an encoder has read.
    start, stop : int
        What it is fed first, and what ends a sequence.
    max_length : int
        After so many symbols it is cut off.

    Returns
    -------
    tokens : list of int
        Without `start`; the last one is `stop` unless it was cut off.
    log_prob : float
        Of the whole sequence, in nats.

    >>> step = lambda token, state: (np.log([0.1, 0.6, 0.3]), state)
    >>> greedy_decode(step, None, start=0, stop=2, max_length=3)[0]
    [1, 1, 1]
    """
    check_search(start, stop, max_length)
    tokens, total, token = [], 0.0, start
    while not tokens or (token != stop and len(tokens) < max_length):
        log_probs, state = step(token, state)
        log_probs = as_log_probs(log_probs, stop)
        token = int(log_probs.argmax())
        tokens.append(token)
        total += float(log_probs[token])
    return tokens, total


def normalized(log_prob, length, alpha=0.0):
    r"""A score that does not prefer short sequences, :math:`\log p\,/\,n^\alpha`.

    Parameters
    ----------
    log_prob : float or array_like (...)
    length : int or array_like (...)
        n, how many symbols there are, the stop included.
    alpha : float
        0: the logarithm as it is, which falls with each symbol. 1: that of one symbol
        on average. Where conventions differ: Wu et al. (2016, section 7) divide by
        :math:`((5+n)/6)^\alpha`.

    Returns
    -------
    float or ndarray (...)

    >>> normalized(-6.0, 3, alpha=1.0)
    np.float64(-2.0)
    """
    check_number(alpha, "alpha", 0)
    log_prob = as_float(log_prob, "log_prob", empty=True)
    length = np.asarray(length, log_prob.dtype)
    require(np.all(length > 0), f"length must be above 0, not {length}")
    if length.ndim:
        check_same_shape(log_prob=log_prob, length=length)
    return log_prob / length ** float(alpha)


def beam_search(step, state, start, stop, beam_size=5, max_length=50, alpha=0.0):
    r"""Keep the best few beginnings instead of one.

    After each step there are `beam_size` hypotheses, those of highest
    :math:`\log p` among all continuations; one that ends in `stop` is put aside, and
    its place goes with it. With one place it is `greedy_decode`, with
    :math:`V^{\text{max\_length}}` of them it finds the best of all sequences.

    Parameters
    ----------
    step, state, start, stop, max_length
        As in `greedy_decode`; log_probs are (V,).
    beam_size : int
    alpha : float
        As in `normalized`; it ranks what is found.

    Returns
    -------
    list of (list of int, float)
        Sequences, the best first, and their scores: as many as `beam_size`, or all
        there are. Equal scores are ordered by the symbols.

    Source: Sutskever et al. (2014), section 3.2.

    >>> table = np.log([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.01, 0.01, 0.98]])
    >>> step = lambda token, state: (table[token], state)
    >>> beam_search(step, None, start=0, stop=2, beam_size=2)[0][0]
    [2]
    """
    check_search(start, stop, max_length)
    check_positive(beam_size, "beam_size", integer=True)
    alive, found = [(0.0, [], state)], []
    for _ in range(max_length):
        grown = []
        for total, tokens, state in alive:
            log_probs, after = step(tokens[-1] if tokens else start, state)
            for token, log_prob in enumerate(as_log_probs(log_probs, stop).tolist()):
                grown.append((total + log_prob, [*tokens, token], after))
        grown.sort(key=lambda each: (-each[0], each[1]))
        places = beam_size - len(found)
        best = [each for each in grown[:places] if each[0] > -np.inf]
        found += [each for each in best if each[1][-1] == stop]
        alive = [each for each in best if each[1][-1] != stop]
        if not alive:
            break
    scored = [(t, float(normalized(p, len(t), alpha))) for p, t, _ in found + alive]
    return sorted(scored, key=lambda each: (-each[1], each[0]))


# -------------------------------------------------------------------------------- trees


def chain_tree(n):
    """The tree that reads from left to right, ((0, 1), 2) and so on.

    Parameters
    ----------
    n : int
        How many leaves there are.

    Returns
    -------
    int or tuple
        A leaf is its number, a node the pair (left, right): no array, so without shape.

    >>> chain_tree(4)
    (((0, 1), 2), 3)
    """
    check_positive(n, "n", integer=True)
    tree = 0
    for leaf in range(1, n):
        tree = tree, leaf
    return tree


def balanced_tree(n, first=0):
    """The tree whose halves differ by one leaf at most.

    Parameters
    ----------
    n : int
    first : int
        The number of its first leaf.

    Returns
    -------
    int or tuple
        As `chain_tree`, without shape.

    >>> balanced_tree(4)
    ((0, 1), (2, 3))
    """
    check_positive(n, "n", integer=True)
    check_positive(first, "first", integer=True, zero=True)
    if n == 1:
        return first
    half = n // 2
    return balanced_tree(half, first), balanced_tree(n - half, first + half)


def merges(tree):
    """A tree as a list of steps, each of which merges two nodes into a new one.

    Parameters
    ----------
    tree : int or tuple
        Of n leaves 0, …, n − 1, each of them once, in any order.

    Returns
    -------
    ndarray of int (n - 1, 2)
        Row i makes node n + i of two nodes that were there before.

    >>> merges(((0, 1), (2, 3))).tolist()
    [[0, 1], [2, 3], [4, 5]]
    """
    order, todo = [], [tree]
    while todo:  # parents before children; no recursion, a chain may be long
        node = todo.pop()
        order.append(node)
        if isinstance(node, tuple):
            require(len(node) == 2, f"a node must be a pair, not {len(node)} things")
            todo += node
    leaves = [node for node in order if not isinstance(node, tuple)]
    kinds = int, np.integer
    numbers = all(isinstance(x, kinds) and not isinstance(x, bool) for x in leaves)
    require(numbers, f"leaves must be whole numbers, not {leaves[:9]}", TypeError)
    each_once = sorted(leaves) == list(range(len(leaves)))
    require(each_once, f"leaves must be 0 to {len(leaves) - 1}, each of them once")
    rows, ids = [], []
    for node in reversed(order):  # children before parents, the right one on top
        if isinstance(node, tuple):
            rows.append([ids.pop(), ids.pop()][::-1])
            ids.append(len(leaves) + len(rows) - 1)
        else:
            ids.append(node)
    return np.array(rows, int).reshape(-1, 2)


def tree_depth(tree):
    r"""How many merges lie between the root and its deepest leaf.

    Parameters
    ----------
    tree : int or tuple
        As in `merges`, whose shape is (n - 1, 2).

    Returns
    -------
    int
        :math:`\lceil\log_2n\rceil` for a balanced tree of n leaves, n − 1 for a chain.

    >>> tree_depth(chain_tree(1000)), tree_depth(balanced_tree(1000))
    (999, 10)
    """
    rows = merges(tree)
    depth = [0] * (len(rows) + 1)
    for left, right in rows:
        depth.append(1 + max(depth[left], depth[right]))
    return depth[-1]


def recursive_states(leaves, tree, weight, bias):
    r"""Vectors for all nodes of a tree, by one rule :math:`\tanh(W[\mathbf h_l,\mathbf
    h_r]+\mathbf b)`.

    Parameters
    ----------
    leaves : array_like (n, H)
    tree : int or tuple
        As in `merges`, with n leaves.
    weight : array_like (H, 2 * H)
    bias : array_like (H,)

    Returns
    -------
    ndarray (2 * n - 1, H)
        First the leaves, then the nodes as `merges` makes them; the last is the root.

    Source: Pollack (1990); Socher et al. (2011), section 3.

    >>> recursive_states([[1.0], [2.0]], (0, 1), [[0.1, 0.2]], [0.0])[-1].round(3)
    array([0.462])
    """
    leaves = as_float(leaves, "leaves", ndim=2)
    weight, bias = as_float(weight, "weight", ndim=2), as_float(bias, "bias", ndim=1)
    n, size = leaves.shape
    require(
        weight.shape == (size, 2 * size) and bias.shape == (size,),
        f"shapes do not fit: leaves {leaves.shape}, weight {weight.shape}, bias "
        f"{bias.shape}; they should be (n, H), (H, 2 H) and (H,)",
    )
    rows = merges(tree)
    require(
        len(rows) == n - 1, f"the tree has {len(rows) + 1} leaves, but {n} are given"
    )
    states = np.empty((2 * n - 1, size), np.result_type(leaves, weight, bias))
    states[:n] = leaves
    for node, pair in enumerate(rows, n):
        states[node] = np.tanh(weight @ states[pair].reshape(-1) + bias)
    return states


def recursive_states_backward(dy, leaves, tree, weight, bias):
    """Gradients of `recursive_states`: back-propagation through structure.

    Parameters
    ----------
    dy : array_like (2 * n - 1, H)
        With respect to every node; 0 but for the last row, if the root alone counts.
    leaves, tree, weight, bias
        As given to `recursive_states`.

    Returns
    -------
    dleaves : ndarray (n, H)
    None
        In the place of the tree.
    dweight, dbias : ndarray (H, 2 * H), (H,)

    Source: Goller and Küchler (1996).

    >>> dy, one = np.array([[0.0], [0.0], [1.0]]), np.ones((2, 1))
    >>> recursive_states_backward(dy, 0 * one, (0, 1), [[2.0, 3.0]], [0.0])[0]
    array([[2.],
           [3.]])
    """
    states, dy = recursive_states(leaves, tree, weight, bias), as_float(dy, "dy")
    check_same_shape(dy=dy, states=states)
    weight, rows, n = np.asarray(weight), merges(tree), len(leaves)
    dstates = dy.astype(states.dtype)
    dweight, dbias = np.zeros_like(weight), np.zeros_like(weight[:, 0])
    for node in reversed(range(n, len(states))):  # each node after its parent
        pair = rows[node - n]
        ds = dstates[node] * (1 - states[node] ** 2)
        dweight += np.outer(ds, states[pair].reshape(-1))
        dbias += ds
        dstates[pair] += (ds @ weight).reshape(2, -1)
    return dstates[:n], None, dweight, dbias


# -------------------------------------------------------------- one sequence to another


def with_stop(target, start, stop, lengths=None):
    """What a decoder reads and what it is to say, when it is told the truth so far.

    Parameters
    ----------
    target : array_like of int (T, N)
    start, stop : int
        Symbols.
    lengths : array_like of int (N,), optional
        How much of each column counts; all of it unless given.

    Returns
    -------
    input : ndarray of int (T + 1, N)
        `start`, then the target.
    output : ndarray of int (T + 1, N)
        The target, then `stop`, also in what comes after its end.
    lengths : ndarray of int (N,)
        One more each, since the stop has to be learned.

    >>> given, wanted, lengths = with_stop([[3], [4]], start=0, stop=1)
    >>> given.T.tolist(), wanted.T.tolist(), lengths.tolist()
    ([[0, 3, 4]], [[3, 4, 1]], [3])
    """
    target = as_labels(target, "target", empty=True)
    require(target.ndim == 2, f"target must be (T, N), not of shape {target.shape}")
    check_search(start, stop, 1)
    steps, count = target.shape
    lengths = (
        np.full(count, steps)
        if lengths is None
        else as_labels(lengths, "lengths", empty=count == 0)
    )
    require(
        lengths.shape == (count,) and (lengths <= steps).all(),
        f"lengths must be {count} numbers from 0 to {steps}, not {lengths.tolist()}",
    )
    ended = np.arange(steps)[:, None] >= lengths  # (T, N)
    known = np.where(ended, stop, target)
    first, last = np.full((1, count), start), np.full((1, count), stop)
    return np.vstack([first, known]), np.vstack([known, last]), lengths + 1
