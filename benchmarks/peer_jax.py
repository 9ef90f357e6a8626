"""What all of JAX's sides share: one processor, compiled functions, no lazy answers."""

import os

if hasattr(os, "sched_setaffinity"):  # XLA heeds no variable for its threads
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax


def step(function, *arguments):
    """Compile a function; a step calls it and waits until the numbers are there."""
    arguments = jax.tree.map(jax.numpy.asarray, arguments)
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arguments))


def descent(cost, params, lr):
    """A step of gradient descent on ``cost(params)``: the loss, then all biases."""

    def trained(params):
        loss, grads = jax.value_and_grad(cost)(params)
        return loss, jax.tree.map(lambda p, g: p - lr * g, params, grads)

    state, compiled = [list(map(jax.numpy.asarray, params))], jax.jit(trained)

    def once():
        loss, state[0] = jax.block_until_ready(compiled(state[0]))
        return loss, *state[0][1::2]

    return once


def value_and_pull(function):
    """A function of `dy` and the arguments: the result and all gradients."""

    def both(dy, *arguments):
        y, pull = jax.vjp(function, *arguments)
        return y, *pull(dy)

    return both
