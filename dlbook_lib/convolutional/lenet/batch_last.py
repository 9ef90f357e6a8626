"""The remake's training step by hand: batch-last arrays, one buffer of parameters.

Nothing is recorded: value and gradient are written out layer by layer. Pooling goes
before bias and rectifier, which then touch a quarter of the numbers; the largest number
stays the largest, so that nothing else changes.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, as_labels, check_number, require
from dlbook_lib.convolutional.convolution.scratch import batch_last
from dlbook_lib.convolutional.pooling.scratch import max_pool2d_by_halves
from dlbook_lib.convolutional.strides_and_gradients.by_rows import (
    correlate_by_rows,
    to_input_by_rows,
    to_weight_by_rows,
)

SHAPES = {
    "conv1.weight": (6, 1, 5, 5),
    "conv1.bias": (6,),
    "conv2.weight": (16, 6, 5, 5),
    "conv2.bias": (16,),
    "fc1.weight": (120, 400),
    "fc1.bias": (120,),
    "fc2.weight": (84, 120),
    "fc2.bias": (84,),
    "fc3.weight": (10, 84),
    "fc3.bias": (10,),
}
"""The parameters of `LeNet5Remake`, in the order in which they lie in the buffer."""


def views(flat):
    """Parts of one buffer (61706,) as the arrays that `SHAPES` lists, by name."""
    found, start = {}, 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        found[name] = flat[start : start + size].reshape(shape)
        start += size
    return found


class BatchLastLeNet:
    """`LeNet5Remake` with the batch last in memory and SGD with momentum.

    Parameters
    ----------
    state_dict : dict of str to array_like (...)
        As `LeNet5Remake.state_dict` gives it; it is copied.

    >>> zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    >>> net = BatchLastLeNet(zeros)
    >>> round(float(net.gradient(np.zeros((2, 28, 28)), np.array([3, 4]))), 4)
    2.3026
    """

    def __init__(self, state_dict):
        require(
            isinstance(state_dict, dict)
            and {k: np.shape(a) for k, a in state_dict.items()} == SHAPES,
            "state_dict must hold the parameters of LeNet5Remake by name; hand over "
            "net.state_dict()",
        )
        arrays = [as_float(state_dict[name], name) for name in SHAPES]
        self.flat = np.concatenate([a.reshape(-1) for a in arrays])
        self.grad = np.zeros_like(self.flat)
        self.velocity = np.zeros_like(self.flat)
        self.params, self.grads = views(self.flat), views(self.grad)

    def gradient(self, images, labels):
        """The mean cross-entropy of `images` (N, 28, 28) with `labels` (N,); its
        gradient is then in `grad` (61706,)."""
        images = as_float(images, "images", ndim=3)
        labels = as_labels(labels, "labels", classes=10)
        require(
            images.shape == (len(labels), 28, 28),
            f"images must be (N, 28, 28), one for each of {len(labels)} labels, not "
            f"{images.shape}",
        )
        x = np.zeros((1, 32, 32, len(images)), self.flat.dtype)
        x[0, 2:30, 2:30] = batch_last(images)
        pull1, a1 = self._stage(x, "conv1")  # (6, 28, 28, N), (6, 14, 14, N)
        pull2, a2 = self._stage(a1, "conv2")  # (16, 10, 10, N), (16, 5, 5, N)
        h = [a2.reshape(400, -1)]
        for name in ("fc1", "fc2", "fc3"):
            h.append(self._dense(h[-1], name))
        loss, d = _cross_entropy(h.pop(), labels)
        for name in ("fc3", "fc2", "fc1"):
            d = self._dense_back(d, h.pop(), name)
        d = self._stage_back(d.reshape(a2.shape), pull2, a1, "conv2")
        d = to_input_by_rows(d, self.params["conv2.weight"], (14, 14))
        d *= (a1 > 0).astype(d.dtype)  # faster than by booleans
        self._stage_back(d, pull1, x, "conv1")
        return loss

    def _stage(self, x, name):
        """Convolution, then its largest of 2 by 2, bias and rectifier."""
        z = correlate_by_rows(x, self.params[f"{name}.weight"])
        a, pull = max_pool2d_by_halves(np.moveaxis(z, -1, 0))
        a = np.moveaxis(a, 0, -1)
        a += self.params[f"{name}.bias"][:, None, None, None]
        return pull, np.maximum(a, 0, out=a)

    def _dense(self, x, name):
        """A dense layer of `x` (in, N), with a rectifier behind all but the last."""
        y = self.params[f"{name}.weight"] @ x
        y += self.params[f"{name}.bias"][:, None]
        return y if name == "fc3" else np.maximum(y, 0, out=y)

    def _dense_back(self, d, x, name):
        """Gradients of a dense layer from `d` (out, N); its input's (in, N), behind a
        rectifier."""
        np.matmul(d, x.T, out=self.grads[f"{name}.weight"])
        np.sum(d, axis=1, out=self.grads[f"{name}.bias"])
        dx = self.params[f"{name}.weight"].T @ d
        dx *= (x > 0).astype(dx.dtype)
        return dx

    def _stage_back(self, d, pull, x, name):
        """Gradients of a stage's parameters from `d` (F, H, W, N), and that of `z`."""
        np.sum(d.reshape(len(d), -1), axis=1, out=self.grads[f"{name}.bias"])
        dz = np.moveaxis(pull(np.moveaxis(d, -1, 0)), 0, -1)
        self.grads[f"{name}.weight"][...] = to_weight_by_rows(dz, x, (5, 5))
        return dz

    def step(self, images, labels, lr, momentum=0.9):
        """One step of SGD with momentum on `images` (N, 28, 28); the loss before."""
        check_number(lr, "lr", 0)
        check_number(momentum, "momentum", 0, 1)
        loss = self.gradient(images, labels)
        self.velocity *= float(momentum)
        self.velocity += self.grad
        self.flat -= float(lr) * self.velocity
        return loss


def _cross_entropy(scores, labels):
    """Mean loss of `scores` (10, N), and its gradient in the same memory."""
    every = np.arange(len(labels))
    scores -= scores.max(axis=0)
    right = scores[labels, every]
    np.exp(scores, out=scores)
    total = scores.sum(axis=0)
    loss = np.mean(np.log(total) - right)
    scores /= total * len(labels)
    scores[labels, every] -= scores.dtype.type(1 / len(labels))
    return loss, scores
