"""What the functions of `scratch` are given, checked and put into shape."""

import numpy as np

from dlbook_lib.common.checks import as_float, as_labels, check_positive, require


def connections(table):
    """The connections of a table as two lists: to which map, from which.

    Parameters
    ----------
    table : sequence of sequences of int
        For each output map, of shape (F,), the input maps that it sees.

    Returns
    -------
    outputs, inputs : list of int

    >>> connections([(0, 2), (1,)])
    ([0, 0, 1], [0, 2, 1])
    """
    listed = table if isinstance(table, (tuple, list)) else ()
    rows = [r if isinstance(r, (tuple, list)) else () for r in listed]
    require(
        rows
        and all(type(i) is int and i >= 0 for r in rows for i in r)
        and all(r and len(set(r)) == len(r) for r in rows),
        f"table must name for each map the maps that it sees, each once, not {table!r};"
        " try [(0, 1), (1, 2)]",
    )
    return [o for o, r in enumerate(rows) for _ in r], [i for r in rows for i in r]


def dense_kernels(input, weight, table):
    """The kernels (F, C, kH, kW), with zeros where the table has no connection.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (connections, kH, kW)
    table : sequence of sequences of int
        As in `connections`.

    Returns
    -------
    ndarray (F, C, kH, kW)
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=3)
    outputs, inputs = connections(table)
    require(
        len(inputs) == len(weight) and max(inputs) < input.shape[1],
        f"table has {len(inputs)} connections to maps up to {max(inputs)}, but weight "
        f"has {len(weight)} kernels and the input {input.shape[1]} maps",
    )
    shape = len(table), input.shape[1], *weight.shape[1:]
    dense = np.zeros(shape, weight.dtype)
    dense[outputs, inputs] = weight
    return dense


def checked_distances(input, target, j):
    """Distances, labels, and the smallest distance, with which nothing overflows.

    Parameters
    ----------
    input : array_like (N, C)
    target : array_like of int (N,)
    j : float

    Returns
    -------
    input, target : ndarray (N, C) and (N,)
    least : ndarray (N, 1)
        No larger than `j`.
    """
    input = as_float(input, "input", ndim=2)
    target = as_labels(target, "target", classes=input.shape[1])
    fits = f"input {input.shape} wants labels ({len(input)},), not {target.shape}"
    require(target.shape == (len(input),), fits)
    check_positive(j, "j")
    return input, target, np.minimum(input.min(axis=1, keepdims=True), float(j))


def check_pixels(images, size):
    """Refuse what is not images (N, 1, size, size).

    >>> check_pixels(np.zeros((25, 1, 32, 32)), 28)
    Traceback (most recent call last):
    ValueError: check_pixels: images must be (N, 1, 28, 28), not (25, 1, 32, 32); try
    prepare(images, 28)
    """
    shape = np.shape(images)
    require(
        len(shape) == 4 and shape[1:] == (1, size, size),
        f"images must be (N, 1, {size}, {size}), not {shape}; try prepare(images, "
        f"{size})",
    )


def training_plan(images, labels, order, lr, batch_size):
    """Checked arrays, the examples of each batch, and the rate of each step.

    Parameters
    ----------
    images : array_like (M, 1, 28, 28)
    labels : array_like of int (M,)
    order : array_like of int (K,)
    lr : float
    batch_size : int

    Returns
    -------
    images, labels : ndarray
        As given, of the same shape.
    batches : list of ndarray of int (batch_size,)
        The last may be shorter.
    rates : list of float
        From `lr` down in a line; the one after the last would be 0.

    >>> images, labels = np.zeros((3, 1, 28, 28)), np.zeros(3, int)
    >>> training_plan(images, labels, [2, 0, 1, 0], 1.0, 2)[2:]
    ([array([2, 0]), array([1, 0])], [1.0, 0.5])
    """
    images = as_float(images, "images", ndim=4)
    labels = as_labels(labels, "labels", classes=10)
    order = as_labels(order, "order", classes=len(images))
    check_positive(lr, "lr")
    check_positive(batch_size, "batch_size", integer=True)
    require(
        images.shape == (*labels.shape, 1, 28, 28) and order.ndim == 1,
        f"images must be (M, 1, 28, 28) for labels (M,), and order (K,), not "
        f"{images.shape}, {labels.shape} and {order.shape}",
    )
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    rates = [lr * (1 - k / len(batches)) for k in range(len(batches))]
    return images, labels, batches, rates
