"""JAX's side, compiled; a chain of tiny operations would be compiled away."""

import jax
import jax.numpy as jnp

from benchmarks import peer_jax
from benchmarks.feedforward import inputs


def mean_cross_entropy(logits, labels):
    right = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
    return -right.mean()


def forward(params, x, activation):
    """Output of an MLP; `params` holds weights and biases in turn."""
    for weight, bias in zip(params[:-2:2], params[1:-2:2]):  # noqa: B905
        x = activation(x @ weight.T + bias)
    return x @ params[-2].T + params[-1]


def mlp(batch=128):
    images, labels, params = inputs.mlp(batch)

    def cost(params):
        return mean_cross_entropy(forward(params, images, jax.nn.relu), labels)

    return peer_jax.descent(cost, params, inputs.LR)


def cross_entropy(batch=256, classes=10_000):
    logits, labels = inputs.cross_entropy(batch, classes)
    return peer_jax.step(jax.value_and_grad(mean_cross_entropy), logits, labels)


def hvp(batch=32):
    x, y, params, direction = inputs.hvp(batch)

    def gradient(params, x, y):
        def cost(params):
            return ((forward(params, x, jnp.tanh) - y) ** 2).mean()

        return jax.grad(cost)(params)

    def product(params, direction, x, y):
        return jax.vjp(lambda p: gradient(p, x, y), params)[1](direction)[0]

    return peer_jax.step(product, params, direction, x, y)
