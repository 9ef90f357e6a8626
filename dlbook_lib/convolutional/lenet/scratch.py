"""LeNet-5 in NumPy: what its layers compute, how it is trained, and where it errs.

Images are (N, 1, H, W). The networks themselves are in `layers`, the targets and the
table of connections in `codes`, a training step without Tensors in `batch_last`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_positive,
    require,
)
from dlbook_lib.convolutional.lenet.arguments import (
    checked_distances,
    connections,
    dense_kernels,
    training_plan,
)
from dlbook_lib.convolutional.lenet.batch_last import BatchLastLeNet
from dlbook_lib.convolutional.lenet.codes import BITMAPS
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_dtype
from dlbook_lib.convolutional.strides_and_gradients.scratch import (
    conv2d_by_rows,
    conv2d_by_rows_backward,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, no_grad
from dlbook_lib.feedforward.autodiff.modules import Module
from dlbook_lib.feedforward.autodiff.operations import cross_entropy
from dlbook_lib.optimization.momentum.scratch import SGD


def prepare(images, size=32, dtype=float):
    """Grey images with a border, ground −0.1 and ink 1.175, for the network.

    So the pixels of MNIST have a mean near 0 and a variance near 1.

    Parameters
    ----------
    images : array_like of uint8 (N, H, W)
        0 paper to 255 ink, as `dlbook_lib.common.data.mnist` gives them.
    size : int
        Height and width of the result, 32 for LeNet-5; the image comes in the middle.
    dtype : dtype

    Returns
    -------
    ndarray (N, 1, size, size)

    Source: LeCun et al. (1998), section II.B.

    >>> prepare(np.array([[[0, 255]]], np.uint8), size=2).round(3)
    array([[[[-0.1  ,  1.175],
             [-0.1  , -0.1  ]]]])
    """
    images = np.asarray(images)
    check_positive(size, "size", integer=True)
    check_dtype(dtype)
    require(
        images.ndim == 3 and images.dtype == np.uint8,
        f"images must be uint8 (N, H, W), not {images.dtype} {images.shape}",
    )
    n, *inner = images.shape
    low = [(size - m) // 2 for m in inner]
    fits = f"images of {inner} do not fit into {size} by {size}; take a larger size"
    require(min(low) >= 0, fits)
    x = np.zeros((n, 1, size, size), dtype)
    x[:, 0, low[0] : low[0] + inner[0], low[1] : low[1] + inner[1]] = images
    x *= 1.275 / 255
    x -= 0.1
    return x


def scaled_tanh(input):
    r"""The squashing function of 1998, :math:`f(a)=1.7159\tanh(\tfrac23a)`.

    It takes ±1 to ±1, where its second derivative is largest in size.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)

    Source: LeCun et al. (1998), appendix A.

    >>> scaled_tanh([-1.0, 0.0, 1.0]).round(4)
    array([-1.,  0.,  1.])
    """
    input = as_float(input, "input", empty=True)
    return 1.7159 * np.tanh(input * (2 / 3))


def scaled_tanh_backward(dy, input):
    r"""Gradient of `scaled_tanh`, :math:`\tfrac23\,1.7159\,(1-\tanh^2)` times `dy`
    (...)."""
    dy = as_float(dy, "dy", empty=True)
    y = scaled_tanh(input)
    require(dy.shape == y.shape, f"dy has shape {dy.shape} but the output {y.shape}")
    return dy * (2 / 3 * 1.7159) * (1 - (y / 1.7159) ** 2)


def subsample2d(input, weight, bias):
    r"""Sums of 2 by 2 pixels, times one weight a map, plus one bias a map.

    .. math:: y_{c}(i,j)=w_c\sum_{m,n\in\{0,1\}}x_c(2i+m,2j+n)+b_c

    Parameters
    ----------
    input : array_like (N, C, H, W)
        Height and width even.
    weight, bias : array_like (C,)

    Returns
    -------
    ndarray (N, C, H / 2, W / 2)

    Source: LeCun et al. (1998), section II.B, layers S2 and S4.

    >>> subsample2d(np.ones((1, 1, 2, 2)), np.array([0.5]), np.array([1.0]))
    array([[[[3.]]]])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight, bias = as_float(weight, "weight"), as_float(bias, "bias")
    c, h, w = input.shape[1:]
    require(
        weight.shape == bias.shape == (c,) and h % 2 == w % 2 == 0,
        f"input {input.shape} must have even height and width, and weight "
        f"{weight.shape} and bias {bias.shape} a number for each of its {c} maps",
    )
    return weight[:, None, None] * _sums(input) + bias[:, None, None]


def _sums(x):
    """Sums of 2 by 2 pixels, (N, C, H, W) to (N, C, H / 2, W / 2)."""
    rows = x[:, :, ::2] + x[:, :, 1::2]
    return rows[..., ::2] + rows[..., 1::2]


def subsample2d_backward(dy, input, weight, bias):
    """Gradients of `subsample2d` with respect to its three arrays.

    Parameters
    ----------
    dy : array_like (N, C, H / 2, W / 2)
    input, weight, bias
        As given to `subsample2d`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight, dbias : ndarray (C,)
    """
    dy, shape = as_float(dy, "dy", empty=True), subsample2d(input, weight, bias).shape
    require(dy.shape == shape, f"dy has shape {dy.shape} but the output has {shape}")
    each = dy * np.asarray(weight)[:, None, None]
    dinput = each.repeat(2, axis=2).repeat(2, axis=3)
    dweight = np.einsum("nchw,nchw->c", dy, _sums(np.asarray(input)))
    return dinput, dweight, dy.sum(axis=(0, 2, 3))


def partial_conv2d(input, weight, bias, table):
    """A convolution in which each output map sees the input maps that a table names.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (connections, kH, kW)
        One kernel for each entry of the table, in its order.
    bias : array_like (F,)
    table : sequence of sequences of int
        For each output map, of shape (F,), the input maps that it sees.

    Returns
    -------
    ndarray (N, F, H − kH + 1, W − kW + 1)

    Source: LeCun et al. (1998), table I: so the maps have to become different, and
    there are fewer weights.

    >>> x = np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    >>> partial_conv2d(x, np.ones((3, 1, 1)), np.zeros(2), [(0, 2), (1,)]).ravel()
    array([101.,  10.])
    """
    dense = dense_kernels(input, weight, table)
    return conv2d_by_rows(input, dense, as_float(bias, "bias"))


def partial_conv2d_backward(dy, input, weight, bias, table):
    """Gradients of `partial_conv2d`: (N, C, H, W), (connections, kH, kW) and (F,)."""
    dense, bias = dense_kernels(input, weight, table), as_float(bias, "bias")
    dinput, ddense, dbias = conv2d_by_rows_backward(dy, input, dense, bias)
    return dinput, ddense[connections(table)], dbias


def rbf(input, weight):
    r"""Squared distances to the codes, :math:`y_i=\sum_j(x_j-w_{ij})^2`.

    Parameters
    ----------
    input : array_like (N, D)
    weight : array_like (C, D)

    Returns
    -------
    ndarray (N, C)

    Source: LeCun et al. (1998), equation 7.

    >>> rbf([[1.0, -1.0]], [[1.0, -1.0], [1.0, 1.0]])
    array([[0., 4.]])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    weight = as_float(weight, "weight", ndim=2)
    require(
        input.shape[1] == weight.shape[1],
        f"input has {input.shape[1]} features but the codes have {weight.shape[1]} "
        f"(input {input.shape}, weight {weight.shape}); is weight (classes, features)?",
    )
    return ((input[:, None] - weight) ** 2).sum(axis=2)


def rbf_backward(dy, input, weight):
    """Gradients of `rbf` with respect to both: (N, D) and (C, D)."""
    dy, y = as_float(dy, "dy", empty=True), rbf(input, weight)
    require(dy.shape == y.shape, f"dy has shape {dy.shape} but the output {y.shape}")
    apart = 2 * dy[:, :, None] * (np.asarray(input)[:, None] - weight)  # (N, C, D)
    return apart.sum(axis=1), -apart.sum(axis=0)


def rbf_loss(input, target, j=0.1):
    r"""How far the right code is, and how near the wrong ones.

    .. math:: \frac1N\sum_n\Bigl[y_{n,t_n}+\log\bigl(e^{-j}+\sum_ie^{-y_{n,i}}\bigr)
              \Bigr]

    Parameters
    ----------
    input : array_like (N, C)
        Squared distances, as from `rbf`.
    target : array_like of int (N,)
    j : float
        How far away a wrong code need not be pushed any more.

    Returns
    -------
    floating scalar

    Source: LeCun et al. (1998), equation 9.

    >>> round(float(rbf_loss([[0.0, 9.0]], [0])), 4)
    0.6445
    """
    input, target, worst = checked_distances(input, target, j)
    near = np.exp(worst - input).sum(axis=1) + np.exp(worst[:, 0] - j)
    right = input[np.arange(len(target)), target]
    return np.mean(right + np.log(near) - worst[:, 0])


def rbf_loss_backward(dy, input, target, j=0.1):
    """Gradient of `rbf_loss` with respect to the distances, (N, C).

    Parameters
    ----------
    dy : float
    input, target, j
        As given to `rbf_loss`.

    Returns
    -------
    ndarray (N, C)
    """
    require(np.ndim(dy) == 0, f"dy must be a number, not shape {np.shape(dy)}")
    input, target, worst = checked_distances(input, target, j)
    near = np.exp(worst - input)
    dx = -near / (near.sum(axis=1, keepdims=True) + np.exp(worst - float(j)))
    dx[np.arange(len(target)), target] += 1
    return dx * (float(dy) / len(input))


def digit_codes(dtype=float):
    """The ten digits as pictures of 7 by 12 pixels, ink +1 and ground −1.

    Parameters
    ----------
    dtype : dtype

    Returns
    -------
    ndarray (10, 84)

    >>> digit_codes().shape, int((digit_codes()[1] > 0).sum())
    ((10, 84), 16)
    """
    check_dtype(dtype)
    rows = [line.split() for line in BITMAPS.split("\n") if line]  # 12 rows of 10
    ink = [[pixel == "#" for row in rows for pixel in row[d]] for d in range(10)]
    return np.where(ink, 1, -1).astype(dtype)


def saliency(net, images, labels):
    """How much each pixel moves the score of the given class.

    Parameters
    ----------
    net : Module
        From images to (N, C).
    images : array_like (N, 1, H, W)
    labels : array_like of int (N,)

    Returns
    -------
    ndarray (N, 1, H, W)
        The size of the derivative.

    Source: Simonyan, Vedaldi and Zisserman (2014), section 3.

    >>> from dlbook_lib.convolutional.lenet.layers import LeNet5Remake
    >>> net = LeNet5Remake(rng=np.random.default_rng(0))
    >>> saliency(net, np.ones((2, 1, 28, 28)), [3, 4]).shape
    (2, 1, 28, 28)
    """
    images = as_float(images, "images", ndim=4)
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    pixels = Tensor(images, requires_grad=True)
    scores = net(pixels)
    labels = as_labels(labels, "labels", classes=scores.shape[1])
    fits = f"images {images.shape} want labels ({len(images)},), not {labels.shape}"
    require(labels.shape == (len(images),), fits)
    chosen = np.eye(scores.shape[1], dtype=images.dtype)[labels]
    (slope,) = grad((scores * chosen).sum(), pixels)  # those of `net` stay as they are
    return abs(slope.data)


def worst_errors(scores, labels, count):
    """The mistakes of which the network is surest.

    Parameters
    ----------
    scores : array_like (N, C)
        The largest names the class; hand over −distances of `LeNet5`.
    labels : array_like of int (N,)
    count : int
        At most so many.

    Returns
    -------
    ndarray of int (at most count,)
        Examples, the one whose label lies furthest below the winner first.

    >>> worst_errors([[0.0, 1.0], [5.0, 1.0], [9.0, 0.0]], [0, 1, 0], 5).tolist()
    [1, 0]
    """
    scores = as_float(scores, "scores", ndim=2)
    labels = as_labels(labels, "labels", classes=scores.shape[1])
    check_positive(count, "count", integer=True)
    fits = f"scores {scores.shape} want labels ({len(scores)},), not {labels.shape}"
    require(labels.shape == (len(scores),), fits)
    below = scores.max(axis=1) - scores[np.arange(len(labels)), labels]
    order = np.argsort(-below, kind="stable")
    return order[below[order] > 0][:count]


def train_lenet(
    net, images, labels, order, lr=0.1, momentum=0.9, batch_size=128, progress=iter
):
    """Train `LeNet5Remake` by SGD with momentum; the rate falls to 0 in a line.

    Parameters
    ----------
    net : LeNet5Remake
        It is changed.
    images : array_like (M, 1, 28, 28)
    labels : array_like of int (M,)
    order : array_like of int (K,)
        Which examples to take, one after the other; each as often as there are epochs.
    lr, momentum : float
        The rate of the first step is `lr`.
    batch_size : int
        The last batch may be smaller.
    progress : callable
        Goes through the steps, such as `tqdm.tqdm`.

    Returns
    -------
    ndarray (steps,)
        The loss of each batch, in nats, before it is learned from.
    """
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    images, labels, batches, rates = training_plan(
        images, labels, order, lr, batch_size
    )
    optimizer, losses = SGD(net.parameters(), lr, momentum), []
    for k in progress(range(len(batches))):
        optimizer.param_groups[0]["lr"] = rates[k]
        optimizer.zero_grad()
        loss = cross_entropy(net(images[batches[k]]), labels[batches[k]])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def train_lenet_batch_last(
    net, images, labels, order, lr=0.1, momentum=0.9, batch_size=128, progress=iter
):
    """`train_lenet` by the step that `BatchLastLeNet` writes out by hand.

    Parameters
    ----------
    net, images, labels, order, lr, momentum, batch_size, progress
        As in `train_lenet`.

    Returns
    -------
    ndarray (steps,)
        The losses.
    """
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    images, labels, batches, rates = training_plan(
        images, labels, order, lr, batch_size
    )
    fast, losses = BatchLastLeNet(net.state_dict()), []
    for k in progress(range(len(batches))):
        some = images[batches[k], 0]  # (N, 28, 28)
        losses.append(fast.step(some, labels[batches[k]], rates[k], momentum))
    net.load_state_dict(fast.params)
    return np.array(losses)


def accuracy(net, images, labels, batch_size=500):
    """The share of images whose largest score has the right place.

    Parameters
    ----------
    net : Module
        From images to (N, C).
    images : array_like (M, 1, H, W)
    labels : array_like of int (M,)
    batch_size : int
        So many go through the network at a time.

    Returns
    -------
    float
    """
    images, labels = as_float(images, "images", ndim=4), as_labels(labels, "labels")
    fits = f"images {images.shape} want labels ({len(images)},), not {labels.shape}"
    require(labels.shape == (len(images),), fits)
    check_positive(batch_size, "batch_size", integer=True)
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    right = 0
    with no_grad():
        for i in range(0, len(images), batch_size):
            scores = net(images[i : i + batch_size]).data
            right += int((scores.argmax(axis=1) == labels[i : i + batch_size]).sum())
    return right / len(images)
