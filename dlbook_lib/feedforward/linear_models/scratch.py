"""Linear and logistic regression in NumPy, each step with its gradient beside it.

A batch `input` is (N, in), one example a row; `weight` is (out, in) and `bias` (out,),
as in PyTorch, so scores and targets are (N, out): a column even for a single output.
Functions of single numbers, and `linear`, take any batch shape, an empty one included.
Each function `f` comes with `f_backward`, which takes `dy`, the gradient of some cost
with respect to the output of `f`, and hands back those with respect to its inputs.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    as_share,
    check_between,
    check_finite,
    check_positive,
    check_reduction,
    check_same_shape,
    require,
)


def linear(input, weight, bias=None):
    """Scores of a linear layer, :math:`S = X W^{\\mathsf T} + \\mathbf b`.

    Parameters
    ----------
    input : ndarray (..., in)
        Any batch shape, such as (N, in).
    weight : ndarray (out, in)
    bias : ndarray (out,), optional

    Returns
    -------
    ndarray (..., out)

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes do not fit. Where conventions differ: many texts store the
        transpose, (in, out), and PyTorch also takes a one-dimensional weight.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]]), np.array([0.5]))
    array([[1.5]])
    """
    input = as_float(input, "input", empty=True)
    weight = as_float(weight, "weight", ndim=2)
    require(input.ndim, "input is a single number; is it (N, in)?")
    require(
        input.shape[-1] == weight.shape[1],
        f"input has {input.shape[-1]} features but weight expects {weight.shape[1]} "
        f"(input {input.shape}, weight {weight.shape}); is weight (out, in)?",
    )
    score = input @ weight.T  # (..., out)
    if bias is None:
        return score
    bias = as_float(bias, "bias", ndim=1)
    require(
        len(bias) == len(weight),
        f"weight has {len(weight)} outputs but bias has {len(bias)} "
        f"(weight {weight.shape}, bias {bias.shape}); give each output one bias",
    )
    return score + bias


def linear_backward(dy, input, weight, bias=None):
    """Gradients of a cost with respect to what `linear` was given.

    Parameters
    ----------
    dy : ndarray (..., out)
        Gradient of the cost with respect to the scores.
    input, weight, bias
        As given to `linear`.

    Returns
    -------
    dinput : ndarray (..., in)
    dweight : ndarray (out, in)
    dbias : ndarray (out,), or None where there is no bias

    Raises
    ------
    TypeError, ValueError
        As `linear`, and if `dy` has another shape than the scores.

    >>> dy, x, w = np.array([[2.0]]), np.array([[1.0, 3.0]]), np.array([[5.0, 7.0]])
    >>> linear_backward(dy, x, w, np.zeros(1))
    (array([[10., 14.]]), array([[2., 6.]]), array([2.]))
    """
    dy, input = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    weight = as_float(weight, "weight", ndim=2)
    require(
        dy.shape[-1:] + input.shape[-1:] == weight.shape
        and dy.shape[:-1] == input.shape[:-1],
        f"shapes do not fit: dy {dy.shape}, input {input.shape}, weight "
        f"{weight.shape}; they should be (..., out), (..., in) and (out, in)",
    )
    if bias is not None:
        check_same_shape(bias=as_float(bias, "bias"), one_for_each_output=weight[:, 0])
    rows = dy.reshape(-1, len(weight))  # (N, out), whatever the batch shape
    dweight = rows.T @ input.reshape(-1, input.shape[-1])
    return dy @ weight, dweight, None if bias is None else rows.sum(axis=0)


def mse_loss(input, target, reduction="mean"):
    """Squared error, :math:`\\frac1N\\sum_n (s_n - y_n)^2`, in squared units of y.

    Parameters
    ----------
    input, target : ndarray (...)
        Predictions and what they should be; of one shape.
    reduction : {"mean", "sum", "none"}
        Over all elements. Where conventions differ: many texts halve the square.

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ (PyTorch warns and broadcasts), or if the mean is asked of
        an empty batch (PyTorch's is NaN).

    >>> mse_loss(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    np.float64(5.0)
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    loss = (input - target) ** 2
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def mse_loss_backward(dy, input, target, reduction="mean"):
    """Gradient of `mse_loss` with respect to `input`, times `dy`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
        Gradient of the cost with respect to the loss; 1.0 if the loss is the cost.
    input, target, reduction
        As given to `mse_loss`.

    Returns
    -------
    ndarray (...)
        Of the shape of `input`. The target is data and gets no gradient.

    >>> mse_loss_backward(1.0, np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    array([1., 3.])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    return as_share(dy, input, reduction) * 2 * (input - target)


def sigmoid(input):
    """The logistic sigmoid, :math:`\\sigma(z) = 1 / (1 + e^{-z})`.

    Parameters
    ----------
    input : ndarray (...)
        Log-odds, in nats.

    Returns
    -------
    ndarray (...)
        Probabilities, of the precision of `input`. The exponential is only taken of
        numbers that are not positive, so nothing overflows at any score.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    input = as_float(input, "input", empty=True)
    small = np.exp(np.where(input.real < 0, input, -input))  # exp(-|z|), at most 1
    return np.where(input.real < 0, small, 1) / (1 + small)


def sigmoid_backward(dy, input):
    """Gradient of `sigmoid`, :math:`\\sigma(z)\\,\\sigma(-z)`, times `dy` (...).

    >>> sigmoid_backward(np.array([1.0]), np.array([0.0]))
    array([0.25])
    """
    dy, input = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    return dy * sigmoid(input) * sigmoid(-input)


def binary_cross_entropy_with_logits(input, target, reduction="mean"):
    """Cross-entropy of labels under :math:`\\sigma(z)`, in nats per example.

    .. math:: \\max(z, 0) - zy + \\log(1 + e^{-|z|})

    equals :math:`-y\\log\\sigma(z) - (1-y)\\log(1-\\sigma(z))` and is finite for every
    finite z (Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2).

    Parameters
    ----------
    input : ndarray (...)
        Logits z: scores, not probabilities.
    target : ndarray (...)
        Labels y of the same shape, floats from 0 to 1.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    floating scalar, or ndarray (...) with ``reduction="none"``

    Raises
    ------
    TypeError
        If an array does not hold floating-point numbers.
    ValueError
        If the shapes differ, if a label is NaN or outside 0 to 1, or if the mean is
        asked of an empty batch.

    >>> binary_cross_entropy_with_logits(np.array([800.0, -800.0]), np.ones(2))
    np.float64(400.0)
    """
    z = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=z, target=target)
    check_between(target, "target", 0, 1)
    small = np.exp(np.where(z.real < 0, z, -z))  # exp(-|z|), at most 1
    loss = np.where(z.real < 0, 0, z) - z * target + np.log1p(small)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def binary_cross_entropy_with_logits_backward(dy, input, target, reduction="mean"):
    """Gradient of the loss with respect to the logits, :math:`\\sigma(z) - y`.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
    input, target, reduction
        As given to `binary_cross_entropy_with_logits`.

    Returns
    -------
    ndarray (...)

    >>> y = np.array([0.0, 1.0])
    >>> binary_cross_entropy_with_logits_backward(1.0, np.zeros(2), y)
    array([ 0.25, -0.25])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    check_between(target, "target", 0, 1)
    return as_share(dy, input, reduction) * (sigmoid(input) - target)


def numeric_gradient(f, x, eps=1e-6):
    """Gradient of `f` at `x` by central differences, to compare with a derived one.

    Parameters
    ----------
    f : callable
        ``f(x)`` is a number.
    x : ndarray of float64 (...)
    eps : float
        Half the distance between the two points, in units of `x`. The error falls like
        eps² until rounding, which grows like 1/eps, takes over.

    Returns
    -------
    ndarray (...)
        Of the shape of `x`.

    Raises
    ------
    ValueError
        If `x` is not float64: rounding would drown the difference. If `eps` is not
        positive.

    >>> numeric_gradient(lambda x: (x**2).sum(), np.array([1.0, -2.0])).round(6)
    array([ 2., -4.])
    """
    x = as_float(x, "x")
    check_positive(eps, "eps")
    require(
        x.dtype == np.float64,
        f"x is {x.dtype}, too coarse for a step of {eps}; try x.astype(float)",
    )
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def gradient_descent(objective, params, *, lr, steps):
    """Take `steps` steps of length `lr` times the gradient, downhill.

    Parameters
    ----------
    objective : callable
        ``objective(*params)`` is the pair of the loss and a list of its gradients, one
        of the shape of each parameter.
    params : list of ndarray (...)
        Where to start; not changed.
    lr : float
        Learning rate, in units of parameter² per unit of loss.
    steps : int

    Returns
    -------
    params : list of ndarray (...)
        Where the walk ends.
    losses : list of float
        Before each step, so `steps` of them.

    Raises
    ------
    ValueError
        If `lr` or `steps` is not positive.

    >>> gradient_descent(lambda x: (x**2, [2 * x]), [np.array(1.0)], lr=0.25, steps=2)
    ([np.float64(0.25)], [1.0, 0.25])
    """
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    params = as_floats(params, "params")
    losses = []
    for _ in range(steps):
        loss, gradients = objective(*params)
        losses.append(float(loss))
        params = [p - lr * g for p, g in zip(params, gradients, strict=True)]
    return params, losses


def normal_equations(columns, target):
    """Weights of least squared error, :math:`(X^{\\mathsf T}X)^{-1}X^{\\mathsf T}Y`.

    Parameters
    ----------
    columns : ndarray (N, D)
        One column a weight; a column of ones for a bias.
    target : ndarray (N, out)

    Returns
    -------
    ndarray (D, out)

    Raises
    ------
    ValueError
        If the columns are linearly dependent, so that no single answer is best.

    >>> normal_equations(np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]]))
    array([[2.]])
    """
    columns = as_float(columns, "columns", ndim=2)
    target = as_float(target, "target", ndim=2)
    check_finite(columns, "columns")
    require(
        len(columns) == len(target),
        f"columns has {len(columns)} rows but target has {len(target)} (columns "
        f"{columns.shape}, target {target.shape}); give each example one row in both",
    )
    gram = columns.T @ columns  # (D, D)
    rank = np.linalg.matrix_rank(gram, hermitian=True)
    require(
        rank == len(gram),
        f"the {len(gram)} columns have rank {rank}, so many weights are equally good; "
        "drop columns that others determine, or descend the gradient",
    )
    return np.linalg.solve(gram, columns.T @ target)


class LinearRegression:
    """The linear model fitted by least squares; `weight` (out, in), `bias` (out,).

    >>> model = LinearRegression()
    >>> model.fit_normal(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
    >>> model.predict(np.array([[2.0]])).round(12)
    array([[5.]])
    """

    def fit_normal(self, input, target):
        """Solve the normal equations for `input` (N, in) and `target` (N, out)."""
        input = as_float(input, "input", ndim=2)
        solution = normal_equations(np.c_[input, np.ones_like(input[:, 0])], target)
        self.weight, self.bias = solution[:-1].T, solution[-1]

    def fit_gd(self, input, target, *, lr, steps):
        """Descend the mean squared error from zero; the loss before each step."""
        input = as_float(input, "input", ndim=2)
        target = as_float(target, "target", ndim=2)

        def objective(weight, bias):
            score = linear(input, weight, bias)
            dscore = mse_loss_backward(1.0, score, target)
            _, dweight, dbias = linear_backward(dscore, input, weight, bias)
            return mse_loss(score, target), [dweight, dbias]

        zeros = np.zeros((target.shape[1], input.shape[1] + 1), input.dtype)
        start = [zeros[:, :-1], zeros[:, -1]]
        params, losses = gradient_descent(objective, start, lr=lr, steps=steps)
        self.weight, self.bias = params
        return losses

    def predict(self, input):
        """Predictions (N, out) for `input` (N, in), in the units of the target."""
        return linear(input, self.weight, self.bias)


class LogisticRegression:
    """A linear model of the log-odds; `weight` (1, in), `bias` (1,).

    >>> model = LogisticRegression()
    >>> x, y = np.array([[-1.0], [1.0]]), np.array([[0.0], [1.0]])
    >>> losses = model.fit(x, y, lr=1.0, steps=10)
    >>> model.predict(x)
    array([[0.],
           [1.]])
    """

    def fit(self, input, target, *, lr, steps, weight_decay=0.0):
        """Descend the cross-entropy from zero; the loss before each step.

        Parameters
        ----------
        input : ndarray (N, in)
        target : ndarray (N, 1)
            Floats, 0 or 1.
        lr : float
        steps : int
        weight_decay : float
            :math:`\\alpha` of :math:`\\frac\\alpha2\\lVert\\mathbf w\\rVert^2`, a
            penalty that the losses include.

        Returns
        -------
        list of float
            Nats per example.
        """
        input = as_float(input, "input", ndim=2)
        check_positive(weight_decay, "weight_decay", zero=True)

        def objective(weight, bias):
            logits = linear(input, weight, bias)
            loss = binary_cross_entropy_with_logits(logits, target)
            penalty = weight_decay / 2 * (weight**2).sum()
            dlogits = binary_cross_entropy_with_logits_backward(1.0, logits, target)
            _, dweight, dbias = linear_backward(dlogits, input, weight, bias)
            return loss + penalty, [dweight + weight_decay * weight, dbias]

        start = [np.zeros_like(input[:1]), np.zeros_like(input[0, :1])]
        params, losses = gradient_descent(objective, start, lr=lr, steps=steps)
        self.weight, self.bias = params
        return losses

    def probability(self, input):
        """Probability of class 1 (N, 1) for `input` (N, in)."""
        return sigmoid(linear(input, self.weight, self.bias))

    def predict(self, input):
        """The likelier class (N, 1), 0 or 1, for `input` (N, in)."""
        return (linear(input, self.weight, self.bias) > 0).astype(input.dtype)


def quadratic_features(input):
    """All squares, products of two, and the features themselves, in this order.

    Parameters
    ----------
    input : ndarray (N, d)

    Returns
    -------
    ndarray (N, d (d + 3) / 2)
        For d = 2: :math:`x_1^2, x_2^2, x_1x_2, x_1, x_2`. Where conventions differ:
        scikit-learn's PolynomialFeatures orders by degree and starts with a 1.

    >>> quadratic_features(np.array([[2.0, 3.0]]))
    array([[4., 9., 6., 2., 3.]])
    """
    input = as_float(input, "input", ndim=2)
    i, j = np.triu_indices(input.shape[1], k=1)
    return np.concatenate([input**2, input[:, i] * input[:, j], input], axis=1)


def and_of_halfplanes(input, weight, bias):
    """Whether each point lies on the positive side of every one of K hyperplanes.

    The AND is itself a threshold on a linear score: the K answers add up to more than
    K − ½.

    Parameters
    ----------
    input : ndarray (N, d)
    weight : ndarray (K, d)
    bias : ndarray (K,)

    Returns
    -------
    ndarray of bool (N,)

    >>> corner = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> and_of_halfplanes(corner, np.eye(2), np.zeros(2))
    array([ True, False])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    inside = linear(input, weight, as_float(bias, "bias")) > 0  # (N, K)
    return inside.sum(axis=1) > len(weight) - 0.5
