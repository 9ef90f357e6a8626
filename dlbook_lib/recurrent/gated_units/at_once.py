r"""Fast kernels: all gates of all steps at once, as far as they do not recur.

Each runs one layer in one direction, as
`dlbook_lib.recurrent.backpropagation_through_time.kernels` asks, and equals the cell of
`scratch` step by step. What makes them fast:

- The inputs of all steps go through the weights in one product before the loop, and the
  gradients of the weights are one product each after it.
- Gates lie in an array (gates, K, H), one whole block for each, so that every operation
  in the loop runs through memory without a jump.
- One tanh serves all gates: :math:`\sigma(z)=\frac12\tanh\frac z2+\frac12`, with the
  first ½ folded into the weights.
- In the backward pass, all factors that do not recur are taken for all steps before the
  loop, which only multiplies by what comes back; nothing is computed twice but a tanh.
"""

import numpy as np

from dlbook_lib.recurrent.backpropagation_through_time.kernels import (
    before,
    check_kernel,
    steps,
)


def gate_blocks(weight, scale):
    """The blocks of a weight (gates * H, n), scaled and turned round: (gates, n, H).

    Parameters
    ----------
    weight : ndarray (gates * H, n)
    scale : ndarray (gates, 1, 1)
        ½ for a gate, 1 for a candidate.

    Returns
    -------
    ndarray (gates, n, H)

    >>> gate_blocks(np.array([[2.0, 4.0], [6.0, 8.0]]), np.array([[[0.5]], [[1.0]]]))
    array([[[1.],
            [2.]],
    <BLANKLINE>
           [[6.],
            [8.]]])
    """
    blocks = weight.reshape(len(scale), -1, weight.shape[1])
    return np.ascontiguousarray((scale * blocks).swapaxes(1, 2))


def gates_from_input(input, w_ih, bias, scale):
    """What the inputs of all steps give to all gates, in one product, scaled.

    Parameters
    ----------
    input : ndarray (K, D)
    w_ih : ndarray (gates * H, D)
    bias : ndarray (gates * H,) or None
    scale : ndarray (gates, 1, 1)

    Returns
    -------
    ndarray (gates, K, H)

    >>> one = np.ones((1, 1))
    >>> gates_from_input(2 * one, 3 * one, None, np.array([[[0.5]]]))
    array([[[3.]]])
    """
    gates = np.matmul(input, gate_blocks(w_ih, scale))
    if bias is not None:
        gates += gate_blocks(bias[:, None], scale)
    return gates


def _parted(weights):
    """w_ih, w_hh, both biases or none in a list, and w_hr or None."""
    w_ih, w_hh, *rest = weights
    w_hr = rest.pop() if len(rest) % 2 else None
    return w_ih, w_hh, rest, w_hr


def lstm_at_once(input, batch_sizes, states, weights, reverse=False):
    """`lstm_cell` along whole sequences.

    Parameters
    ----------
    input : ndarray (K, D)
        Rows ordered by time.
    batch_sizes : array_like of int (T,)
        How many rows each step has.
    states : tuple of ndarray (N, H)
        h and c before the first step.
    weights : tuple of ndarray (4 H, D), (4 H, H), and perhaps (4 H,), (4 H,)
        With one more, (P, H), what is shown goes through it: then h and `output` are P
        wide, and the second weight is (4 H, P).
    reverse : bool
        Whether time runs from the end.

    Returns
    -------
    output : ndarray (K, H) or (K, P)
    ends : tuple of ndarray (N, H)
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.

    >>> w, zero = (np.zeros((4, 1)), np.zeros((4, 1))), np.zeros((1, 1))
    >>> y, ends, pull = lstm_at_once(np.ones((3, 1)), [1] * 3, (zero, zero + 8), w)
    >>> ends[1]
    array([[1.]])
    """
    check_kernel(input, batch_sizes, states, weights, 4, projects=True)
    w_ih, w_hh, biases, w_hr = _parted(weights)
    scale = np.array([0.5, 0.5, 1, 0.5], input.dtype)[:, None, None]
    shift, w = 1 - scale, gate_blocks(w_hh, scale)
    bias = biases[0] + biases[1] if biases else None
    gates = gates_from_input(input, w_ih, bias, scale)  # (4, K, H): i, f, g, o
    shown, memory = np.empty((2, *gates.shape[1:]), gates.dtype)
    output = shown if w_hr is None else np.empty((len(input), len(w_hr)), gates.dtype)
    h, c = (s.astype(gates.dtype) for s in states)
    work = np.empty((4, *c.shape), gates.dtype)
    for rows in steps(batch_sizes, reverse):
        z, n = gates[:, rows], rows.stop - rows.start
        z += np.matmul(h[:n], w, out=work[:, :n])
        np.tanh(z, out=z)
        z *= scale
        z += shift
        i, f, g, o = z
        m = np.multiply(f, c[:n], out=memory[rows])  # the next c
        m += np.multiply(i, g, out=work[0, :n])
        y = np.tanh(m, out=shown[rows])
        y *= o
        h[:n] = y if w_hr is None else np.matmul(y, w_hr.T, out=output[rows])
        c[:n] = m
    saved = input, batch_sizes, states, weights, reverse, gates, output, memory
    return output, (h, c), lambda *dy: lstm_at_once_backward(*dy, *saved)


def _lstm_slopes(gates, memory, past):
    """Of h by o's score and of c by the others (K, 4, H), of h by c, and tanh c."""
    (i, f, g, o), shown = gates, np.tanh(memory)
    dz = np.empty((len(memory), 4, memory.shape[1]), memory.dtype)
    dz[:, 0] = (1 - i) * i * g
    dz[:, 1] = (1 - f) * f * past
    dz[:, 2] = (1 - g * g) * i
    dz[:, 3] = (1 - o) * o * shown
    return dz, (1 - shown * shown) * o, shown


def lstm_at_once_backward(
    dy, dends, input, batch_sizes, states, weights, reverse, gates, output, memory
):
    """Gradients of `lstm_at_once`, from what its loop has left.

    Parameters
    ----------
    dy : ndarray (K, H) or (K, P)
    dends : tuple of ndarray (N, H)
    input, batch_sizes, states, weights, reverse
        As before.
    gates : ndarray (4, K, H)
        i, f, g, o.
    output, memory : ndarray (K, H) or (K, P), (K, H)
        h and c after each step.

    Returns
    -------
    dinput : ndarray (K, D)
    dstates, dweights : tuple of ndarray, as `states` and `weights`
    """
    (w_ih, w_hh, biases, w_hr), (h, c), (_, f, _, o) = _parted(weights), states, gates
    last = memory, c, batch_sizes, reverse
    dz, slope, shown = _lstm_slopes(gates, memory, before(*last))
    flat = dz.reshape(len(dz), len(w_hh))
    (dh, dc), doutput = (d.copy() for d in dends), np.empty_like(output)
    for rows in steps(batch_sizes, not reverse):
        d, n = dz[rows], rows.stop - rows.start
        eh, ec = dh[:n], dc[:n]
        eh += dy[rows]
        e = eh
        if w_hr is not None:  # of what was shown before it went through w_hr
            doutput[rows] = eh
            e = eh @ w_hr
        ec += e * slope[rows]
        d[:, :3] *= ec[:, None]
        d[:, 3] *= e
        ec *= f[rows]
        np.matmul(flat[rows], w_hh, out=eh)
    dw_hh = flat.T @ before(output, h, batch_sizes, reverse)
    db = np.ones(len(dz), dz.dtype) @ flat
    dweights = [flat.T @ input, dw_hh, *(db.copy() for _ in biases)]
    if w_hr is not None:
        dweights.append(doutput.T @ (o * shown))
    return flat @ w_ih, (dh, dc), tuple(dweights)


def gru_at_once(input, batch_sizes, states, weights, reverse=False):
    """`gru_cell` along whole sequences, the reset gate after the product.

    Parameters
    ----------
    input : ndarray (K, D)
    batch_sizes : array_like of int (T,)
    states : tuple of ndarray (N, H)
        h before the first step, alone in a tuple.
    weights : tuple of ndarray (3 H, D), (3 H, H), and perhaps (3 H,), (3 H,)
    reverse : bool

    Returns
    -------
    output : ndarray (K, H)
    ends : tuple of ndarray (N, H)
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.

    >>> w = np.zeros((3, 1)), np.zeros((3, 1))
    >>> gru_at_once(np.ones((3, 1)), [1] * 3, (np.array([[8.0]]),), w)[0].ravel()
    array([4., 2., 1.])
    """
    check_kernel(input, batch_sizes, states, weights, 3)
    (h,), (w_ih, w_hh, *biases) = states, weights
    scale, k = np.array([0.5, 0.5, 1], input.dtype)[:, None, None], 2 * h.shape[1]
    w, bias, b_last = gate_blocks(w_hh, scale), None, 0
    if biases:
        bias = np.append(biases[0][:k] + biases[1][:k], biases[0][k:])
        b_last = biases[1][k:]
    gates = gates_from_input(input, w_ih, bias, scale)  # (3, K, H): r, u, n
    output, recalled = np.empty((2, *gates.shape[1:]), gates.dtype)
    h, work = h.astype(gates.dtype), np.empty((3, *h.shape), gates.dtype)
    for rows in steps(batch_sizes, reverse):
        z, p = gates[:, rows], h[: rows.stop - rows.start]
        (r, u, n), both = z, z[:2]
        a = np.matmul(p, w, out=work[:, : len(p)])
        both += a[:2]
        np.tanh(both, out=both)
        np.add(0.5 * both, 0.5, out=both)
        n += np.multiply(r, np.add(a[2], b_last, out=recalled[rows]), out=a[2])
        np.tanh(n, out=n)
        p -= n  # u h + (1 - u) n = n + u (h - n)
        p *= u
        output[rows] = np.add(p, n, out=p)
    saved = input, batch_sizes, states, weights, reverse, gates, output, recalled
    return output, (h,), lambda *dy: gru_at_once_backward(*dy, *saved)


def gru_at_once_backward(
    dy, dends, input, batch_sizes, states, weights, reverse, gates, output, recalled
):
    """Gradients of `gru_at_once`, from what its loop has left.

    The candidate has two gradients: of its score, for the weights of the input, and
    that times r, for the weights of the state. In the order n, r, u, r n the first
    three blocks serve `w_ih`, rolled by one, and the last three `w_hh`.

    Parameters
    ----------
    dy : ndarray (K, H)
    dends : tuple of ndarray (N, H)
    input, batch_sizes, states, weights, reverse
        As before.
    gates : ndarray (3, K, H)
        r, u, n.
    output, recalled : ndarray (K, H)
        h after each step, and what r was multiplied by.

    Returns
    -------
    dinput : ndarray (K, D)
    dstates, dweights : tuple of ndarray, as `states` and `weights`
    """
    (w_ih, w_hh, *_), (r, u, n) = weights, gates
    past, hidden = before(output, *states, batch_sizes, reverse), len(w_hh) // 3
    flat = np.empty((len(input), 4 * hidden), gates.dtype)
    dz = flat.reshape(len(flat), 4, hidden)
    dn = (1 - n * n) * (1 - u)
    dz[:, 0] = dn
    dz[:, 2] = (past - n) * u * (1 - u)
    dz[:, 3] = dn = dn * r
    dz[:, 1] = dn * recalled * (1 - r)
    dh, last_three = dends[0].copy(), flat[:, hidden:]
    for rows in steps(batch_sizes, not reverse):
        d, e = dz[rows], dh[: rows.stop - rows.start]
        e += dy[rows]
        d *= e[:, None]
        e *= u[rows]
        e += last_three[rows] @ w_hh
    first_three = flat[:, : 3 * hidden]
    dw_ih, db = first_three.T @ input, np.ones(len(dz), dz.dtype) @ flat
    dw_ih, db_ih = (np.roll(a, -hidden, axis=0) for a in (dw_ih, db[: 3 * hidden]))
    dweights = dw_ih, last_three.T @ past, db_ih, db[hidden:]
    dinput = first_three @ np.roll(w_ih, hidden, axis=0)
    return dinput, (dh,), dweights[: len(weights)]


def ugrnn_at_once(input, batch_sizes, states, weights, reverse=False):
    """`ugrnn_cell` along whole sequences.

    Parameters
    ----------
    input : ndarray (K, D)
    batch_sizes : array_like of int (T,)
    states : tuple of ndarray (N, H)
        h before the first step, alone in a tuple.
    weights : tuple of ndarray (2 H, D), (2 H, H), and perhaps (2 H,), (2 H,)
    reverse : bool

    Returns
    -------
    output : ndarray (K, H)
    ends : tuple of ndarray (N, H)
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.

    >>> w = np.zeros((2, 1)), np.zeros((2, 1))
    >>> ugrnn_at_once(np.ones((3, 1)), [1] * 3, (np.array([[8.0]]),), w)[0].ravel()
    array([4., 2., 1.])
    """
    check_kernel(input, batch_sizes, states, weights, 2)
    (h,), (w_ih, w_hh, *biases) = states, weights
    scale = np.array([0.5, 1], input.dtype)[:, None, None]
    w, bias = gate_blocks(w_hh, scale), biases[0] + biases[1] if biases else None
    gates = gates_from_input(input, w_ih, bias, scale)  # (2, K, H): u, s
    output = np.empty(gates.shape[1:], gates.dtype)
    h, work = h.astype(gates.dtype), np.empty((2, *h.shape), gates.dtype)
    for rows in steps(batch_sizes, reverse):
        z, p = gates[:, rows], h[: rows.stop - rows.start]
        z += np.matmul(p, w, out=work[:, : len(p)])
        u, s = np.tanh(z, out=z)
        u *= 0.5
        u += 0.5
        p -= s  # u h + (1 - u) s = s + u (h - s)
        p *= u
        output[rows] = np.add(p, s, out=p)
    saved = input, batch_sizes, states, weights, reverse, gates, output
    return output, (h,), lambda *dy: ugrnn_at_once_backward(*dy, *saved)


def ugrnn_at_once_backward(
    dy, dends, input, batch_sizes, states, weights, reverse, gates, output
):
    """Gradients of `ugrnn_at_once`, from what its loop has left.

    Parameters
    ----------
    dy : ndarray (K, H)
    dends : tuple of ndarray (N, H)
    input, batch_sizes, states, weights, reverse
        As before.
    gates : ndarray (2, K, H)
        u, s.
    output : ndarray (K, H)
        h after each step.

    Returns
    -------
    dinput : ndarray (K, D)
    dstates, dweights : tuple of ndarray, as `states` and `weights`
    """
    (w_ih, w_hh, *biases), (u, s) = weights, gates
    past = before(output, *states, batch_sizes, reverse)
    flat = np.empty((len(input), len(w_hh)), gates.dtype)
    dz = flat.reshape(len(flat), 2, len(w_hh) // 2)
    dz[:, 0] = (past - s) * u * (1 - u)
    dz[:, 1] = (1 - s * s) * (1 - u)
    dh = dends[0].copy()
    for rows in steps(batch_sizes, not reverse):
        d, e = dz[rows], dh[: rows.stop - rows.start]
        e += dy[rows]
        d *= e[:, None]
        e *= u[rows]
        e += flat[rows] @ w_hh
    db = np.ones(len(dz), dz.dtype) @ flat
    dweights = flat.T @ input, flat.T @ past, *(db.copy() for _ in biases)
    return flat @ w_ih, (dh,), dweights
