r"""Gated recurrent units in NumPy: what to keep, what to add, what to show.

A cell turns an input (N, D) and a state (N, H) into the next state, for N examples, or
for one alone without N. Its weights hold a block of H rows for each gate, in torch's
order, so torch's weights serve unchanged:

====== ============================== ===================================
cell   blocks of `weight`             next state
====== ============================== ===================================
UGRNN  u (keep), s (candidate)        :math:`u\odot h+(1-u)\odot s`
GRU    r (reset), u (keep), n         :math:`u\odot h+(1-u)\odot n`
LSTM   i (in), f (keep), g, o (show)  :math:`c'=f\odot c+i\odot g,\ o\odot\tanh c'`
====== ============================== ===================================

The state of an LSTM is an array (2, N, H), first what it shows, h, and then its
memory c; ``h, c = lstm_cell(...)`` takes it apart. In the text of the book the input
gate is g, the output gate q and the memory s; here the letters are torch's.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import (
    linear,
    linear_backward,
    sigmoid,
)
from dlbook_lib.recurrent.unfolding.scratch import check_cell


def gate_scores(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, gates=1):
    r"""What the gates get to see: :math:`W_{ih}x+b_{ih}` and :math:`W_{hh}h+b_{hh}`.

    Parameters
    ----------
    input : array_like (N, D)
    hx : array_like (N, H)
        What the cell showed one step before.
    w_ih, w_hh : array_like (gates * H, D), (gates * H, H)
    b_ih, b_hh : array_like (gates * H,), optional
        One would do; there are two because torch has two.
    gates : int
        How many blocks of H rows the weights have, for gates and candidates.

    Returns
    -------
    from_input, from_past : list of ndarray (N, H)
        One of each for every gate.

    >>> x, h, w = np.array([1.0]), np.array([2.0]), np.array([[3.0], [4.0]])
    >>> gate_scores(x, h, w, w, gates=2)
    [[array([3.]), array([4.])], [array([6.]), array([8.])]]
    """
    check_positive(gates, "gates", integer=True)
    args = check_cell(input, hx, w_ih, w_hh, b_ih, b_hh, gates)
    input, hx, w_ih, w_hh, b_ih, b_hh = args
    both = linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh)
    return [np.split(scores, gates, axis=-1) for scores in both]


def gate(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    r"""A leak that looks first: :math:`\alpha(x,h)=\sigma(W_{ih}x+W_{hh}h+b)`.

    A leaky unit keeps the same share :math:`\alpha` of its state at every step. A gate
    chooses the share, for each unit and step, from the input and the state.

    Parameters
    ----------
    input : array_like (N, D)
    hx : array_like (N, H)
    w_ih, w_hh : array_like (H, D), (H, H)
    b_ih, b_hh : array_like (H,), optional

    Returns
    -------
    ndarray (N, H)
        Between 0 (let go) and 1 (keep).

    >>> gate(np.array([[0.0], [9.0]]), np.zeros((2, 1)), np.eye(1), np.eye(1)).round(3)
    array([[0.5],
           [1. ]])
    """
    ((a,), (b,)) = gate_scores(input, hx, w_ih, w_hh, b_ih, b_hh)
    return sigmoid(a + b)


def gate_backward(dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """Gradients of `gate` for its six arguments, in their order and shapes.

    `dy` has the shape of the gate, (N, H); that of a bias of None is None.

    >>> one = np.ones((1, 1))
    >>> gate_backward(one, one, 0 * one, 0 * one, one)[2]
    array([[0.25]])
    """
    a = gate(input, hx, w_ih, w_hh, b_ih, b_hh)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=a)
    dscore = dy * a * (1 - a)
    dx, dw_ih, db_ih = linear_backward(dscore, input, w_ih, b_ih)
    dh, dw_hh, db_hh = linear_backward(dscore, hx, w_hh, b_hh)
    return dx, dh, dw_ih, dw_hh, db_ih, db_hh


def ugrnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    r"""One gate, one candidate: :math:`h'=u\odot h+(1-u)\odot s`.

    .. math:: u=\sigma(W_{iu}x+b_{iu}+W_{hu}h+b_{hu}),\quad
              s=\tanh(W_{is}x+b_{is}+W_{hs}h+b_{hs})

    Parameters
    ----------
    input : array_like (N, D)
    hx : array_like (N, H)
    w_ih, w_hh : array_like (2 H, D), (2 H, H)
        The block of u above that of s.
    b_ih, b_hh : array_like (2 H,), optional

    Returns
    -------
    ndarray (N, H)

    Source: Collins, Sohl-Dickstein and Sussillo (2017), section 1.1. Torch has no such
    cell.

    >>> ugrnn_cell([1.0], [4.0], np.zeros((2, 1)), np.zeros((2, 1)))
    array([2.])
    """
    scores = gate_scores(input, hx, w_ih, w_hh, b_ih, b_hh, gates=2)
    u, s = (a + b for a, b in zip(*scores, strict=True))
    u, s = sigmoid(u), np.tanh(s)
    return u * np.asarray(hx) + (1 - u) * s


def ugrnn_cell_backward(dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """Gradients of `ugrnn_cell` for its six arguments, in their order and shapes.

    `dy` has the shape of the state, (N, H).

    >>> zeros = np.zeros((2, 1))
    >>> ugrnn_cell_backward([1.0], [1.0], [4.0], zeros, zeros)[:2]
    (array([0.]), array([0.5]))
    """
    scores = gate_scores(input, hx, w_ih, w_hh, b_ih, b_hh, gates=2)
    u, s = (a + b for a, b in zip(*scores, strict=True))
    u, s, dy = sigmoid(u), np.tanh(s), as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=u)
    du, ds = dy * (np.asarray(hx) - s) * u * (1 - u), dy * (1 - u) * (1 - s * s)
    dscore = np.concatenate([du, ds], axis=-1)  # (N, 2 H)
    dx, dw_ih, db_ih = linear_backward(dscore, input, w_ih, b_ih)
    dh, dw_hh, db_hh = linear_backward(dscore, hx, w_hh, b_hh)
    return dx, dh + dy * u, dw_ih, dw_hh, db_ih, db_hh


def gru_gates(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    r"""Reset gate, update gate and candidate of a `gru_cell`, one array each.

    Parameters
    ----------
    input, hx, w_ih, w_hh, b_ih, b_hh, reset
        As for `gru_cell`: (N, D), (N, H) and three blocks of weights.

    Returns
    -------
    r, u, n : ndarray (N, H)

    >>> w = np.zeros((3, 1))
    >>> gru_gates([1.0], [4.0], w, w)
    (array([0.5]), array([0.5]), array([0.]))
    """
    check_in(reset, "reset", ("after", "before"))
    (ri, ui, ni), (rh, uh, nh) = gate_scores(input, hx, w_ih, w_hh, b_ih, b_hh, gates=3)
    r, u = sigmoid(ri + rh), sigmoid(ui + uh)
    if reset == "before":
        _, _, weight = np.split(np.asarray(w_hh), 3)
        bias = None if b_hh is None else np.split(np.asarray(b_hh), 3)[2]
        return r, u, np.tanh(ni + linear(r * np.asarray(hx), weight, bias))
    return r, u, np.tanh(ni + r * nh)


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    r"""Keep and replace by one gate, look back through another.

    .. math::
        r&=\sigma(W_{ir}x+b_{ir}+W_{hr}h+b_{hr}),\quad
        u=\sigma(W_{iu}x+b_{iu}+W_{hu}h+b_{hu})\\
        n&=\tanh(W_{in}x+b_{in}+r\odot(W_{hn}h+b_{hn}))\quad\text{or}\quad
        \tanh(W_{in}x+b_{in}+W_{hn}(r\odot h)+b_{hn})\\
        h'&=u\odot h+(1-u)\odot n

    Parameters
    ----------
    input : array_like (N, D)
    hx : array_like (N, H)
    w_ih, w_hh : array_like (3 H, D), (3 H, H)
        The blocks of r, u and n.
    b_ih, b_hh : array_like (3 H,), optional
    reset : {"after", "before"}
        Where the reset gate stands: after the product with :math:`W_{hn}`, as in torch,
        or before it, as in the paper. The two are one function if :math:`W_{hn}` is
        diagonal and its bias 0, and differ otherwise.

    Returns
    -------
    ndarray (N, H)

    Source: Cho et al. (2014), equations 5 to 8, with ``reset="before"``. Where
    conventions differ: u keeps here, in that paper and in torch (which calls it z);
    Chung et al. (2014) and some libraries swap u and 1 − u.

    >>> w = np.zeros((3, 1))
    >>> gru_cell([1.0], [4.0], w, w)
    array([2.])
    """
    _, u, n = gru_gates(input, hx, w_ih, w_hh, b_ih, b_hh, reset)
    return u * np.asarray(hx) + (1 - u) * n


def gru_cell_backward(dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """Gradients of `gru_cell` for its first six arguments, in their order and shapes.

    `dy` has the shape of the state, (N, H).

    >>> w = np.zeros((3, 1))
    >>> gru_cell_backward([1.0], [1.0], [4.0], w, w)[:2]
    (array([0.]), array([0.5]))
    """
    r, u, n = gru_gates(input, hx, w_ih, w_hh, b_ih, b_hh, reset)
    dy, hx = as_float(dy, "dy", empty=True), np.asarray(hx)
    check_same_shape(dy=dy, output=u)
    du, dn = dy * (hx - n) * u * (1 - u), dy * (1 - u) * (1 - n * n)
    below, last = np.split(np.asarray(w_hh), [2 * hx.shape[-1]])
    b_below, b_last = (None, None) if b_hh is None else np.split(b_hh, [len(below)])
    if reset == "before":
        dreset, dlast, db_last = linear_backward(dn, r * hx, last, b_last)
        dr, dh = dreset * hx, dreset * r
    else:
        dr = dn * linear(hx, last, b_last)
        dh, dlast, db_last = linear_backward(dn * r, hx, last, b_last)
    dr = dr * r * (1 - r)
    through, dbelow, db_below = linear_backward(
        np.concatenate([dr, du], axis=-1), hx, below, b_below
    )
    dx, dw_ih, db_ih = linear_backward(
        np.concatenate([dr, du, dn], axis=-1), input, w_ih, b_ih
    )
    dw_hh = np.concatenate([dbelow, dlast])
    db_hh = None if b_hh is None else np.concatenate([db_below, db_last])
    return dx, dy * u + dh + through, dw_ih, dw_hh, db_ih, db_hh


def lstm_gates(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    r"""Gates, candidate and next memory of an `lstm_cell`, one array each.

    Parameters
    ----------
    input, hx, w_ih, w_hh, b_ih, b_hh, peephole, forget
        As for `lstm_cell`: (N, D), (2, N, H) and the blocks of weights.

    Returns
    -------
    i, f, g, o, c : ndarray (N, H)
        f is 1 without a forget gate.

    >>> w = np.zeros((4, 1))
    >>> lstm_gates([1.0], [[0.0], [4.0]], w, w)[-1]
    array([2.])
    """
    check_in(forget, "forget", (True, False))
    hx = as_float(hx, "hx", empty=True)
    require(
        hx.ndim > 1 and len(hx) == 2,
        f"hx {hx.shape} must be (2, N, H), the pair of h and c",
    )
    (h, c), blocks = hx, 4 if forget else 3
    weights = w_ih, w_hh, b_ih, b_hh
    scores = gate_scores(input, h, *weights, gates=blocks)
    i, *f, g, o = (a + b for a, b in zip(*scores, strict=True))
    if peephole is None:
        peephole = np.zeros((blocks - 1, h.shape[-1]), h.dtype)
    peephole, shape = as_float(peephole, "peephole"), (blocks - 1, h.shape[-1])
    sentence = f"peephole {peephole.shape} must be {shape}, a row for each gate"
    require(peephole.shape == shape, sentence)
    look_i, *look_f, look_o = peephole
    i, g = sigmoid(i + look_i * c), np.tanh(g)
    f = sigmoid(f[0] + look_f[0] * c) if forget else np.ones_like(c)
    c = f * c + i * g
    return i, f, g, sigmoid(o + look_o * c), c


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    r"""A memory that is added to, behind gates to write, keep and show.

    .. math::
        c'=f\odot c+i\odot g,\qquad h'=o\odot\tanh c'

    with :math:`i,f,o=\sigma(\cdot)` and :math:`g=\tanh(\cdot)` of
    :math:`W_{ih}x+b_{ih}+W_{hh}h+b_{hh}`, block by block. On this path
    :math:`\partial c'/\partial c=\operatorname{diag}(f)`: no weight, no tanh.

    Parameters
    ----------
    input : array_like (N, D)
    hx : array_like (2, N, H)
        h and c; a pair of arrays will do.
    w_ih, w_hh : array_like (4 H, D), (4 H, H)
        The blocks of i, f, g and o; without a forget gate three, of i, g and o.
    b_ih, b_hh : array_like (4 H,), optional
    peephole : array_like (3, H), optional
        What i, f and o give for the memory: i and f see c, o sees c'. Without a forget
        gate two rows, for i and o.
    forget : bool
        Whether there is a forget gate. Without one f is 1, as in 1997.

    Returns
    -------
    ndarray (2, N, H)
        h' and c'.

    Source: Hochreiter and Schmidhuber (1997), without a forget gate; Gers,
    Schmidhuber and Cummins (2000), with it; Gers and Schmidhuber (2000), peepholes.
    Where conventions differ: some texts squash the candidate by a sigmoid; here and in
    torch, which has no peepholes, it is tanh.

    >>> w = np.zeros((4, 1))
    >>> lstm_cell([1.0], [[0.0], [4.0]], w, w).round(3)
    array([[0.482],
           [2.   ]])
    """
    _, _, _, o, c = lstm_gates(input, hx, w_ih, w_hh, b_ih, b_hh, peephole, forget)
    return np.stack([o * np.tanh(c), c])


def lstm_cell_backward(
    dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True
):
    """Gradients of `lstm_cell` for its first seven arguments, in their order.

    `dy` (2, N, H) holds those of h' and of c', as far as the steps after this
    one ask for it.

    >>> w = np.zeros((4, 1))
    >>> lstm_cell_backward([[0.0], [1.0]], [1.0], [[0.0], [4.0]], w, w)[1]
    array([[0. ],
           [0.5]])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    i, f, g, o, c = lstm_gates(input, hx, *weights, peephole, forget)
    dy, (h0, c0) = as_float(dy, "dy", empty=True), np.asarray(hx)
    check_same_shape(dy=dy, hx=np.asarray(hx))
    look = np.zeros((3, c.shape[-1]), c.dtype) if peephole is None else peephole
    dh, dc = dy
    do = dh * np.tanh(c) * o * (1 - o)
    dc = dc + dh * o * (1 - np.tanh(c) ** 2) + do * look[-1]
    di, df, dg = dc * g * i * (1 - i), dc * c0 * f * (1 - f), dc * i * (1 - g * g)
    dc0 = dc * f + di * look[0] + (df * look[1] if forget else 0)
    dgates = [di, df, dg, do] if forget else [di, dg, do]
    dscore = np.concatenate(dgates, axis=-1)  # (N, blocks · H)
    dx, dw_ih, db_ih = linear_backward(dscore, input, w_ih, b_ih)
    dh0, dw_hh, db_hh = linear_backward(dscore, h0, w_hh, b_hh)
    dpeephole = None
    if peephole is not None:
        seen = [di * c0, df * c0, do * c] if forget else [di * c0, do * c]
        dpeephole = np.stack([x.reshape(-1, x.shape[-1]).sum(axis=0) for x in seen])
    dhx = np.stack([dh0, dc0])
    return dx, dhx, dw_ih, dw_hh, db_ih, db_hh, dpeephole


# ------------------------------------------------------------------- whole sequences


BACKWARD = {
    ugrnn_cell: ugrnn_cell_backward,
    gru_cell: gru_cell_backward,
    lstm_cell: lstm_cell_backward,
}


def over_time(cell, input, hx, *parameters):
    """The states that a cell goes through, one for each step of a sequence.

    Parameters
    ----------
    cell : {ugrnn_cell, gru_cell, lstm_cell}
        ``hx = cell(input[t], hx, *parameters)``.
    input : array_like (T, N, D)
    hx : array_like (N, H), or (2, N, H) for an LSTM
        Where it starts.
    *parameters : array_like (...)
        What the cell takes besides, the same at every step.

    Returns
    -------
    ndarray (T, N, H), or (T, 2, N, H) for an LSTM
        All states; the last one is where the next sequence may go on.

    >>> w = np.zeros((2, 1))
    >>> over_time(ugrnn_cell, np.ones((3, 1)), [8.0], w, w)
    array([[4.],
           [2.],
           [1.]])
    """
    require(
        cell in BACKWARD,
        f"cell must be ugrnn_cell, gru_cell or lstm_cell, not {cell!r}",
        TypeError,
    )
    input = as_float(input, "input", ndim=(2, 3), empty=True)
    require(len(input), f"input {input.shape} must have at least one step, (T, N, D)")
    states = []
    for x in input:
        hx = cell(x, hx, *parameters)
        states.append(hx)
    return np.stack(states)


def over_time_backward(dy, cell, input, hx, *parameters):
    """Gradients of `over_time` for all its arguments, with None for `cell`.

    `dy` has the shape of the states, (T, N, H). At each step, the gradient of
    the state is that of what comes later plus what `dy` asks for here; the gradients of
    the parameters, which all steps share, add up.

    >>> w = np.zeros((2, 1))
    >>> over_time_backward(np.ones((2, 1)), ugrnn_cell, np.ones((2, 1)), [8.0], w, w)[2]
    array([0.75])
    """
    states = over_time(cell, input, hx, *parameters)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, states=states)
    before = [np.asarray(hx), *states[:-1]]
    dinput, dhx, total = np.empty_like(input), np.zeros_like(before[0]), None
    for t in reversed(range(len(dy))):
        args = dy[t] + dhx, input[t], before[t], *parameters
        dinput[t], dhx, *grads = BACKWARD[cell](*args)
        pairs = zip(total or grads, grads, strict=True)
        total = [a + g if total and g is not None else g for a, g in pairs]
    return None, dinput, dhx, *total


def ugrnn(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """All states (T, N, H) of a `ugrnn_cell` along `input` (T, N, D).

    The other arguments are those of the cell; `hx` (N, H) is where it starts.

    >>> ugrnn(np.ones((3, 1)), [8.0], np.zeros((2, 1)), np.zeros((2, 1)))[-1]
    array([1.])
    """
    return over_time(ugrnn_cell, input, hx, w_ih, w_hh, b_ih, b_hh)


def ugrnn_backward(dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """Gradients of `ugrnn` for its six arguments; `dy` is (T, N, H).

    >>> w = np.zeros((2, 1))
    >>> ugrnn_backward(np.ones((2, 1)), np.ones((2, 1)), [8.0], w, w)[1]
    array([0.75])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    return over_time_backward(dy, ugrnn_cell, input, hx, *weights)[1:]


def gru(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """All states (T, N, H) of a `gru_cell` along `input` (T, N, D).

    The other arguments are those of the cell; `hx` (N, H) is where it starts.

    >>> gru(np.ones((3, 1)), [8.0], np.zeros((3, 1)), np.zeros((3, 1)))[-1]
    array([1.])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    return over_time(gru_cell, input, hx, *weights, reset)


def gru_backward(dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, reset="after"):
    """Gradients of `gru` for its first six arguments; `dy` is (T, N, H).

    >>> w = np.zeros((3, 1))
    >>> gru_backward(np.ones((2, 1)), np.ones((2, 1)), [8.0], w, w)[1]
    array([0.75])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    return over_time_backward(dy, gru_cell, input, hx, *weights, reset)[1:]


def lstm(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True):
    """All states (T, 2, N, H) of an `lstm_cell` along `input` (T, N, D).

    The other arguments are those of the cell; `hx` (2, N, H) is where it
    starts. What the layer shows is the first half, ``lstm(...)[:, 0]``.

    >>> w = np.zeros((4, 1))
    >>> lstm(np.ones((3, 1)), [[0.0], [8.0]], w, w)[:, 1, 0]
    array([4., 2., 1.])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    return over_time(lstm_cell, input, hx, *weights, peephole, forget)


def lstm_backward(
    dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, forget=True
):
    """Gradients of `lstm` for its first seven arguments; `dy` is (T, 2, N, H).

    >>> w = np.zeros((4, 1))
    >>> dy = np.array([[[0.0], [0.0]], [[0.0], [1.0]]])
    >>> lstm_backward(dy, np.ones((2, 1)), [[0.0], [8.0]], w, w)[1]
    array([[0.  ],
           [0.25]])
    """
    weights = w_ih, w_hh, b_ih, b_hh
    found = over_time_backward(dy, lstm_cell, input, hx, *weights, peephole, forget)
    return found[1:]


# ------------------------------------------------------------- what gates are good for


def direct_path(f):
    r"""How much of each memory reaches the end: products of the gates that keep.

    On the path that leads through the memory alone,
    :math:`\partial c_T/\partial c_t=\operatorname{diag}(f_{t+1}\odot\dots\odot f_T)`,
    and for a UGRNN or GRU the same with u. At f = 1 nothing is lost, at any distance.

    Parameters
    ----------
    f : array_like (T, ...)
        What is kept at steps 1 to T.

    Returns
    -------
    ndarray (T + 1, ...)
        For t = 0, 1, …, T; the last is 1.

    >>> direct_path([1.0, 0.5, 0.5])
    array([0.25, 0.25, 0.5 , 1.  ])
    """
    f = as_float(f, "f", empty=True)
    require(f.ndim, "f needs an axis of steps, (T, ...); pass an array of gates")
    end = np.ones((1, *f.shape[1:]), f.dtype)
    return np.cumprod(np.concatenate([end, f[::-1]]), axis=0)[::-1]


def quote_tracker(strength=20.0):
    r"""A `ugrnn_cell` by hand that remembers whether a quotation is open.

    The input is 1 at a quotation mark and 0 elsewhere, the state −1 outside and 1
    inside. The gate keeps, but for quotation marks; the candidate is the opposite of
    the state: :math:`u=\sigma(k-2kx),\ s=\tanh(-kh)`.

    Parameters
    ----------
    strength : float
        k. The state loses about :math:`2e^{-k}` of itself at each step.

    Returns
    -------
    dict of ndarray
        `w_ih` (2, 1), `w_hh` (2, 1), `b_ih` (2,) and `b_hh` (2,).

    >>> ugrnn_cell([1.0], [-1.0], **quote_tracker()).round(3)
    array([1.])
    """
    check_positive(strength, "strength")
    k = float(strength)
    return {
        "w_ih": np.array([[-2 * k], [0.0]]),
        "w_hh": np.array([[0.0], [-k]]),
        "b_ih": np.array([k, 0.0]),
        "b_hh": np.zeros(2),
    }


def track_quotes(text, strength=20.0):
    """Which characters of a text stand within quotation marks, by `quote_tracker`.

    Parameters
    ----------
    text : str
    strength : float

    Returns
    -------
    ndarray of bool (T,)
        The state after each character: an opening mark counts, a closing one does not.

    >>> track_quotes('a "b" c').astype(int)
    array([0, 0, 1, 1, 0, 0, 0])
    """
    require(isinstance(text, str) and text, f"text must be letters, not {text!r}")
    marks = np.array([[float(letter == '"')] for letter in text])  # (T, 1)
    return ugrnn(marks, [-1.0], **quote_tracker(strength))[:, 0] > 0
