r"""Back-propagation through fully connected networks in NumPy, and ways to check it.

Layer :math:`l` computes the scores :math:`\mathbf s^{(l)}=W^{(l)}\mathbf x^{(l-1)}
+\mathbf b^{(l)}` and hands on :math:`\mathbf x^{(l)}=g(\mathbf s^{(l)})`; a weight is
stored (out, in). The *signal* of a layer is :math:`\boldsymbol\delta^{(l)}=\partial
J/\partial\mathbf s^{(l)}`: how fast the cost changes with its scores. Batches are rows,
(N, in).
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.depth_and_width import scratch as depth_and_width
from dlbook_lib.feedforward.hidden_units.scratch import ACTIVATIONS
from dlbook_lib.feedforward.linear_models.scratch import linear, linear_backward
from dlbook_lib.feedforward.output_units.scratch import cross_entropy_in_one_buffer
from dlbook_lib.feedforward.xor.scratch import relu

BACKWARD = dict(ACTIVATIONS.values())
"""The backward half of each activation function."""


def numeric_jacobian(f, x, eps=1e-6):
    r"""All derivatives of an array with respect to an array, by central differences.

    .. math:: \frac{\partial y_i}{\partial x_j}\approx
        \frac{f_i(\mathbf x+\epsilon\mathbf e_j)-f_i(\mathbf x-\epsilon\mathbf e_j)}
        {2\epsilon}

    Parameters
    ----------
    f : callable
        ``f(x)`` is an array of any shape, or a number.
    x : ndarray of float64 (...)
    eps : float
        Half the distance between the two points, in units of `x`. The error falls like
        eps² until rounding, which grows like 1/eps, takes over.

    Returns
    -------
    ndarray (*f(x).shape, *x.shape)
        For vectors: row i holds the derivatives of output i, the *numerator layout*.
        Where conventions differ: some texts transpose it.

    Raises
    ------
    ValueError
        If `x` is not float64: rounding would drown the difference.

    >>> numeric_jacobian(lambda x: np.stack([x[0] * x[1], x[0]]), [2.0, 5.0]).round(6)
    array([[5., 2.],
           [1., 0.]])
    """
    require(callable(f), f"f is {f!r}, no function; pass one of x", TypeError)
    x = as_float(x, "x")
    check_positive(eps, "eps")
    require(
        x.dtype == np.float64,
        f"x is {x.dtype}, too coarse for a step of {eps}; try x.astype(float)",
    )
    columns = []
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        columns.append((np.asarray(f(x + step)) - f(x - step)) / (2 * eps))
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *x.shape))


def complex_step_jacobian(f, x):
    r"""All derivatives of an array with respect to an array, by complex steps.

    .. math:: \frac{\partial y_i}{\partial x_j}=
        \frac{\operatorname{Im}f_i(\mathbf x+\mathrm i\epsilon\mathbf e_j)}{\epsilon}
        +O(\epsilon^2),\qquad\epsilon=10^{-30}

    Nothing is subtracted, so nothing cancels and the result is exact to rounding.

    Parameters
    ----------
    f : callable
        As for `numeric_jacobian`; it must pass complex numbers through, so no ``abs``,
        and comparisons only of real parts.
    x : ndarray of float (...)

    Returns
    -------
    ndarray (*f(x).shape, *x.shape)

    Source: Squire and Trapp (1998).

    >>> complex_step_jacobian(lambda x: x**3, [2.0, -1.0])
    array([[12.,  0.],
           [ 0.,  3.]])
    """
    require(callable(f), f"f is {f!r}, no function; pass one of x", TypeError)
    x = as_float(x, "x")
    require(
        np.isrealobj(x),
        f"x is {x.dtype}; the step needs its imaginary part, try x.real",
    )
    columns = []
    for index in np.ndindex(x.shape):
        shifted = x.astype(complex)
        shifted[index] += 1e-30j
        columns.append(np.imag(f(shifted)) / 1e-30)
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *x.shape))


def tensor_chain_rule(dy, jacobian):
    r"""The chain rule for arrays of any rank.

    .. math:: \nabla_{\mathsf X}z=\sum_j(\nabla_{\mathsf X}\mathsf Y_j)
        \frac{\partial z}{\partial\mathsf Y_j},

    where :math:`j` runs over all places of :math:`\mathsf Y`, whatever its rank.

    Parameters
    ----------
    dy : array_like (...)
        Gradient of the number z with respect to Y, of the shape of Y.
    jacobian : array_like
        Of shape (*Y.shape, *X.shape), as `numeric_jacobian` gives it.

    Returns
    -------
    ndarray
        Gradient with respect to X, of shape X.shape.

    >>> tensor_chain_rule([1.0, 10.0], [[5.0, 2.0], [1.0, 0.0]])
    array([15.,  2.])
    """
    dy, jacobian = as_float(dy, "dy"), as_float(jacobian, "jacobian")
    require(
        jacobian.shape[: dy.ndim] == dy.shape,
        f"jacobian has shape {jacobian.shape}, which does not begin with the shape of "
        f"dy, {dy.shape}; the axes of the output come first",
    )
    outer = list(range(dy.ndim))
    inner = list(range(dy.ndim, jacobian.ndim))
    return np.einsum(dy, outer, jacobian, outer + inner, inner)


def check_gradient(cost, parameters, gradients, *, rng, eps=1e-5):
    r"""How far gradients are from the slope of the cost along one random direction.

    .. math:: \frac{|a-b|}{\max(|a|,|b|)},\quad
        a=\frac{J(\theta+\epsilon\mathbf v)-J(\theta-\epsilon\mathbf v)}{2\epsilon},
        \quad b=\mathbf v^{\mathsf T}\nabla J

    Two evaluations of the cost test all numbers at once: a wrong one shows unless the
    random :math:`\mathbf v` happens to be orthogonal to the error.

    Parameters
    ----------
    cost : callable
        ``cost()`` is the cost at the present values of the parameters.
    parameters : sequence of ndarray of float64 (...)
        Moved in place, and put back.
    gradients : sequence of ndarray (...)
        Of the shapes of the parameters.
    rng : numpy.random.Generator
        Draws the direction.
    eps : float
        Length of the step, in units of the parameters.

    Returns
    -------
    float
        Below 1e-7 if the gradients are right and the cost is smooth; 0 if both slopes
        are 0.

    >>> w = np.array([1.0, -2.0])
    >>> rng = np.random.default_rng(0)
    >>> check_gradient(lambda: (w**2).sum(), [w], [2 * w], rng=rng) < 1e-9
    True
    """
    require(callable(cost), f"cost is {cost!r}, no function; pass one", TypeError)
    check_positive(eps, "eps")
    for arrays in (parameters, gradients):
        kinds = list | tuple
        given = type(arrays).__name__
        require(isinstance(arrays, kinds), f"{given} is given, no list of arrays")
    require(
        len(parameters) == len(gradients) > 0,
        f"{len(parameters)} parameters but {len(gradients)} gradients; "
        "give one of the same shape for each",
    )
    for p, g in zip(parameters, gradients, strict=True):
        check_same_shape(
            parameter=as_float(p, "a parameter"), gradient=as_float(g, "a gradient")
        )
        require(p.dtype == np.float64, f"a parameter is {p.dtype}; try float64")
    start = [p.copy() for p in parameters]
    directions = [rng.standard_normal(p.shape) for p in parameters]
    costs = []  # at +eps, at -eps
    for t in (eps, -eps):
        for p, s, v in zip(parameters, start, directions, strict=True):
            p[...] = s + t * v
        costs.append(cost())
    for p, s in zip(parameters, start, strict=True):
        p[...] = s
    numeric = (costs[0] - costs[1]) / (2 * eps)
    pairs = zip(directions, gradients, strict=True)
    derived = sum(np.sum(v * g) for v, g in pairs)
    largest = max(abs(numeric), abs(derived))
    return float(abs(numeric - derived) / largest) if largest else 0.0


class MLP(depth_and_width.MLP):
    r"""A network of fully connected layers that knows its own derivatives.

    Forward it keeps what each layer was given and what it computed; backward it uses
    them, from the last layer to the first:

    .. math:: \nabla_{W^{(l)}}J=\boldsymbol\delta^{(l)}\mathbf x^{(l-1)\mathsf T},\qquad
        \boldsymbol\delta^{(l)}=g'(\mathbf s^{(l)})\odot
        \bigl(W^{(l+1)\mathsf T}\boldsymbol\delta^{(l+1)}\bigr)

    Parameters
    ----------
    sizes, activation, rng
        As for the network of the page on depth and width.

    Where conventions differ: texts that store a weight (in, out) write the transposes.
    Source: Rumelhart, Hinton and Williams (1986).

    >>> net = MLP([2, 3, 1], rng=np.random.default_rng(0))
    >>> output = net.forward(np.ones((4, 2)))
    >>> dinput, *grads = net.backward(np.ones((4, 1)))
    >>> dinput.shape, [g.shape for g in grads]
    ((4, 2), [(3, 2), (3,), (1, 3), (1,)])
    """

    trace = None

    def float(self):
        """Turn all parameters into float32, as ``torch.nn.Module.float`` does."""
        self.weights = [weight.astype(np.float32) for weight in self.weights]
        self.biases = [bias.astype(np.float32) for bias in self.biases]
        return self

    def forward(self, input, cache=True):
        """Outputs (N, out) for `input` (N, in); with `cache`, ready for `backward`.

        What `backward` needs is kept in `trace`: for each layer its input (N, in) and
        its scores (N, out). Calling the network itself keeps nothing.
        """
        x, trace = as_float(input, "input", ndim=2, empty=True), []
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            s = linear(x, weight, bias)  # (N, out)
            trace.append((x, s))
            x = s if k == len(self.weights) - 1 else self.activation(s)
        if cache:
            self.trace = trace
        return x

    def backward(self, dy):
        """Gradients from `dy` (N, out), that of the outputs of the last `forward`.

        Returns a tuple: the gradient of the input (N, in), then those of the parameters
        in their order and shapes. The trace is used up.
        """
        require(
            self.trace, "nothing is stored; call forward(input) before each backward"
        )
        slope = BACKWARD.get(self.activation)
        require(slope, f"{self.activation!r} has no known derivative; try relu")
        delta, grads = as_float(dy, "dy", ndim=2, empty=True), []
        for k in reversed(range(len(self.weights))):
            x, s = self.trace[k]
            if k < len(self.weights) - 1:
                delta = slope(delta, s)  # from dJ/dx to dJ/ds, (N, out)
            delta, *own = linear_backward(delta, x, self.weights[k], self.biases[k])
            grads = own + grads
        self.trace = None
        return delta, *grads

    def step(self, input, target, *, lr, weight_decay=0.0):
        r"""One step down the mean cross-entropy of the labels; the loss before it.

        Parameters
        ----------
        input : array_like (N, in)
        target : array_like of int (N,)
        lr : float
            :math:`\epsilon`, the learning rate.
        weight_decay : float
            :math:`\lambda\ge0`; adds :math:`\lambda W` to the gradient of each weight,
            and nothing to that of a bias. The loss handed back is without it.

        Returns
        -------
        float
            Nats per example.
        """
        check_positive(lr, "lr")
        check_positive(weight_decay, "weight_decay", zero=True)
        loss, dlogits = cross_entropy_in_one_buffer(self.forward(input), target)
        _, *grads = self.backward(dlogits)
        for parameter, grad in zip(self.parameters(), grads, strict=True):
            if weight_decay and parameter.ndim == 2:
                grad = grad + weight_decay * parameter
            parameter -= lr * grad
        return loss


class InPlaceMLP(MLP):
    """An `MLP` of ReLUs whose training step computes into arrays made once.

    The numbers are those of `MLP.step`, up to rounding. Four things save time. All
    arrays but the smallest are made at the first step and used again. The learning rate
    multiplies the signal of the outputs, (N, out), and so reaches every gradient by
    itself. The gradient of the input, which no step needs, is left out. The first
    weight lies in memory by columns, so that its product with the input reads both in
    order; its shape stays (out, in).

    Parameters
    ----------
    sizes, activation, rng
        As for `MLP`; the activation must be `relu`.

    >>> net = InPlaceMLP([2, 3, 2], rng=np.random.default_rng(0))
    >>> losses = [net.step(np.eye(2), np.array([0, 1]), lr=1.0) for _ in range(99)]
    >>> bool(losses[-1] < 0.1 < losses[0])
    True
    """

    buffers = None

    def reserve(self, rows, dtype):
        """Make the arrays for batches of `rows` examples, unless they are there."""
        if self.buffers is not None:
            made = self.buffers[0][0]
            if len(made) == rows and made.dtype == dtype:
                return
        require(self.activation is relu, "only relu is built in here; use an MLP")
        self.weights[0] = np.asfortranarray(self.weights[0])
        outputs, signals = (
            [np.empty((rows, len(bias)), dtype) for bias in self.biases]
            for _ in range(2)
        )
        self.buffers = outputs, signals, [np.empty_like(w) for w in self.weights]

    def step(self, input, target, *, lr, weight_decay=0.0):
        """As `MLP.step`; `input` (N, in) has the precision of the parameters."""
        check_positive(lr, "lr")
        check_positive(weight_decay, "weight_decay", zero=True)
        x, dtype = as_float(input, "input", ndim=2), self.weights[0].dtype
        require(
            x.dtype == dtype and x.shape[1] == self.weights[0].shape[1],
            f"input is {x.dtype} {x.shape} but the first weight {dtype} "
            f"{self.weights[0].shape}; precision and features must agree",
        )
        self.reserve(len(x), dtype)
        outputs, signals, grads = self.buffers
        last, inputs = len(outputs) - 1, [x, *outputs]
        for k, s in enumerate(outputs):
            np.matmul(inputs[k], self.weights[k].T, out=s)
            s += self.biases[k]
            if k < last:
                np.maximum(s, 0 * self.biases[k], out=s)  # a row is faster than 0
        loss, delta = cross_entropy_in_one_buffer(outputs[last], target)
        delta *= lr
        for k in range(last, -1, -1):
            np.matmul(delta.T, inputs[k], out=grads[k])
            shift = np.ones(len(x), dtype) @ delta  # faster than delta.sum(axis=0)
            if k:
                below = np.matmul(delta, self.weights[k], out=signals[k - 1])
                below *= (inputs[k] > 0).astype(dtype)  # faster than by booleans
                delta = below
            if weight_decay:
                self.weights[k] *= 1 - lr * weight_decay
            self.weights[k] -= grads[k]
            self.biases[k] -= shift
        return loss


def minibatches(count, batch_size, epochs, *, rng):
    """Places of the examples of each batch, in a new random order in every epoch.

    Parameters
    ----------
    count : int
        Examples there are.
    batch_size : int
        Examples in a batch, at most `count`. What is left over at the end of an epoch
        is dropped, as by ``drop_last=True`` in PyTorch's DataLoader.
    epochs : int
        Passes over the examples.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int (steps, batch_size)
        There are ``epochs * (count // batch_size)`` steps.

    >>> minibatches(5, 2, 2, rng=np.random.default_rng(0)).shape
    (4, 2)
    """
    check_positive(count, "count", integer=True)
    check_positive(batch_size, "batch_size", integer=True)
    check_positive(epochs, "epochs", integer=True)
    require(
        batch_size <= count,
        f"batch_size is {batch_size} but there are {count} examples; make it smaller",
    )
    used = count - count % batch_size
    orders = [rng.permutation(count)[:used] for _ in range(epochs)]
    return np.concatenate(orders).reshape(-1, batch_size)


def train_mlp(net, input, target, batches, *, lr, weight_decay=0.0):
    r"""Train a network on the cross-entropy of class labels, one batch a step.

    With a batch in the rows of :math:`X^{(l)}` and its signals in those of :math:`G`,

    .. math:: G\leftarrow G\odot g'(S);\qquad
        \nabla_W=G^{\mathsf T}X+\lambda W;\qquad G\leftarrow GW

    from the last layer to the first, then :math:`W\leftarrow W-\epsilon\nabla_W`.

    Parameters
    ----------
    net : MLP
        Changed in place.
    input : array_like (N, in)
    target : array_like of int (N,)
        Classes 0, 1, … as many as the network has outputs.
    batches : array_like of int (steps, batch_size)
        As `minibatches` draws them.
    lr : float or array_like (steps,)
        Learning rate of all steps, or of each.
    weight_decay : float
        :math:`\lambda`, of weights and not of biases.

    Returns
    -------
    ndarray (steps,)
        The loss of each batch before its step, in nats per example.

    Where conventions differ: with weights stored (in, out) the middle formula reads
    :math:`X^{\mathsf T}G+\lambda W`.
    """
    require(
        isinstance(net, MLP), f"net must be an MLP of this page, not {net!r}", TypeError
    )
    input = as_float(input, "input", ndim=2)
    target = as_labels(target, "target", classes=len(net.biases[-1]))
    require(
        target.shape == (len(input),),
        f"target has shape {target.shape} but input has {len(input)} rows; "
        "give each row one label",
    )
    batches = as_labels(batches, "batches", classes=len(input))
    require(batches.ndim == 2, f"batches must be (steps, size), not {batches.shape}")
    rates = as_float(lr, "lr", ndim=(0, 1))
    require(
        rates.shape in ((), (len(batches),)),
        f"lr has {rates.size} rates but there are {len(batches)} batches; "
        "give one rate, or one for each batch",
    )
    rates, losses = np.broadcast_to(rates, len(batches)).tolist(), []
    for batch, lr in zip(batches, rates, strict=True):
        x, y = input[batch], target[batch]
        losses.append(net.step(x, y, lr=lr, weight_decay=weight_decay))
    return np.array(losses, dtype=float)
