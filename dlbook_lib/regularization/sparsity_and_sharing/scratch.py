"""Strength shared across inputs, tasks and weights, in NumPy.

Networks are modules of the autodiff page, with the names that torch would give to their
parameters. Sparse codes are in `codes`, networks that lose or gain weights and units
in `sizes`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_finite,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.modules import (
    Linear,
    Module,
    ReLU,
    Sequential,
    Tanh,
)

# ---- sharing across inputs and tasks -------------------------------------------------


def principal_components(input, k):
    r"""The `k` directions along which inputs vary most, labelled or not.

    With the singular values of the centred inputs,
    :math:`X-\bar{\mathbf x}=USV^{\mathsf T}`, they are the first rows of
    :math:`V^{\mathsf T}`.

    Parameters
    ----------
    input : array_like (N, D)
    k : int
        At most the smaller of N and D.

    Returns
    -------
    mean : ndarray (D,)
    components : ndarray (k, D)
        Orthonormal rows; features are ``(input - mean) @ components.T``. A row and its
        negative say the same; the entry of largest size is positive here.

    Source: Pearson (1901).

    >>> mean, components = principal_components([[0.0, 1.0], [2.0, 1.0]], 1)
    >>> mean, components
    (array([1., 1.]), array([[1., 0.]]))
    """
    input = as_float(input, "input", ndim=2)
    check_finite(input, "input")
    check_positive(k, "k", integer=True)
    require(
        k <= min(input.shape),
        f"k is {k}, but {input.shape[0]} examples of {input.shape[1]} features have at "
        f"most {min(input.shape)} components; choose fewer",
    )
    mean = input.mean(axis=0)
    components = np.linalg.svd(input - mean, full_matrices=False)[2][:k]
    largest = np.abs(components).argmax(axis=1)
    sign = np.sign(components[np.arange(k), largest])
    return mean, components * sign[:, None]


class SemiSupervisedNet(Module):
    """One encoder below a classifier and a decoder, which both teach it.

    Parameters
    ----------
    in_features, width, classes : int
    rng : numpy.random.Generator
    dtype : dtype
        Precision of the parameters.

    Calls give scores (N, classes) and reconstructions (N, in_features).

    >>> net = SemiSupervisedNet(4, 3, 2, rng=np.random.default_rng(0))
    >>> [output.shape for output in net(np.ones((5, 4)))]
    [(5, 2), (5, 4)]
    """

    def __init__(self, in_features, width, classes, *, rng, dtype=float):
        super().__init__()
        self.encoder = Sequential(
            Linear(in_features, width, rng=rng, dtype=dtype), Tanh()
        )
        self.classifier = Linear(width, classes, rng=rng, dtype=dtype)
        self.decoder = Linear(width, in_features, rng=rng, dtype=dtype)

    def forward(self, input):
        """Scores (N, classes) and reconstructions (N, in_features) of `input`."""
        code = self.encoder(input)
        return self.classifier(code), self.decoder(code)


def hybrid_cost(net, input, target, unlabelled, strength=1.0):
    r"""A classifier's cost, and how badly all inputs are reconstructed.

    .. math:: -\log P(y\mid\mathbf x)+\lambda\tfrac12\lVert\mathbf x-\hat{\mathbf x}
        \rVert^2

    each as a mean over its examples. The second term stands for :math:`-\log P(\mathbf
    x)`: it is that, up to a constant, of a Gaussian around the reconstruction.

    Parameters
    ----------
    net : SemiSupervisedNet
    input : array_like (N, D)
        With labels.
    target : array_like of int (N,)
    unlabelled : array_like (M, D)
        M may be 0.
    strength : float
        :math:`\lambda`, 0 or more.

    Returns
    -------
    Tensor of shape ()

    Source: Larochelle and Bengio (2008); Goodfellow, Bengio and Courville (2016),
    section 7.6.

    >>> net = SemiSupervisedNet(4, 3, 2, rng=np.random.default_rng(0))
    >>> hybrid_cost(net, np.ones((1, 4)), [0], np.ones((5, 4))).shape
    ()
    """
    is_net = isinstance(net, SemiSupervisedNet)
    require(is_net, f"net must be a SemiSupervisedNet, not {net!r}", TypeError)
    input = as_float(input, "input", ndim=2)
    target = as_labels(target, "target", classes=net.classifier.out_features)
    unlabelled = as_float(unlabelled, "unlabelled", ndim=2, empty=True)
    check_number(strength, "strength", 0)
    require(
        target.shape == input.shape[:1] and input.shape[1] == unlabelled.shape[1],
        f"shapes do not fit (input {input.shape}, target {target.shape}, unlabelled "
        f"{unlabelled.shape}); give each row of input a label, and all rows one width",
    )
    everything = np.concatenate([input, unlabelled])
    scores, reconstruction = net(everything)
    error = ((reconstruction - everything) ** 2).sum() * (0.5 / len(everything))
    cost = operations.cross_entropy(scores[: len(input)], target)
    return cost + float(strength) * error


class MultiTaskNet(Module):
    """A hidden layer that all tasks share, and a linear output for each.

    Parameters
    ----------
    in_features, width : int
    classes : list of int
        How many classes each task has.
    rng : numpy.random.Generator
    dtype : dtype
        Precision of the parameters.

    Calls give a list of scores (N, classes), one for each task.

    Source: Caruana (1997).

    >>> net = MultiTaskNet(4, 8, [10, 2], rng=np.random.default_rng(0))
    >>> [scores.shape for scores in net(np.ones((5, 4)))]
    [(5, 10), (5, 2)]
    """

    def __init__(self, in_features, width, classes, *, rng, dtype=float):
        super().__init__()
        is_list = isinstance(classes, (list, tuple)) and len(classes)
        require(is_list, f"classes must be a list, not {classes!r}; try [10, 2]")
        self.trunk = Sequential(
            Linear(in_features, width, rng=rng, dtype=dtype), ReLU()
        )
        self.heads = Sequential(
            *[Linear(width, n, rng=rng, dtype=dtype) for n in classes]
        )

    def forward(self, input):
        """Scores (N, classes) of each task for `input` (N, in_features)."""
        shared = self.trunk(input)
        return [head(shared) for head in self.heads]


def multitask_loss(outputs, targets, weights=None):
    r"""The tasks' cross-entropies added up, :math:`\sum_tw_tJ_t`.

    Parameters
    ----------
    outputs : list of Tensor (N, classes) or array_like (N, classes)
        Scores for each task.
    targets : list of array_like of int (N,)
        Labels for each task.
    weights : list of float, optional
        What each task counts for, 0 or more; 1 unless given.

    Returns
    -------
    Tensor of shape (), or floating scalar for arrays

    >>> scores = [np.zeros((3, 2)), np.zeros((3, 4))]
    >>> multitask_loss(scores, [[0, 1, 1], [3, 2, 0]]).round(4)
    np.float64(2.0794)
    """
    weights = [1.0] * len(outputs) if weights is None else weights
    given = {"outputs": outputs, "targets": targets, "weights": weights}
    for name, things in given.items():
        is_list = isinstance(things, (list, tuple)) and len(things)
        require(is_list, f"{name} must be a list, one for each task", TypeError)
    require(
        len(outputs) == len(targets) == len(weights),
        f"there are {len(outputs)} outputs, {len(targets)} targets and {len(weights)} "
        "weights; give one of each for every task",
    )
    loss = 0.0
    for scores, target, w in zip(outputs, targets, weights, strict=True):
        check_number(w, "weights", 0)
        cost = operations.cross_entropy(scores, as_labels(target, "targets"))
        loss = loss + float(w) * cost
    return loss


# ---- sharing across weights ----------------------------------------------------------


def tie_penalty(input, other, alpha=1.0):
    r"""Pull two arrays of weights together.

    .. math:: \alpha\lVert\mathbf w^{(A)}-\mathbf w^{(B)}\rVert_2^2

    Parameters
    ----------
    input, other : array_like (...)
        Of one shape.
    alpha : float
        Strength, 0 or more. Without a half, unlike `l2_penalty`.

    Returns
    -------
    floating scalar

    Source: Lasserre, Bishop and Minka (2006); Goodfellow, Bengio and Courville (2016),
    section 7.9.

    >>> tie_penalty([1.0, 2.0], [1.0, 4.0], alpha=0.5)
    np.float64(2.0)
    """
    input = as_float(input, "input", empty=True)
    other = as_float(other, "other", empty=True)
    check_same_shape(input=input, other=other)
    check_positive(alpha, "alpha", zero=True)
    return float(alpha) * ((input - other) ** 2).sum()


def tie_penalty_backward(dy, input, other, alpha=1.0):
    r"""Gradients of `tie_penalty`, each (...): `dy`, a number, times
    :math:`\pm2\alpha(\mathbf w^{(A)}-\mathbf w^{(B)})`.

    >>> tie_penalty_backward(1.0, [1.0, 2.0], [2.0, 4.0], alpha=0.5)
    (array([-1., -2.]), array([1., 2.]))
    """
    dy = as_float(dy, "dy", ndim=0)
    input = as_float(input, "input", empty=True)
    other = as_float(other, "other", empty=True)
    check_same_shape(input=input, other=other)
    check_positive(alpha, "alpha", zero=True)
    pull = 2 * float(dy) * float(alpha) * (input - other)
    return pull, -pull


def slide(input, weight):
    r"""One detector at every place, :math:`y_i=\sum_kw_kx_{i+k}`.

    Parameters
    ----------
    input : array_like (..., L)
    weight : array_like (K,)
        The only weights there are, for any L.

    Returns
    -------
    ndarray (..., L - K + 1)

    A linear layer would have (L − K + 1) · L weights for it. With one channel it is
    torch's ``conv1d``.

    Source: Goodfellow, Bengio and Courville (2016), section 7.9.

    >>> slide([0.0, 1.0, 3.0, 3.0], [-1.0, 1.0])
    array([1., 2., 0.])
    """
    input = as_float(input, "input", empty=True)
    weight = as_float(weight, "weight", ndim=1)
    require(
        input.ndim and len(weight) <= input.shape[-1],
        f"input {input.shape} is shorter than the {len(weight)} weights; pad it",
    )
    windows = np.lib.stride_tricks.sliding_window_view(input, len(weight), axis=-1)
    return windows @ weight


def slide_backward(dy, input, weight):
    r"""Gradients of `slide`: what is shared adds up the gradients of all its uses.

    Parameters
    ----------
    dy : array_like (..., L - K + 1)
    input, weight
        As given to `slide`.

    Returns
    -------
    dinput : ndarray (..., L)
    dweight : ndarray (K,)
        :math:`\sum_i\dot y_ix_{i+k}`, over all examples too.

    >>> slide_backward([1.0, 1.0, 1.0], [0.0, 1.0, 3.0, 3.0], [-1.0, 1.0])
    (array([-1.,  0.,  0.,  1.]), array([4., 7.]))
    """
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=slide(input, weight))
    input, weight = np.asarray(input), np.asarray(weight)
    places = dy.shape[-1]
    dinput = np.zeros(input.shape, np.result_type(dy, weight))
    for k, w in enumerate(weight):
        dinput[..., k : k + places] += dy * w
    shifted = [input[..., k : k + places] for k in range(len(weight))]
    return dinput, np.array([(dy * x).sum() for x in shifted])
