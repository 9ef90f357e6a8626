r"""Bagging, boosting and dropout in NumPy.

Here `p` is the probability to *drop* a unit, as in torch; many texts write `p` for the
probability to keep it. What is kept is divided by 1 − p while training (inverted
dropout), so that nothing is scaled in use.
"""

from itertools import product

import numpy as np

from dlbook_lib.common.checks import (
    as_binary,
    as_float,
    as_labels,
    check_finite,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw, register
from dlbook_lib.feedforward.autodiff.modules import Module


def dropout_mask(shape, p=0.5, *, rng, dtype=float):
    r"""What dropout multiplies by: 0 with probability p, else :math:`1/(1-p)`.

    Parameters
    ----------
    shape : tuple of int
    p : float
        Probability to drop; 1 drops everything.
    rng : numpy.random.Generator
    dtype : dtype
        Precision of the mask.

    Returns
    -------
    ndarray of the given shape
        Its mean is 1 for p < 1.

    Raises
    ------
    ValueError
        If `p` is no probability.

    Source: Srivastava et al. (2014), section 4; scaled in training, section 10.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> dropout_mask((2, 4), 0.5, rng=numpy_generator(0))
    array([[2., 0., 0., 0.],
           [2., 2., 2., 2.]])
    """
    check_number(p, "p", 0, 1)
    check_rng(rng)
    scale = np.dtype(dtype).type(1 / (1 - p) if p < 1 else 0)
    return (rng.random(shape) >= p) * scale


def dropout_mask_from_bytes(shape, p=0.5, *, rng, dtype=float):
    r"""The same distribution as `dropout_mask`, from one random byte for each unit.

    A 64-bit draw serves eight units. Let :math:`256p=e+r` with a whole number `e` and
    :math:`0\le r<1`. A byte below `e` drops its unit, one above keeps it, and one equal
    to `e` (one in 256) drops it with probability `r`, by a draw of its own. Together
    that is :math:`\frac e{256}+\frac r{256}=p`, without rounding.

    Parameters
    ----------
    shape : tuple of int
    p, rng, dtype
        As for `dropout_mask`; the draws differ.

    Returns
    -------
    ndarray of the given shape

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> mask = dropout_mask_from_bytes((1000, 1000), 0.3, rng=numpy_generator(0))
    >>> round((mask == 0).mean(), 2)
    np.float64(0.3)
    """
    check_number(p, "p", 0, 1)
    check_rng(rng)
    units = int(np.prod(shape))
    words = rng.integers(2**64 - 1, size=-(-units // 8), dtype=np.uint64, endpoint=True)
    byte = words.view(np.uint8)[:units]
    edge, rest = divmod(256 * float(p), 1)
    keep = byte >= int(edge)
    if rest:
        ties = np.flatnonzero(byte == int(edge))
        keep[ties] = rng.random(len(ties)) >= rest
    mask = keep.astype(dtype)
    mask *= mask.dtype.type(1 / (1 - p) if p < 1 else 0)
    return mask.reshape(shape)


def masked(input, mask):
    r"""Units times their mask, :math:`\mathbf h\odot\boldsymbol\mu`.

    Parameters
    ----------
    input, mask : array_like (...)
        Of one shape; 0 times infinity is NaN, as in torch.

    Returns
    -------
    ndarray (...)

    >>> masked([1.0, 3.0], [0.0, 2.0])
    array([0., 6.])
    """
    input = as_float(input, "input", empty=True)
    mask = as_float(mask, "mask", empty=True)
    check_same_shape(input=input, mask=mask)
    with np.errstate(invalid="ignore"):
        return input * mask


def masked_backward(dy, input, mask):
    """Gradient of `masked` with respect to `input` (...): `dy` (...) times the mask.

    >>> masked_backward([1.0, 1.0], [1.0, 3.0], [0.0, 2.0])
    array([0., 2.])
    """
    dy, mask = as_float(dy, "dy", empty=True), as_float(mask, "mask", empty=True)
    input = as_float(input, "input", empty=True)
    check_same_shape(dy=dy, input=input, mask=mask)
    with np.errstate(invalid="ignore"):
        return dy * mask


masked_units = register(masked, masked_backward, operations.mul)


def dropout(input, p=0.5, training=True, *, rng, draw=dropout_mask):
    r"""Drop each number with probability p, divide the others by 1 − p.

    Parameters
    ----------
    input : array_like (...) or Tensor (...)
    p : float
        Probability to drop. Where conventions differ: in the paper p is the
        probability to keep, and the weights are scaled in use instead.
    training : bool
        In use nothing changes.
    rng : numpy.random.Generator
    draw : {dropout_mask, dropout_mask_from_bytes}
        What draws the mask.

    Returns
    -------
    ndarray (...), or Tensor (...) for a Tensor

    Source: Srivastava et al. (2014).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> dropout([1.0, 2.0, 3.0, 4.0], rng=numpy_generator(0))
    array([2., 0., 0., 0.])
    """
    check_number(p, "p", 0, 1)
    if not isinstance(input, Tensor):
        input = as_float(input, "input", empty=True)
    if not training:
        return input
    dtype = raw(input).real.dtype
    return masked_units(input, draw(input.shape, p, rng=rng, dtype=dtype))


class Dropout(Module):
    """`dropout` as a layer: random after `train()`, nothing at all after `eval()`.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> layer = Dropout(0.5, rng=numpy_generator(0))
    >>> layer(np.ones(4)), layer.eval()(np.ones(4))
    (array([2., 0., 0., 0.]), array([1., 1., 1., 1.]))
    """

    def __init__(self, p=0.5, *, rng, draw=dropout_mask):
        check_number(p, "p", 0, 1)
        self.p, self.rng, self.draw = p, rng, draw

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return dropout(input, self.p, self.training, rng=self.rng, draw=self.draw)

    def extra_repr(self):
        """The probability to drop."""
        return f"p={self.p}"


def masked_linear(input, weight, mask, bias=None):
    r"""A linear layer whose weights are masked, :math:`(W\odot M)\mathbf x+\mathbf b`.

    Parameters
    ----------
    input : array_like (..., in)
    weight : array_like (out, in)
    mask : array_like (out, in) or (..., out, in)
        One for all examples, or one for each.
    bias : array_like (out,), optional

    Returns
    -------
    ndarray (..., out)

    Source: Wan et al. (2013), section 3, who draw a mask for each example.

    >>> masked_linear([[1.0, 2.0]], [[3.0, 4.0]], [[0.0, 2.0]], [0.5])
    array([[16.5]])
    """
    input, mask = as_float(input, "input", empty=True), as_float(mask, "mask")
    weight = as_float(weight, "weight", ndim=2)
    out, width = weight.shape
    bias = np.zeros(out, weight.dtype) if bias is None else as_float(bias, "bias")
    each = (*input.shape[:-1], out, width)
    fits = input.shape[-1:] == (width,) and mask.shape in (weight.shape, each)
    require(
        fits and bias.shape == (out,),
        f"shapes do not fit (input {input.shape}, weight {weight.shape}, mask "
        f"{mask.shape}, bias {bias.shape}); is weight (out, in), and is there one mask "
        "for all examples or one for each?",
    )
    if mask.ndim == 2:
        return input @ (weight * mask).T + bias
    return ((weight * mask) @ input[..., None])[..., 0] + bias


def masked_linear_backward(dy, input, weight, mask, bias=None):
    r"""Gradients of `masked_linear`; a dropped weight gets none.

    Parameters
    ----------
    dy : array_like (..., out)
    input, weight, mask, bias
        As given to `masked_linear`.

    Returns
    -------
    dinput : ndarray (..., in)
    dweight : ndarray (out, in)
    dmask : None
        The mask is data.
    dbias : ndarray (out,), or None if there is no bias

    >>> masked_linear_backward([[1.0]], [[1.0, 2.0]], [[3.0, 4.0]], [[0.0, 2.0]])
    (array([[0., 8.]]), array([[0., 4.]]), None, None)
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=masked_linear(input, weight, mask, bias))
    input, weight, mask = map(np.asarray, (input, weight, mask))
    batch = tuple(range(input.ndim - 1))
    if mask.ndim == 2:
        dinput = dy @ (weight * mask)
        dweight = np.tensordot(dy, input, (batch, batch)) * mask
    else:
        dinput = (dy[..., None, :] @ (weight * mask))[..., 0, :]
        dweight = (dy[..., :, None] * input[..., None, :] * mask).sum(axis=batch)
    return dinput, dweight, None, None if bias is None else dy.sum(axis=batch)


def _masked_linear(input, weight, mask, bias=None):
    """The definition of `masked_linear`, from (..., in) to (..., out)."""
    if mask.ndim == 2:
        return operations.linear(input, weight * mask, bias)
    column = operations.unsqueeze(input, -1)
    scores = operations.squeeze(operations.matmul(weight * mask, column), -1)
    return scores if bias is None else scores + bias


masked_linear_units = register(masked_linear, masked_linear_backward, _masked_linear)


def drop_connect(input, weight, bias=None, p=0.5, training=True, *, rng):
    """DropConnect: drop weights instead of units, anew for each example.

    Parameters
    ----------
    input : array_like (..., in)
    weight : array_like (out, in)
    bias : array_like (out,), optional
    p : float
        Probability to drop a weight; those kept are divided by 1 − p.
    training : bool
        In use it is the plain linear layer. Where conventions differ: the paper then
        draws the scores from a Gaussian with the moments of those in training.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (..., out), or Tensor (..., out) if an argument is a Tensor

    Source: Wan et al. (2013).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> drop_connect(np.ones((3, 4)), np.ones((1, 4)), rng=numpy_generator(0))
    array([[2.],
           [8.],
           [6.]])
    """
    x, w = as_float(raw(input), "input", empty=True), as_float(raw(weight), "weight")
    shape = (*x.shape[:-1], *w.shape) if training else w.shape
    mask = dropout_mask(shape, p if training else 0.0, rng=rng, dtype=w.dtype)
    return masked_linear_units(input, weight, mask, bias)


class DropConnect(Module):
    """`drop_connect` as a layer, between parameters of a `Linear`.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> from dlbook_lib.feedforward.autodiff.modules import Linear
    >>> rng = numpy_generator(0)
    >>> DropConnect(Linear(4, 3, rng=rng), 0.5, rng=rng)(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, linear, p=0.5, *, rng):
        check_number(p, "p", 0, 1)
        self.linear, self.p, self.rng = linear, p, rng

    def forward(self, input):
        """Outputs (..., out) for `input` (..., in)."""
        weight, bias = self.linear.weight, self.linear.bias
        return drop_connect(input, weight, bias, self.p, self.training, rng=self.rng)


def all_masks(n):
    r"""All :math:`2^n` ways to keep (1) or drop (0) each of `n` units.

    Returns
    -------
    ndarray (2**n, n)

    >>> all_masks(2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    check_positive(n, "n", integer=True)
    require(n <= 20, f"n is {n}, so there are 2**{n} masks; enumerate 20 units or less")
    return np.array(list(product((0.0, 1.0), repeat=n)))


def mask_probability(mask, p=0.5):
    r"""How often dropout draws a mask, :math:`\prod_i(1-p)^{\mu_i}p^{1-\mu_i}`.

    Parameters
    ----------
    mask : array_like (..., n)
        1 where a unit is kept, 0 where it is dropped.
    p : float
        Probability to drop.

    Returns
    -------
    ndarray (...)

    >>> mask_probability(all_masks(2), 0.25)
    array([0.0625, 0.1875, 0.1875, 0.5625])
    """
    check_number(p, "p", 0, 1)
    mask = as_binary(as_float(mask, "mask"), "mask")
    require(mask.ndim, "mask has no dimensions; pass (..., n), such as all_masks(n)")
    return np.where(mask == 1, 1 - p, p).prod(axis=-1)


def mask_ensemble(predict, input, p=0.5):
    r"""Outputs of all :math:`2^n` thinned models, and how often dropout draws each.

    Parameters
    ----------
    predict : callable
        From inputs (..., n) to outputs (..., C), batch by batch.
    input : array_like (..., n)
        The units that may be dropped.
    p : float
        Probability to drop.

    Returns
    -------
    output : ndarray (2**n, ..., C)
        With kept units divided by 1 − p, as in training. Masks that are never drawn
        are left out, so with p = 0 there is a single one.
    probability : ndarray (2**n,)

    >>> output, probability = mask_ensemble(lambda x: x.sum(-1, keepdims=True), [3.0])
    >>> output.tolist(), probability.tolist()
    ([[0.0], [6.0]], [0.5, 0.5])
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input has no dimensions; pass (..., n), n units to drop")
    masks = all_masks(input.shape[-1]).astype(input.real.dtype)
    probability = mask_probability(masks, p).astype(masks.dtype)
    masks, probability = masks[probability > 0], probability[probability > 0]
    scale = 1 / (1 - p) if p < 1 else 0.0
    return np.stack([predict(input * (m * scale)) for m in masks]), probability


def arithmetic_mean(output, probability):
    r"""The members' mean, :math:`\sum_\mu p(\mu)\,f_\mu(\mathbf x)`.

    Parameters
    ----------
    output : array_like (M, ..., C)
    probability : array_like (M,)

    Returns
    -------
    ndarray (..., C)

    >>> arithmetic_mean([[0.2, 0.8], [0.4, 0.6]], [0.5, 0.5]).round(12)
    array([0.3, 0.7])
    """
    output, probability = as_float(output, "output"), as_float(probability, "p", ndim=1)
    require(
        output.ndim and len(output) == len(probability),
        f"output and probability are of different lengths (output {output.shape}, "
        f"probability {probability.shape}); pass a probability for each member",
    )
    return np.tensordot(probability, output, 1)


def geometric_mean(output, probability):
    r"""The members' geometric mean, made to add up to 1 over the classes.

    Proportional to :math:`\prod_\mu f_\mu(\mathbf x)^{p(\mu)}`, computed by logarithms.

    Parameters
    ----------
    output : array_like (M, ..., C)
        Probabilities of C classes, from each of M members.
    probability : array_like (M,)
        How much each member counts for; they add up to 1.

    Returns
    -------
    ndarray (..., C)
        0 where any member says 0. NaN if that leaves no class.

    Source: Hinton et al. (2012), section 1; Warde-Farley et al. (2014), section 2.

    >>> geometric_mean([[0.2, 0.8], [0.8, 0.2]], [0.5, 0.5])
    array([0.5, 0.5])
    """
    output = as_float(output, "output")
    require(
        output.ndim > 1,
        f"output has no classes (shape {output.shape}); pass (M, ..., C), a number "
        "for each class",
    )
    require(
        (output >= 0).all(),
        f"output holds {output.min():g}, which is no probability; apply softmax first",
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        log = arithmetic_mean(np.log(output), probability)
        power = np.exp(log - log.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)


def ensemble_mse(v, c, k):
    r"""Expected squared error of the mean of `k` models, :math:`\frac vk+\frac{k-1}kc`.

    Parameters
    ----------
    v : float
        Mean square of one model's error.
    c : float
        Mean product of two models' errors; with c = v the mean is no better.
    k : int

    Returns
    -------
    float or ndarray (...)

    >>> ensemble_mse(1.0, 0.5, 10)
    0.55
    """
    check_positive(v, "v", zero=True)
    check_positive(k, "k", integer=True)
    check_number(c, "c", -v, v)
    return v / k + (k - 1) / k * c


def bootstrap(n, k, *, rng):
    """Which examples each of `k` members is given: `n` of `n`, with replacement.

    Returns
    -------
    ndarray of int (k, n)
        A row holds about 63.2 % of the examples, 1 − 1/e.

    Source: Breiman (1996).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> bootstrap(5, 2, rng=numpy_generator(0))
    array([[4, 3, 2, 1, 1],
           [0, 0, 0, 0, 4]])
    """
    check_positive(n, "n", integer=True)
    check_positive(k, "k", integer=True)
    return rng.integers(n, size=(k, n))


def majority_vote(scores):
    """The class (N,) for which most of k members' scores (k, N, C) are highest.

    >>> majority_vote([[[0.9, 0.1]], [[0.4, 0.6]], [[0.0, 1.0]]])
    array([1])
    """
    scores = as_float(scores, "scores", ndim=3)
    votes = np.eye(scores.shape[-1])[scores.argmax(axis=-1)]  # (k, N, C)
    return votes.sum(axis=0).argmax(axis=-1)


class Bagging:
    """`k` models of one kind, each fitted to a resample of the examples.

    Parameters
    ----------
    fit_member : callable
        ``predict = fit_member(input, target)``; then ``predict(input)`` are outputs
        (N, ...).
    k : int
    rng : numpy.random.Generator

    Attributes
    ----------
    members : list of callable
    rows : ndarray of int (k, N)
        What each member has seen.

    Source: Breiman (1996).

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> mean = lambda x, y: lambda new: np.full(len(new), y.mean())
    >>> bag = Bagging(mean, 100, rng=numpy_generator(0))
    >>> bag.fit(np.zeros((5, 1)), np.arange(5.0)).predict(np.zeros((1, 1))).round(1)
    array([2.1])
    """

    def __init__(self, fit_member, k=10, *, rng):
        check_positive(k, "k", integer=True)
        self.fit_member, self.k, self.rng = fit_member, k, rng

    def fit(self, input, target, rows=None):
        """Fit to `input` (N, ...) and `target` (N, ...); `rows` (k, N) if not drawn."""
        input, target = np.asarray(input), np.asarray(target)
        require(
            input.ndim and target.ndim and len(input) == len(target),
            f"input and target are not examples and their targets (input {input.shape},"
            f" target {target.shape}); pass as many of one as of the other",
        )
        if rows is None:
            rows = bootstrap(len(input), self.k, rng=self.rng)
        self.rows = as_labels(rows, "rows", classes=len(input))
        self.members = [self.fit_member(input[r], target[r]) for r in self.rows]
        return self

    def predict(self, input):
        """The mean of the members' outputs (N, ...)."""
        return np.mean([member(input) for member in self.members], axis=0)

    def vote(self, input):
        """The class (N,) for which most members' scores (N, C) are highest."""
        return majority_vote([member(input) for member in self.members])


def fit_stump(input, target, weight):
    r"""The best cut of one feature: :math:`s\,\mathrm{sign}(x_j-t)`.

    Parameters
    ----------
    input : array_like (N, D)
    target : array_like (N,)
        −1.0 or 1.0.
    weight : array_like (N,)
        How much each example counts for; they add up to 1.

    Returns
    -------
    feature : int
    threshold : float
        Half way between two neighbours, or −infinity.
    sign : float
        What the stump says above the threshold, −1.0 or 1.0.
    error : float
        The weight of the examples that it gets wrong.

    >>> fit_stump([[0.0], [1.0], [2.0]], [1.0, 1.0, -1.0], [0.25, 0.25, 0.5])
    (0, 1.5, -1.0, 0.0)
    """
    input, target = as_float(input, "input", ndim=2), as_float(target, "target", ndim=1)
    weight = as_float(weight, "weight", ndim=1)
    check_finite(input, "input")
    check_same_shape(target=target, weight=weight, rows_of_input=input[:, 0])
    require((abs(target) == 1).all(), "target must hold only -1.0 and 1.0; recode it")
    order = np.argsort(input, axis=0, kind="stable")  # (N, D)
    x = np.take_along_axis(input, order, axis=0)
    gain = (weight * target)[order]
    edge = gain[::-1].cumsum(axis=0)[::-1].copy()  # Σ w y h = 1 − 2 · error
    edge[1:] -= gain.cumsum(axis=0)[:-1]  # h is 1 from row i on, −1 before
    edge[0, 1:] = 0  # the same constant for every feature
    edge[1:][x[1:] == x[:-1]] = 0  # no cut between equals
    i, j = np.unravel_index(np.argmax(abs(edge)), edge.shape)
    threshold = x[i - 1, j] / 2 + x[i, j] / 2 if i else -np.inf
    threshold = threshold if threshold < x[i, j] else x[i - 1, j]  # neighbouring floats
    sign = 1.0 if edge[i, j] > 0 else -1.0
    wrong = stump(input, int(j), float(threshold), sign) != target
    return int(j), float(threshold), sign, float(weight[wrong].sum())


def stump(input, feature, threshold, sign):
    """What a stump says of each row of `input` (N, D): ±1.0, as (N,).

    >>> stump([[0.0], [2.0]], 0, 1.0, -1.0)
    array([ 1., -1.])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    is_column = isinstance(feature, (int, np.integer)) and 0 <= feature < input.shape[1]
    require(
        is_column,
        f"feature must be a column of input {input.shape}, not {feature!r}; count "
        "from 0",
    )
    for name, value in (("threshold", threshold), ("sign", sign)):
        check_number(value, name)
    return np.where(input[:, feature] > threshold, sign, -sign).astype(input.dtype)


def adaboost_stumps(input, target, rounds=10):
    r"""AdaBoost: stumps that look most at what the earlier ones got wrong.

    After each round the weights are multiplied by :math:`e^{-\alpha yh(\mathbf x)}`,
    with :math:`\alpha=\frac12\log\frac{1-\epsilon}\epsilon` for an error of
    :math:`\epsilon`. The training error is at most
    :math:`\prod_t2\sqrt{\epsilon_t(1-\epsilon_t)}`.

    Parameters
    ----------
    input : array_like (N, D)
    target : array_like (N,)
        −1.0 or 1.0.
    rounds : int

    Returns
    -------
    list of tuple
        (α, feature, threshold, sign, error) of each stump. It ends early with a stump
        that makes no error, or with one that is no better than chance.

    Source: Freund and Schapire (1997), figure 2; α is half of its log(1/β).

    >>> stumps = adaboost_stumps([[0.0], [1.0], [2.0]], [1.0, -1.0, 1.0], rounds=3)
    >>> adaboost_score([[0.0], [1.0], [2.0]], stumps).round(3)
    array([ 0.091, -1.007,  0.602])
    """
    input, target = as_float(input, "input", ndim=2), as_float(target, "target", ndim=1)
    check_positive(rounds, "rounds", integer=True)
    weight, stumps = np.full(len(target), 1 / len(target), target.dtype), []
    for _ in range(rounds):
        *cut, error = fit_stump(input, target, weight)
        if error >= 0.5:
            break
        alpha = 0.5 * np.log((1 - error) / max(error, np.finfo(weight.dtype).eps))
        stumps.append((float(alpha), *cut, error))
        if error == 0:
            break
        weight = weight * np.exp(
            -alpha.astype(weight.dtype) * target * stump(input, *cut)
        )
        weight = weight / weight.sum()
    return stumps


def adaboost_score(input, stumps):
    r"""The stumps' vote :math:`\sum_t\alpha_th_t(\mathbf x)`, whose sign is the class.

    Parameters
    ----------
    input : array_like (N, D)
    stumps : list of tuple
        As `adaboost_stumps` gives them.

    Returns
    -------
    ndarray (N,)

    >>> adaboost_score([[0.0], [2.0]], [(0.5, 0, 1.0, -1.0, 0.2)])
    array([ 0.5, -0.5])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    score = np.zeros(len(input), input.dtype)
    for alpha, feature, threshold, sign, _ in stumps:
        score += alpha * stump(input, feature, threshold, sign)
    return score
