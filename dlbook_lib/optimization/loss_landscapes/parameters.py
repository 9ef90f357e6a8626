r"""A model as a function of its parameters in a row, for methods that want a function.

The methods of `second_order` step on a function of one vector. A network keeps its
parameters in many arrays; here they are put in a row, and back in their places:

>>> from dlbook_lib.feedforward.autodiff.modules import Linear, MSELoss
>>> from dlbook_lib.optimization.loss_landscapes.second_order import truncated_newton
>>> model = Linear(2, 1, rng=np.random.default_rng(0))
>>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
>>> y = np.array([[3.0], [4.0], [6.0]])
>>> params = list(model.parameters())
>>> objective, product = loss_of_parameters(lambda: MSELoss()(model(x), y), params)
>>> start = parameters_to_vector(params)
>>> path = truncated_newton(objective, product, start, steps=9)
>>> vector_to_parameters(path[-1], params)
>>> model.weight.data.round(6), model.bias.data.round(6)
(array([[2., 3.]]), array([1.]))
"""

import numpy as np

from dlbook_lib.common.checks import as_float, check_ndim, require
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, no_grad
from dlbook_lib.optimization.loss_landscapes.scratch import (
    as_parameters,
    hessian_product,
)


def parameters_to_vector(parameters):
    """The numbers of all parameters in a row, copied.

    Parameters
    ----------
    parameters : iterable of Parameter (...)
        With n entries in all.

    Returns
    -------
    ndarray (n,)

    >>> from dlbook_lib.feedforward.autodiff.modules import Parameter
    >>> parameters_to_vector([Parameter(np.eye(2)), Parameter(np.array(5.0))])
    array([1., 0., 0., 1., 5.])
    """
    return np.concatenate([p.data.ravel() for p in as_parameters(parameters)])


def vector_to_parameters(vec, parameters):
    """Write the numbers in a row into the parameters, each in its own precision.

    Parameters
    ----------
    vec : ndarray (n,)
    parameters : iterable of Parameter (...)
        Changed in place.

    Where conventions differ: torch has the parameters share the memory of `vec`.
    """
    vec, params = as_float(vec, "vec", ndim=1), as_parameters(parameters)
    ends = np.cumsum([p.numel() for p in params])
    sentence = f"vec has {len(vec)} entries for {ends[-1]} parameters"
    require(len(vec) == ends[-1], sentence)
    with no_grad():
        for p, part in zip(params, np.split(vec, ends[:-1]), strict=True):
            p.copy_(part.reshape(p.shape))


def loss_of_parameters(closure, params):
    """The loss of a model as a function of all its parameters in a row.

    Parameters
    ----------
    closure : callable
        The loss with the parameters as they are: a Tensor of shape (), with its graph.
    params : iterable of Parameter (...)
        With n entries in all. A call leaves them where it was asked to look.

    Returns
    -------
    objective : callable
        ``objective(x)`` is the value and the gradient (n,) at a point (n,).
    product : callable
        ``product(x, v)`` is H(x) v (n,), by `hessian_product`. The gradient is recorded
        anew only where x is another than before.
    """
    require(callable(closure), f"closure is {closure!r}, no function", TypeError)
    params, recorded = as_parameters(params), []

    def look(x):
        recorded.clear()
        vector_to_parameters(x, params)
        loss = closure()
        require(isinstance(loss, Tensor), f"closure returns {loss!r}", TypeError)
        return loss

    def objective(x):
        loss = look(x)
        return loss.item(), _gradient(loss, params)

    def product(x, v):
        if not recorded or not np.array_equal(parameters_to_vector(params), x):
            recorded.append(hessian_product(look(x), params))
        return recorded[0](v)

    return objective, product


def residual_of_parameters(closure, params):
    """What a model misses as a function of its parameters, for `levenberg_marquardt`.

    Parameters
    ----------
    closure : callable
        Outputs minus targets with the parameters as they are: a Tensor (m,), with its
        graph.
    params : iterable of Parameter (...)
        As in `loss_of_parameters`.

    Returns
    -------
    residual, jacobian : callable
        r (m,), and its derivatives J (m, n), at a point (n,). One backward pass for
        each of the m rows.
    """
    require(callable(closure), f"closure is {closure!r}, no function", TypeError)
    params = as_parameters(params)

    def look(x):
        vector_to_parameters(x, params)
        r = closure()
        require(isinstance(r, Tensor), f"closure returns {r!r}", TypeError)
        check_ndim(r.data, "what closure returns", 1)
        return r

    def jacobian(x):
        r = look(x)
        return np.stack([_gradient(r, params, one) for one in np.eye(r.numel())])

    return lambda x: look(x).data, jacobian


def _gradient(y, params, dy=None):
    """The gradient (n,) of `y`, times `dy` (...); 0 for what it does not depend on."""
    found = [None] * len(params)
    if y.requires_grad:
        dy = None if dy is None else dy.astype(y.dtype)
        found = grad(y, params, dy, retain_graph=dy is not None, allow_unused=True)
    pairs = zip(params, found, strict=True)
    parts = [np.zeros_like(p.data) if g is None else g.data for p, g in pairs]
    return np.concatenate([part.ravel() for part in parts])
