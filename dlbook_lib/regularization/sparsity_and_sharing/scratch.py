r"""Sharing, sparsity and the size of a network, in NumPy.

A code :math:`\mathbf h` of an example :math:`\mathbf x` is a row of (N, m). A
dictionary is stored as the weight of the linear layer that decodes it, (in, m), so
that :math:`\hat{\mathbf x}=W\mathbf h`. Its columns are the atoms. Networks are
modules of the autodiff page, with the names that torch would give to their parameters.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_binary,
    as_float,
    as_floats,
    as_labels,
    check_between,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw, register
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    Buffer,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)

# ------------------------------------------------------ sharing across inputs and tasks


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
    dtype : dtype, optional
        float64 unless given.

    Calls give scores (N, classes) and reconstructions (N, in_features).

    >>> net = SemiSupervisedNet(4, 3, 2, rng=np.random.default_rng(0))
    >>> [output.shape for output in net(np.ones((5, 4)))]
    [(5, 2), (5, 4)]
    """

    def __init__(self, in_features, width, classes, *, rng, dtype=None):
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

    >>> net = SemiSupervisedNet(4, 3, 2, rng=np.random.default_rng(0))
    >>> hybrid_cost(net, np.ones((1, 4)), [0], np.ones((5, 4))).shape
    ()
    """
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
    return operations.cross_entropy(scores[: len(input)], target) + strength * error


class MultiTaskNet(Module):
    """A hidden layer that all tasks share, and a linear output for each.

    Parameters
    ----------
    in_features, width : int
    classes : list of int
        How many classes each task has.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    Calls give a list of scores (N, classes), one for each task.

    Source: Caruana (1997).

    >>> net = MultiTaskNet(4, 8, [10, 2], rng=np.random.default_rng(0))
    >>> [scores.shape for scores in net(np.ones((5, 4)))]
    [(5, 10), (5, 2)]
    """

    def __init__(self, in_features, width, classes, *, rng, dtype=None):
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
    kinds = [(outputs, "outputs"), (targets, "targets"), (weights, "weights")]
    weights = [1.0] * len(outputs) if weights is None else weights
    for things, name in [*kinds[:2], (weights, "weights")]:
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
        loss = loss + w * operations.cross_entropy(scores, as_labels(target, "targets"))
    return loss


# -------------------------------------------------------------- sharing across weights


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


# ------------------------------------------------------------------------ sparse codes


def code_l1_penalty(code, alpha=1.0):
    r"""What activations cost, :math:`\frac\alpha N\sum_n\lVert\mathbf h_n\rVert_1`.

    Parameters
    ----------
    code : array_like (N, m)
    alpha : float
        Strength, 0 or more, in units of cost per unit of activation.

    Returns
    -------
    floating scalar
        A mean over examples, as the cost is: `l1_penalty` of weights has none.

    Source: Goodfellow, Bengio and Courville (2016), section 7.10.

    >>> code_l1_penalty([[1.0, -1.0], [0.0, 4.0]], alpha=0.5)
    np.float64(1.5)
    """
    code = as_float(code, "code", ndim=2)
    check_positive(alpha, "alpha", zero=True)
    return float(alpha) / len(code) * np.abs(code).sum()


def code_l1_penalty_backward(dy, code, alpha=1.0):
    r"""Subgradient (N, m) of `code_l1_penalty`, 0 where an activation is 0; `dy` is a
    number.

    >>> code_l1_penalty_backward(1.0, [[1.0, -1.0], [0.0, 4.0]])
    array([[ 0.5, -0.5],
           [ 0. ,  0.5]])
    """
    dy, code = as_float(dy, "dy", ndim=0), as_float(code, "code", ndim=2)
    check_positive(alpha, "alpha", zero=True)
    return float(dy) * float(alpha) / len(code) * np.sign(code)


def kl_sparsity(code, rho=0.05):
    r"""How far each unit's mean activation is from :math:`\rho`, in nats.

    .. math:: \sum_j\rho\log\frac\rho{\hat\rho_j}+(1-\rho)\log\frac{1-\rho}
        {1-\hat\rho_j},\qquad\hat\rho_j=\frac1N\sum_nh_{nj}

    is the divergence between coins that fall with :math:`\rho` and
    :math:`\hat\rho_j`.

    Parameters
    ----------
    code : array_like (N, m)
        Activations from 0 to 1, as of sigmoid units.
    rho : float
        The activation to aim for, between 0 and 1.

    Returns
    -------
    floating scalar
        Infinity if a unit is 0, or 1, for all examples.

    Source: Lee, Ekanadham and Ng (2008) for the target; Ng (2011) for the divergence.

    >>> kl_sparsity([[0.5, 0.05], [0.5, 0.05]]).round(4)
    np.float64(0.4946)
    """
    code = as_float(code, "code", ndim=2)
    check_between(code.real, "code", 0, 1)
    check_number(rho, "rho", 0, 1)
    require(0 < rho < 1, f"rho is {rho}, but must lie between 0 and 1; try 0.05")
    mean, rho = code.mean(axis=0), float(rho)  # (m,)
    with np.errstate(divide="ignore"):
        fires, rests = np.log(mean), np.log1p(-mean)
    entropy = rho * np.log(rho) + (1 - rho) * np.log1p(-rho)
    return (float(entropy) - rho * fires - (1 - rho) * rests).sum()


def kl_sparsity_backward(dy, code, rho=0.05):
    r"""Gradient of `kl_sparsity`, :math:`\frac1N\left(\frac{1-\rho}{1-\hat\rho_j}-
    \frac\rho{\hat\rho_j}\right)` in every row of (N, m); `dy` is a number.

    >>> kl_sparsity_backward(1.0, [[0.5, 0.05], [0.5, 0.05]]).round(12)
    array([[0.9, 0. ],
           [0.9, 0. ]])
    """
    dy, code = as_float(dy, "dy", ndim=0), as_float(code, "code", ndim=2)
    check_between(code.real, "code", 0, 1)
    check_number(rho, "rho", 0, 1)
    require(0 < rho < 1, f"rho is {rho}, but must lie between 0 and 1; try 0.05")
    mean, rho = code.mean(axis=0), float(rho)  # (m,)
    with np.errstate(divide="ignore"):
        slope = (1 - rho) / (1 - mean) - rho / mean
    return np.repeat(float(dy) / len(code) * slope[None], len(code), axis=0)


def _code_l1_of_tensors(code, alpha=1.0):
    return operations.abs(code).sum() * (float(alpha) / code.shape[0])


def _kl_of_tensors(code, rho=0.05):
    mean, rho = code.mean(0), float(rho)
    fires, rests = operations.log(mean), operations.log1p(-mean)
    entropy = rho * np.log(rho) + (1 - rho) * np.log1p(-rho)
    return (float(entropy) - rho * fires - (1 - rho) * rests).sum()


_code_l1 = register(code_l1_penalty, code_l1_penalty_backward, _code_l1_of_tensors)
_kl = register(kl_sparsity, kl_sparsity_backward, _kl_of_tensors)


def active_fraction(code, threshold=0.0):
    """Share of activations (...) that are larger than `threshold` in size.

    >>> active_fraction([[0.0, 0.0, 2.0, -1.0]])
    0.5
    """
    code = as_float(code, "code")
    check_number(threshold, "threshold", 0)
    return float((np.abs(code) > threshold).mean())


class SparseAutoencoder(Module):
    r"""Reconstruct inputs from a code of which few units are active.

    Parameters
    ----------
    in_features, units : int
    activation : {"sigmoid", "relu"}
        Of the code: the first for `kl_sparsity`, the second for exact zeros.
    rng : numpy.random.Generator
    dtype : dtype, optional
        float64 unless given.

    Calls give reconstructions (N, in_features).

    Source: Ng (2011), section 3.

    >>> net = SparseAutoencoder(4, 6, rng=np.random.default_rng(0))
    >>> net.code(np.ones((5, 4))).shape, net(np.ones((5, 4))).shape
    ((5, 6), (5, 4))
    """

    def __init__(self, in_features, units, activation="sigmoid", *, rng, dtype=None):
        super().__init__()
        check_in(activation, "activation", ("sigmoid", "relu"))
        self.encoder = Linear(in_features, units, rng=rng, dtype=dtype)
        self.activation = {"sigmoid": Sigmoid, "relu": ReLU}[activation]()
        self.decoder = Linear(units, in_features, rng=rng, dtype=dtype)

    def code(self, input):
        """Activations (N, units) for `input` (N, in_features)."""
        return self.activation(self.encoder(input))

    def forward(self, input):
        """Reconstructions (N, in_features) of `input` (N, in_features)."""
        return self.decoder(self.code(input))

    def cost(self, input, strength=0.0, penalty="kl", rho=0.05):
        r"""Half the squared error of `input` (N, in_features), and what its code costs.

        :math:`\frac1{2N}\sum_n\lVert\mathbf x_n-\hat{\mathbf x}_n\rVert^2` plus
        `strength` times `kl_sparsity` to `rho`, or ``penalty="l1"``, as a Tensor ().
        """
        check_in(penalty, "penalty", ("kl", "l1"))
        check_number(strength, "strength", 0)
        input = as_float(input, "input", ndim=2)
        code = self.code(input)
        error = ((self.decoder(code) - input) ** 2).sum() * (0.5 / len(input))
        sparse = _kl(code, rho) if penalty == "kl" else _code_l1(code)
        return error + strength * sparse if strength else error


def unit_atoms(weight):
    """Atoms of length 1, (in, m), and their lengths, (m,), with 1 for an atom of 0.

    >>> unit_atoms([[3.0, 0.0], [4.0, 0.0]])
    (array([[0.6, 0. ],
           [0.8, 0. ]]), array([5., 1.]))
    """
    weight = as_float(weight, "weight", ndim=2)
    check_finite(weight, "weight")
    length = np.linalg.norm(weight, axis=0)
    length = np.where(length > 0, length, 1)
    return weight / length, length


def omp(input, weight, k):
    r"""Orthogonal matching pursuit: write each input with at most `k` atoms.

    Greedy, for :math:`\min_{\mathbf h}\lVert\mathbf x-W\mathbf h\rVert_2` with at most
    `k` entries of :math:`\mathbf h` unlike 0. In turn: take the atom that says most
    about what is left, by
    :math:`|\mathbf w_j^{\mathsf T}\mathbf r|/\lVert\mathbf w_j\rVert`; fit all atoms
    taken so far by least squares; what is left then is :math:`\mathbf r`.

    Parameters
    ----------
    input : array_like (N, in)
    weight : array_like (in, m)
        A dictionary, its atoms as columns.
    k : int
        At most the smaller of the two sizes of `weight`.

    Returns
    -------
    ndarray (N, m)
        Codes. Fewer than `k` entries count if an input is explained before.

    Where conventions differ: scikit-learn's ``orthogonal_mp`` does not divide by the
    lengths of the atoms, so it agrees for atoms of length 1.

    Source: Pati, Rezaiifar and Krishnaprasad (1993), section 3.

    >>> omp([[3.0, 1.0, 2.0]], np.eye(3), k=2)
    array([[3., 0., 2.]])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    check_finite(input, "input")
    unit, length = unit_atoms(weight)
    check_positive(k, "k", integer=True)
    require(
        input.shape[1] == len(unit) and k <= min(unit.shape),
        f"input {input.shape}, weight {unit.shape} and k = {k} do not fit; an atom is "
        "a column of weight, and k must not be larger than either of its sizes",
    )
    code = np.zeros((len(input), len(length)), np.result_type(input, unit))
    small = 10 * max(unit.shape) * np.finfo(code.dtype).eps
    for x, h in zip(input, code, strict=True):
        taken, left = [], x
        for _ in range(k):
            match = np.abs(left @ unit)
            if match.max() <= small * np.linalg.norm(x):
                break
            taken.append(match.argmax())
            h[taken] = np.linalg.lstsq(unit[:, taken], x, rcond=None)[0]
            left = x - unit @ h
    return code / length


def omp_by_shared_products(input, weight, k):
    r"""`omp` for all inputs at once, from products that they share.

    The matches need
    :math:`W^{\mathsf T}\mathbf r=W^{\mathsf T}\mathbf x-G\mathbf h` with
    :math:`G=W^{\mathsf T}W`, and the least-squares fit is :math:`G_{TT}\mathbf h_T=
    (W^{\mathsf T}\mathbf x)_T` for the atoms :math:`T` taken: systems of at most k × k.

    Parameters
    ----------
    input, weight, k
        As for `omp`. What counts as explained is decided to half the digits, since the
        squares of the lengths are what is at hand.

    Returns
    -------
    ndarray (N, m)

    Source: Rubinstein, Zibulevsky and Elad (2008), who update a Cholesky factor.

    >>> omp_by_shared_products([[3.0, 1.0, 2.0]], np.eye(3), k=2)
    array([[3., 0., 2.]])
    """
    input = as_float(input, "input", ndim=2, empty=True)
    check_finite(input, "input")
    unit, length = unit_atoms(weight)
    check_positive(k, "k", integer=True)
    require(
        input.shape[1] == len(unit) and k <= min(unit.shape),
        f"input {input.shape}, weight {unit.shape} and k = {k} do not fit; an atom is "
        "a column of weight, and k must not be larger than either of its sizes",
    )
    gram, match = unit.T @ unit, input @ unit  # (m, m), (N, m)
    code, busy = np.zeros_like(match), np.arange(len(input))
    small = np.sqrt(np.finfo(code.dtype).eps) * np.linalg.norm(input, axis=1)
    taken = np.zeros((len(input), 0), int)
    left = match
    for _ in range(k):
        go = np.abs(left).max(axis=1) > small[busy]
        busy, left, taken = busy[go], left[go], taken[go]
        taken = np.column_stack([taken, np.abs(left).argmax(axis=1)])  # (n, t)
        known = np.take_along_axis(match[busy], taken, axis=1)
        system = gram[taken[:, :, None], taken[:, None, :]]  # (n, t, t)
        h = np.linalg.solve(system, known[:, :, None])[..., 0]
        code[busy[:, None], taken] = h
        left = match[busy] - code[busy] @ gram  # (n, m)
    return code / length


def learn_dictionary(input, units, k=1, *, steps, rng):
    r"""Atoms for which `omp` leaves little over, by turns of coding and fitting.

    In turn: codes by OMP-k for the present atoms; the atoms that fit these codes best
    by least squares; atoms of length 1 again. With k = 1 it is spherical k-means: each
    input belongs to one atom, which becomes the direction of its weighted sum.

    Parameters
    ----------
    input : array_like (N, in)
    units : int
        How many atoms.
    k : int
    steps : int
        Turns.
    rng : numpy.random.Generator
        Draws the first atoms, uniform over directions.

    Returns
    -------
    weight : ndarray (in, units)
    errors : ndarray (steps,)
        Before each fit, the mean squared length of what is left over.

    Source: Engan, Aase and Husøy (1999); Coates and Ng (2011), section 3.1, for OMP-1.

    >>> x = np.repeat(np.eye(2), 3, axis=0)
    >>> weight, errors = learn_dictionary(x, 2, steps=3, rng=np.random.default_rng(0))
    >>> np.abs(weight).round(6).tolist(), errors.round(6)[-1]
    ([[0.0, 1.0], [1.0, 0.0]], np.float64(0.0))
    """
    input = as_float(input, "input", ndim=2)
    for name, number in {"units": units, "k": k, "steps": steps}.items():
        check_positive(number, name, integer=True)
    weight = first_atoms(input.shape[1], units, rng=rng).astype(input.dtype)
    errors = []
    for _ in range(steps):
        code = omp_by_shared_products(input, weight, k)
        errors.append(((input - code @ weight.T) ** 2).sum(axis=1).mean())
        used = np.abs(code).sum(axis=0) > 0
        fitted = np.linalg.lstsq(code[:, used], input, rcond=None)[0].T
        weight[:, used] = unit_atoms(fitted)[0]
    return weight, np.array(errors)


def first_atoms(in_features, units, *, rng):
    """Atoms (in_features, units) of length 1 in random directions.

    >>> np.linalg.norm(first_atoms(3, 2, rng=np.random.default_rng(0)), axis=0)
    array([1., 1.])
    """
    check_positive(in_features, "in_features", integer=True)
    check_positive(units, "units", integer=True)
    check_rng(rng)
    atoms = rng.standard_normal((in_features, units))
    return atoms / np.linalg.norm(atoms, axis=0)


# ------------------------------------------------------------ taking weights and units


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

    >>> net = Sequential(Linear(8, 8, rng=np.random.default_rng(0)), ReLU())
    >>> active_fraction(prune_layers(net, 0.75)[0].weight.data)
    0.25
    """
    check_in(scope, "scope", ("global", "layer"))
    require(isinstance(net, Module), f"net must be a Module, not {net!r}", TypeError)
    kinds, places = (Linear, PrunedLinear), []
    for _, parent in net.named_modules():
        found = parent.named_children()
        places += [(parent, n, c) for n, c in found if isinstance(c, kinds)]
    require(places, f"there is no linear layer below {net!r}; wrap it in Sequential")
    layers = [layer for *_, layer in places]
    scores = [importance(raw(layer.weight)) for layer in layers]
    masks = [
        raw(c.weight_mask) if isinstance(c, PrunedLinear) else np.ones_like(s)
        for c, s in zip(layers, scores, strict=True)
    ]
    if scope == "global":
        masks = keep_masks(scores, amount, masks)
    else:
        pairs = zip(scores, masks, strict=True)
        masks = [keep_mask(s, amount, m) for s, m in pairs]
    for (parent, name, layer), mask in zip(places, masks, strict=True):
        if isinstance(layer, PrunedLinear):
            layer.weight_mask = Buffer(mask)
        else:
            setattr(parent, name, PrunedLinear(layer, mask))
    return net


# ------------------------------------------------------------------------ adding units


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
        The same.

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

    >>> rng = np.random.default_rng(1)
    >>> net = Sequential(Linear(1, 1, rng=rng), Sigmoid(), Linear(1, 1, rng=rng))
    >>> x = np.array([[-1.0], [0.0], [1.0]])
    >>> how = dict(lr=0.5, steps=100, window=10, slope=0.01, max_units=3, rng=rng)
    >>> losses, units = dynamic_node_creation(net, x, x * x, **how)
    >>> units[0], units[-1]
    (1, 3)
    """
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
        self.frozen, self.errors = [], []

    def features(self, input):
        """A column of ones, `input` (N, in) and the units: (N, 1 + in + units)."""
        input = as_float(input, "input", ndim=2, empty=True)
        seen = np.column_stack([np.ones(len(input), input.dtype), input])
        for weight in self.frozen:
            seen = np.column_stack([seen, np.tanh(seen @ weight)])
        return seen

    def __call__(self, input):
        """Outputs (N, out) for `input` (N, in)."""
        return self.features(input) @ self.weight.T

    def fit(self, input, target, units, tolerance=0.8):
        """Add up to `units` units, until no output (N, out) is off by `tolerance`.

        Targets (N, out) of two classes are −1.0 and 1.0; 0.8 is the paper's score
        threshold of 0.4 for outputs that are 1 apart.
        """
        target = as_float(target, "target", ndim=2)
        check_positive(units, "units", integer=True)
        check_positive(tolerance, "tolerance")
        self.frozen, self.errors = [], []
        seen = self.features(input)
        check_same_shape(rows_of_input=seen[:, 0], rows_of_target=target[:, 0])
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
