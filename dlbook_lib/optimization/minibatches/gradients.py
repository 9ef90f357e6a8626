r"""What a gradient of few examples is worth: its noise, and that of a Newton step.

Each example alone gives a gradient; a batch gives the mean of some of them, which
misses the mean of all the more, the fewer they are.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_in,
    check_number,
    check_positive,
    check_rng,
    check_square,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import sigmoid
from dlbook_lib.optimization.minibatches.scratch import (
    SURROGATES,
    linear_objective,
    margin,
    minibatches,
)


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


def solved(hessian, gradient):
    r"""The Newton step :math:`H^{-1}\mathbf g`, if there is one.

    Parameters
    ----------
    hessian : array_like (P, P)
    gradient : array_like (P,)

    Returns
    -------
    ndarray (P,)

    >>> solved(np.diag([1.0, 4.0]), np.array([1.0, 2.0]))
    array([1. , 0.5])
    """
    gradient = as_float(gradient, "gradient", ndim=1)
    hessian = as_float(hessian, "hessian", ndim=2)
    check_square(hessian, "hessian", len(gradient))
    try:
        return np.linalg.solve(hessian, gradient)
    except np.linalg.LinAlgError:
        require(False, "the Hessian of a batch is singular; try more damping")


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
        return np.stack([g, solved(h + ridge, g)])

    right = gradient_and_step(np.arange(count))
    batches = random_batches(count, n, draws, rng=rng)
    wrong = [((gradient_and_step(rows) - right) ** 2).sum(axis=1) for rows in batches]
    errors = np.sqrt(np.mean(wrong, axis=0)) / np.linalg.norm(right, axis=1)
    return tuple(errors.tolist())
