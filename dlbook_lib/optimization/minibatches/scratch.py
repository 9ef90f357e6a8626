r"""Surrogate losses, minibatches and descent on them, in NumPy.

The *margin* of an example is :math:`m=yf(\mathbf x)` with a label :math:`y=\pm1` and a
score f: positive where the class is right, and large where it is clear. An *objective*
is a function ``objective(params, input, target)`` of a list of arrays and a batch; it
gives the pair of the batch's mean loss and a list of its gradients, one for each array.
What such a gradient is worth, if the batch is small, is the subject of `gradients`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_labels,
    as_share,
    check_in,
    check_ndim,
    check_positive,
    check_reduction,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import sigmoid

# ---- losses of margins ---------------------------------------------------------------


def margin(input, target):
    r"""How far on the right side scores are, :math:`m=yf(\mathbf x)`.

    Parameters
    ----------
    input : array_like (...)
        Scores; their sign is the class.
    target : array_like (...)
        Labels, −1.0 or 1.0.

    Returns
    -------
    ndarray (...)

    >>> margin([2.0, -0.5, -3.0], [1.0, 1.0, -1.0])
    array([ 2. , -0.5,  3. ])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    require(
        (np.abs(target) == 1).all(),
        "target must hold only -1.0 and 1.0; for labels 0 and 1, try 2.0 * target - 1",
    )
    return input * target


def margin_backward(dy, input, target):
    """Gradient of `margin` with respect to the scores (...): `dy` (...) times y.

    >>> margin_backward([1.0, 1.0], [2.0, -3.0], [1.0, -1.0])
    array([ 1., -1.])
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=margin(input, target))
    return dy * np.asarray(target)


def zero_one_loss(input, reduction="mean"):
    r"""Errors: 1 where the margin is not positive, else 0.

    Parameters
    ----------
    input : array_like (...)
        Margins. A score of 0 chooses no class, so it counts as an error. NaN stays NaN.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        The mean is the share of errors.

    >>> zero_one_loss([2.0, -0.5, 0.0, 1.0])
    np.float64(0.5)
    """
    input = as_float(input, "input", empty=True)
    loss = np.where(np.isnan(input), input, input.real <= 0).astype(input.dtype)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def zero_one_loss_backward(dy, input, reduction="mean"):
    """Gradient (...) of `zero_one_loss`: 0 wherever there is one; it teaches nothing.

    >>> zero_one_loss_backward(1.0, [2.0, -0.5])
    array([0., 0.])
    """
    input = as_float(input, "input", empty=True)
    return as_share(dy, input, reduction) * np.zeros_like(input)


def logistic_loss(input, reduction="mean"):
    r"""Minus the log-likelihood of the right class, :math:`\log(1+e^{-m})`, in nats.

    Parameters
    ----------
    input : array_like (...)
        Margins.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        In bits, divided by :math:`\log2`, it lies above `zero_one_loss`. It is torch's
        ``soft_margin_loss``, and `binary_cross_entropy_with_logits` of labels 0 and 1.

    >>> logistic_loss([0.0, -80.0], reduction="none").round(4)
    array([ 0.6931, 80.    ])
    """
    m = as_float(input, "input", empty=True)
    small = np.exp(np.where(m.real < 0, m, -m))  # exp(-|m|), at most 1
    loss = np.where(m.real < 0, -m, 0) + np.log1p(small)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def logistic_loss_backward(dy, input, reduction="mean"):
    r"""Gradient (...) of `logistic_loss`, :math:`-\sigma(-m)`: never quite 0.

    >>> logistic_loss_backward(1.0, [0.0, -800.0], reduction="sum")
    array([-0.5, -1. ])
    """
    input = as_float(input, "input", empty=True)
    return as_share(dy, input, reduction) * -sigmoid(-input)


def hinge_loss(input, reduction="mean"):
    r"""What a margin lacks to 1, :math:`\max(0,1-m)`.

    Parameters
    ----------
    input : array_like (...)
        Margins.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Source: Cortes and Vapnik (1995).

    >>> hinge_loss([2.0, 0.25, -1.0], reduction="none")
    array([0.  , 0.75, 2.  ])
    """
    input = as_float(input, "input", empty=True)
    loss = np.where(input.real >= 1, 0, 1 - input)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def hinge_loss_backward(dy, input, reduction="mean"):
    """Gradient (...) of `hinge_loss`: −1 below a margin of 1; from there on, 0.

    >>> hinge_loss_backward(1.0, [2.0, 1.0, 0.25, -1.0], reduction="sum")
    array([ 0.,  0., -1., -1.])
    """
    input = as_float(input, "input", empty=True)
    slope = np.where(input.real >= 1, 0, -1).astype(input.dtype)
    return as_share(dy, input, reduction) * slope


def squared_hinge_loss(input, reduction="mean"):
    r"""The square of what a margin lacks, :math:`\max(0,1-m)^2`: no kink.

    Parameters
    ----------
    input : array_like (...)
        Margins.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        Infinity if a square overflows.

    >>> squared_hinge_loss([2.0, 0.5, -1.0], reduction="none")
    array([0.  , 0.25, 4.  ])
    """
    input = as_float(input, "input", empty=True)
    with np.errstate(over="ignore"):
        loss = np.where(input.real >= 1, 0, 1 - input) ** 2
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def squared_hinge_loss_backward(dy, input, reduction="mean"):
    r"""Gradient (...) of `squared_hinge_loss`, :math:`-2\max(0,1-m)`.

    >>> squared_hinge_loss_backward(1.0, [2.0, 0.5, -1.0], reduction="sum")
    array([ 0., -1., -4.])
    """
    input = as_float(input, "input", empty=True)
    return as_share(dy, input, reduction) * 2 * np.where(input.real >= 1, 0, input - 1)


def exponential_loss(input, reduction="mean"):
    r"""The loss that AdaBoost descends, :math:`e^{-m}`: a clear error costs most.

    Parameters
    ----------
    input : array_like (...)
        Margins.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        Infinity if it overflows, for margins below −709, or −88 in float32.

    Source: Friedman, Hastie and Tibshirani (2000), section 4.

    >>> exponential_loss([0.0, -1.0], reduction="none").round(4)
    array([1.    , 2.7183])
    """
    input = as_float(input, "input", empty=True)
    with np.errstate(over="ignore"):
        loss = np.exp(-input)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def exponential_loss_backward(dy, input, reduction="mean"):
    r"""Gradient (...) of `exponential_loss`, :math:`-e^{-m}`.

    >>> exponential_loss_backward(1.0, [0.0, 1.0], reduction="sum").round(4)
    array([-1.    , -0.3679])
    """
    input = as_float(input, "input", empty=True)
    with np.errstate(over="ignore", invalid="ignore"):
        return as_share(dy, input, reduction) * -np.exp(-input)


SURROGATES = {
    "zero-one": (zero_one_loss, zero_one_loss_backward),
    "logistic": (logistic_loss, logistic_loss_backward),
    "hinge": (hinge_loss, hinge_loss_backward),
    "squared hinge": (squared_hinge_loss, squared_hinge_loss_backward),
    "exponential": (exponential_loss, exponential_loss_backward),
}
"""Losses of margins and their gradients, by name."""


class Memorizer:
    """A model without training error that has learned nothing: a table of examples.

    Empirical risk is all it minimises. Calls give targets (N,) as they are stored, and
    0.0 for inputs that are not in the table.

    >>> model = Memorizer([[0.0, 1.0], [2.0, 3.0]], [1.0, -1.0])
    >>> model([[2.0, 3.0], [2.0, 3.1]])
    array([-1.,  0.])
    """

    def __init__(self, input, target):
        input, target = as_float(input, "input", ndim=2), as_float(target, "target")
        check_same_shape(rows_of_input=input[:, 0], target=target)
        pairs = zip(map(tuple, input.tolist()), target.tolist(), strict=True)
        self.table, self.dtype = dict(pairs), target.dtype

    def __call__(self, input):
        rows = as_float(input, "input", ndim=2, empty=True).tolist()
        return np.array([self.table.get(tuple(row), 0.0) for row in rows], self.dtype)


def linear_objective(params, input, target, loss="logistic"):
    r"""Mean loss of a linear classifier, :math:`m=y(\mathbf w^{\mathsf T}\mathbf x+b)`.

    Parameters
    ----------
    params : list of ndarray
        The weights, (D,), and the bias, of shape ().
    input : array_like (N, D)
    target : array_like (N,)
        −1.0 or 1.0.
    loss : {"zero-one", "logistic", "hinge", "squared hinge", "exponential"}

    Returns
    -------
    loss : floating scalar
    gradients : list of ndarray
        Of the shapes of the parameters, (D,) and ().

    >>> w, b = np.array([1.0, -1.0]), np.array(0.0)
    >>> linear_objective([w, b], [[1.0, 2.0]], [1.0], "hinge")
    (np.float64(2.0), [array([-1., -2.]), np.float64(-1.0)])
    """
    weight, bias = as_floats(params, "params", count=2)
    input = as_float(input, "input", ndim=2)
    check_in(loss, "loss", tuple(SURROGATES))
    check_same_shape(a_row_of_input=input[0], weight=weight)
    require(bias.ndim == 0, f"the bias must be a number, not of shape {bias.shape}")
    f, f_backward = SURROGATES[loss]
    score = input @ weight + bias  # (N,)
    m = margin(score, target)
    slope = margin_backward(f_backward(1.0, m), score, target)
    return f(m), [slope @ input, slope.sum()]


# ---- minibatches ---------------------------------------------------------------------


def minibatches(
    arrays, batch_size=1, shuffle=False, sampler=None, drop_last=False, *, rng=None
):
    """One pass over the examples, batch by batch, as PyTorch's `DataLoader` makes it.

    Parameters
    ----------
    arrays : list of ndarray (N, ...)
        Inputs, targets, …: row i of each belongs to example i.
    batch_size : int
    shuffle : bool
        In a random order, each example once; otherwise in their own.
    sampler : array_like of int (M,), optional
        The order instead, examples left out or repeated as it says.
    drop_last : bool
        Leave out the last batch if it is smaller than the others.
    rng : numpy.random.Generator, optional
        Draws the order if there is `shuffle`.

    Returns
    -------
    iterator of tuple of ndarray (batch, ...)
        A batch of each array. It ends after one epoch.

    >>> x, y = np.arange(5.0), np.arange(5)
    >>> [batch.tolist() for batch, _ in minibatches([x, y], 2)]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """
    is_list = isinstance(arrays, (list, tuple)) and len(arrays)
    require(is_list, "arrays must be a list of arrays, such as [input, target]")
    is_array = all(isinstance(a, np.ndarray) and a.ndim for a in arrays)
    require(is_array, "arrays must hold ndarrays (N, ...); try np.asarray", TypeError)
    lengths = sorted({len(a) for a in arrays})
    require(len(lengths) == 1, f"arrays have {lengths} examples; give all as many")
    check_positive(batch_size, "batch_size", integer=True)
    check_in(shuffle, "shuffle", (True, False))
    check_in(drop_last, "drop_last", (True, False))
    require(sampler is None or not shuffle, "sampler and shuffle exclude each other")
    if sampler is not None:
        order = as_labels(sampler, "sampler", empty=True)
        check_ndim(order, "sampler", 1)
        last = order.max(initial=0)
        few = f"sampler holds {last} but there are examples 0 to {lengths[0] - 1} only"
        require(last < lengths[0] or not order.size, few)
    elif shuffle:
        check_rng(rng)
        order = rng.permutation(lengths[0])
    else:
        order = np.arange(lengths[0])
    end = len(order) - len(order) % batch_size if drop_last else len(order)
    parts = (order[i : i + batch_size] for i in range(0, end, batch_size))
    return (tuple(a[part] for a in arrays) for part in parts)


def sorted_order(target):
    """Examples class by class, in their order within a class: a stream not to train on.

    Parameters
    ----------
    target : array_like (N,)

    Returns
    -------
    ndarray of int (N,)
        A `sampler` for `minibatches`.

    >>> sorted_order([1, 0, 1, 0])
    array([1, 3, 0, 2])
    """
    target = np.asarray(target)
    require(target.ndim == 1, f"target must be (N,), not {target.shape}")
    return np.argsort(target, kind="stable")


def repeat_examples(arrays, times):
    """The same data `times` over, one copy after the other: all redundancy, no news.

    Parameters
    ----------
    arrays : list of array_like (N, ...)
    times : int

    Returns
    -------
    list of ndarray (times * N, ...)

    >>> repeat_examples([np.array([1.0, 2.0])], 2)
    [array([1., 2., 1., 2.])]
    """
    arrays = as_floats(arrays, "arrays")
    check_positive(times, "times", integer=True)
    return [np.concatenate([a] * times) for a in arrays]


def sgd_train(
    objective,
    params,
    input,
    target,
    *,
    lr,
    epochs,
    batch_size=1,
    shuffle=True,
    sampler=None,
    drop_last=False,
    rng=None,
):
    r"""Minibatch gradient descent.

    .. math:: \theta\leftarrow\theta-\epsilon\frac1B\sum_b\nabla J_b

    Parameters
    ----------
    objective : callable
        ``objective(params, input, target)`` gives the mean loss of a batch, and a list
        of gradients.
    params : list of ndarray (...)
        Where to start; not changed.
    input, target : ndarray (N, ...)
    lr : float
        Learning rate.
    epochs : int
        Passes over the examples.
    batch_size, shuffle, sampler, drop_last, rng
        As for `minibatches`: N is gradient descent, 1 is stochastic gradient descent.

    Returns
    -------
    params : list of ndarray (...)
    losses : list of float
        Of each batch, before its step.

    >>> x, y = np.array([[1.0], [-1.0]]), np.array([1.0, -1.0])
    >>> start = [np.zeros(1), np.array(0.0)]
    >>> how = dict(lr=1.0, epochs=2, batch_size=2, shuffle=False)
    >>> params, losses = sgd_train(linear_objective, start, x, y, **how)
    >>> params[0], [round(loss, 4) for loss in losses]
    (array([0.87754067]), [0.6931, 0.4741])
    """
    require(callable(objective), f"objective is {objective!r}, no function", TypeError)
    params, losses = as_floats(params, "params"), []
    check_positive(lr, "lr")
    check_positive(epochs, "epochs", integer=True)
    how = {"shuffle": shuffle, "sampler": sampler, "drop_last": drop_last, "rng": rng}
    for _ in range(epochs):
        for batch in minibatches([input, target], batch_size, **how):
            loss, grads = objective(params, *batch)
            losses.append(float(loss))
            params = [p - float(lr) * g for p, g in zip(params, grads, strict=True)]
    return params, losses
