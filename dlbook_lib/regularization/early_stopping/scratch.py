r"""Early stopping in NumPy: patience, two ways to use all data, the quadratic model.

A network is anything with `state_dict` and `load_state_dict`, spelled as torch spells
them: the first gives a dictionary of arrays (...), the second takes one. A step of
training is a function ``step(i)`` that changes the network in place, for i = 0, 1, …
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_between,
    check_number,
    check_positive,
    check_square,
    require,
)


class EarlyStopping:
    """Keep the best parameters; say when no better ones have come for too long.

    Parameters
    ----------
    patience : int
        How many evaluations in a row may pass without a new best.
    min_delta : float
        By how much a loss must be below the best so far to count, 0 or more.

    `best_loss` and `best_state` are those of evaluation number `best_evaluation`, of
    `evaluations` so far, which count from 1. A loss that is NaN is no new best.

    Source: Goodfellow, Bengio and Courville (2016), algorithm 7.1.

    >>> stopping = EarlyStopping(patience=2)
    >>> losses = [3.0, 1.0, 2.0, 1.5, 0.5]
    >>> [stopping.update(loss, {"weight": np.array([loss])}) for loss in losses[:4]]
    [False, False, False, True]
    >>> stopping.best_evaluation, stopping.best_state
    (2, {'weight': array([1.])})
    """

    def __init__(self, patience, min_delta=0.0):
        check_positive(patience, "patience", integer=True)
        check_positive(min_delta, "min_delta", zero=True)
        self.patience, self.min_delta = patience, min_delta
        self.evaluations = self.best_evaluation = 0
        self.best_loss, self.best_state = float("inf"), None

    def update(self, loss, state):
        """Note the validation `loss` of parameters `state`; True: it is time to stop.

        The dictionary `state` of arrays (...) is copied if it is the best so far.
        """
        loss = float(as_float(loss, "loss", ndim=0))
        is_state = isinstance(state, dict)
        require(is_state, f"state must be a state_dict, not {type(state)}", TypeError)
        self.evaluations += 1
        if loss < self.best_loss - self.min_delta:
            self.best_loss, self.best_evaluation = loss, self.evaluations
            self.best_state = {name: np.array(array) for name, array in state.items()}
        return self.evaluations - self.best_evaluation >= self.patience

    def restore(self, net):
        """Put the best parameters back into `net`."""
        require(
            self.best_state is not None,
            f"none of {self.evaluations} losses was a number below infinity, so there "
            "is nothing to restore; lower the learning rate",
        )
        net.load_state_dict(self.best_state)


def _loss(validate):
    """What ``validate()`` returns, as a number of Python's own, ()."""
    loss = validate()
    try:
        return float(loss)
    except (TypeError, ValueError):
        said = f"validate: it must return a number, not {loss!r}; has it a return?"
        raise TypeError(said) from None


def stop_early(net, step, validate, *, patience, steps, every=1, min_delta=0.0):
    """Train until the validation loss has stopped falling, then go back to the best.

    Parameters
    ----------
    net : object
        With `state_dict` and `load_state_dict`, of arrays (...).
    step : callable
        ``step(i)`` takes a step of training.
    validate : callable
        ``validate()`` is the loss on held-out examples.
    patience : int
        In evaluations.
    steps : int
        At most.
    every : int
        How many steps lie between two evaluations.
    min_delta : float

    Returns
    -------
    best_steps : int
        After how many steps the network was best. It is back in that state.
    losses : list of float
        Each evaluation, those of lost patience included.

    Source: Goodfellow, Bengio and Courville (2016), algorithm 7.1.

    >>> from dlbook_lib.feedforward.depth_and_width.scratch import MLP
    >>> net = MLP.from_arrays([np.zeros((1, 1))], [np.array([0.0])])
    >>> (bias,) = net.biases
    >>> def step(i):
    ...     bias[...] += 1
    >>> stop_early(net, step, lambda: (bias[0] - 2) ** 2, patience=2, steps=9)
    (2, [1.0, 0.0, 1.0, 4.0])
    >>> bias
    array([2.])
    """
    for name, function in {"step": step, "validate": validate}.items():
        said = f"{name} must be a function, not {function!r}"
        require(callable(function), said, TypeError)
    check_positive(steps, "steps", integer=True)
    check_positive(every, "every", integer=True)
    require(every <= steps, f"every is {every}, but there are only {steps} steps")
    said = f"net must have state_dict and load_state_dict; {net!r} has not"
    require(hasattr(net, "state_dict"), said, TypeError)
    stopping, losses = EarlyStopping(patience, min_delta), []
    for i in range(steps):
        step(i)
        if (i + 1) % every == 0:
            losses.append(_loss(validate))
            if stopping.update(losses[-1], net.state_dict()):
                break
    stopping.restore(net)
    return stopping.best_evaluation * every, losses


def retrain_same_steps(net, step, *, start, steps):
    """First rule: begin again, and take as many steps on all of the data.

    Parameters
    ----------
    net : object
    step : callable
        ``step(i)`` takes a step on the training and the held-out examples together.
    start : dict of ndarray (...)
        Parameters to begin from, such as a copy of the first ``net.state_dict()``.
    steps : int
        What `stop_early` found. Where conventions differ: as many *steps*, so fewer
        passes over the larger set; for as many passes, give proportionally more.

    Source: Goodfellow, Bengio and Courville (2016), algorithm 7.2.

    >>> from dlbook_lib.feedforward.depth_and_width.scratch import MLP
    >>> net = MLP.from_arrays([np.zeros((1, 1))], [np.array([0.0])])
    >>> (bias,) = net.biases
    >>> def step(i):
    ...     bias[...] += 1
    >>> start = {name: array.copy() for name, array in net.state_dict().items()}
    >>> step(0)
    >>> retrain_same_steps(net, step, start=start, steps=2)
    >>> bias
    array([2.])
    """
    require(callable(step), f"step must be a function, not {step!r}", TypeError)
    is_state = isinstance(start, dict)
    require(is_state, f"start must be a state_dict, not {type(start)}", TypeError)
    check_positive(steps, "steps", integer=True)
    net.load_state_dict(start)
    for i in range(steps):
        step(i)


def continue_until(step, validate, *, target, steps, every=1):
    """Second rule: keep the parameters, and go on with all of the data.

    Parameters
    ----------
    step : callable
        ``step(i)`` takes a step on the training and the held-out examples together.
    validate : callable
        ``validate()`` is the loss on the examples that were held out until now.
    target : float
        The *training* loss of the restored parameters. It ends when the loss on the
        held-out examples is no longer above it.
    steps : int
        At most: the target may never be met.
    every : int
        How many steps lie between two evaluations.

    Returns
    -------
    taken : int
        How many steps it took.
    losses : list of float
        Before the first step and after each `every`; the last is above `target` if
        it was not met.

    Source: Goodfellow, Bengio and Courville (2016), algorithm 7.3.

    >>> weight = np.array([2.0])
    >>> def step(i):
    ...     weight[...] += 1
    >>> continue_until(step, lambda: 5 - weight[0], target=1.5, steps=9)
    (2, [3.0, 2.0, 1.0])
    """
    for name, function in {"step": step, "validate": validate}.items():
        said = f"{name} must be a function, not {function!r}"
        require(callable(function), said, TypeError)
    check_number(target, "target")
    check_positive(steps, "steps", integer=True)
    check_positive(every, "every", integer=True)
    require(every <= steps, f"every is {every}, but there are only {steps} steps")
    taken, losses = 0, [_loss(validate)]
    while not losses[-1] <= target and taken + every <= steps:  # NaN is above it too
        for i in range(taken, taken + every):
            step(i)
        taken += every
        losses.append(_loss(validate))
    return taken, losses


# ---- the quadratic model -------------------------------------------------------------


def quadratic_path(hessian, optimum, *, lr, steps):
    r"""Descent from the origin on a quadratic, :math:`\mathbf w\leftarrow\mathbf
    w-\epsilon H(\mathbf w-\mathbf w^*)`.

    Parameters
    ----------
    hessian : array_like (D, D)
        Symmetric, as a second derivative is.
    optimum : array_like (D,)
    lr : float
    steps : int

    Returns
    -------
    ndarray (steps + 1, D)
        Every point on the way, the origin first.

    Source: Goodfellow, Bengio and Courville (2016), section 7.8.

    >>> quadratic_path(np.diag([1.0, 2.0]), [1.0, 1.0], lr=0.5, steps=2)
    array([[0.  , 0.  ],
           [0.5 , 1.  ],
           [0.75, 1.  ]])
    """
    hessian = as_float(hessian, "hessian", ndim=2)
    optimum = as_float(optimum, "optimum", ndim=1)
    check_square(hessian, "hessian", len(optimum), symmetric=True)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    path = [np.zeros_like(optimum)]
    for _ in range(steps):
        path.append(path[-1] - float(lr) * hessian @ (path[-1] - optimum))
    return np.stack(path)


def remaining(eigenvalue, *, lr, steps):
    r"""Share of the way to the optimum that is left, :math:`(1-\epsilon\lambda)^\tau`.

    Parameters
    ----------
    eigenvalue : array_like (...)
        Curvature :math:`\lambda` of the cost along each direction.
    lr : float
        :math:`\epsilon`.
    steps : int
        :math:`\tau`, from 0 on.

    Returns
    -------
    ndarray (...)
        Weight decay leaves :math:`\alpha/(\lambda+\alpha)`.

    Raises
    ------
    ValueError
        If descent leaps ever further over the optimum: along curvatures above 2/lr.
        Along those below 0 it runs away, and what is left is more than 1.

    Source: Goodfellow, Bengio and Courville (2016), section 7.8.

    >>> remaining([0.0, 1.0, 5.0], lr=0.1, steps=2)
    array([1.  , 0.81, 0.25])
    """
    eigenvalue = as_float(eigenvalue, "eigenvalue", empty=True)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True, zero=True)
    for wrong in np.ravel(eigenvalue)[~np.ravel(float(lr) * eigenvalue <= 2)][:1]:
        require(
            False,
            f"descent diverges along a curvature of {wrong:g} with lr {lr}; take an "
            f"lr of at most 2 / {wrong:g}",
        )
    return (1 - float(lr) * eigenvalue) ** int(steps)


def matching_alpha(eigenvalue, *, lr, steps):
    r"""Weight decay that leaves as much of the way as so many steps do.

    .. math:: (1-\epsilon\lambda)^\tau=\frac\alpha{\lambda+\alpha}\quad\Rightarrow\quad
        \alpha=\lambda\,\frac{(1-\epsilon\lambda)^\tau}{1-(1-\epsilon\lambda)^\tau}
        \approx\frac1{\epsilon\tau}

    Parameters
    ----------
    eigenvalue : array_like (...)
        From 0 up to 1/lr: beyond it a step leaps over the optimum, as no decay does.
    lr : float
    steps : int

    Returns
    -------
    ndarray (...)
        Another alpha for every curvature: early stopping is no weight decay. They are
        :math:`1/\epsilon\tau` at 0, and near it as long as
        :math:`\epsilon\tau\lambda\ll1`; steep directions decay much less.

    Raises
    ------
    ValueError
        If a curvature lies outside.

    Source: Goodfellow, Bengio and Courville (2016), equations 7.41 to 7.45.

    >>> matching_alpha([0.0, 0.01, 1.0], lr=0.1, steps=50).round(4)
    array([0.2   , 0.1949, 0.0052])
    """
    eigenvalue = as_float(eigenvalue, "eigenvalue", empty=True)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    check_between(float(lr) * eigenvalue, "lr times eigenvalue", 0, 1)
    share = np.clip(float(lr) * eigenvalue, np.finfo(eigenvalue.dtype).tiny, None)
    with np.errstate(divide="ignore", under="ignore"):
        decay = int(steps) * np.log1p(-share)  # log of what is left; −∞ if nothing is
        return share * np.exp(decay) / -np.expm1(decay) / float(lr)


def early_stopped(hessian, optimum, *, lr, steps):
    r"""Where descent from the origin stands, :math:`Q[I-(I-\epsilon\Lambda)^\tau]
    Q^{\mathsf T}\mathbf w^*`.

    Parameters
    ----------
    hessian : array_like (D, D)
        Symmetric.
    optimum : array_like (D,)
    lr : float
    steps : int
        From 0 on.

    Returns
    -------
    ndarray (D,)
        The last point of `quadratic_path`, without the way there.

    Raises
    ------
    ValueError
        If `hessian` is not symmetric, or as `remaining`.

    Source: Goodfellow, Bengio and Courville (2016), equation 7.40.

    >>> early_stopped(np.diag([1.0, 2.0]), [1.0, 1.0], lr=0.5, steps=2)
    array([0.75, 1.  ])
    """
    hessian = as_float(hessian, "hessian", ndim=2)
    optimum = as_float(optimum, "optimum", ndim=1)
    check_square(hessian, "hessian", len(optimum), symmetric=True)
    eigenvalue, q = np.linalg.eigh(hessian)  # the columns of q are the directions
    gone = 1 - remaining(eigenvalue, lr=lr, steps=steps)
    return q @ (gone * (q.T @ optimum))
