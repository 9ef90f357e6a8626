"""MyGrad's side: tensors on NumPy arrays with `backward`, first order only."""

import mygrad as mg
from mygrad.nnet.activations import relu
from mygrad.nnet.losses import softmax_crossentropy

from benchmarks.feedforward import inputs


def mlp(batch=128):
    images, labels, params = inputs.mlp(batch)
    params = [mg.tensor(p) for p in params]

    def step():
        x = images
        for weight, bias in zip(params[:-2:2], params[1:-2:2]):  # noqa: B905
            x = relu(mg.matmul(x, weight.T) + bias)
        loss = softmax_crossentropy(mg.matmul(x, params[-2].T) + params[-1], labels)
        loss.backward()
        for parameter in params:
            parameter.data -= inputs.LR * parameter.grad
        return loss.item(), *[bias.data for bias in params[1::2]]

    return step


def cross_entropy(batch=256, classes=10_000):
    logits, labels = inputs.cross_entropy(batch, classes)
    logits = mg.tensor(logits)

    def step():
        loss = softmax_crossentropy(logits, labels)
        loss.backward()
        return loss.item(), logits.grad

    return step


def chain(length):
    numbers = [mg.tensor(number) for number in inputs.chain()]

    def step():
        x, factor, summand = numbers
        for _ in range(length // 2):
            x = x * factor + summand
        x.backward()
        return [number.grad for number in numbers]

    return step
