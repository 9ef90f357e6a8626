"""A model as a function of its parameters in a row, in PyTorch."""

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlbook_lib.optimization.loss_landscapes.pytorch import (
    as_parameters,
    hessian_product,
)

__all__ = [
    "loss_of_parameters",
    "parameters_to_vector",
    "residual_of_parameters",
    "vector_to_parameters",
]


def loss_of_parameters(closure, params):
    """As in scratch: two functions, to a number and (n,), and to (n,)."""
    params, recorded = as_parameters(params), []

    def look(x):
        recorded.clear()
        vector_to_parameters(x, params)
        return closure()

    def objective(x):
        loss = look(x)
        slopes = torch.autograd.grad(loss, params, materialize_grads=True)
        return loss.item(), parameters_to_vector(slopes)

    def product(x, v):
        if not recorded or not torch.equal(parameters_to_vector(params), x):
            recorded.append(hessian_product(look(x), params))
        return recorded[0](v)

    return objective, product


def residual_of_parameters(closure, params):
    """As in scratch: two functions of (n,), to (m,) and to (m, n)."""
    params = as_parameters(params)

    def residual(x):
        vector_to_parameters(x, params)
        return closure().detach()

    def jacobian(x):
        vector_to_parameters(x, params)
        options = {"retain_graph": True, "materialize_grads": True}
        rows = [torch.autograd.grad(each, params, **options) for each in closure()]
        return torch.stack([parameters_to_vector(row) for row in rows])

    return residual, jacobian
