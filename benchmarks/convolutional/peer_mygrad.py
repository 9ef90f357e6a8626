"""MyGrad's side: its own layers."""

import mygrad
from mygrad.nnet import losses
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import conv_nd
from mygrad.nnet.layers import max_pool as pooled

from benchmarks import peer_mygrad
from benchmarks.convolutional import inputs


def conv(batch=64, channels=32, filters=64, side=28):
    *given, dy = inputs.conv(batch, channels, filters, side)

    def correlated(x, weight, bias):
        y = conv_nd(x, weight, stride=1, padding=inputs.PADDING)
        return y + bias.reshape(1, -1, 1, 1)

    return peer_mygrad.step(correlated, given, dy)


def max_pool(batch=64):
    x, dy = inputs.max_pool(batch)
    return peer_mygrad.step(lambda x: pooled(x, (2, 2), 2), (x,), dy)


def lenet(batch=128):
    images, labels, arrays = inputs.lenet(batch)
    params = [mygrad.tensor(each) for each in arrays]

    def step():
        x = images
        for i, padding in (0, 2), (2, 0):
            x = conv_nd(x, params[i], stride=1, padding=padding)
            x = pooled(relu(x + params[i + 1].reshape(1, -1, 1, 1)), (2, 2), 2)
        x = x.reshape(len(images), -1)
        for i in 4, 6, 8:
            x = mygrad.matmul(x, params[i].T) + params[i + 1]
            x = relu(x) if i < 8 else x
        loss = losses.softmax_crossentropy(x, labels)
        loss.backward()
        for parameter in params:
            parameter.data -= inputs.LR * parameter.grad
        return loss.item(), *[bias.data for bias in params[1::2]]

    return step
