"""Ensembles that are written out, in NumPy: of all masks, of resamples, of stumps.

What dropout does at once for all of them, by sharing: the 2ⁿ thinned models of a small
one, bagging, and boosting, which lowers the training error instead.
"""

from itertools import product

import numpy as np

from dlbook_lib.common.checks import (
    as_binary,
    as_float,
    as_labels,
    check_finite,
    check_ndim,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)

# ---- all masks -----------------------------------------------------------------------


def all_masks(n):
    r"""All :math:`2^n` ways to keep (1) or drop (0) each of `n` units.

    Returns
    -------
    ndarray (2**n, n)

    >>> all_masks(2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    check_positive(n, "n", integer=True)
    require(n <= 18, f"n is {n}, so there are 2**{n} masks; enumerate 18 units or less")
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
    return np.where(mask == 1, 1 - p, p).astype(mask.dtype).prod(axis=-1)


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

    Source: Goodfellow, Bengio and Courville (2016), section 7.12.

    >>> output, probability = mask_ensemble(lambda x: x.sum(-1, keepdims=True), [3.0])
    >>> output.tolist(), probability.tolist()
    ([[0.0], [6.0]], [0.5, 0.5])
    """
    said = f"predict must be a function, not {predict!r}"
    require(callable(predict), said, TypeError)
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input has no dimensions; pass (..., n), n units to drop")
    masks = all_masks(input.shape[-1]).astype(input.real.dtype)
    probability = mask_probability(masks, p)
    masks, probability = masks[probability > 0], probability[probability > 0]
    scale = float(1 / (1 - p)) if p < 1 else 0.0
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
    output = as_float(output, "output")
    probability = as_float(probability, "probability", ndim=1)
    require(
        output.ndim and len(output) == len(probability),
        f"output and probability are of different lengths (output {output.shape}, "
        f"probability {probability.shape}); pass a probability for each member",
    )
    return np.tensordot(probability.astype(output.dtype), output, 1)


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
        0 where any member says 0 that counts. NaN if that leaves no class.

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
    arithmetic_mean(output, probability)  # checks them
    counts = np.asarray(probability) != 0
    output, probability = output[counts], np.asarray(probability)[counts]
    with np.errstate(divide="ignore", invalid="ignore"):
        log = arithmetic_mean(np.log(output), probability)
        power = np.exp(log - log.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)


# ---- resamples -----------------------------------------------------------------------


def ensemble_mse(v, c, k):
    r"""Expected squared error of the mean of `k` models, :math:`\frac vk+\frac{k-1}kc`.

    Parameters
    ----------
    v : float
        Mean square of one model's error.
    c : float
        Mean product of two models' errors; with c = v the mean is no better. It is at
        least −v / (k − 1): not all models can contradict each other.
    k : int

    Returns
    -------
    float

    Source: Goodfellow, Bengio and Courville (2016), equation 7.51.

    >>> ensemble_mse(1.0, 0.5, 10)
    0.55
    """
    check_positive(v, "v", zero=True)
    check_positive(k, "k", integer=True)
    check_number(c, "c", -v / max(k - 1, 1), v)
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
    check_rng(rng)
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
        said = f"fit_member must be a function, not {fit_member!r}"
        require(callable(fit_member), said, TypeError)
        check_positive(k, "k", integer=True)
        self.fit_member, self.k, self.rng = fit_member, k, rng
        self.members = []

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
        check_ndim(self.rows, "rows", 2)
        self.members = [self.fit_member(input[r], target[r]) for r in self.rows]
        said = f"fit_member must return a function, not {self.members[0]!r}"
        require(callable(self.members[0]), said, TypeError)
        return self

    def predict(self, input):
        """The mean of the members' outputs (N, ...)."""
        require(self.members, "there are no members yet; call fit first")
        return np.mean([member(input) for member in self.members], axis=0)

    def vote(self, input):
        """The class (N,) for which most members' scores (N, C) are highest."""
        require(self.members, "there are no members yet; call fit first")
        return majority_vote([member(input) for member in self.members])


# ---- stumps --------------------------------------------------------------------------


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
