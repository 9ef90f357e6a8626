"""Networks of any depth in NumPy, and constructions that show what depth and width buy.

A network is a list of weights (out, in) and a list of biases (out,). Hidden layers are
affine maps followed by an activation function; the last layer is affine.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_finite,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.linear_models.scratch import linear, sigmoid
from dlbook_lib.feedforward.xor.scratch import relu


def neuron(x, w, b, g):
    r"""One unit: a weighted sum, a bias, a non-linear function, :math:`g(w\cdot x+b)`.

    Parameters
    ----------
    x : ndarray (..., in)
    w : ndarray (in,)
    b : float
    g : callable
        The activation function, entry by entry.

    Returns
    -------
    ndarray (...)

    >>> neuron(np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([1.0, -1.0]), 0.5, relu)
    array([2.5, 0. ])
    """
    x, w = as_float(x, "x", empty=True), as_float(w, "w", ndim=1)
    require(
        x.shape[-1:] == w.shape,
        f"x has shape {x.shape} but w has shape {w.shape}; the last axis of x must be "
        "as long as w",
    )
    require(callable(g), f"g is {g!r}, no function; try relu", TypeError)
    return g(x @ w + as_float(b, "b", ndim=0).astype(w.dtype))


def signed_distance(x, w, b):
    r"""Distance from a point to a hyperplane, positive on the side :math:`w` points to.

    .. math:: d=\frac{w\cdot x+b}{\lVert w\rVert}

    Parameters
    ----------
    x : ndarray (..., in)
    w : ndarray (in,)
        Not all zero.
    b : float

    Returns
    -------
    ndarray (...)
        In the units of `x`. Where conventions differ: some texts call the score
        :math:`w\cdot x+b` itself the distance, which is right only if w has length 1.

    >>> signed_distance(np.array([[3.0, 4.0]]), np.array([6.0, 8.0]), -30.0)
    array([2.])
    """
    length = np.linalg.norm(as_float(w, "w", ndim=1))
    require(length > 0, "w is zero, so it has no hyperplane; give it a direction")
    return neuron(x, w, b, lambda score: score / length.astype(score.dtype))


def identity(input):
    """The activation that does nothing, of `input` (...).

    >>> identity([-1.0, 2.0])
    array([-1.,  2.])
    """
    return as_float(input, "input", empty=True)


def step(input):
    """1 where the score is above 0, else 0, for `input` (...) of the same precision.

    >>> step([-1.0, 0.0, 2.0])
    array([0., 0., 1.])
    """
    input = as_float(input, "input", empty=True)
    return (input > 0).astype(input.dtype)


class MLP:
    r"""A feedforward network of fully connected layers, of any depth.

    .. math:: \mathbf x^{(l)}=g(W^{(l)}\mathbf x^{(l-1)}+\mathbf b^{(l)}),\qquad
        \mathbf x^{(L)}=W^{(L)}\mathbf x^{(L-1)}+\mathbf b^{(L)}

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer from the input to the output, at least two numbers.
    activation : callable
        :math:`g`, entry by entry, after every layer but the last.
    rng : numpy.random.Generator
        Weights and biases start uniform in :math:`\pm1/\sqrt{\text{fan-in}}`, as those
        of ``torch.nn.Linear`` do. They are float64; another precision is a matter of
        replacing the arrays in the lists `weights` and `biases`.

    Attributes
    ----------
    weights, biases : list of ndarray (out, in), (out,)
    activation : callable

    Where conventions differ: the state is named as in a ``torch.nn.Sequential`` of
    Linear layers with an activation module between each two, so Linear layers have the
    even numbers. Some texts store the transpose of each weight.

    >>> net = MLP([2, 4, 4, 1], rng=np.random.default_rng(0))
    >>> net(np.zeros((5, 2))).shape
    (5, 1)
    >>> [layer.shape for layer in net.layers(np.zeros((5, 2)))]
    [(5, 4), (5, 4), (5, 1)]
    >>> list(net.state_dict())[:3]
    ['0.weight', '0.bias', '2.weight']
    """

    def __init__(self, sizes, activation=relu, *, rng):
        require(np.size(sizes) > 1, f"sizes needs two numbers or more, not {sizes!r}")
        for size in sizes:
            check_positive(size, "each of sizes", integer=True)
        require(
            callable(activation),
            f"activation is {activation!r}, no function",
            TypeError,
        )
        check_rng(rng)
        self.activation, self.weights, self.biases = activation, [], []
        for fan_in, out in pairwise(sizes):
            bound = fan_in**-0.5
            self.weights.append(rng.uniform(-bound, bound, (out, fan_in)))
            self.biases.append(rng.uniform(-bound, bound, out))

    @classmethod
    def from_arrays(cls, weights, biases, activation=relu):
        """A network that owns the given arrays (out, in) and (out,)."""
        require(
            isinstance(weights, list | tuple)
            and isinstance(biases, list | tuple)
            and len(weights) == len(biases) > 0,
            "weights and biases must be two lists of equal length, one pair a layer",
        )
        weights = [*map(partial(as_float, name="a weight", ndim=2), weights)]
        biases = [*map(partial(as_float, name="a bias", ndim=1), biases)]
        sizes = [weights[0].shape[1], *map(len, biases)]
        given, wanted = [w.shape for w in weights], [p[::-1] for p in pairwise(sizes)]
        require(
            given == wanted,
            f"weights have shapes {given} but the biases ask for {wanted}; "
            "is each weight (out, in)?",
        )
        net = cls(sizes, activation, rng=np.random.default_rng(0))
        net.weights, net.biases = weights, biases
        return net

    def layers(self, input):
        """What every layer hands on, a list of (..., out), for `input` (..., in)."""
        outputs, last = [], len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            score = linear(input, weight, bias)
            input = score if k == last else self.activation(score)
            outputs.append(input)
        return outputs

    def __call__(self, input):
        """Outputs (..., out) for `input` (..., in)."""
        return self.layers(input)[-1]

    def parameters(self):
        """All arrays: weight and bias of the first layer, then of the next, …"""
        return list(self.state_dict().values())

    def state_dict(self):
        """The arrays themselves, not copies, under PyTorch's names."""
        state = {}
        for k, pair in enumerate(zip(self.weights, self.biases, strict=True)):
            state[f"{2 * k}.weight"], state[f"{2 * k}.bias"] = pair
        return state

    def load_state_dict(self, state_dict):
        """Copy arrays or CPU tensors (out, in), (out,) into the network's own."""
        own = self.state_dict()
        require(
            list(state_dict) == list(own),
            f"the state has {', '.join(state_dict)} but the net has {', '.join(own)}; "
            "do the depths agree?",
        )
        for name, value in state_dict.items():
            check_same_shape(**{"given": value, name: own[name]})
            own[name][...] = as_float(value, name)


def count_params(net):
    """How many numbers the arrays (out, in), (out,) of `net` hold.

    >>> count_params(MLP([2, 4, 4, 1], rng=np.random.default_rng(0)))
    37
    """
    found = hasattr(net, "parameters")
    require(found, f"net has no parameters(): {net!r}; pass a network", TypeError)
    return sum(parameter.size for parameter in net.parameters())


def describe(net):
    r"""Depth, widths and number of parameters of an `MLP`, from its shapes (out, in).

    Returns
    -------
    dict
        ``"depth"`` is the number of layers with weights, L; ``"widths"`` are the sizes
        of the hidden layers; ``"parameters"`` is :math:`\sum_l(n_{l-1}+1)\,n_l`.
        Where conventions differ: some texts do not count the output layer.

    >>> describe(MLP([2, 4, 4, 1], rng=np.random.default_rng(0)))
    {'depth': 3, 'widths': [4, 4], 'parameters': 37}
    """
    require(isinstance(net, MLP), f"net must be an MLP, not {net!r}", TypeError)
    sizes = [net.weights[0].shape[1], *(len(bias) for bias in net.biases)]
    return {
        "depth": len(sizes) - 1,
        "widths": sizes[1:-1],
        "parameters": sum((n + 1) * m for n, m in pairwise(sizes)),
    }


def collapse_linear(net):
    r"""The one affine map that a network without non-linearity computes.

    .. math:: W=W^{(L)}\cdots W^{(1)},\qquad
        \mathbf b=W^{(L)}(\cdots W^{(2)}\mathbf b^{(1)}+\mathbf b^{(2)}\cdots)
        +\mathbf b^{(L)}

    Parameters
    ----------
    net : MLP
        Its activation must be `identity`.

    Returns
    -------
    weight : ndarray (out, in)
    bias : ndarray (out,)

    >>> weights = [np.array([[2.0]]), np.array([[3.0]])]
    >>> biases = [np.array([1.0]), np.array([-1.0])]
    >>> collapse_linear(MLP.from_arrays(weights, biases, identity))
    (array([[6.]]), array([2.]))
    """
    require(isinstance(net, MLP), f"net must be an MLP, not {net!r}", TypeError)
    require(
        net.activation is identity,
        f"the activation is {net.activation.__name__}, so the net bends; "
        "only layers without one (identity) are one affine map",
    )
    weight, bias = net.weights[0], net.biases[0]
    for w, b in zip(net.weights[1:], net.biases[1:], strict=True):
        weight, bias = w @ weight, w @ bias + b
    return weight, bias


def train_deep_linear(weights, target, *, lr, steps):
    r"""Descend :math:`\frac12\lVert W_L\cdots W_1-T\rVert^2`, on all factors at once.

    With inputs of covariance I this is half the mean squared error of a deep linear
    network, up to a constant, and T the correlation of targets with inputs.

    Parameters
    ----------
    weights : list of ndarray (out, in)
        The first layer's first; not changed.
    target : ndarray (out, in)
        T, of the shape of the product.
    lr : float
        So much time passes with each step of the gradient flow that this follows.
    steps : int

    Returns
    -------
    ndarray (steps + 1, out, in)
        The product before the first step and after each.

    >>> layer, target = np.array([[0.5]]), np.array([[1.0]])
    >>> train_deep_linear([layer, layer], target, lr=0.5, steps=1).ravel()
    array([0.25      , 0.47265625])
    """
    require(
        isinstance(weights, list | tuple) and len(weights) > 0,
        f"weights must be a list of one matrix or more, not {type(weights).__name__}",
    )
    weights = [*map(partial(as_float, name="a weight", ndim=2), weights)]
    target = as_float(target, "target", ndim=2)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    for first, second in pairwise(weights):
        require(
            second.shape[1] == len(first),
            f"a weight {second.shape} cannot follow one of {first.shape}",
        )
    shape = (len(weights[-1]), weights[0].shape[1])
    require(target.shape == shape, f"target is {target.shape}, the product {shape}")
    history = []
    for _ in range(steps + 1):
        below = [np.eye(shape[1], dtype=target.dtype)]  # products of the layers below
        for w in weights:
            below.append(w @ below[-1])
        history.append(below[-1])
        back, changed = below[-1] - target, []  # (out, in) error, carried down
        for w, before in zip(weights[::-1], below[-2::-1], strict=True):
            changed.append(w - lr * back @ before.T)
            back = w.T @ back
        weights = changed[::-1]
    return np.stack(history)


def mode_strength(time, strength, start):
    r"""What two linear layers have learned of one mode of the data at a time.

    .. math:: u(t)=\frac{s\,e^{2st}}{e^{2st}-1+s/u_0}

    solves :math:`\dot u=2u(s-u)`, gradient flow from two balanced, aligned layers.

    Parameters
    ----------
    time : ndarray (...)
        Steps times learning rate, not negative.
    strength : float
        s, the singular value of the target, above 0.
    start : float
        u at time 0, between 0 and s.

    Returns
    -------
    ndarray (...)

    Source: Saxe, McClelland and Ganguli (2014), with time constant 1.

    >>> mode_strength(np.array([0.0, 3.453, 9.0]), 1.0, 0.001).round(3)
    array([0.001, 0.5  , 1.   ])
    """
    time = as_float(time, "time", empty=True)
    require(np.all(time.real >= 0), "time must not be negative; it starts at 0")
    check_positive(strength, "strength")
    check_positive(start, "start")
    require(start <= strength, f"start {start} lies above the strength {strength}")
    decay = np.exp(-2 * strength * time)
    return strength / (1 + (strength / start - 1) * decay)


def linear_probe_accuracy(train, train_labels, test, test_labels):
    """How many new examples a least-squares classifier of given features gets right.

    Parameters
    ----------
    train, test : ndarray (N, features), (M, features)
    train_labels, test_labels : ndarray of int (N,), (M,)
        Classes 0, 1, …. One score per class is fitted to 1 for the class and 0 for the
        rest; the largest score wins.

    Returns
    -------
    float
        Share of `test` that is right, 0 to 1.

    Source: Alain and Bengio (2017), with least squares in place of a softmax.

    >>> line = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> linear_probe_accuracy(line, [0, 0, 1, 1], line, [0, 0, 1, 0])
    0.75
    """
    train, test = as_float(train, "train", ndim=2), as_float(test, "test", ndim=2)
    check_finite(train, "train")
    require(
        train.shape[1] == test.shape[1],
        f"train has {train.shape[1]} features but test has {test.shape[1]}",
    )
    labels = as_labels(train_labels, "train_labels")
    classes = int(labels.max()) + 1
    truth = as_labels(test_labels, "test_labels", classes=classes)
    check_same_shape(train_labels=labels, **{"the rows of train": train[:, 0]})
    check_same_shape(test_labels=truth, **{"the rows of test": test[:, 0]})
    mean = train.mean(axis=0)
    wanted = np.eye(classes, dtype=train.dtype)[labels]  # (N, classes)
    weight = np.linalg.lstsq(train - mean, wanted - wanted.mean(axis=0))[0]
    score = (test - mean) @ weight + wanted.mean(axis=0)  # (M, classes)
    return float((score.argmax(axis=1) == truth).mean())


def layer_by_layer_embedding(net, input, labels):
    """A flat picture of the data as they leave each layer of a network.

    Parameters
    ----------
    net : MLP
    input : ndarray (N, in)
    labels : ndarray of int (N,)
        0 or 1.

    Returns
    -------
    list of ndarray (N, 2)
        For the input and each hidden layer. A layer of two units is shown as it is; of
        a wider one the first coordinate is the score of the least-squares line between
        the classes, the second the main direction at right angles to it.
    """
    require(isinstance(net, MLP), f"net must be an MLP, not {net!r}", TypeError)
    input = as_float(input, "input", ndim=2)
    labels = as_labels(labels, "labels", classes=2)
    check_same_shape(labels=labels, **{"the rows of input": input[:, 0]})
    planes = []
    for features in [input, *net.layers(input)[:-1]]:
        if features.shape[1] == 2:
            planes.append(features)
            continue
        centred = features - features.mean(axis=0)
        across = np.linalg.lstsq(centred, (labels - labels.mean()).astype(input.dtype))[
            0
        ]
        across = across / max(np.linalg.norm(across), np.finfo(input.dtype).tiny)
        rest = centred - np.outer(centred @ across, across)
        along = np.linalg.svd(rest, full_matrices=False)[2][0]
        along = along * np.sign(along[np.abs(along).argmax()])  # fixes the mirror image
        planes.append(np.stack([centred @ across, centred @ along], axis=1))
    return planes


def bump_network(edges, heights, steepness=None):
    r"""A network of pairs of steps: one up and one down make a bump.

    .. math:: f(x)=\sum_k h_k\,[\,g(a(x-e_k))-g(a(x-e_{k+1}))\,]

    Parameters
    ----------
    edges : ndarray (K + 1,)
        Rising; bump k stands between edges k and k + 1.
    heights : ndarray (K,)
    steepness : float, optional
        a, in units of 1/x, with g the sigmoid. By default g is a threshold and the
        bumps have vertical walls.

    Returns
    -------
    MLP
        From (N, 1) to (N, 1), with 2 K hidden units.

    >>> bumps = bump_network(np.array([0.0, 1.0, 2.0]), np.array([3.0, -1.0]))
    >>> bumps(np.array([[-0.5], [0.5], [1.5], [2.5]])).ravel()
    array([ 0.,  3., -1.,  0.])
    """
    edges, heights = (
        as_float(edges, "edges", ndim=1),
        as_float(heights, "heights", ndim=1),
    )
    require(
        len(edges) == len(heights) + 1,
        f"{len(heights)} heights need {len(heights) + 1} edges, not {len(edges)}",
    )
    require(np.all(np.diff(edges) > 0), "edges must rise from each to the next")
    if steepness is not None:
        check_positive(steepness, "steepness")
    a = edges.dtype.type(1 if steepness is None else steepness)
    steps = np.concatenate([edges[:-1], edges[1:]])  # (2 K,) up at the left, then down
    signs = np.concatenate([heights, -heights])[None]  # (1, 2 K)
    weights = [np.full((len(steps), 1), a), signs]
    biases = [-a * steps, np.zeros(1, heights.dtype)]
    return MLP.from_arrays(weights, biases, step if steepness is None else sigmoid)


def fit_output_layer(net, input, target):
    """Set the last layer of a network by least squares, with the others as they are.

    Parameters
    ----------
    net : MLP
        Its last weight and bias are replaced.
    input : ndarray (N, in)
    target : ndarray (N, out)

    Returns
    -------
    float
        The root of the mean squared error that is left, in the units of the target.
    """
    require(isinstance(net, MLP), f"net must be an MLP, not {net!r}", TypeError)
    input, target = as_float(input, "input", ndim=2), as_float(target, "target", ndim=2)
    *hidden, outputs = [input, *net.layers(input)]
    check_same_shape(target=target, **{"the network's output": outputs})
    ones = np.ones_like(input[:, :1])
    columns = np.concatenate([hidden[-1], ones], axis=1)  # (N, width + 1)
    check_finite(columns, "the last hidden layer")
    solution = np.linalg.lstsq(columns, target)[0]
    net.weights[-1], net.biases[-1] = solution[:-1].T, solution[-1]
    return float(np.sqrt(np.mean((columns @ solution - target) ** 2)))


def sawtooth(depth):
    r"""The tent map, `depth` times over itself, as a ReLU network of width 2.

    .. math:: \operatorname{tent}(x)=2\operatorname{relu}(x)
        -4\operatorname{relu}(x-\tfrac12)

    Parameters
    ----------
    depth : int
        Hidden layers.

    Returns
    -------
    MLP
        From (N, 1) to (N, 1); on 0 to 1 it has 2 to the power `depth` linear pieces,
        between 0 and 1. All weights are small whole numbers, so no digit is lost.

    Source: Telgarsky (2015).

    >>> sawtooth(2)(np.array([[0.0], [0.25], [0.5], [0.75], [1.0]])).ravel()
    array([0., 1., 0., 1., 0.])
    """
    check_positive(depth, "depth", integer=True)
    tent, shift = np.array([[2.0, -4.0]]), np.array([0.0, -0.5])
    inner = np.ones((2, 1)) @ tent  # (2, 2): both units of a layer read the last tent
    weights = [np.ones((2, 1)), *[inner] * (depth - 1), tent]
    return MLP.from_arrays(weights, [*[shift] * depth, np.zeros(1)])


def break_points(net, start, end):
    r"""Where a ReLU network may bend on the way from one input to another, exactly.

    Layer by layer: between two known break points every score is linear, so where it
    changes sign follows from its two ends.

    Parameters
    ----------
    net : MLP
        Its activation must be `relu`.
    start, end : ndarray (in,)

    Returns
    -------
    ndarray (P,)
        Rising places t on :math:`(1-t)\,\text{start}+t\,\text{end}`, from 0 to 1.

    >>> break_points(sawtooth(2), np.array([0.0]), np.array([1.0]))
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    require(isinstance(net, MLP), f"net must be an MLP, not {net!r}", TypeError)
    require(
        net.activation is relu,
        f"the activation must be relu, not {net.activation.__name__}; "
        "only then is the output made of straight pieces",
    )
    start, end = as_float(start, "start", ndim=1), as_float(end, "end", ndim=1)
    check_same_shape(start=start, end=end)
    t = np.array([0.0, 1.0])
    for k in range(len(net.weights) - 1):
        points = start + t[:, None] * (end - start)  # (P, in)
        below = net.layers(points)[k - 1] if k else points
        score = linear(below, net.weights[k], net.biases[k])  # (P, width)
        left, right = score[:-1], score[1:]
        i, unit = np.nonzero(left * right < 0)  # a sign change between t[i], t[i + 1]
        part = left[i, unit] / (left[i, unit] - right[i, unit])
        t = np.unique(np.concatenate([t, t[i] + part * (t[i + 1] - t[i])]))
        t = t[np.diff(t, prepend=-1.0) > 1e-12]  # one bend, not two by rounding
    return t


def count_linear_regions(net, start, end):
    """How many straight pieces the output has from one input to another.

    Parameters
    ----------
    net : MLP
        Its activation must be `relu`.
    start, end : ndarray (in,)

    Returns
    -------
    int
        Neighbouring pieces of the same slope count as one.

    >>> count_linear_regions(sawtooth(10), np.array([0.0]), np.array([1.0]))
    1024
    """
    t = break_points(net, start, end)
    start, end = np.asarray(start), np.asarray(end)
    outputs = net(start + t[:, None] * (end - start))  # (P, out)
    slopes = np.diff(outputs, axis=0) / np.diff(t)[:, None]
    change = np.abs(np.diff(slopes, axis=0)).max(axis=1)
    return 1 + int((change > 1e-6 * np.abs(slopes).max()).sum())


def disc_polygon(sides, distance=1.0):
    r"""A network that tells the inside of a regular polygon from its outside.

    One threshold unit a side; the output is above 0 where all of them fire.

    Parameters
    ----------
    sides : int
        At least 3.
    distance : float
        From the centre, the origin, to each side. With 1 the polygon touches the unit
        circle from outside; its area is :math:`n\tan(\pi/n)`, in units of x².

    Returns
    -------
    MLP
        From (N, 2) to (N, 1).

    >>> square = disc_polygon(4)
    >>> square(np.array([[0.9, 0.9], [1.1, 0.0]])).ravel()
    array([ 0.5, -0.5])
    """
    check_positive(sides, "sides", integer=True)
    require(sides >= 3, f"sides must be 3 or more, not {sides}")
    check_positive(distance, "distance")
    angle = 2 * np.pi * np.arange(sides) / sides
    inward = -np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (sides, 2)
    weights = [inward, np.ones((1, sides))]
    biases = [np.full(sides, float(distance)), np.array([0.5 - sides])]
    return MLP.from_arrays(weights, biases, step)
