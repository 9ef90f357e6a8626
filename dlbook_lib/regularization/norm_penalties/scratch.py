r"""Norm penalties in NumPy: values, gradients, proximal maps, and closed forms.

The book's convention is :math:`\tilde J=J+\alpha\Omega` with a cost :math:`J` that is a
mean over examples and :math:`\Omega=\frac12\lVert\mathbf w\rVert_2^2` for L2. A penalty
takes an array of any shape, all of its entries as one vector, except that the group
penalty takes the slices along `dim` as groups. `alpha` and `threshold` are data: no
gradient is given for them. Constraints on norms are in `projections`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_between,
    check_dim,
    check_finite,
    check_in,
    check_positive,
    check_same_shape,
    check_square,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import linear
from dlbook_lib.regularization.norm_penalties.projections import (
    length,
    project_l2,
    project_l2_backward,
)

# ---- penalties and gradients ---------------------------------------------------------


def l2_penalty(weight, alpha=1.0):
    r"""Weight decay, :math:`\frac\alpha2\lVert\mathbf w\rVert_2^2`.

    Parameters
    ----------
    weight : array_like (...)
    alpha : float
        Strength, 0 or more, in units of cost per squared unit of weight.

    Returns
    -------
    floating scalar
        Infinity if the squares overflow, as in torch.

    Where conventions differ: some texts leave out the half, which doubles alpha; torch
    has the gradient alone, as ``weight_decay`` of its optimizers.

    Source: Goodfellow, Bengio and Courville (2016), section 7.1.1.

    >>> l2_penalty([3.0, -4.0], alpha=0.1)
    np.float64(1.25)
    """
    weight = as_float(weight, "weight", empty=True)
    check_positive(alpha, "alpha", zero=True)
    with np.errstate(over="ignore"):
        return float(alpha) / 2 * (weight * weight).sum()


def l2_penalty_backward(dy, weight, alpha=1.0):
    r"""Gradient of `l2_penalty`: `dy`, a number, times :math:`\alpha\mathbf w` (...).

    >>> l2_penalty_backward(1.0, [3.0, -4.0], alpha=0.5)
    array([ 1.5, -2. ])
    """
    dy, weight = as_float(dy, "dy", ndim=0), as_float(weight, "weight", empty=True)
    check_positive(alpha, "alpha", zero=True)
    return float(dy) * float(alpha) * weight


def l1_penalty(weight, alpha=1.0):
    r"""Sum of absolute values, :math:`\alpha\lVert\mathbf w\rVert_1`.

    Parameters
    ----------
    weight : array_like (...)
    alpha : float
        Strength, 0 or more, in units of cost per unit of weight.

    Returns
    -------
    floating scalar

    Source: Tibshirani (1996). The norm is not squared: a square would couple the
    weights, and its pull would fade near 0.

    >>> l1_penalty([3.0, -4.0], alpha=0.5)
    np.float64(3.5)
    """
    weight = as_float(weight, "weight", empty=True)
    check_positive(alpha, "alpha", zero=True)
    return float(alpha) * np.abs(weight).sum()


def l1_penalty_backward(dy, weight, alpha=1.0):
    r"""Subgradient of `l1_penalty`: `dy`, a number, times :math:`\pm\alpha` (...).

    At a weight of 0 every slope from −α to α is a subgradient; this one is 0, as in
    torch. NaN stays NaN; autograd's slope there is 0.

    >>> l1_penalty_backward(1.0, [3.0, 0.0, -4.0], alpha=0.5)
    array([ 0.5,  0. , -0.5])
    """
    dy, weight = as_float(dy, "dy", ndim=0), as_float(weight, "weight", empty=True)
    check_positive(alpha, "alpha", zero=True)
    return float(dy) * float(alpha) * np.sign(weight)


def group_penalty(weight, alpha=1.0, dim=-1):
    r"""Sum of the lengths of groups, :math:`\alpha\sum_g\lVert\mathbf w_g\rVert_2`.

    Parameters
    ----------
    weight : array_like (..., n, ...)
    alpha : float
        Strength, 0 or more.
    dim : int
        The axis that a group lies along. Of a weight (out, in), −1 makes a group of all
        that enters a unit, 0 one of all that leaves an input.

    Returns
    -------
    floating scalar

    Source: Yuan and Lin (2006). Where conventions differ: they weigh a group by the
    root of its size, which all groups share here; take it into alpha.

    >>> group_penalty([[3.0, 4.0], [0.0, 0.0]], alpha=0.5)
    np.float64(2.5)
    """
    check_positive(alpha, "alpha", zero=True)
    check_dim(dim, as_float(weight, "weight"))
    return float(alpha) * length(weight, dim).sum()


def group_penalty_backward(dy, weight, alpha=1.0, dim=-1):
    r"""Subgradient of `group_penalty`: `dy`, a number, times :math:`\alpha\mathbf
    w_g/\lVert\mathbf w_g\rVert` (...), and 0 for a group of zeros.

    >>> group_penalty_backward(1.0, [[3.0, 4.0], [0.0, 0.0]], alpha=0.5)
    array([[0.3, 0.4],
           [0. , 0. ]])
    """
    dy, weight = as_float(dy, "dy", ndim=0), as_float(weight, "weight")
    check_positive(alpha, "alpha", zero=True)
    check_dim(dim, weight)
    norm = length(weight, dim)
    return float(dy) * float(alpha) * (weight / np.where(norm > 0, norm, 1))


# ---- proximal maps and steps ---------------------------------------------------------


def soft_threshold(input, threshold):
    r"""Pull towards 0 by a fixed amount, :math:`\operatorname{sign}(z)\max(|z|-t,0)`.

    .. math:: \arg\min_w\ \tfrac12(w-z)^2+t|w|

    Parameters
    ----------
    input : array_like (...)
    threshold : float, or array_like (...)
        The amount :math:`t`, 0 or more: one for all, or one for each entry. Where the
        Hessian is diagonal, ``alpha / diagonal`` gives the optimum under an L1 penalty.

    Returns
    -------
    ndarray (...)
        What is left of `input` without its projection onto :math:`[-t,t]`: exactly 0
        within. With one threshold, ``torch.nn.functional.softshrink``.

    Source: Goodfellow, Bengio and Courville (2016), equation 7.23; Parikh and Boyd
    (2014), section 6.5.2.

    >>> soft_threshold([-3.0, 0.5, 2.0], 1.0)
    array([-2.,  0.,  1.])
    """
    input = as_float(input, "input", empty=True)
    threshold = as_float(threshold, "threshold", empty=True).astype(input.dtype)
    if threshold.ndim:
        check_same_shape(input=input, threshold=threshold)
    check_between(threshold.real, "threshold", 0, np.inf)
    return input - np.clip(input, -threshold, threshold)


def soft_threshold_backward(dy, input, threshold):
    """Gradient of `soft_threshold`: `dy` (...) where something is left, else 0.

    >>> soft_threshold_backward([5.0, 5.0, 5.0], [-3.0, 1.0, 2.0], 1.0)
    array([5., 0., 5.])
    """
    dy = as_float(dy, "dy", empty=True)
    soft_threshold(input, threshold)  # checks them
    input = np.asarray(input)
    check_same_shape(dy=dy, input=input)
    inside = np.abs(input) <= np.asarray(threshold).astype(input.dtype)
    return np.where(inside, 0, dy)


def group_soft_threshold(input, threshold, dim=-1):
    r"""Shorten every group by a fixed length: :math:`\max(1-t/\lVert\mathbf
    z_g\rVert,0)\,\mathbf z_g`.

    Parameters
    ----------
    input : array_like (..., n, ...)
    threshold : float
        The length :math:`t`, 0 or more.
    dim : int
        The axis that a group lies along, as in `group_penalty`.

    Returns
    -------
    ndarray (..., n, ...)
        What is left of `input` without its projection onto a ball of radius t.

    Source: Parikh and Boyd (2014), section 6.5.1.

    >>> group_soft_threshold([[3.0, 4.0], [0.3, 0.4]], 1.0)
    array([[2.4, 3.2],
           [0. , 0. ]])
    """
    check_positive(threshold, "threshold", zero=True)
    input = as_float(input, "input")
    check_dim(dim, input)
    return input - project_l2(input, threshold, dim)


def group_soft_threshold_backward(dy, input, threshold, dim=-1):
    """Gradient of `group_soft_threshold` with respect to `input` (..., n, ...).

    >>> group_soft_threshold_backward([[1.0, 1.0]], [[0.0, 2.0]], 1.0)
    array([[0.5, 1. ]])
    """
    check_positive(threshold, "threshold", zero=True)
    check_dim(dim, as_float(input, "input"))
    return as_float(dy, "dy") - project_l2_backward(dy, input, threshold, dim)


def l2_shrink(input, threshold):
    r"""Proximal map of the L2 penalty, :math:`\mathbf z/(1+t)`: never exactly 0.

    Parameters
    ----------
    input : array_like (...)
    threshold : float
        :math:`t`, 0 or more; named as in `soft_threshold`, although nothing is cut off.

    Returns
    -------
    ndarray (...)

    >>> l2_shrink([-3.0, 0.5, 2.0], 1.0)
    array([-1.5 ,  0.25,  1.  ])
    """
    input = as_float(input, "input", empty=True)
    check_positive(threshold, "threshold", zero=True)
    return input / (1 + float(threshold))


def l2_shrink_backward(dy, input, threshold):
    """Gradient of `l2_shrink` (...): `dy`, shrunk by the same factor.

    >>> l2_shrink_backward([2.0], [3.0], 1.0)
    array([1.])
    """
    dy, input = as_float(dy, "dy", empty=True), as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    return l2_shrink(dy, threshold)


PENALTIES = {
    "l2": (l2_penalty, l2_penalty_backward, l2_shrink),
    "l1": (l1_penalty, l1_penalty_backward, soft_threshold),
    "group": (group_penalty, group_penalty_backward, group_soft_threshold),
}
"""Penalties by name: the value, its gradient, and its proximal map."""


def penalized(objective, alphas, penalty="l2"):
    r"""The objective :math:`J+\sum_i\alpha_i\Omega(\theta_i)`, for `gradient_descent`.

    Parameters
    ----------
    objective : callable
        ``objective(*params)`` is the pair of the cost and a list of its gradients, one
        of the shape (...) of each parameter.
    alphas : list of float
        One strength for each parameter; 0 leaves it alone, as one does with biases.
    penalty : {"l2", "l1", "group"}

    Returns
    -------
    callable
        Of the same form.

    Raises
    ------
    ValueError
        If there are not as many alphas or gradients as parameters, or of other shapes.

    Source: Goodfellow, Bengio and Courville (2016), equation 7.1.

    >>> total = penalized(lambda w, b: (0.0, [w, b]), [0.5, 0.0])
    >>> total(np.array([2.0]), np.array([3.0]))
    (np.float64(1.0), [array([3.]), array([3.])])
    """
    said = f"objective must be a function of the parameters, not {objective!r}"
    require(callable(objective), said, TypeError)
    check_in(penalty, "penalty", tuple(PENALTIES))
    is_list = isinstance(alphas, (list, tuple))
    require(is_list, f"alphas must be a list of numbers, not {alphas!r}", TypeError)
    for alpha in alphas:
        check_positive(alpha, "each of alphas", zero=True)
    omega, omega_backward, _ = PENALTIES[penalty]

    def total(*params):
        said = f"there are {len(params)} parameters but {len(alphas)} alphas"
        require(len(params) == len(alphas), f"{said}; give each one, perhaps 0")
        cost, gradients = objective(*params)
        gradients = as_floats(gradients, "gradients", count=len(params))
        for i, (p, alpha) in enumerate(zip(params, alphas, strict=True)):
            check_same_shape(parameter=p, gradient=gradients[i])
            if alpha:
                cost = cost + omega(p, alpha)
                gradients[i] = gradients[i] + omega_backward(1.0, p, alpha)
        return cost, gradients

    return total


def decay_step(weight, gradient, *, lr, alpha):
    r"""A step with weight decay, :math:`(1-\epsilon\alpha)\mathbf w-\epsilon\nabla J`.

    Parameters
    ----------
    weight, gradient : array_like (...)
        The gradient is that of the cost without the penalty.
    lr : float
        :math:`\epsilon`.
    alpha : float
        The strength of the penalty :math:`\frac\alpha2\lVert\mathbf w\rVert^2`. Where
        conventions differ: some texts write :math:`\lambda'=\epsilon\alpha` into the
        step, so that the penalty changes with the learning rate.

    Returns
    -------
    ndarray (...)
        The new weight: that of ``torch.optim.SGD(lr=lr, weight_decay=alpha)``.

    Source: Goodfellow, Bengio and Courville (2016), section 7.1.1.

    >>> decay_step([1.0, -2.0], [0.0, 1.0], lr=0.1, alpha=0.5)
    array([ 0.95, -2.  ])
    """
    weight, gradient = as_float(weight, "weight"), as_float(gradient, "gradient")
    check_same_shape(weight=weight, gradient=gradient)
    check_positive(lr, "lr")
    check_positive(alpha, "alpha", zero=True)
    return (1 - float(lr) * float(alpha)) * weight - float(lr) * gradient


def proximal_step(weight, gradient, *, lr, alpha, penalty="l1"):
    r"""Descend the cost, then the penalty exactly: :math:`\operatorname{prox}_{\epsilon
    \alpha\Omega}(\mathbf w-\epsilon\nabla J)`.

    Parameters
    ----------
    weight, gradient : array_like (...)
        The gradient is that of the cost without the penalty.
    lr, alpha : float
    penalty : {"l1", "l2", "group"}
        Groups lie along the last axis.

    Returns
    -------
    ndarray (...)
        With ``"l1"`` weights become exactly 0, where a step along the subgradient would
        jump over it.

    Source: Parikh and Boyd (2014), section 4.2.

    >>> proximal_step([1.0, 0.25], [2.0, 1.0], lr=0.25, alpha=1.0)
    array([0.25, 0.  ])
    """
    weight, gradient = as_float(weight, "weight"), as_float(gradient, "gradient")
    check_same_shape(weight=weight, gradient=gradient)
    check_positive(lr, "lr")
    check_positive(alpha, "alpha", zero=True)
    check_in(penalty, "penalty", tuple(PENALTIES))
    proximal_map = PENALTIES[penalty][2]
    return proximal_map(weight - float(lr) * gradient, float(lr) * float(alpha))


# ---- closed forms --------------------------------------------------------------------


def shrinkage(eigenvalue, alpha):
    r"""What an L2 penalty leaves of the optimum, :math:`\lambda/(\lambda+\alpha)`.

    Parameters
    ----------
    eigenvalue : array_like (...)
        Curvature :math:`\lambda` of the cost along each direction.
    alpha : float
        Strength of the penalty, 0 or more.

    Returns
    -------
    ndarray (...)
        Near 1 where the cost is steep, near 0 where it is flat.

    Raises
    ------
    ValueError
        If a curvature is not above −alpha: there the penalized cost has no minimum.

    Source: Goodfellow, Bengio and Courville (2016), section 7.1.1, equation 7.13.

    >>> shrinkage([0.0, 1.0, 9.0], alpha=1.0)
    array([0. , 0.5, 0.9])
    """
    eigenvalue = as_float(eigenvalue, "eigenvalue", empty=True)
    check_positive(alpha, "alpha", zero=True)
    for wrong in np.ravel(eigenvalue)[~np.ravel(eigenvalue + float(alpha) > 0)][:1]:
        require(
            False,
            f"eigenvalue {wrong:g} and alpha {alpha} do not add up to more than 0, so "
            "there is no single minimum; raise alpha",
        )
    return eigenvalue / (eigenvalue + float(alpha))


def l2_solution(hessian, optimum, alpha):
    r"""Minimum of a quadratic cost with an L2 penalty.

    .. math:: \tilde{\mathbf w}=(H+\alpha I)^{-1}H\mathbf w^*
        =Q\,\frac{\Lambda}{\Lambda+\alpha I}\,Q^{\mathsf T}\mathbf w^*

    Parameters
    ----------
    hessian : array_like (D, D)
        Symmetric, as a second derivative is.
    optimum : array_like (D,)
        Where the cost alone is least.
    alpha : float

    Returns
    -------
    ndarray (D,)

    Raises
    ------
    ValueError
        If `hessian` is not symmetric, or as `shrinkage`.

    Source: Goodfellow, Bengio and Courville (2016), section 7.1.1.

    >>> l2_solution(np.diag([1.0, 9.0]), [2.0, 2.0], alpha=1.0)
    array([1. , 1.8])
    """
    hessian = as_float(hessian, "hessian", ndim=2)
    optimum = as_float(optimum, "optimum", ndim=1)
    check_square(hessian, "hessian", len(optimum), symmetric=True)
    eigenvalue, q = np.linalg.eigh(hessian)  # the columns of q are the directions
    return q @ (shrinkage(eigenvalue, alpha) * (q.T @ optimum))


def moments(columns, target):
    r"""Second moments, :math:`X^{\mathsf T}X/N` and :math:`X^{\mathsf T}Y/N`.

    They are all that least squares needs to know: the first is the Hessian of half the
    mean squared error, the second minus its gradient at 0.

    Parameters
    ----------
    columns : array_like (N, D)
        One column a weight.
    target : array_like (N, out)

    Returns
    -------
    gram : ndarray (D, D)
    pull : ndarray (D, out)

    >>> moments([[1.0], [2.0]], [[3.0], [1.0]])
    (array([[2.5]]), array([[2.5]]))
    """
    columns = as_float(columns, "columns", ndim=2)
    target = as_float(target, "target", ndim=2)
    check_finite(columns, "columns")
    check_finite(target, "target")
    require(
        len(columns) == len(target),
        f"columns has {len(columns)} rows but target has {len(target)} (columns "
        f"{columns.shape}, target {target.shape}); give each example one row in both",
    )
    with np.errstate(over="ignore", invalid="ignore"):
        products = columns.T @ columns, columns.T @ target
    fit = all(np.isfinite(p).all() for p in products)
    require(fit, "products of columns overflow; divide by how large the numbers are")
    return tuple(p / len(columns) for p in products)


def ridge(columns, target, alpha):
    r"""Least squares with an L2 penalty, in closed form.

    .. math:: \arg\min_W\tfrac1{2N}\lVert XW-Y\rVert^2+\tfrac\alpha2\lVert W\rVert^2
        =(X^{\mathsf T}X+N\alpha I)^{-1}X^{\mathsf T}Y

    Parameters
    ----------
    columns : array_like (N, D)
        One column a weight; one of ones for a bias, which is penalized like the others.
    target : array_like (N, out)
    alpha : float
        Strength, 0 or more. Where conventions differ: against a sum of squares, as in
        scikit-learn's ``Ridge``, the same penalty has N times this alpha; against
        `mse_loss`, which does not halve the squares, twice this alpha.

    Returns
    -------
    ndarray (D, out)

    Raises
    ------
    ValueError
        If the penalized matrix is singular, so that no single answer is best.

    Source: Hoerl and Kennard (1970).

    >>> ridge([[1.0], [1.0]], [[3.0], [1.0]], alpha=1.0)
    array([[1.]])
    """
    gram, pull = moments(columns, target)
    check_positive(alpha, "alpha", zero=True)
    gram = gram + float(alpha) * np.eye(len(gram), dtype=gram.dtype)
    rank = np.linalg.matrix_rank(gram, hermitian=True)
    require(
        rank == len(gram),
        f"the penalized {len(gram)} columns have rank {rank}, so many weights are "
        "equally good; raise alpha",
    )
    return np.linalg.solve(gram, pull)


def lasso_cd(columns, target, alpha, *, sweeps=1000, tol=1e-12):
    r"""Least squares with an L1 penalty, by coordinate descent.

    .. math:: \arg\min_W\tfrac1{2N}\lVert XW-Y\rVert^2+\alpha\lVert W\rVert_1

    One weight at a time goes to its own minimum, a soft threshold, while the others
    stand still; so round after round.

    Parameters
    ----------
    columns : array_like (N, D)
    target : array_like (N, out)
    alpha : float
        Strength, 0 or more; that of scikit-learn's ``Lasso``.
    sweeps : int
        Rounds over all weights at most.
    tol : float
        Stop after a round that has moved no weight by more than this share of the
        largest, or of rounding where that is coarser.

    Returns
    -------
    ndarray (D, out)
        With exact zeros: nothing else from an alpha of :math:`\max|X^{\mathsf T}Y|/N`
        on.

    Source: Tibshirani (1996); Friedman, Hastie and Tibshirani (2010), section 2.1.

    >>> lasso_cd([[1.0, 0.0], [0.0, 1.0]], [[4.0], [1.0]], alpha=1.0)
    array([[2.],
           [0.]])
    """
    gram, pull = moments(columns, target)
    check_positive(alpha, "alpha", zero=True)
    check_positive(sweeps, "sweeps", integer=True)
    check_positive(tol, "tol", zero=True)
    tol = max(float(tol), float(np.finfo(gram.dtype).eps))
    weight = np.zeros_like(pull)  # (D, out)
    for _ in range(sweeps):
        before = weight.copy()
        for j in np.flatnonzero(gram.diagonal()):
            weight[j] = 0
            left = pull[j] - gram[j] @ weight  # (out,), what the others leave to do
            weight[j] = soft_threshold(left, float(alpha)) / gram[j, j]
        if np.abs(weight - before).max() <= tol * np.abs(weight).max():
            break
    return weight


class Ridge:
    """Linear model with an L2 penalty on `weight` (out, in), not on `bias` (out,).

    Parameters
    ----------
    alpha : float
        Strength, 0 or more, against the mean of half the squared errors.

    >>> model = Ridge(alpha=0.25).fit([[0.0], [1.0]], [[1.0], [3.0]])
    >>> model.weight, model.bias
    (array([[1.]]), array([1.5]))
    """

    solve = staticmethod(ridge)

    def __init__(self, alpha=1.0):
        check_positive(alpha, "alpha", zero=True)
        self.alpha = alpha

    def fit(self, input, target):
        """Solve for `input` (N, in) and `target` (N, out), both about their means.

        Without its mean the target needs no bias; the bias puts it back.
        """
        input = as_float(input, "input", ndim=2)
        target = as_float(target, "target", ndim=2)
        center, level = input.mean(axis=0), target.mean(axis=0)
        self.weight = self.solve(input - center, target - level, self.alpha).T
        self.bias = level - self.weight @ center
        return self

    def predict(self, input):
        """Predictions (N, out) for `input` (N, in), in the units of the target."""
        require(hasattr(self, "weight"), "there are no weights yet; call fit first")
        return linear(input, self.weight, self.bias)


class Lasso(Ridge):
    """As `Ridge`, with an L1 penalty: `weight` (out, in) has exact zeros.

    >>> Lasso(alpha=1.0).fit([[0.0], [1.0]], [[1.0], [3.0]]).weight
    array([[0.]])
    """

    solve = staticmethod(lasso_cd)
