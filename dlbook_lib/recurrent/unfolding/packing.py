r"""Ragged batches in NumPy: padded with a mask, or packed, as torch packs them.

A batch of sequences is an array (T, N, ...): time first, then the examples, as in
torch's recurrent layers; with ``batch_first=True`` it is (N, T, ...). Sequences of
different lengths are padded to the longest, and a mask or a list of lengths says what
is real; or they are packed, so that nothing is computed for places that are not.
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
from dlbook_lib.feedforward.autodiff.engine import raw

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
    has_two = isinstance(shape, (tuple, list)) and len(shape) > 1
    require(has_two, f"places need two axes at least, (A, B, ...), not {shape}")
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
        Of one dtype and, but for the length, one shape: arrays, so that no gradient
        goes back to them; pad Tensors before, and pack the batch.
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

    Where conventions differ: torch's `pad_sequence` gives no mask.
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
    sentence = f"sequence must be a PackedSequence of this book, not {type(sequence)}"
    require(is_packed, sentence, TypeError)
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
