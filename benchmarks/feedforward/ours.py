"""The library's side: from scratch, in NumPy."""

from benchmarks.feedforward import inputs


def trained(network, batch):
    """A step of one of the two networks of the page on back-propagation."""
    images, labels, params = inputs.mlp(batch)
    net = network.from_arrays(params[::2], params[1::2])
    return lambda: (net.step(images, labels, lr=inputs.LR), *net.biases)


def mlp(batch=128):
    from dlbook_lib.feedforward.backpropagation.scratch import InPlaceMLP

    return trained(InPlaceMLP, batch)


def mlp_readable(batch=128):
    from dlbook_lib.feedforward.backpropagation.scratch import MLP

    return trained(MLP, batch)


def cross_entropy(batch=256, classes=10_000):
    from dlbook_lib.feedforward.output_units.scratch import cross_entropy_in_one_buffer

    logits, labels = inputs.cross_entropy(batch, classes)
    return lambda: cross_entropy_in_one_buffer(logits, labels)


def chain(length):
    from dlbook_lib.feedforward.autodiff import operations  # noqa: F401 (the operators)
    from dlbook_lib.feedforward.autodiff.engine import Tensor, grad

    x, factor, summand = (Tensor(a, requires_grad=True) for a in inputs.chain())

    def step():
        y = x
        for _ in range(length // 2):
            y = y * factor + summand
        return [g.data for g in grad(y, [x, factor, summand])]

    return step


def hvp(batch=32):
    from dlbook_lib.feedforward.autodiff import operations  # noqa: F401 (the operators)
    from dlbook_lib.feedforward.autodiff.engine import Tensor, grad

    x, y, params, direction = inputs.hvp(batch)
    params = [Tensor(p, requires_grad=True) for p in params]

    def step():
        hidden = x
        for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
            hidden = (hidden @ weight.T + bias).tanh()
        loss = ((hidden @ params[-2].T + params[-1] - y) ** 2).mean()
        grads = grad(loss, params, create_graph=True)
        return [g.data for g in grad(grads, params, direction)]

    return step


def xor_step(**size):
    from dlbook_lib.feedforward.xor.scratch import descend

    x, y, params = inputs.xor_step(**size)
    return lambda: (descend(params, x, y, lr=1e-3, steps=10), *params[1::2])
