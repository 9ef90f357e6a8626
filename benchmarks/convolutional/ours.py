"""The library's side: from scratch, in NumPy."""

import numpy as np

from benchmarks.convolutional import inputs


def conv_batch_last(batch=64, channels=32, filters=64, side=28, copied=True):
    from dlbook_lib.convolutional.convolution.scratch import batch_last
    from dlbook_lib.convolutional.strides_and_gradients import scratch

    x, weight, bias, dy = inputs.conv(batch, channels, filters, side)
    if copied:
        x, dy = (np.moveaxis(batch_last(each), -1, 0) for each in (x, dy))
    given = x, weight, bias, 1, inputs.PADDING

    def step():
        y = scratch.conv2d_by_rows(*given)
        return y, *scratch.conv2d_by_rows_backward(dy, *given)

    return step


def conv(**size):
    return conv_batch_last(**size, copied=False)


def conv_readable(batch=64, channels=32, filters=64, side=28):
    from dlbook_lib.convolutional.strides_and_gradients import scratch

    x, weight, bias, dy = inputs.conv(batch, channels, filters, side)
    given = x, weight, bias, 1, inputs.PADDING

    def step():
        return scratch.conv2d(*given), *scratch.conv2d_backward(dy, *given)

    return step


def conv_winograd(batch=8, channels=256, filters=256, side=28):
    from dlbook_lib.convolutional.convolution.scratch import batch_last
    from dlbook_lib.convolutional.fast_and_biological_kernels import winograd

    x, weight, bias, dy = inputs.conv(batch, channels, filters, side)
    x, dy = (np.moveaxis(batch_last(each), -1, 0) for each in (x, dy))
    given = x, weight, bias, inputs.PADDING, 4

    def step():
        y = winograd.winograd_conv2d_by_rows(*given)
        return y, *winograd.winograd_conv2d_by_rows_backward(dy, *given)

    return step


def max_pool(batch=64):
    from dlbook_lib.convolutional.convolution.scratch import batch_last
    from dlbook_lib.convolutional.pooling import scratch

    x, dy = inputs.max_pool(batch)
    x, dy = (np.moveaxis(batch_last(each), -1, 0) for each in (x, dy))

    def step():
        y, pull = scratch.max_pool2d_by_halves(x)
        return y, pull(dy)

    return step


def max_pool_readable(batch=64):
    from dlbook_lib.convolutional.pooling.scratch import (
        max_pool2d,
        max_pool2d_backward,
    )

    x, dy = inputs.max_pool(batch)
    return lambda: (max_pool2d(x, 2), max_pool2d_backward(dy, x, 2))


def lenet(batch=128):
    from dlbook_lib.convolutional.lenet.batch_last import SHAPES, BatchLastLeNet

    images, labels, params = inputs.lenet(batch)
    net = BatchLastLeNet(dict(zip(SHAPES, params, strict=True)))
    biases = [p for p in net.params.values() if p.ndim == 1]
    return lambda: (net.step(images[:, 0], labels, inputs.LR, momentum=0.0), *biases)


def lenet_readable(batch=128):
    from dlbook_lib.convolutional.lenet.layers import LeNet5Remake
    from dlbook_lib.feedforward.autodiff.engine import Tensor
    from dlbook_lib.feedforward.autodiff.modules import SGD, CrossEntropyLoss

    images, labels, params = inputs.lenet(batch)
    net = LeNet5Remake(rng=np.random.default_rng(0), dtype="float32")
    net.load_state_dict(dict(zip(net.state_dict(), params, strict=True)))
    optimizer, cost = SGD(net.parameters(), lr=inputs.LR), CrossEntropyLoss()
    biases = [p for p in net.parameters() if p.ndim == 1]

    def step():
        optimizer.zero_grad()
        loss = cost(net(Tensor(images)), labels)
        loss.backward()
        optimizer.step()
        return loss.item(), *[bias.data for bias in biases]

    return step
