r"""Surrogate losses, minibatches, and the noise of gradients of few examples, in NumPy.

The *margin* of an example is :math:`m=yf(\mathbf x)` with a label :math:`y=\pm1` and a
score f: positive where the class is right, and large where it is clear. An *objective*
is a function ``objective(params, input, target)`` of a list of arrays and a batch; it
gives the pair of the batch's mean loss and a list of its gradients, one for each array.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_labels,
    as_share,
    check_in,
    check_ndim,
    check_number,
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
        Margins. A score of 0 chooses no class, so it counts as an error.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``
        The mean is the share of errors.

    >>> zero_one_loss([2.0, -0.5, 0.0, 1.0])
    np.float64(0.5)
    """
    input = as_float(input, "input", empty=True)
    loss = (input.real <= 0).astype(input.dtype)
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
        order = as_labels(sampler, "sampler", classes=lengths[0], empty=True)
        check_ndim(order, "sampler", 1)
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
            params = [p - lr * g for p, g in zip(params, grads, strict=True)]
    return params, losses


# ---- gradients of examples -----------------------------------------------------------


def per_example_gradients(objective, params, input, target):
    r"""What each example alone would have the parameters do.

    Parameters
    ----------
    objective : callable
        As for `sgd_train`; it is asked for one batch of size 1 after the other.
    params : list of ndarray (...)
    input, target : ndarray (N, ...)

    Returns
    -------
    list of ndarray (N, ...)
        A gradient for each example, for each parameter.

    >>> x, y = np.array([[1.0], [3.0]]), np.array([1.0, -1.0])
    >>> per_example_gradients(linear_objective, [np.zeros(1), np.array(0.0)], x, y)
    [array([[-0.5],
           [ 1.5]]), array([-0.5,  0.5])]
    """
    require(callable(objective), f"objective is {objective!r}, no function", TypeError)
    params = as_floats(params, "params")
    batches = minibatches([input, target], 1)
    gradients = [objective(params, *batch)[1] for batch in batches]
    require(gradients, "there are no examples; pass at least one")
    return [np.stack(g) for g in zip(*gradients, strict=True)]


def linear_gradients_by_rows(params, input, target, loss="logistic"):
    r"""`per_example_gradients` of `linear_objective`, all at once.

    The gradient of an example is its own row, times a number: :math:`L'(m)y\mathbf x`.

    Parameters
    ----------
    params, input, target, loss
        As for `linear_objective`.

    Returns
    -------
    list of ndarray
        (N, D) and (N,).

    >>> start = [np.zeros(1), np.array(0.0)]
    >>> linear_gradients_by_rows(start, [[1.0], [3.0]], [1.0, -1.0])
    [array([[-0.5],
           [ 1.5]]), array([-0.5,  0.5])]
    """
    linear_objective(params, input, target, loss)  # refuses what it cannot use
    weight, bias = params
    input, target = np.asarray(input), np.asarray(target)
    m = margin(input @ weight + bias, target)
    slope = SURROGATES[loss][1](np.ones_like(m), m, "none") * target
    return [slope[:, None] * input, slope]


def full_gradient(objective, params, input, target, batch_size=1000):
    r"""Gradient of the mean over all examples, :math:`\frac1N\sum_n\nabla J_n`.

    Parameters
    ----------
    objective : callable
        As for `sgd_train`.
    params : list of ndarray (...)
    input, target : ndarray (N, ...)
    batch_size : int
        How many examples are looked at together: it changes the memory that is needed,
        and nothing else but rounding.

    Returns
    -------
    list of ndarray (...)

    >>> x, y = np.array([[1.0], [3.0], [2.0]]), np.array([1.0, -1.0, -1.0])
    >>> full_gradient(linear_objective, [np.zeros(1), np.array(0.0)], x, y, 2)
    [array([0.66666667]), np.float64(0.16666666666666666)]
    """
    require(callable(objective), f"objective is {objective!r}, no function", TypeError)
    params = as_floats(params, "params")
    require(np.size(input), "there are no examples; pass at least one")
    total = [0.0] * len(params)
    for batch in minibatches([input, target], batch_size):
        share = len(batch[0]) / len(input)
        gradients = objective(params, *batch)[1]
        total = [t + share * g for t, g in zip(total, gradients, strict=True)]
    return total


def standard_error(gradients, n, replace=True):
    r"""How far the mean of `n` random gradients is from the mean of all.

    .. math:: \sqrt{\frac{\sigma^2}n},\qquad
        \sigma^2=\frac1N\sum_i\lVert\mathbf g_i-\mathbf g\rVert^2

    as a root mean square; without replacement, times :math:`\sqrt{(N-n)/(N-1)}`.

    Parameters
    ----------
    gradients : array_like (N, P)
        Of each example.
    n : int
        Size of a batch.
    replace : bool
        Whether an example may be drawn twice into a batch.

    Returns
    -------
    float

    Source: Goodfellow, Bengio and Courville (2016), equation 8.4, of one number.

    >>> standard_error([[0.0], [2.0]], 4), standard_error([[0.0], [2.0]], 2, False)
    (0.5, 0.0)
    """
    gradients = as_float(gradients, "gradients", ndim=2)
    count = len(gradients)
    check_positive(n, "n", integer=True)
    check_in(replace, "replace", (True, False))
    require(replace or n <= count, f"n is {n}, but there are {count} examples to draw")
    away = gradients - gradients.mean(axis=0)
    left = 1 if replace or count == 1 else (count - n) / (count - 1)
    return float(np.sqrt((away**2).sum() / count / n * left))


def gradient_noise(gradients, n, draws=1000, replace=True, *, rng):
    r"""`standard_error` as it is measured, over many random batches of `n` examples.

    Parameters
    ----------
    gradients : array_like (N, P)
    n : int
    draws : int
        How many batches.
    replace : bool
    rng : numpy.random.Generator

    Returns
    -------
    float
        Root mean square distance of a batch's mean gradient from the mean of all.

    >>> gradients = np.array([[0.0], [2.0]])
    >>> round(gradient_noise(gradients, 4, rng=np.random.default_rng(0)), 1)
    0.5
    """
    gradients = as_float(gradients, "gradients", ndim=2)
    rows = random_batches(len(gradients), n, draws, replace, rng=rng)
    mean = gradients.mean(axis=0)
    squares = [((gradients[row].mean(axis=0) - mean) ** 2).sum() for row in rows]
    return float(np.sqrt(np.mean(squares)))


def random_batches(count, n, draws, replace=True, *, rng):
    """Which of `count` examples are in each of `draws` random batches.

    Parameters
    ----------
    count, n, draws : int
    replace : bool
        Whether an example may be drawn twice into a batch.
    rng : numpy.random.Generator

    Returns
    -------
    iterator of ndarray of int (n,)

    >>> list(random_batches(3, 3, 2, replace=False, rng=np.random.default_rng(0)))
    [array([2, 0, 1]), array([1, 2, 0])]
    """
    for name, number in {"count": count, "n": n, "draws": draws}.items():
        check_positive(number, name, integer=True)
    check_in(replace, "replace", (True, False))
    check_rng(rng)
    require(replace or n <= count, f"n is {n}, but there are {count} examples to draw")
    return (rng.choice(count, n, replace=replace) for _ in range(draws))


def logistic_hessians(params, input, target):
    r"""Curvature of each example's logistic loss, :math:`\sigma(m)\sigma(-m)\,
    \tilde{\mathbf x}\tilde{\mathbf x}^{\mathsf T}` with :math:`\tilde{\mathbf x}=
    (\mathbf x,1)`.

    Parameters
    ----------
    params : list of ndarray
        The weights, (D,), and the bias, of shape ().
    input : array_like (N, D)
    target : array_like (N,)

    Returns
    -------
    ndarray (N, D + 1, D + 1)
        The bias comes last.

    >>> logistic_hessians([np.zeros(1), np.array(0.0)], [[2.0]], [1.0])
    array([[[1.  , 0.5 ],
            [0.5 , 0.25]]])
    """
    linear_objective(params, input, target)  # refuses what it cannot use
    weight, bias = params
    input, target = np.asarray(input), np.asarray(target)
    m = margin(input @ weight + bias, target)
    x = np.column_stack([input, np.ones_like(m)])  # (N, D + 1)
    curvature = sigmoid(m) * sigmoid(-m)
    return (curvature[:, None] * x)[:, :, None] * x[:, None, :]


def newton_noise(gradients, hessians, n, draws=100, damping=0.0, *, rng):
    r"""How much worse a random batch knows the Newton step than the gradient.

    Both are compared with those of all examples, as root mean squares of

    .. math:: \frac{\lVert\hat{\mathbf g}-\mathbf g\rVert}{\lVert\mathbf g\rVert}
        \qquad\text{and}\qquad
        \frac{\lVert\hat H^{-1}\hat{\mathbf g}-H^{-1}\mathbf g\rVert}
        {\lVert H^{-1}\mathbf g\rVert}.

    Parameters
    ----------
    gradients : array_like (N, P)
        Of each example.
    hessians : array_like (N, P, P)
        Of each example, or (1, P, P): then H is known, and only the gradient is noisy.
    n : int
        Size of a batch, drawn with replacement.
    draws : int
        How many batches.
    damping : float
        Added to the diagonals of both Hessians; a batch of few examples needs it.
    rng : numpy.random.Generator

    Returns
    -------
    gradient_error, newton_error : float

    Source: Goodfellow, Bengio and Courville (2016), section 8.1.3.

    >>> g, h = np.array([[1.0, 0.0], [1.0, 0.2]]), np.diag([1.0, 0.01])[None]
    >>> errors = newton_noise(g, h, 4, rng=np.random.default_rng(0))
    >>> [round(error, 2) for error in errors]
    [0.05, 0.53]
    """
    gradients = as_float(gradients, "gradients", ndim=2)
    hessians = as_float(hessians, "hessians", ndim=3)
    count, size = gradients.shape
    require(
        hessians.shape in ((count, size, size), (1, size, size)),
        f"hessians {hessians.shape} do not fit; pass ({count} or 1, {size}, {size})",
    )
    check_number(damping, "damping", 0)
    known, ridge = len(hessians) == 1, damping * np.eye(size, dtype=hessians.dtype)
    require(
        known or damping or n >= size,
        f"a Hessian is singular: {n} examples for {size} parameters; try damping",
    )

    def gradient_and_step(rows):
        share = (np.bincount(rows, minlength=count) / len(rows)).astype(gradients.dtype)
        h = hessians[0] if known else np.tensordot(share, hessians, 1)
        g = share @ gradients
        return np.stack([g, np.linalg.solve(h + ridge, g)])

    right = gradient_and_step(np.arange(count))
    batches = random_batches(count, n, draws, rng=rng)
    wrong = [((gradient_and_step(rows) - right) ** 2).sum(axis=1) for rows in batches]
    errors = np.sqrt(np.mean(wrong, axis=0)) / np.linalg.norm(right, axis=1)
    return tuple(errors.tolist())
