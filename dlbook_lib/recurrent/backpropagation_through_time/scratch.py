r"""Back-propagation through time in NumPy: by hand, fast, truncated; and letters.

Unrolled, a recurrent network is a deep one whose layers share their weights: layer t
has the loss :math:`L^{(t)}` and hands a state on. So the gradient of a state has two
parts, its own loss's and what comes back from the next step, and the gradient of a
weight is the sum over the steps that used it.

Where forms differ: the loss of a sequence compares outputs with *targets*,
:math:`L=\sum_tL^{(t)}(\mathbf x^{(1)},\dots,\mathbf x^{(t)};\mathbf y^{(t)})`, not with
other outputs. And that a recurrent network cannot be parallelised holds for time alone:
examples, units and, a step behind each other, layers do run side by side.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    as_share,
    check_in,
    check_number,
    check_positive,
    check_reduction,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, no_grad, raw
from dlbook_lib.feedforward.output_units.scratch import (
    cross_entropy,
    cross_entropy_backward,
    softmax,
)
from dlbook_lib.recurrent.backpropagation_through_time.kernels import (
    before,
    check_kernel,
    steps,
)
from dlbook_lib.recurrent.unfolding.packing import as_lengths, packed_places
from dlbook_lib.recurrent.unfolding.scratch import rnn_cell, state_slope

# ------------------------------------------------------------------ one layer, by hand


def rnn(
    input,
    hx,
    w_ih,
    w_hh,
    b_ih=None,
    b_hh=None,
    nonlinearity="tanh",
    batch_first=False,
):
    r"""The states of one layer: :math:`\mathbf h^{(t)}=\tanh\mathbf a^{(t)}`, where

    .. math:: \mathbf a^{(t)}=\mathbf b+W\mathbf h^{(t-1)}+U\mathbf x^{(t)}

    Parameters
    ----------
    input : array_like (T, N, D), or (N, T, D) with `batch_first`
    hx : array_like (N, H)
        :math:`\mathbf h^{(0)}`, the state before the first step.
    w_ih, w_hh : array_like (H, D), (H, H)
        U and W.
    b_ih, b_hh : array_like (H,), optional
        Two parts of :math:`\mathbf b`, as in torch.
    nonlinearity : {"tanh", "relu"}
    batch_first : bool

    Returns
    -------
    ndarray (T, N, H), or (N, T, H) with `batch_first`
        The last one is the state to go on from.

    >>> rnn(np.ones((3, 1, 1)), np.zeros((1, 1)), [[1.0]], [[2.0]], nonlinearity="relu")
    array([[[1.]],
    <BLANKLINE>
           [[3.]],
    <BLANKLINE>
           [[7.]]])
    """
    check_in(batch_first, "batch_first", (True, False))
    input = as_float(input, "input", ndim=3, empty=True)
    input = input.swapaxes(0, 1) if batch_first else input  # (T, N, D)
    require(len(input), f"input {input.shape} has no steps; pass at least one")
    as_float(hx, "hx", ndim=2, empty=True)
    states = []
    for x in input:
        hx = rnn_cell(x, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
        states.append(hx)
    return np.stack(states, axis=1 if batch_first else 0)


def score_gradients(dy, output, w_hh, nonlinearity="tanh"):
    r"""Back through time: the gradient of every score, from the last to the first.

    .. math:: \nabla_{\mathbf h^{(t)}}L
              =W^{\mathsf T}\nabla_{\mathbf a^{(t+1)}}L+\nabla_{\mathbf h^{(t)}}L^{(t)},
              \qquad\nabla_{\mathbf a^{(t)}}L
              =\mathrm{diag}(1-\mathbf h^{(t)2})\nabla_{\mathbf h^{(t)}}L

    Parameters
    ----------
    dy : array_like (T, N, H)
        :math:`\nabla_{\mathbf h^{(t)}}L^{(t)}`, of each step's own loss alone;
        :math:`V^{\mathsf T}\nabla_{\mathbf o^{(t)}}L` with an output layer V.
    output : array_like (T, N, H)
        The states, as `rnn` gives them.
    w_hh : array_like (H, H)
        W.
    nonlinearity : {"tanh", "relu"}
        With "relu" the slope is 1 where a state is above 0.

    Returns
    -------
    ndarray (T, N, H)
        :math:`\nabla_{\mathbf a^{(t)}}L`.

    >>> score_gradients(np.ones((3, 1, 1)), np.zeros((3, 1, 1)), [[0.5]]).ravel()
    array([1.75, 1.5 , 1.  ])
    """
    dy, h = (
        as_float(x, n, ndim=3, empty=True) for x, n in ((dy, "dy"), (output, "output"))
    )
    w_hh = as_float(w_hh, "w_hh", ndim=2)
    check_same_shape(dy=dy, output=h)
    fits = w_hh.shape == 2 * h.shape[2:]
    require(fits, f"w_hh must be (H, H) for states of H units, not {w_hh.shape}")
    slope = state_slope(h, nonlinearity)
    da, dh = np.empty_like(h), np.zeros(h.shape[1:], h.dtype)
    for t in reversed(range(len(h))):
        da[t] = slope[t] * (dh + dy[t])
        dh = da[t] @ w_hh
    return da


def rnn_backward(
    dy,
    input,
    hx,
    w_ih,
    w_hh,
    b_ih=None,
    b_hh=None,
    nonlinearity="tanh",
    batch_first=False,
):
    r"""Gradients of `rnn` with respect to its first six arguments.

    .. math:: \nabla_WL=\sum_t\nabla_{\mathbf a^{(t)}}L\;\mathbf h^{(t-1)\mathsf T},
              \quad
              \nabla_UL=\sum_t\nabla_{\mathbf a^{(t)}}L\;\mathbf x^{(t)\mathsf T},\quad
              \nabla_{\mathbf b}L=\sum_t\nabla_{\mathbf a^{(t)}}L

    Parameters
    ----------
    dy : array_like (T, N, H), or (N, T, H) with `batch_first`
        As in `score_gradients`.
    input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity, batch_first
        As given to `rnn`.

    Returns
    -------
    tuple of ndarray
        Six, each of the shape of input, hx, w_ih, w_hh, b_ih, b_hh; None for a bias of
        None.

    >>> x, h, w = np.ones((3, 1, 1)), np.zeros((1, 1)), np.ones((1, 1))
    >>> rnn_backward(x, x, h, w, w, nonlinearity="relu")[3]  # states 1, 2, 3
    array([[4.]])
    """
    output = rnn(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity, batch_first)
    dy = as_float(dy, "dy", ndim=3, empty=True)
    x, hx, w_ih, w_hh = map(np.asarray, (input, hx, w_ih, w_hh))
    if batch_first:
        check_same_shape(dy=dy, output=output)
        dy, x, output = (a.swapaxes(0, 1) for a in (dy, x, output))
    da = score_gradients(dy, output, w_hh, nonlinearity)  # (T, N, H)
    last = np.concatenate([hx[None], output[:-1]])  # the state before each step
    dw_ih, dw_hh = (np.tensordot(da, a, 2 * [(0, 1)]) for a in (x, last))
    db_ih, db_hh = (None if b_ih is None else da.sum(axis=(0, 1)) for _ in range(2))
    dx = da @ w_ih
    dx = dx.swapaxes(0, 1) if batch_first else dx
    return dx, da[0] @ w_hh, dw_ih, dw_hh, db_ih, db_hh


def step_contributions(
    dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"
):
    r"""What each step adds to the gradients of the weights: the terms of their sums.

    Parameters
    ----------
    dy : array_like (T, N, H)
        As in `score_gradients`.
    input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity
        As given to `rnn`.

    Returns
    -------
    dw_ih, dw_hh, db : ndarray (T, H, D), (T, H, H), (T, H)
        Summed over the first axis, they are those of `rnn_backward`.

    >>> x, h, w = np.ones((3, 1, 1)), np.zeros((1, 1)), np.ones((1, 1))
    >>> step_contributions(x, x, h, w, w, nonlinearity="relu")[1].ravel()
    array([0., 2., 2.])
    """
    output = rnn(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    da = score_gradients(dy, output, w_hh, nonlinearity)  # (T, N, H)
    last = np.concatenate([np.asarray(hx)[None], output[:-1]])
    return da.mT @ np.asarray(input), da.mT @ last, da.sum(axis=1)


# ------------------------------------------------------------- fast, for whole layers


def rnn_inputs_in_one_product(
    input, batch_sizes, states, weights, reverse=False, nonlinearity="tanh"
):
    r"""A kernel, as `kernels` describes it: all that does not recur leaves the loop.

    The inputs of all steps go through U in one product before the loop, and the
    gradients of the weights are one product each after it, with the rows of all steps
    side by side. The loop keeps what recurs: a product with W, a tanh, in place.

    Parameters
    ----------
    input : ndarray (K, D)
        Rows ordered by time.
    batch_sizes : ndarray of int (T,)
        How many rows each step has.
    states : tuple of ndarray (N, H)
        One, the state before the first step.
    weights : tuple of ndarray (H, D), (H, H) and perhaps (H,), (H,)
    reverse : bool
        Whether time runs from the end.
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    output : ndarray (K, H)
    ends : tuple of ndarray (N, H)
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.

    >>> w = np.ones((1, 1)), np.ones((1, 1))
    >>> x, h = np.ones((3, 1)), np.zeros((2, 1))
    >>> rnn_inputs_in_one_product(x, [2, 1], (h,), w, False, "relu")[0].ravel()
    array([1., 1., 2.])
    """
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
    check_in(reverse, "reverse", (True, False))
    check_kernel(input, batch_sizes, states, weights)
    (start,), (w_ih, w_hh, *biases) = states, weights
    output = input @ w_ih.T + sum(biases)  # (K, H)
    h, w_hh_t = start.astype(output.dtype), np.ascontiguousarray(w_hh.T)
    for rows in steps(batch_sizes, reverse):
        a, n = output[rows], rows.stop - rows.start
        a += h[:n] @ w_hh_t
        h[:n] = np.tanh(a, out=a) if nonlinearity == "tanh" else np.maximum(a, 0, out=a)

    def pull(doutput, dends):
        da, dh = state_slope(output, nonlinearity), dends[0].copy()
        for rows in steps(batch_sizes, not reverse):
            d, back = da[rows], dh[: rows.stop - rows.start]
            back += doutput[rows]
            d *= back
            np.matmul(d, w_hh, out=back)
        last = before(output, start, batch_sizes, reverse)
        db = (da.sum(axis=0) for _ in biases)  # an array for each, never shared
        return da @ w_ih, (dh,), (da.T @ input, da.T @ last, *db)

    return output, (h,), pull


# --------------------------------------------------------------- the loss of a sequence


def sequence_nll(input, target, lengths=None, reduction="mean"):
    r"""How unlikely each sequence is, in nats: :math:`-\sum_t\log p(y^{(t)}\mid\dots)`.

    Parameters
    ----------
    input : array_like (T, N, C)
        Scores of the classes at each step, after having seen all inputs up to it.
    target : array_like of int (T, N)
    lengths : array_like of int (N,), optional
        Steps after them count for nothing, whatever stands there.
    reduction : {"mean", "sum", "none"}
        Over the sequences; "none" gives an array (N,). Where conventions differ: a mean
        over *steps*, as a letter model's bits are, weighs sequences by their length.

    Returns
    -------
    float, or ndarray (N,)

    >>> scores = np.zeros((3, 2, 4))  # four classes, all alike
    >>> sequence_nll(scores, np.zeros((3, 2), int), [3, 1], "none") / np.log(4)
    array([3., 1.])
    """
    input, target = steps_that_count(input, target, lengths)
    nll = cross_entropy(input.swapaxes(1, 2), target, reduction="none")  # (T, N)
    loss = nll.sum(axis=0)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def steps_that_count(input, target, lengths=None):
    """Scores, and targets with -100, which losses ignore, after the end of a sequence.

    Parameters
    ----------
    input : array_like (T, N, C)
    target : array_like of int (T, N)
    lengths : array_like of int (N,), optional

    Returns
    -------
    ndarray (T, N, C), ndarray of int (T, N)

    >>> steps_that_count(np.zeros((2, 2, 4)), [[1, 2], [3, 3]], [2, 1])[1]
    array([[   1,    2],
           [   3, -100]])
    """
    input = as_float(input, "input", ndim=3, empty=True)
    target = as_labels(target, "target", ignore_index=-100, empty=True)
    check_same_shape(target=target, steps=input[..., 0])
    if lengths is not None:
        real = np.arange(len(input))[:, None] < as_lengths(lengths, *input.shape[:2])
        target = np.where(real, target, -100)
    classes = {"classes": input.shape[2], "ignore_index": -100}
    return input, as_labels(target, "target", empty=True, **classes)


def sequence_nll_backward(dy, input, target, lengths=None, reduction="mean"):
    """Gradient of `sequence_nll` with respect to `input` (T, N, C).

    >>> d = sequence_nll_backward(1.0, np.zeros((2, 1, 2)), [[0], [1]], [1])
    >>> d.tolist()
    [[[-0.5, 0.5]], [[0.0, 0.0]]]
    """
    input, target = steps_that_count(input, target, lengths)
    of_each = as_share(dy, input[0, :, 0], reduction)  # one for each sequence
    of_each = np.broadcast_to(np.asarray(of_each, input.dtype), target.shape)
    scores = input.swapaxes(1, 2)
    d = cross_entropy_backward(of_each, scores, target, reduction="none")
    return d.swapaxes(1, 2)


def packed_nll(input, target, batch_sizes, reduction="mean"):
    """`sequence_nll` of packed rows, so that nothing is computed for padding.

    Parameters
    ----------
    input : array_like (K, C)
        The data of a PackedSequence of scores.
    target : array_like of int (K,)
        The data of a PackedSequence of classes, of the same lengths.
    batch_sizes : array_like of int (T,)
    reduction : {"mean", "sum", "none"}
        "none" gives an array (N,), with the longest sequence first.

    Returns
    -------
    float, or ndarray (N,)

    >>> packed_nll(np.zeros((4, 4)), [0, 1, 2, 3], [2, 1, 1], "none") / np.log(4)
    array([3., 1.])
    """
    nll, rows = packed_terms(input, target, batch_sizes)
    loss = np.zeros(rows.max() + 1, nll.dtype)
    np.add.at(loss, rows, nll)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def packed_terms(input, target, batch_sizes):
    """The loss of each row, and the sequence that it belongs to: (K,) both.

    Parameters
    ----------
    input : array_like (K, C)
    target : array_like of int (K,)
    batch_sizes : array_like of int (T,)

    >>> packed_terms(np.zeros((3, 4)), [0, 0, 0], [2, 1])[1]
    array([0, 1, 0])
    """
    rows = packed_places(batch_sizes)[1]
    nll = cross_entropy(as_float(input, "input", ndim=2), target, reduction="none")
    sentence = f"batch_sizes add up to {len(rows)} but there are {len(nll)} rows"
    require(len(rows) == len(nll), sentence)
    return nll, rows


def packed_nll_backward(dy, input, target, batch_sizes, reduction="mean"):
    """Gradient of `packed_nll` with respect to `input` (K, C).

    >>> packed_nll_backward(1.0, np.zeros((3, 2)), [0, 1, 0], [2, 1])
    array([[-0.25,  0.25],
           [ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    nll, rows = packed_terms(input, target, batch_sizes)
    of_each = as_share(dy, nll[: rows.max() + 1], reduction)
    of_each = np.broadcast_to(np.asarray(of_each, nll.dtype), rows.max() + 1)
    return cross_entropy_backward(of_each[rows], input, target, reduction="none")


def detached(hx):
    """A state, or a tuple of them, cut off from how it came about; (L, N, H) each.

    >>> detached((Tensor(np.ones(2), requires_grad=True),))
    (tensor([1., 1.]),)
    """
    if isinstance(hx, (tuple, list)):
        return tuple(detached(h) for h in hx)
    is_tensor = isinstance(hx, Tensor)
    require(is_tensor, f"hx must be a Tensor, not {type(hx).__name__}", TypeError)
    return hx.detach()


def bptt(net, loss, input, target, k, hx=None):
    r"""Back-propagate through a long sequence in pieces of k steps.

    States are handed from piece to piece, gradients are not: memory grows with k, not
    with the length, and what a state owes to inputs of earlier pieces is left out. With
    k at least T it is back-propagation through time itself.

    Parameters
    ----------
    net : callable
        ``output, hx = net(input, hx)``, such as an `RNN` or a `CharRNN`.
    loss : callable
        ``loss(output, target)``, a Tensor: the *sum* of the losses of the steps.
    input, target : array_like (T, N, ...)
        Time comes first.
    k : int
    hx : Tensor (L, N, H), or a tuple of them, optional
        The state to start from.

    Returns
    -------
    total : float
        The loss of all steps. Its gradient, cut as said, is *added* to the parameters'.
    hx : Tensor (L, N, H), or a tuple of them
        The state to go on from, detached.

    Source: Williams and Peng (1990), who let the pieces overlap.
    """
    check_positive(k, "k", integer=True)
    n = len(input)
    same = n == len(target) and n > 0
    require(same, f"input has {n} steps but target {len(target)}; pass as many of both")
    total = 0.0
    for start in range(0, n, k):
        piece = slice(start, start + k)
        found = net(input[piece], hx)
        is_pair = isinstance(found, (tuple, list)) and len(found) == 2
        require(
            is_pair, "net must give a pair, (output, hx), as an RNN does", TypeError
        )
        output, hx = found
        cost = loss(output, target[piece])
        sentence = f"loss must give a Tensor to go back from, not {type(cost)}"
        require(isinstance(cost, Tensor), sentence, TypeError)
        cost.backward()
        total, hx = total + cost.item(), detached(hx)
    return total, hx


# ------------------------------------------------------------------------ letters


def encode(text, alphabet):
    """The place of each letter of `text` in `alphabet`: an array of int (T,).

    >>> encode("abba", "ab")
    array([0, 1, 1, 0])
    """
    for name, x in ("text", text), ("alphabet", alphabet):
        require(isinstance(x, str), f"{name} must be a string, not {x!r}", TypeError)
    place = {letter: i for i, letter in enumerate(alphabet)}
    for letter in sorted(set(text) - set(place))[:1]:
        require(False, f"text holds {letter!r}, which is not in the alphabet; add it")
    return np.array([place[letter] for letter in text], int)


def decode(letters, alphabet):
    """The text of letters given by their places (T,) in `alphabet`.

    >>> decode([0, 1, 1, 0], "ab")
    'abba'
    """
    is_text = isinstance(alphabet, str)
    require(is_text, f"alphabet must be a string, not {alphabet!r}", TypeError)
    letters = as_labels(letters, "letters", classes=len(alphabet), empty=True)
    require(letters.ndim == 1, f"letters must be (T,), not of shape {letters.shape}")
    return "".join(alphabet[i] for i in letters)


def text_columns(indices, count):
    """A text as `count` columns that are read side by side, each with its next letters.

    Parameters
    ----------
    indices : array_like of int (K,)
    count : int
        N; letters that do not fill a row of N are left out at the end.

    Returns
    -------
    input, target : ndarray of int (T, N)
        The target of a letter is the letter after it.

    >>> text_columns(np.arange(8), 2)[1]
    array([[1, 4],
           [2, 5],
           [3, 6]])
    """
    indices = as_labels(indices, "indices")
    check_positive(count, "count", integer=True)
    steps = (indices.size - 1) // count
    sentence = f"indices {indices.shape} are too few for {count} columns; take fewer"
    require(indices.ndim == 1 and steps > 0, sentence)
    both = indices[: steps * count], indices[1 : steps * count + 1]
    return tuple(x.reshape(count, steps).T for x in both)


def one_hot(input, num_classes, dtype=float):
    """A 1 in the place of each class: (...) to (..., num_classes).

    Where conventions differ: torch's own gives integers, and counts the classes itself
    if it is not told.

    >>> one_hot([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    check_positive(num_classes, "num_classes", integer=True)
    input = as_labels(input, "input", classes=num_classes, empty=True)
    return (input[..., None] == np.arange(num_classes)).astype(dtype)


def embedding(input, weight):
    """The row of `weight` for each index: what one-hot inputs times weights come to.

    Parameters
    ----------
    input : array_like of int (...)
    weight : array_like (V, E)

    Returns
    -------
    ndarray (..., E)

    >>> embedding([1, 0], [[1.0, 2.0], [3.0, 4.0]])
    array([[3., 4.],
           [1., 2.]])
    """
    weight = as_float(weight, "weight", ndim=2)
    return weight[as_labels(input, "input", classes=len(weight), empty=True)]


def embedding_backward(dy, input, weight):
    """Gradients of `embedding`: None for the indices, and (V, E).

    Rows of `dy` (..., E) that belong to one index are brought side by side and added.

    >>> embedding_backward([[1.0], [2.0], [4.0]], [1, 0, 1], np.zeros((3, 1)))[1]
    array([[2.],
           [5.],
           [0.]])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=embedding(input, weight))
    index, dweight = np.ravel(input), np.zeros(np.shape(weight), dy.dtype)
    order = np.argsort(index, kind="stable")
    found, starts = np.unique(index[order], return_index=True)
    if len(found):
        dweight[found] = np.add.reduceat(dy.reshape(-1, dy.shape[-1])[order], starts)
    return None, dweight


def draw(input, temperature=1.0, *, rng):
    r"""Draw a class with probability softmax(scores / temperature).

    Parameters
    ----------
    input : array_like (C,)
        Scores.
    temperature : float
        Below 1 likely classes become likelier; at 0 the likeliest is taken. Above 1
        all come closer to even odds.
    rng : numpy.random.Generator

    Returns
    -------
    int

    >>> draw([0.0, 3.0, 1.0], temperature=0.0, rng=np.random.default_rng(0))
    1
    """
    input = as_float(input, "input", ndim=1)
    check_number(temperature, "temperature", 0)
    check_rng(rng)
    best = input.max()
    sentence = f"the best score is {best}; scores may be NaN or infinite: has training"
    require(np.isfinite(best), f"{sentence} diverged? lower the learning rate")
    if temperature == 0:
        return int(input.argmax())
    with np.errstate(over="ignore"):  # far below the best: probability 0
        p = softmax((input - best).astype(float) / temperature, 0)
    below = np.searchsorted(p.cumsum(), rng.random(), side="right")
    return min(int(below), len(p) - 1)


def sample(net, start, steps, temperature=1.0, *, rng):
    """Let a letter model write: each letter that is drawn is its next input.

    Parameters
    ----------
    net : CharRNN
    start : array_like of int (T,)
        The letters that it reads first.
    steps : int
        How many it then writes.
    temperature : float
        As in `draw`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int (steps,)
    """
    start = as_labels(start, "start")
    require(start.ndim == 1, f"start must be (T,), not of shape {start.shape}")
    check_positive(steps, "steps", integer=True)
    written, next_input, hx = [], start[:, None], None
    with no_grad():
        for _ in range(steps):
            scores, hx = net(next_input, hx)
            written.append(draw(raw(scores)[-1, 0], temperature, rng=rng))
            next_input = np.array([[written[-1]]])
    return np.array(written)


def bits_per_character(input, target):
    r"""The mean of :math:`-\log_2p` of the letters that came, in bits.

    Parameters
    ----------
    input : array_like or Tensor (..., V)
        Scores.
    target : array_like of int (...)

    Returns
    -------
    float
        :math:`\log_2V` for scores that are all alike.

    >>> bits_per_character(np.zeros((3, 2, 8)), np.zeros((3, 2), int))
    3.0
    """
    input, target = as_float(raw(input), "input"), as_labels(target, "target")
    require(input.ndim > 1, f"input must be (..., V), not of shape {input.shape}")
    check_same_shape(target=target, letters=input[..., 0])
    nats = cross_entropy(input.reshape(-1, input.shape[-1]), np.ravel(target))
    return float(nats) / float(np.log(2))


def bigram_bits(text, test, num_classes, smoothing=1.0):
    r"""Bits per letter of a model that sees one letter back: what an RNN has to beat.

    .. math:: p(b\mid a)=\frac{n_{ab}+\alpha}{\sum_{b'}n_{ab'}+\alpha V}

    Parameters
    ----------
    text, test : array_like of int (T,)
        The letters that are counted, and those that are predicted.
    num_classes : int
        V.
    smoothing : float
        :math:`\alpha`, above 0, so that a new pair is not impossible.

    Returns
    -------
    float

    >>> bigram_bits(np.array([0, 1] * 500), np.array([0, 1, 0, 1]), 2) < 0.01
    True
    """
    check_positive(num_classes, "num_classes", integer=True)
    check_positive(smoothing, "smoothing")
    pairs = []
    for name, x in ("text", text), ("test", test):
        x = as_labels(x, name, classes=num_classes)
        require(x.ndim == 1 and len(x) > 1, f"{name} {x.shape} must be (T,) with T > 1")
        pairs.append((x[:-1], x[1:]))
    count = np.full((num_classes, num_classes), float(smoothing))
    np.add.at(count, pairs[0], 1)
    p = count / count.sum(axis=1, keepdims=True)
    return float(-np.log2(p[pairs[1]]).mean())
