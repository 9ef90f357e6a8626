"""The hidden layer in NumPy: gates, ReLU, a two-layer network and its rivals.

A network here is four arrays. A *stack* of networks is the same four arrays with one
more axis in front, and every function below takes both: a hundred networks from a
hundred seeds train in one loop.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_floats,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.common.rng import numpy_generator


class ThresholdUnit:
    r"""A unit that answers 1 where :math:`\mathbf w^\top\mathbf x+b>0`, else 0.

    Parameters
    ----------
    weight : array_like (in,)
    bias : float

    Source: McCulloch and Pitts (1943), with real weights. A score of exactly 0 answers
    0 here; other texts let it answer 1.

    >>> both = ThresholdUnit([1.0, 1.0], -1.5)
    >>> both([[0.0, 1.0], [1.0, 1.0]])
    array([0., 1.])
    """

    def __init__(self, weight, bias):
        self.weight = as_float(weight, "weight", ndim=1)
        self.bias = as_float(bias, "bias", ndim=0)

    def __call__(self, input):
        """Answers (N,) for a batch `input` (N, in)."""
        input = as_float(input, "input", ndim=2)
        require(
            input.shape[1] == len(self.weight),
            f"input has {input.shape[1]} columns but the unit has {len(self.weight)} "
            f"weights (input {input.shape}); is input (N, in)?",
        )
        return (input @ self.weight > -self.bias).astype(input.dtype)


def xor_from_gates(input):
    r"""Exclusive or from three units: :math:`\mathrm{OR}\wedge\neg\mathrm{AND}`.

    Parameters
    ----------
    input : array_like (N, 2)
        Each entry 0.0 or 1.0.

    Returns
    -------
    ndarray (N,)

    >>> xor_from_gates([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    array([0., 1., 1., 0.])
    """
    input = as_float(input, "input", ndim=2)
    either = ThresholdUnit([1.0, 1.0], -0.5)(input)
    both = ThresholdUnit([1.0, 1.0], -1.5)(input)
    return ThresholdUnit([1.0, -1.0], -0.5)(np.stack([either, both], axis=1))


def relu(input):
    r"""Rectified linear unit :math:`\max(0,s)`, entry by entry.

    Parameters
    ----------
    input : array_like (...)

    Returns
    -------
    ndarray (...)
        Same dtype. NaN stays NaN.

    >>> relu([-2.0, 0.0, 3.0])
    array([0., 0., 3.])
    """
    return np.maximum(as_float(input, "input", empty=True), 0)


def relu_backward(dy, input):
    """Gradient of a loss with respect to the input of `relu`.

    Parameters
    ----------
    dy : array_like (...)
        Gradient with respect to the output.
    input : array_like (...)
        What `relu` was given. At exactly 0, where the slope jumps from 0 to 1, this
        takes 0, as torch does.

    Returns
    -------
    ndarray (...)

    >>> relu_backward([5.0, 5.0, 5.0], [-2.0, 0.0, 3.0])
    array([0., 0., 5.])
    """
    dy = as_float(dy, "dy", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input)
    return np.where(input <= 0, 0, dy)  # NaN passes dy on, so it is not hidden


def two_layer(input, weight1, bias1, weight2, bias2):
    r"""One hidden layer: :math:`\operatorname{relu}(XW_1^\top+b_1)\,W_2^\top+b_2`.

    Parameters
    ----------
    input : array_like (N, in)
        One batch, the same for every network of a stack.
    weight1, bias1 : array_like (..., width, in), (..., width)
    weight2, bias2 : array_like (..., out, width), (..., out)
        The leading axes, if any, run over a stack of networks.

    Returns
    -------
    ndarray (..., N, out)

    Source: Goodfellow, Bengio and Courville (2016), equation 6.3, with the weights
    stored (out, in) as torch does, so that :math:`W^\top\mathbf x` there is
    :math:`W\mathbf x` here.

    >>> ones, hinge = np.ones((2, 2)), np.array([0.0, -1.0])
    >>> two_layer([[0.0, 1.0], [1.0, 1.0]], ones, hinge, [[1.0, -2.0]], [0.0])
    array([[1.],
           [0.]])
    """
    input = as_float(input, "input", ndim=2)
    weight1, bias1 = as_float(weight1, "weight1"), as_float(bias1, "bias1")
    weight2, bias2 = as_float(weight2, "weight2"), as_float(bias2, "bias2")
    require(
        weight1.ndim > 1
        and weight1.shape[-1] == input.shape[1]
        and bias1.shape == weight1.shape[:-1]
        and weight2.shape[:-2] + weight2.shape[-1:] == bias1.shape
        and bias2.shape == weight2.shape[:-1],
        f"shapes do not chain: input {input.shape}, weight1 {weight1.shape}, "
        f"bias1 {bias1.shape}, weight2 {weight2.shape}, bias2 {bias2.shape}; "
        "weights are (out, in), and a stack has the same leading axes in all four",
    )
    hidden = relu(input @ weight1.mT + bias1[..., None, :])  # (..., N, width)
    return hidden @ weight2.mT + bias2[..., None, :]  # (..., N, out)


def two_layer_backward(dy, input, weight1, bias1, weight2, bias2):
    """Gradients of a loss with respect to all five arguments of `two_layer`.

    Parameters
    ----------
    dy : array_like (..., N, out)
        Gradient with respect to the output.
    input, weight1, bias1, weight2, bias2 : ndarray
        What `two_layer` was given.

    Returns
    -------
    tuple of ndarray
        In the order of the arguments and in their shapes; for a stack the first is
        (..., N, in), one gradient for each network.
    """
    dy, input = as_float(dy, "dy"), as_float(input, "input", ndim=2)
    one = two_layer(input[:1], weight1, bias1, weight2, bias2)  # checks the shapes
    shape = (*one.shape[:-2], len(input), one.shape[-1])
    require(
        dy.shape == shape,
        f"dy has shape {dy.shape} but the output has {shape}; "
        "pass the gradient with respect to the output itself",
    )
    score = input @ weight1.mT + bias1[..., None, :]  # (..., N, width)
    dscore = relu_backward(dy @ weight2, score)
    return (
        dscore @ weight1,
        dscore.mT @ input,
        dscore.sum(axis=-2),
        dy.mT @ relu(score),
        dy.sum(axis=-2),
    )


class TwoLayerNet:
    r"""A network with one hidden layer of ReLUs; it owns its four arrays.

    Parameters
    ----------
    in_features, width, out_features : int
    rng : numpy.random.Generator
        Weights and biases start uniform in :math:`\pm1/\sqrt{\text{fan-in}}`, as those
        of ``torch.nn.Linear`` do.

    >>> net = TwoLayerNet(2, 3, rng=numpy_generator(0))
    >>> net(np.zeros((4, 2))).shape
    (4, 1)
    """

    def __init__(self, in_features, width, out_features=1, *, rng):
        check_positive(in_features, "in_features", integer=True)
        check_positive(width, "width", integer=True)
        check_positive(out_features, "out_features", integer=True)
        near, far = in_features**-0.5, width**-0.5
        self.state = {
            "hidden.weight": rng.uniform(-near, near, (width, in_features)),
            "hidden.bias": rng.uniform(-near, near, width),
            "output.weight": rng.uniform(-far, far, (out_features, width)),
            "output.bias": rng.uniform(-far, far, out_features),
        }

    def state_dict(self):
        """The four arrays by name, not copied."""
        return self.state

    def parameters(self):
        """The four arrays in the order in which `two_layer` takes them."""
        return list(self.state.values())

    def forward(self, input):
        """Outputs (N, out) for a batch `input` (N, in)."""
        return two_layer(input, *self.parameters())

    __call__ = forward


def descend(parameters, input, target, *, lr, steps):
    """Gradient descent on the mean squared error of a network, or of each in a stack.

    Parameters
    ----------
    parameters : list of ndarray
        ``weight1, bias1, weight2, bias2`` as `two_layer` takes them. Changed in place.
    input : array_like (N, in)
    target : array_like (N, out)
    lr : float
        Learning rate.
    steps : int

    Returns
    -------
    ndarray (steps, ...)
        The loss of each network before each step.
    """
    input, target = as_float(input, "input", ndim=2), as_float(target, "target", ndim=2)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    shape = two_layer(input, *as_floats(parameters, "parameters", count=4)).shape[-2:]
    require(
        target.shape == shape,
        f"target has shape {target.shape} but a network's output {shape}; "
        "give one row per example and one column per output",
    )
    losses = []
    for _ in range(steps):
        error = two_layer(input, *parameters) - target  # (..., N, out)
        losses.append((error**2).mean(axis=(-2, -1)))
        dy = 2 * error / target.size
        _, *grads = two_layer_backward(dy, input, *parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter -= lr * grad
    return np.array(losses)


def train_xor(seeds, width, *, lr=0.1, steps=2000):
    """Train one network on XOR for each seed, all of them at once.

    Parameters
    ----------
    seeds : sequence of int
        Each draws the start of one network.
    width : int
        Hidden units of each network.
    lr, steps
        As in `descend`.

    Returns
    -------
    parameters : list of ndarray
        The trained stack, as `two_layer` takes it; the first axis runs over the seeds.
    losses : ndarray (steps, len(seeds))

    >>> parameters, losses = train_xor([3, 4, 5], width=16)
    >>> [p.shape for p in parameters]
    [(3, 16, 2), (3, 16), (3, 1, 16), (3, 1)]
    >>> losses[-1] < 1e-3
    array([ True,  True,  True])
    """
    nets = [TwoLayerNet(2, width, rng=numpy_generator(seed)) for seed in seeds]
    require(nets, "seeds is empty; try range(100)")
    each = [net.parameters() for net in nets]
    parameters = [np.stack(arrays) for arrays in zip(*each, strict=True)]
    input = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    return parameters, descend(parameters, input, target, lr=lr, steps=steps)


class KernelRidge:
    r"""Ridge regression in the feature space of the RBF kernel.

    .. math:: k(\mathbf x,\mathbf x')=e^{-\gamma\lVert\mathbf x-\mathbf x'\rVert^2},
        \quad f(\mathbf x)=\sum_n a_n k(\mathbf x,\mathbf x_n),
        \quad (K+\alpha I)\mathbf a=\mathbf y

    Parameters
    ----------
    alpha : float
        Strength of the penalty, above 0.
    gamma : float
        Inverse squared width of the kernel, in units of 1/input².

    Named and spelled as scikit-learn's ``KernelRidge(kernel="rbf")``.
    """

    def __init__(self, alpha=1.0, *, gamma):
        check_positive(alpha, "alpha")
        check_positive(gamma, "gamma")
        self.alpha, self.gamma = alpha, gamma

    def kernel(self, a, b):
        """Kernel values (N, M) between the rows of `a` (N, in) and `b` (M, in)."""
        a, b = as_float(a, "a", ndim=2), as_float(b, "b", ndim=2)
        require(a.shape[1] == b.shape[1], f"{a.shape} and {b.shape} differ in columns")
        difference = a[:, None, :] - b[None, :, :]  # (N, M, in)
        return np.exp(-self.gamma * (difference**2).sum(axis=-1))

    def fit(self, X, y):
        """Solve for one coefficient per example; `X` (N, in), `y` (N,)."""
        X, y = as_float(X, "X", ndim=2), as_float(y, "y", ndim=1)
        require(len(X) == len(y), f"X has {len(X)} rows but y has {len(y)} targets")
        gram = self.kernel(X, X) + self.alpha * np.eye(len(X), dtype=X.dtype)
        self.X_fit_, self.dual_coef_ = X, np.linalg.solve(gram, y)
        return self

    def predict(self, X):
        """Values (N,) at the rows of `X` (N, in)."""
        X = as_float(X, "X", ndim=2)
        return self.kernel(X, self.X_fit_) @ self.dual_coef_


def loss_slice(start, end, input, target, t):
    r"""Mean squared error along the straight line between two networks.

    Parameters
    ----------
    start, end : list of ndarray
        Parameters of two single networks, as `two_layer` takes them.
    input : array_like (N, in)
    target : array_like (N, out)
    t : array_like (T,)
        Places on the line :math:`(1-t)\,\theta_\text{start}+t\,\theta_\text{end}`.

    Returns
    -------
    ndarray (T,)
    """
    t = as_float(t, "t", ndim=1)
    line = []
    start = as_floats(start, "start", count=4)
    for a, b in zip(start, as_floats(end, "end", count=4), strict=True):
        check_same_shape(start=a, end=b)
        s = t.astype(a.dtype).reshape(-1, *(1 for _ in a.shape))
        line.append((1 - s) * a + s * b)  # (T, ...): a stack of T networks
    output = two_layer(input, *line)  # (T, N, out)
    target = as_float(target, "target", ndim=2)
    check_same_shape(target=target, each_output=output[0])
    error = output - target  # (T, N, out)
    return (error**2).mean(axis=(-2, -1))
