r"""Sequences in NumPy: windows of time, and a state.

A batch of sequences is an array (T, N, ...): time first, then the examples, as in
torch's recurrent layers. Those of different lengths are the subject of `packing`.

Where forms differ: the state is
:math:`\mathbf h^{(t)}=\tanh(\mathbf b+W\mathbf h^{(t-1)}+U\mathbf x^{(t)})` here, with
`weight_hh` for W, `weight_ih` for U and two biases that add up to b, as in torch; some
texts call it a linear combination of input and state, which it is not, and write that
tanh wants its input between -1 and 1, where it is the output that lies there.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    conv1d,
    conv1d_backward,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward

# ---------------------------------------------------------------- windows of time


def channels_first(input, weight, dilation):
    """`input` (T, N, in) as a convolution wants it, (N, in, T), if the weight fits.

    >>> channels_first(np.ones((7, 2, 3)), np.ones((5, 3, 4)), 1).shape
    (2, 3, 7)
    >>> channels_first(np.ones((2, 7, 3)), np.ones((5, 3, 4)), 1)
    Traceback (most recent call last):
    ValueError: channels_first: input (2, 7, 3) has 2 steps but a window spans 4; pass
    more, or put time first
    """
    x, w = as_float(input, "input", ndim=3, empty=True), as_float(weight, "weight")
    require(
        w.ndim == 3 and x.shape[2] == w.shape[1],
        f"input {x.shape} must be (T, N, in) and weight {w.shape} (out, in, k), with "
        "as many features in",
    )
    check_positive(dilation, "dilation", integer=True)
    span = (w.shape[2] - 1) * dilation + 1
    require(
        len(x) >= span,
        f"input {x.shape} has {len(x)} steps but a window spans {span}; pass "
        "more, or put time first",
    )
    return x.transpose(1, 2, 0)


def time_delay(input, weight, bias=None, dilation=1):
    r"""The same weights on every window: :math:`y_t=b+\sum_jW_jx_{t+jd}`.

    Parameters
    ----------
    input : array_like (T, N, in)
    weight : array_like (out, in, k)
        k taps: how many steps a window holds.
    bias : array_like (out,), optional
    dilation : int
        d, the steps from a tap to the next.

    Returns
    -------
    ndarray (T - k d + d, N, out)

    Source: Waibel, Hanazawa, Hinton, Shikano and Lang (1989), section II.

    >>> x = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> time_delay(x, np.array([[[-1.0, 1.0]]])).ravel()
    array([1., 2.])
    """
    x = channels_first(input, weight, dilation)
    return conv1d(x, weight, bias, dilation=dilation).transpose(2, 0, 1)


def time_delay_backward(dy, input, weight, bias=None, dilation=1):
    """Gradients of `time_delay`: (T, N, in), (out, in, k), and (out,) or None.

    >>> x = np.ones((3, 1, 1))
    >>> time_delay_backward(np.ones((2, 1, 1)), x, np.ones((1, 1, 2)))[0].ravel()
    array([1., 2., 1.])
    """
    x = channels_first(input, weight, dilation)
    dy = as_float(dy, "dy", ndim=3, empty=True).transpose(1, 2, 0)
    dx, *rest = conv1d_backward(dy, x, weight, bias, dilation=dilation)
    return dx.transpose(2, 0, 1), *rest


# ------------------------------------------------------------------- a state, one rule


def as_values(x, name, ndim=None):
    """Hand back a Tensor (...) as it is, and anything else as an array of floats.

    >>> as_values([[1.0, 2.0]], "input", 2)
    array([[1., 2.]])
    """
    array = as_float(raw(x), name, ndim=ndim, empty=True)
    return x if isinstance(x, Tensor) else array


def check_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, gates=1):
    """Hand back the arrays of a recurrent cell as floats; refuse those that do not fit.

    Parameters
    ----------
    input : array_like (N, D) or (D,)
    hx : array_like (N, H) or (H,)
    w_ih, w_hh : array_like (gates * H, D), (gates * H, H)
    b_ih, b_hh : array_like (gates * H,), optional
        Both or neither.
    gates : int
        How many blocks of H rows the weights have.

    Returns
    -------
    list of ndarray
        The six, each of its shape; None for a bias that is None.

    >>> check_cell([1.0, 2.0], [0.0], [[1.0, 2.0, 3.0]], [[1.0]])
    Traceback (most recent call last):
    ValueError: check_cell: w_ih has shape (1, 3) but must have (1, 2): (1 H, D), with D
    features in input (2,) and H in hx (1,)
    """
    input = as_float(input, "input", ndim=(1, 2), empty=True)
    hx = as_float(hx, "hx", ndim=(1, 2), empty=True)
    same = input.shape[:-1] == hx.shape[:-1]
    require(same, f"input {input.shape} and hx {hx.shape} must be (N, D) and (N, H)")
    (d, h), found = (input.shape[-1], hx.shape[-1]), [input, hx]
    shapes = {"w_ih": (gates * h, d), "w_hh": (gates * h, h)}
    shapes |= {"b_ih": (gates * h,), "b_hh": (gates * h,)}
    for (name, shape), x in zip(shapes.items(), (w_ih, w_hh, b_ih, b_hh), strict=True):
        if x is not None or name[0] == "w":
            x = as_float(x, name)
            wanted = f"({gates} H, {'D' if name == 'w_ih' else 'H'})"
            require(
                x.shape == shape,
                f"{name} has shape {x.shape} but must have {shape}: "
                f"{wanted if name[0] == 'w' else f'({gates} H,)'}, with D features in "
                f"input {input.shape} and H in hx {hx.shape}",
            )
        found.append(x)
    require((b_ih is None) == (b_hh is None), "give both b_ih and b_hh, or neither")
    return found


def rnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    r"""One step: :math:`\mathbf h'=\tanh(U\mathbf x+W\mathbf h+\mathbf b)`.

    Parameters
    ----------
    input : array_like (N, D) or (D,)
        What comes in at this step.
    hx : array_like (N, H) or (H,)
        The state after the last step.
    w_ih, w_hh : array_like (H, D), (H, H)
        U and W.
    b_ih, b_hh : array_like (H,), optional
        They only ever act as their sum.
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    ndarray (N, H) or (H,)
        The new state.

    Where conventions differ: some texts write :math:`W_{xh},W_{hh}`, some A and B; the
    output layer :math:`V\mathbf h+\mathbf c` is not part of the cell.

    >>> rnn_cell([1.0], [0.5], [[2.0]], [[-4.0]])
    array([0.])
    """
    args = check_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
    input, hx, w_ih, w_hh, b_ih, b_hh = args
    a = linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)
    return np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)


def state_slope(h, nonlinearity="tanh"):
    r"""The slope of the nonlinearity, from the state (...) that it gave.

    It is :math:`1-h^2` for a tanh; for a relu 1 where the unit is on, and else 0.

    >>> state_slope([0.0, 0.5]), state_slope([0.0, 0.5], "relu")
    (array([1.  , 0.75]), array([0., 1.]))
    """
    h = as_float(h, "h", empty=True)
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
    return 1 - h * h if nonlinearity == "tanh" else (h.real > 0).astype(h.dtype)


def rnn_cell_backward(
    dy, input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"
):
    r"""Gradients of `rnn_cell` with respect to its first six arguments.

    The score has :math:`\mathrm{diag}(1-\mathbf h^2)` times `dy` (N, H) or (H,), or for
    a relu `dy` where the unit is on; the rest is that of two linear layers.

    >>> rnn_cell_backward([1.0], [1.0], [0.5], [[2.0]], [[-4.0]])[:2]
    (array([2.]), array([-4.]))
    """
    h = rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)  # checks them
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, state=h)
    da = dy * state_slope(h, nonlinearity)
    dinput, dw_ih, db_ih = linear_backward(da, input, w_ih, b_ih)
    dhx, dw_hh, db_hh = linear_backward(da, hx, w_hh, b_hh)
    return dinput, dhx, dw_ih, dw_hh, db_ih, db_hh


def unroll(cell, input, hx=None):
    r"""The same rule at every step: :math:`\mathbf h^{(t)}=f(\mathbf h^{(t-1)},\mathbf
    x^{(t)})`.

    Parameters
    ----------
    cell : callable
        ``h = cell(x, h)``, such as a `RNNCell`.
    input : array_like or Tensor (T, N, D) or (T, D)
    hx : array_like or Tensor (N, H) or (H,), optional
        The state to start from; the cell's own start unless given.

    Returns
    -------
    list of Tensor (N, H) or (H,)
        The state after each step, T of them.

    >>> [round(float(h[0]), 2) for h in unroll(lambda x, h: x + h / 2, np.ones((3, 1)),
    ...     np.zeros(1))]
    [1.0, 1.5, 1.75]
    """
    as_float(raw(input), "input", ndim=(2, 3), empty=True)
    states = []
    for x in input:
        hx = cell(x, hx)
        states.append(hx)
    return states


# ------------------------------------------------------------------ exact and forgetful


def binary_adder(dtype=float):
    r"""The weights of a relu network that adds binary numbers of any length.

    The two bits of a step and the carry add up to s, one of 0, 1, 2, 3. Three units
    hold :math:`s`, :math:`\max(0,s-1)` and :math:`\max(0,s-2)`; the second minus the
    third is the carry, and the sum's bit is :math:`h_1-2h_2+2h_3`.

    Returns
    -------
    dict of ndarray
        `w_ih` (3, 2), `w_hh` (3, 3), `b_ih` and `b_hh` (3,), as for `rnn_cell`, and the
        output's `weight` (1, 3).

    A finite network computes this for numbers of any length, as it is given a step for
    each bit; that it can run any program needs unbounded time and exact rational
    states as well (Siegelmann and Sontag, 1995).

    >>> binary_adder()["weight"]
    array([[ 1., -2.,  2.]])
    """
    return {
        "w_ih": np.ones((3, 2), dtype),
        "w_hh": np.array([[0, 1, -1]] * 3, dtype),
        "b_ih": np.array([0, -1, -2], dtype),
        "b_hh": np.zeros(3, dtype),
        "weight": np.array([[1, -2, 2]], dtype),
    }


def add_binary(a, b):
    """The sum of two whole numbers from 0 up, bit by bit through `binary_adder`.

    The network meets the lowest bits first, and one step more for the last carry.

    Parameters
    ----------
    a, b : int
        Of any size; numbers, not arrays of shape (N,).

    Returns
    -------
    int

    >>> add_binary(2**100 - 1, 1) == 2**100
    True
    """
    for name, number in ("a", a), ("b", b):
        check_positive(number, name, integer=True, zero=True)
    net, h, total = binary_adder(), np.zeros(3), 0
    weight = net.pop("weight")
    for t in range(max(int(a).bit_length(), int(b).bit_length()) + 1):
        bits = np.array([int(a) >> t & 1, int(b) >> t & 1], float)
        h = rnn_cell(bits, h, **net, nonlinearity="relu")
        total += int(linear(h, weight)[0]) << t
    return total


def gradient_by_lag(states, w_ih, w_hh, nonlinearity="tanh"):
    r"""How much the last state still depends on the input k steps before.

    .. math:: \Bigl\lVert\frac{\partial\mathbf h_T}{\partial\mathbf x_{T-k}}\Bigr\rVert
              =\lVert D_TWD_{T-1}W\cdots D_{T-k}U\rVert,\qquad
              D_t=\mathrm{diag}(1-\mathbf h_t^2)

    Parameters
    ----------
    states : array_like (T, H)
        The states of one sequence.
    w_ih, w_hh : array_like (H, D), (H, H)
        U and W.
    nonlinearity : {"tanh", "relu"}
        With "relu" :math:`D_t` has a 1 for every unit that is on.

    Returns
    -------
    ndarray (T,)
        Frobenius norms for k = 0, 1, …, T − 1. The memory of a recurrent network has no
        end in principle; here is what is left of it.

    >>> h = np.zeros((4, 1))
    >>> gradient_by_lag(h, np.ones((1, 1)), np.array([[0.5]]))
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    states, w_ih = as_float(states, "states", ndim=2), as_float(w_ih, "w_ih", ndim=2)
    x, h = np.zeros(w_ih.shape[1], states.dtype), np.zeros_like(states[0])
    rnn_cell(x, h, w_ih, w_hh, nonlinearity=nonlinearity)  # checks them
    norms, chain = [], np.eye(len(h), dtype=states.dtype)
    for d in state_slope(states, nonlinearity)[::-1]:
        chain = chain * d  # ... W D_t: the last state by the score of step t
        norms.append(np.linalg.norm(chain @ w_ih))
        chain = chain @ np.asarray(w_hh)
    return np.array(norms)
