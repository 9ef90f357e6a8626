"""What autograd's sides share: a result with all gradients, and a step of training."""

from autograd import make_vjp, value_and_grad


def step(function, given, dy):
    """A step of a function of a tuple of arrays, `given`."""

    def once():
        pull, y = make_vjp(function)(tuple(given))
        return [y, *pull(dy)]

    return once


def descent(cost, params, lr):
    """A step of gradient descent on ``cost(params)``: the loss, then all biases."""
    gradient = value_and_grad(cost)

    def once():
        loss, grads = gradient(params)
        for parameter, g in zip(params, grads):  # noqa: B905
            parameter -= lr * g
        return loss, *params[1::2]

    return once
