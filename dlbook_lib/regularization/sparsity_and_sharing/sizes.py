"""Networks that change their size, in NumPy: they lose weights, or gain units."""

import numpy as np

from dlbook_lib.common.checks import (
    as_binary,
    as_float,
    as_floats,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    Buffer,
    Linear,
    Module,
    Parameter,
    Sequential,
)

# ---- taking weights and units --------------------------------------------------------


def keep_mask(scores, amount, mask=None):
    """Keep what matters most: a mask of ones, and zeros where scores are lowest.

    Parameters
    ----------
    scores : array_like (...)
        How much each weight matters: ``abs(weight)``, or random numbers to compare.
    amount : float or int
        How many to remove: a share from 0 to 1, or a number.
    mask : array_like (...), optional
        What was kept so far; `amount` is then of that, and no 0 becomes a 1.

    Returns
    -------
    ndarray (...)
        Of the precision of `scores`. Between equal scores, the first go first.

    >>> keep_mask([0.3, 0.1, 0.2, 0.4], 0.5)
    array([1., 0., 0., 1.])
    >>> keep_mask([0.3, 0.1, 0.2, 0.4], 1, mask=[1.0, 0.0, 0.0, 1.0])
    array([0., 0., 0., 1.])
    """
    scores = as_float(scores, "scores")
    mask = np.ones_like(scores) if mask is None else as_float(mask, "mask")
    check_same_shape(scores=scores, mask=mask)
    kept = np.flatnonzero(as_binary(mask, "mask"))
    is_count = isinstance(amount, (int, np.integer))
    check_number(amount, "amount", 0, len(kept) if is_count else 1)
    count = amount if is_count else round(amount * len(kept))
    order = np.argsort(scores.ravel()[kept], kind="stable")
    mask = mask.astype(scores.dtype).ravel()
    mask[kept[order[:count]]] = 0
    return mask.reshape(scores.shape)


def keep_masks(scores, amount, masks=None):
    """`keep_mask` with one threshold for several arrays: those compete for places.

    Parameters
    ----------
    scores : list of array_like (...)
    amount : float or int
        Of all arrays together.
    masks : list of array_like (...), optional

    Returns
    -------
    list of ndarray (...)

    >>> keep_masks([np.array([1.0, 4.0]), np.array([2.0, 3.0, 5.0])], 0.4)
    [array([0., 1.]), array([0., 1., 1.])]
    """
    scores = as_floats(scores, "scores")
    require(scores, "scores is empty; pass a list of arrays")
    if masks is not None:
        masks = as_floats(masks, "masks", count=len(scores))
        for s, m in zip(scores, masks, strict=True):
            check_same_shape(scores=s, masks=m)
        masks = np.concatenate([m.ravel() for m in masks])
    every = keep_mask(np.concatenate([s.ravel() for s in scores]), amount, masks)
    parts = np.split(every, np.cumsum([s.size for s in scores])[:-1])
    return [p.reshape(s.shape) for p, s in zip(parts, scores, strict=True)]


class PrunedLinear(Module):
    """A linear layer some of whose weights are held at 0, however long it is trained.

    Parameters
    ----------
    linear : Linear
        Its parameters are taken over, not copied.
    mask : array_like (out_features, in_features)
        1 to keep a weight, 0 to remove it.

    Names are those of ``torch.nn.utils.prune``: the parameters "bias" and
    "weight_orig", the buffer "weight_mask"; `weight` is their product.

    >>> linear = Linear(2, 1, rng=np.random.default_rng(0))
    >>> layer = PrunedLinear(linear, [[1.0, 0.0]])
    >>> list(layer.state_dict()), layer(np.array([[0.0, 9.0]])).data == layer.bias.data
    (['bias', 'weight_orig', 'weight_mask'], array([[ True]]))
    """

    def __init__(self, linear, mask):
        super().__init__()
        is_linear = isinstance(linear, Linear)
        require(is_linear, f"linear must be a Linear, not {linear!r}", TypeError)
        mask = as_binary(as_float(mask, "mask"), "mask")
        check_same_shape(mask=mask, weight=linear.weight)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.weight_orig = linear.weight
        self.weight_mask = Buffer(mask.astype(linear.weight.dtype))

    @property
    def weight(self):
        """What is left of the weights, (out_features, in_features)."""
        return self.weight_orig * self.weight_mask

    def forward(self, input):
        """Outputs (..., out_features) for `input` (..., in_features)."""
        return operations.linear(input, self.weight, self.bias)


def magnitude(weight):
    """How much a weight (...) matters by its size, `abs(weight)`.

    >>> magnitude([1.0, -2.0])
    array([1., 2.])
    """
    return np.abs(as_float(weight, "weight"))


def _linear_places(net):
    """Triples of a module, a name, and the linear layer that it has by that name."""
    for _, parent in net.named_modules():
        for name, child in parent.named_children():
            if isinstance(child, (Linear, PrunedLinear)):
                yield parent, name, child


def prune_layers(net, amount, scope="global", importance=magnitude):
    """Remove weights from all linear layers below a module, in place.

    Parameters
    ----------
    net : Module
        Its `Linear` layers become `PrunedLinear`; those that are already lose more.
    amount : float or int
        Of the weights that are left, to be removed: a share, or a number.
    scope : {"global", "layer"}
        Whether all layers compete, or each loses the same amount. Biases stay.
    importance : callable
        From a layer's weights (out, in) to scores of that shape.

    Returns
    -------
    Module
        The same.

    Source: Janowsky (1989); Han, Pool, Tran and Dally (2015).

    >>> net = Sequential(Linear(8, 8, rng=np.random.default_rng(0)))
    >>> int(np.count_nonzero(prune_layers(net, 0.75)[0].weight.data))
    16
    """
    check_in(scope, "scope", ("global", "layer"))
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    said = f"importance must be a function, not {importance!r}"
    require(callable(importance), said, TypeError)
    places = list(_linear_places(net))
    require(places, f"there is no linear layer below {net!r}; wrap it in Sequential")
    layers = list(dict.fromkeys(c for *_, c in places))  # a shared one counts once
    scores = [importance(raw(layer.weight)) for layer in layers]
    masks = [
        raw(c.weight_mask) if isinstance(c, PrunedLinear) else np.ones_like(s)
        for c, s in zip(layers, scores, strict=True)
    ]
    if scope == "global":
        masks = keep_masks(scores, amount, masks)
    else:
        masks = [keep_mask(s, amount, m) for s, m in zip(scores, masks, strict=True)]
    for layer, mask in zip(layers, masks, strict=True):
        if isinstance(layer, PrunedLinear):
            layer.weight_mask = Buffer(mask.astype(layer.weight_mask.dtype))
            continue
        pruned = PrunedLinear(layer, mask)
        for parent, name, child in places:
            if child is layer:
                setattr(parent, name, pruned)
    return net


# ---- adding units --------------------------------------------------------------------


def uniform(rows, columns, *, rng):
    """Numbers uniform from −1 to 1, (rows, columns).

    >>> uniform(1, 2, rng=np.random.default_rng(0)).round(2)
    array([[ 0.27, -0.46]])
    """
    check_positive(rows, "rows", integer=True)
    check_positive(columns, "columns", integer=True)
    check_rng(rng)
    return rng.uniform(-1, 1, (rows, columns))


def has_flattened(losses, window, slope):
    r"""Whether a loss has all but stopped to fall.

    .. math:: \frac{|a_t-a_{t-w}|}{a_{t_0}}<\Delta_T\quad\text{and}\quad t-w\ge t_0

    Parameters
    ----------
    losses : list of float or array_like (T,)
        :math:`a_{t_0},\dots,a_t`, since the last unit was added.
    window : int
        w, in steps.
    slope : float
        :math:`\Delta_T`, as a share of the first loss; Ash has 0.05.

    Returns
    -------
    bool

    Source: Ash (1989), equations for the trigger slope.

    >>> has_flattened([1.0, 0.5, 0.49], 1, 0.05), has_flattened([1.0, 0.5], 1, 0.05)
    (True, False)
    """
    losses = as_float(losses, "losses", ndim=1, empty=True)
    check_positive(window, "window", integer=True)
    check_number(slope, "slope", 0)
    if len(losses) <= window:
        return False
    return bool(abs(losses[-1] - losses[-1 - window]) < slope * losses[0])


def add_unit(net, *, rng):
    r"""Widen the hidden layer by one unit, in place; all other weights stay.

    Parameters
    ----------
    net : Sequential
        ``Sequential(Linear(in, n), …, Linear(n, out))``, with an activation between.
    rng : numpy.random.Generator
        The unit's weights are uniform in :math:`\pm1/\sqrt{\text{inputs}}`, and its
        outgoing ones in :math:`\pm1/\sqrt{n+1}`, as `Linear` has them.

    Returns
    -------
    Sequential
        The same. Its parameters are new ones, so begin with a new optimizer.

    >>> from dlbook_lib.feedforward.autodiff.modules import Sigmoid
    >>> rng = np.random.default_rng(0)
    >>> net = Sequential(Linear(2, 1, rng=rng), Sigmoid(), Linear(1, 1, rng=rng))
    >>> add_unit(net, rng=rng)(np.ones((5, 2))).shape, net[0].weight.shape
    ((5, 1), (2, 2))
    """
    is_net = isinstance(net, Sequential) and len(net) > 1
    ends = [net[0], net[-1]] if is_net else []
    fits = is_net and all(isinstance(end, Linear) for end in ends)
    require(fits, f"net must be linear at both ends, not {net!r}", TypeError)
    first, last = ends
    between = [p for layer in list(net)[1:-1] for p in layer.parameters()]
    require(
        not between and first.bias is not None and last.in_features == len(first.bias),
        f"net must have one hidden layer, with a bias, not {net!r}",
    )
    inputs, units = first.in_features, first.out_features + 1
    row = uniform(1, inputs + 1, rng=rng) * inputs**-0.5
    column = uniform(last.out_features, 1, rng=rng) * units**-0.5
    for layer, name, new, axis in (
        (first, "weight", row[:, :inputs], 0),
        (first, "bias", row[:, inputs], 0),
        (last, "weight", column, 1),
    ):
        old = raw(getattr(layer, name))
        joined = np.concatenate([old, new.astype(old.dtype)], axis=axis)
        setattr(layer, name, Parameter(joined))
    first.out_features = last.in_features = units
    return net


def dynamic_node_creation(
    net, input, target, *, lr, steps, window, slope, max_units, goal=0.0, rng
):
    """Train by gradient descent, and add a hidden unit whenever the error is flat.

    Parameters
    ----------
    net : Sequential
        As for `add_unit`; changed in place.
    input : array_like (N, in)
    target : array_like (N, out)
    lr : float
    steps : int
        At most, all units together.
    window, slope
        As for `has_flattened`.
    max_units : int
        No more than these are made.
    goal : float
        Stop when the mean squared error is not above it.
    rng : numpy.random.Generator

    Returns
    -------
    losses : list of float
        The mean squared error before each step.
    units : list of int
        The width of the hidden layer at each step.

    Source: Ash (1989). Old weights are trained on together with the new ones.

    >>> from dlbook_lib.feedforward.autodiff.modules import Sigmoid
    >>> rng = np.random.default_rng(1)
    >>> net = Sequential(Linear(1, 1, rng=rng), Sigmoid(), Linear(1, 1, rng=rng))
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> how = dict(lr=0.5, steps=100, window=10, slope=0.01, max_units=3, rng=rng)
    >>> losses, units = dynamic_node_creation(net, x, x * x, **how)
    >>> units[0], units[-1]
    (1, 3)
    """
    is_net = isinstance(net, Sequential)
    require(is_net, f"net must be a Sequential, not {net!r}", TypeError)
    input, target = as_float(input, "input"), as_float(target, "target")
    check_positive(steps, "steps", integer=True)
    check_positive(max_units, "max_units", integer=True)
    check_number(goal, "goal", 0)
    has_flattened([], window, slope)  # refuses what it cannot use
    check_rng(rng)
    losses, units, born = [], [], 0
    optimizer = SGD(net.parameters(), lr)
    for i in range(steps):
        loss = operations.mse_loss(net(input), target)
        losses.append(loss.item())
        units.append(net[0].out_features)
        if losses[-1] <= goal:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if units[-1] < max_units and has_flattened(losses[born:], window, slope):
            add_unit(net, rng=rng)
            optimizer, born = SGD(net.parameters(), lr), i + 1
    return losses, units


def candidate_score(value, residual):
    r"""How closely candidates follow the errors that are left.

    .. math:: S_c=\sum_o\left|\sum_p(v_{pc}-\bar v_c)(e_{po}-\bar e_o)\right|

    Parameters
    ----------
    value : array_like (N, C)
        Each candidate's output for each example.
    residual : array_like (N, O)
        Each output's error for each example.

    Returns
    -------
    ndarray (C,)
        A covariance times N. The sign does not matter: an output weight can turn it.

    Source: Fahlman and Lebiere (1990), equation 1; they call it a correlation.

    >>> candidate_score([[0.0, 1.0], [1.0, 1.0]], [[3.0], [1.0]])
    array([1., 0.])
    """
    value = as_float(value, "value", ndim=2)
    residual = as_float(residual, "residual", ndim=2)
    check_same_shape(rows_of_value=value[:, 0], rows_of_residual=residual[:, 0])
    covariance = (value - value.mean(axis=0)).T @ (residual - residual.mean(axis=0))
    return np.abs(covariance).sum(axis=1)


def candidate_score_backward(dy, value, residual):
    r"""Gradients of `candidate_score`.

    Parameters
    ----------
    dy : array_like (C,)
    value, residual
        As given to `candidate_score`.

    Returns
    -------
    dvalue : ndarray (N, C)
        :math:`\dot y_c\sum_o\sigma_{co}(e_{po}-\bar e_o)` with the sign
        :math:`\sigma_{co}` of each covariance.
    dresidual : ndarray (N, O)

    >>> candidate_score_backward([1.0], [[0.0], [1.0]], [[3.0], [1.0]])[0]
    array([[-1.],
           [ 1.]])
    """
    dy = as_float(dy, "dy")
    check_same_shape(dy=dy, output=candidate_score(value, residual))
    value, residual = np.asarray(value), np.asarray(residual)
    value, residual = value - value.mean(axis=0), residual - residual.mean(axis=0)
    share = dy[:, None] * np.sign(value.T @ residual)  # (C, O)
    return residual @ share.T, value @ share


def train_candidates(features, residual, weight, *, steps):
    r"""Make tanh units follow the residual: ascend `candidate_score` by signs.

    Each weight has a step of its own. It grows by 1.2 while the sign of its slope
    stays, and halves when the sign turns, and then the weight waits.

    Parameters
    ----------
    features : array_like (N, F)
        What candidates see.
    residual : array_like (N, O)
    weight : array_like (C, F)
        Where each of C candidates starts.
    steps : int

    Returns
    -------
    ndarray (C, F)

    Source: Riedmiller and Braun (1993) for the steps, as in ``torch.optim.Rprop``;
    Fahlman and Lebiere use quickprop.

    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> train_candidates(x, x**3, [[0.1]], steps=3).round(3)
    array([[0.464]])
    """
    features = as_float(features, "features", ndim=2)
    weight = np.array(as_float(weight, "weight", ndim=2))
    check_positive(steps, "steps", integer=True)
    require(
        weight.shape[1] == features.shape[1],
        f"candidates have {weight.shape[1]} weights but there are {features.shape[1]} "
        f"features (features {features.shape}, weight {weight.shape})",
    )
    size, before = np.full_like(weight, 0.1), np.zeros_like(weight)
    for _ in range(steps):
        value = np.tanh(features @ weight.T)  # (N, C)
        up = np.ones(len(weight), weight.dtype)
        dvalue, _ = candidate_score_backward(up, value, residual)
        slope = (dvalue * (1 - value * value)).T @ features  # (C, F)
        turn = slope * before
        factor = np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1))
        size = np.clip(size * factor, 1e-6, 50).astype(weight.dtype)
        before = np.where(turn < 0, 0, slope)
        weight += np.sign(before) * size
    return weight


class CascadeCorrelation:
    """A network that adds one hidden unit at a time and never touches it again.

    Each unit sees the inputs and all earlier units; it is the best of several
    candidates that were trained to follow the errors. Outputs are linear, and fitted
    by least squares to inputs and units each time, where the paper trains them.

    Parameters
    ----------
    candidates : int
        How many units compete.
    steps : int
        Of `train_candidates`.
    rng : numpy.random.Generator

    Attributes
    ----------
    frozen : list of ndarray (1 + in + i,)
        Weights of unit i, the first of them its bias.
    weight : ndarray (out, 1 + in + units)
        Weights of the outputs, the first column their biases.
    errors : list of float
        Mean squared error with 0, 1, … units.

    Source: Fahlman and Lebiere (1990).

    >>> x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([-1.0, 1, 1, -1])
    >>> net = CascadeCorrelation(rng=np.random.default_rng(0)).fit(x, y[:, None], 5)
    >>> len(net.frozen), np.sign(net(x)[:, 0])
    (1, array([-1.,  1.,  1., -1.]))
    """

    def __init__(self, candidates=16, steps=100, *, rng):
        check_positive(candidates, "candidates", integer=True)
        check_positive(steps, "steps", integer=True)
        check_rng(rng)
        self.candidates, self.steps, self.rng = candidates, steps, rng
        self.frozen, self.errors, self.in_features = [], [], None

    def features(self, input):
        """A column of ones, `input` (N, in) and the units: (N, 1 + in + units)."""
        input = as_float(input, "input", ndim=2, empty=True)
        require(
            self.in_features in (None, input.shape[1]),
            f"input {input.shape} has not the {self.in_features} features it was "
            "fitted to",
        )
        seen = np.column_stack([np.ones(len(input), input.dtype), input])
        for weight in self.frozen:
            seen = np.column_stack([seen, np.tanh(seen @ weight)])
        return seen

    def __call__(self, input):
        """Outputs (N, out) for `input` (N, in)."""
        fitted = self.in_features is not None
        require(fitted, "there are no weights yet; call fit first")
        return self.features(input) @ self.weight.T

    def fit(self, input, target, units, tolerance=0.8):
        """Add up to `units` units, until no output (N, out) is off by `tolerance`.

        Targets (N, out) of two classes are −1.0 and 1.0; 0.8 is the paper's score
        threshold of 0.4 for outputs that are 1 apart.
        """
        target = as_float(target, "target", ndim=2)
        check_positive(units, "units", integer=True)
        check_positive(tolerance, "tolerance")
        self.frozen, self.errors, self.in_features = [], [], None
        seen = self.features(input)
        self.in_features = seen.shape[1] - 1
        check_same_shape(rows_of_input=seen[:, 0], rows_of_target=target[:, 0])
        check_finite(seen, "input")
        check_finite(target, "target")
        while True:
            self.weight = np.linalg.lstsq(seen, target, rcond=None)[0].T
            residual = seen @ self.weight.T - target
            self.errors.append(float((residual**2).mean()))
            done = np.abs(residual).max() < tolerance
            if done or len(self.frozen) == units:
                return self
            start = uniform(self.candidates, seen.shape[1], rng=self.rng)
            start = start.astype(seen.dtype)
            weights = train_candidates(seen, residual, start, steps=self.steps)
            values = np.tanh(seen @ weights.T)  # (N, candidates)
            best = candidate_score(values, residual).argmax()
            self.frozen.append(weights[best])
            seen = np.column_stack([seen, values[:, best]])
