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


def value_and_pull(function):
    """A function of `dy` and the arguments: the result and all gradients."""

    def both(dy, *arguments):
        y, pull = jax.vjp(function, *arguments)
        return y, *pull(dy)

    return both
