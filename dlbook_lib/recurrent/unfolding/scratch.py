r"""Sequences in NumPy: ragged batches, windows of time, and a state.

A batch of sequences is an array (T, N, ...): time first, then the examples, as in
torch's recurrent layers; with ``batch_first=True`` it is (N, T, ...). Sequences of
different lengths are padded to the longest, and a mask or a list of lengths says what
is real; or they are packed, so that nothing is computed for places that are not.

Where forms differ: the state is
:math:`\mathbf h^{(t)}=\tanh(\mathbf b+W\mathbf h^{(t-1)}+U\mathbf x^{(t)})` here, with
`weight_hh` for W, `weight_ih` for U and two biases that add up to b, as in torch; some
texts call it a linear combination of input and state, which it is not, and write that
tanh wants its input between -1 and 1, where it is the output that lies there.
"""

from typing import Any, NamedTuple

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    as_share,
    check_in,
    check_number,
    check_positive,
    check_reduction,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.pooling.second_derivatives import linear_map
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    conv1d,
    conv1d_backward,
)
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward

# ------------------------------------------------------------------ ragged batches


def as_lengths(lengths, steps, count=None):
    """Hand back `lengths` (N,) as an array of whole numbers from 1 to `steps`.

    >>> as_lengths([3, 1], steps=3)
    array([3, 1])
    >>> as_lengths([3, 0], steps=3)
    Traceback (most recent call last):
    ValueError: as_lengths: lengths must lie between 1 and 3, the number of steps, but
    one is 0; leave empty sequences out
    """
    lengths = as_labels(lengths, "lengths", empty=count == 0)
    require(
        lengths.ndim == 1 and (count is None or len(lengths) == count),
        f"lengths has shape {lengths.shape}; it needs one number for each of "
        f"{'the' if count is None else count} sequences",
    )
    for wrong in lengths[(lengths < 1) | (lengths > steps)][:1]:
        require(
            False,
            f"lengths must lie between 1 and {steps}, the number of steps, but one is "
            f"{wrong}; leave empty sequences out",
        )
    return lengths


def as_places(first, second, shape):
    """Hand back two lists of places (K,) as arrays, if an array of `shape` has them.

    >>> as_places([0, 1], [0, 5], (2, 3))
    Traceback (most recent call last):
    ValueError: as_places: second holds label 5 but there are 3 classes, 0 to 2; do the
    labels start at 1?
    """
    require(len(shape) > 1, f"places need two axes at least, (A, B, ...), not {shape}")
    first = as_labels(first, "first", classes=shape[0], empty=True)
    second = as_labels(second, "second", classes=shape[1], empty=True)
    check_same_shape(first=first, second=second)
    require(first.ndim == 1, f"first and second must be (K,), not {first.shape}")
    return first, second


def take_steps(input, first, second):
    """``input[first, second]``: some places of a padded batch, none of them twice.

    Parameters
    ----------
    input : array_like (A, B, ...)
    first, second : ndarray of int (K,)

    Returns
    -------
    ndarray (K, ...)

    >>> take_steps([[1.0, 2.0], [3.0, 4.0]], [1, 0], [0, 1])
    array([3., 2.])
    """
    input = as_float(input, "input", empty=True)
    return input[as_places(first, second, input.shape)]


def take_steps_backward(dy, input, first, second):
    """Gradient of `take_steps` (A, B, ...): `dy` (K, ...) put back, 0 elsewhere.

    >>> take_steps_backward([5.0], np.zeros((2, 2)), [1], [0])
    array([[0., 0.],
           [5., 0.]])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=take_steps(input, first, second))
    dinput = np.zeros(np.shape(input), dy.dtype)
    dinput[first, second] = dy
    return dinput


def put_steps(data, first, second, shape, value=0.0):
    """The reverse of `take_steps`: rows at their places, `value` at all others.

    Parameters
    ----------
    data : array_like (K, ...)
    first, second : ndarray of int (K,)
    shape : (int, int)
        A and B.
    value : float

    Returns
    -------
    ndarray (A, B, ...)

    >>> put_steps([3.0, 2.0], [1, 0], [0, 1], (2, 2))
    array([[0., 2.],
           [3., 0.]])
    """
    data = as_float(data, "data", empty=True)
    check_number(value, "value")
    places = as_places(first, second, shape)
    require(
        data.shape[:1] == places[0].shape,
        f"data {data.shape} must have a row for each of {len(places[0])} places",
    )
    output = np.full((*shape, *data.shape[1:]), value, data.dtype)
    output[places] = data
    return output


def put_steps_backward(dy, data, first, second, shape, value=0.0):
    """Gradient of `put_steps` with respect to `data` (K, ...).

    >>> put_steps_backward([[0.0, 2.0], [3.0, 0.0]], [1.0], [1], [0], (2, 2))
    array([3.])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=put_steps(data, first, second, shape, value))
    return take_steps(dy, first, second)


def _put_among_zeros(data, _, first, second, shape, value=0.0):
    return put_steps(data, first, second, shape)  # a change of data changes no padding


_take_steps = linear_map(take_steps, take_steps_backward)
_put_steps = linear_map(put_steps, put_steps_backward, _put_among_zeros)


def ragged_batch(sequences, batch_first=False, padding_value=0.0):
    """Pad sequences to one length, and say which places are real.

    Parameters
    ----------
    sequences : list of array_like (T_n, ...)
        Of one dtype and, but for the length, one shape.
    batch_first : bool
    padding_value : float

    Returns
    -------
    input : ndarray (T, N, ...), or (N, T, ...) with `batch_first`
    mask : ndarray of bool (T, N), or (N, T)

    >>> x, mask = ragged_batch([[1.0, 2.0, 3.0], [4.0]], batch_first=True)
    >>> x, mask
    (array([[1., 2., 3.],
           [4., 0., 0.]]), array([[ True,  True,  True],
           [ True, False, False]]))
    """
    check_in(batch_first, "batch_first", (True, False))
    is_list = isinstance(sequences, (list, tuple)) and len(sequences) > 0
    require(is_list, "sequences must be a list of at least one array", TypeError)
    arrays = [as_float(x, f"sequences[{i}]") for i, x in enumerate(sequences)]
    for i, x in enumerate(arrays):
        require(
            x.ndim and x.shape[1:] == arrays[0].shape[1:],
            f"sequences[{i}] has shape {x.shape} but sequences[0] {arrays[0].shape}; "
            "only the first axis, time, may differ",
        )
    lengths = np.array([len(x) for x in arrays])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (N, T)
    rows, times = np.nonzero(mask)
    first, second = (rows, times) if batch_first else (times, rows)
    mask = mask if batch_first else mask.T
    data = np.concatenate(arrays)
    return put_steps(data, first, second, mask.shape, padding_value), mask


def masked_loss(input, mask, reduction="mean"):
    r"""The losses of real places only: :math:`\sum_im_i\ell_i/\sum_im_i`, or the sum.

    Parameters
    ----------
    input : array_like (T, N) or (...)
        A loss for each place.
    mask : array_like of bool (T, N) or (...)
    reduction : {"mean", "sum", "none"}
        The mean is over real places, so a long sequence counts for more than a short
        one; "none" gives an array, 0 where nothing is real.

    Returns
    -------
    float, or ndarray (...)

    >>> masked_loss([[1.0, 2.0], [3.0, 99.0]], [[True, True], [True, False]])
    np.float64(2.0)
    """
    input, mask = as_float(input, "input", empty=True), np.asarray(mask)
    require(mask.dtype == bool, f"mask must hold booleans, not {mask.dtype}", TypeError)
    check_same_shape(input=input, mask=mask)
    check_reduction(reduction, input[mask])
    if reduction == "none":
        return np.where(mask, input, 0)
    return (np.mean if reduction == "mean" else np.sum)(input[mask])


def masked_loss_backward(dy, input, mask, reduction="mean"):
    """Gradient of `masked_loss` with respect to `input` (...).

    >>> masked_loss_backward(1.0, [1.0, 2.0, 9.0], [True, True, False])
    array([0.5, 0.5, 0. ])
    """
    masked_loss(input, mask, reduction)  # checks them
    input, mask = np.asarray(input), np.asarray(mask)
    dinput = np.zeros(input.shape, input.dtype)
    each = reduction == "none"
    share = as_share(dy, input if each else input[mask], reduction)
    dinput[mask] = share[mask] if each else share
    return dinput


# -------------------------------------------------------------------- packed batches


class PackedSequence(NamedTuple):
    """Sequences of different lengths as rows, ordered by time and without padding.

    Attributes
    ----------
    data : ndarray or Tensor (K, ...)
        The first steps of all sequences, then the second ones, and so on, always the
        longest sequence first.
    batch_sizes : ndarray of int (T,)
        How many sequences still run at each step; it never rises.
    sorted_indices, unsorted_indices : ndarray of int (N,) or None
        The order by length, and the way back; None if they came in this order.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def packed_places(batch_sizes):
    """Step and sequence of each row of packed data: two arrays of int (K,).

    >>> packed_places([2, 1])
    (array([0, 0, 1]), array([0, 1, 0]))
    """
    sizes = as_labels(batch_sizes, "batch_sizes")
    falls = sizes.ndim == 1 and sizes[-1] > 0 and (np.diff(sizes) <= 0).all()
    require(
        falls,
        f"batch_sizes must be whole numbers above 0 that never rise, not {sizes}; "
        "put the longest sequence first",
    )
    return np.nonzero(np.arange(sizes[0]) < sizes[:, None])


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Leave the padding out: rows ordered by time, and how many there are each time.

    Parameters
    ----------
    input : array_like or Tensor (T, N, ...), or (N, T, ...) with `batch_first`
    lengths : array_like of int (N,)
        From 1 to T. Steps after them are left out.
    batch_first : bool
    enforce_sorted : bool
        Whether lengths that rise are an error; otherwise sequences are put in order,
        and `sorted_indices` says how.

    Returns
    -------
    PackedSequence
        Its data are a Tensor if `input` is.

    >>> x = np.array([[1.0, 2.0], [3.0, 0.0]])  # (T, N): lengths 2 and 1
    >>> pack_padded_sequence(x, [2, 1])[:2]
    (array([1., 2., 3.]), array([2, 1]))
    """
    check_in(batch_first, "batch_first", (True, False))
    check_in(enforce_sorted, "enforce_sorted", (True, False))
    shape = as_float(raw(input), "input").shape
    require(len(shape) > 1, f"input must be (T, N, ...), not of shape {shape}")
    steps, count = shape[1::-1] if batch_first else shape[:2]
    lengths = as_lengths(lengths, steps, count)
    order = np.argsort(-lengths, kind="stable")
    require(
        not enforce_sorted or (np.diff(lengths) <= 0).all(),
        f"lengths {lengths} must not rise; pass enforce_sorted=False",
    )
    running = np.arange(lengths.max())[:, None] < lengths[order]  # (T, N)
    times, rows = np.nonzero(running)
    rows = order[rows]
    data = _take_steps(input, *((rows, times) if batch_first else (times, rows)))
    indices = (None, None) if enforce_sorted else (order, np.argsort(order))
    return PackedSequence(data, running.sum(axis=1), *indices)


def pad_packed_sequence(
    sequence, batch_first=False, padding_value=0.0, total_length=None
):
    """The reverse of `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool
    padding_value : float
        What stands after the end of a sequence.
    total_length : int, optional
        T; at least the greatest length, which it is unless given.

    Returns
    -------
    ndarray or Tensor (T, N, ...), or (N, T, ...) with `batch_first`
    ndarray of int (N,)
        The lengths.

    >>> pad_packed_sequence(PackedSequence(np.array([1.0, 2.0, 3.0]), np.array([2, 1])))
    (array([[1., 2.],
           [3., 0.]]), array([2, 1]))
    """
    is_packed = isinstance(sequence, PackedSequence)
    kind = type(sequence).__name__
    require(is_packed, f"sequence must be a PackedSequence, not {kind}", TypeError)
    check_in(batch_first, "batch_first", (True, False))
    times, rows = packed_places(sequence.batch_sizes)
    steps = len(sequence.batch_sizes)
    total = steps if total_length is None else total_length
    check_positive(total, "total_length", integer=True)
    require(total >= steps, f"total_length is {total} but there are {steps} steps")
    lengths = np.bincount(rows)
    if sequence.unsorted_indices is not None:
        rows = sequence.sorted_indices[rows]
        lengths = lengths[sequence.unsorted_indices]
    first, second = (rows, times) if batch_first else (times, rows)
    shape = (len(lengths), total) if batch_first else (total, len(lengths))
    output = _put_steps(sequence.data, first, second, shape, padding_value)
    return output, lengths


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences (T_n, ...), as `pack_padded_sequence` a padded batch.

    >>> pack_sequence([np.array([1.0, 3.0]), np.array([2.0])]).data
    array([1., 2., 3.])
    """
    input, mask = ragged_batch(sequences)
    lengths = mask.sum(axis=0)
    return pack_padded_sequence(input, lengths, enforce_sorted=enforce_sorted)


# ---------------------------------------------------------------- windows of time


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
    input = as_float(input, "input", ndim=3, empty=True)
    score = conv1d(input.transpose(1, 2, 0), weight, bias, dilation=dilation)
    return score.transpose(2, 0, 1)


def time_delay_backward(dy, input, weight, bias=None, dilation=1):
    """Gradients of `time_delay`: (T, N, in), (out, in, k), and (out,) or None.

    >>> x = np.ones((3, 1, 1))
    >>> time_delay_backward(np.ones((2, 1, 1)), x, np.ones((1, 1, 2)))[0].ravel()
    array([1., 2., 1.])
    """
    dy, x = (
        as_float(v, n, ndim=3, empty=True).transpose(1, 2, 0)
        for v, n in ((dy, "dy"), (input, "input"))
    )
    dx, *rest = conv1d_backward(dy, x, weight, bias, dilation=dilation)
    return dx.transpose(2, 0, 1), *rest


# ------------------------------------------------------------------- a state, one rule


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
