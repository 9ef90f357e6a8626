r"""Sparse codes in NumPy: what they cost, a network that learns them, and pursuit.

A code :math:`\mathbf h` of an example :math:`\mathbf x` is a row of (N, m). A
dictionary is stored as the weight of the linear layer that decodes it, (in, m), so
that :math:`\hat{\mathbf x}=W\mathbf h`. Its columns are the atoms.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_between,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.feedforward.autodiff.modules import (
    Linear,
    Module,
    ReLU,
    Sigmoid,
)
from dlbook_lib.regularization.norm_penalties.projections import length


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


def _code_l1_penalty(code, alpha=1.0):
    """The definition of `code_l1_penalty`, for (N, m)."""
    return operations.abs(code).sum() * (float(alpha) / code.shape[0])


def _kl_sparsity(code, rho=0.05):
    """The definition of `kl_sparsity`, for (N, m)."""
    mean, rho = code.mean(0), float(rho)
    fires, rests = operations.log(mean), operations.log1p(-mean)
    entropy = rho * np.log(rho) + (1 - rho) * np.log1p(-rho)
    return (float(entropy) - rho * fires - (1 - rho) * rests).sum()


_code_l1 = register(code_l1_penalty, code_l1_penalty_backward, _code_l1_penalty)


_kl = register(kl_sparsity, kl_sparsity_backward, _kl_sparsity)


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
    dtype : dtype
        Precision of the parameters.

    Calls give reconstructions (N, in_features).

    Source: Ng (2011), section 3.

    >>> net = SparseAutoencoder(4, 6, rng=np.random.default_rng(0))
    >>> net.code(np.ones((5, 4))).shape, net(np.ones((5, 4))).shape
    ((5, 6), (5, 4))
    """

    def __init__(self, in_features, units, activation="sigmoid", *, rng, dtype=float):
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
        return error + float(strength) * sparse if strength else error


def unit_atoms(weight):
    """Atoms of length 1, (in, m), and their lengths, (m,), with 1 for an atom of 0.

    >>> unit_atoms([[3.0, 0.0], [4.0, 0.0]])
    (array([[0.6, 0. ],
           [0.8, 0. ]]), array([5., 1.]))
    """
    weight = as_float(weight, "weight", ndim=2, empty=True)
    check_finite(weight, "weight")
    size = length(weight, 0)[0]
    size = np.where(size > 0, size, 1)
    return weight / size, size


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
    unit, size = unit_atoms(weight)
    check_positive(k, "k", integer=True)
    require(
        input.shape[1] == len(unit) and k <= min(unit.shape),
        f"input {input.shape}, weight {unit.shape} and k = {k} do not fit; an atom is "
        "a column of weight, and k must not be larger than either of its sizes",
    )
    code = np.zeros((len(input), len(size)), np.result_type(input, unit))
    small = 10 * max(unit.shape) * np.finfo(code.dtype).eps * length(input, 1)
    for x, h, little in zip(input, code, small, strict=True):
        taken, left = [], x
        for _ in range(k):
            match = np.abs(left @ unit)
            if match.max() <= little:
                break
            taken.append(match.argmax())
            h[taken] = np.linalg.lstsq(unit[:, taken], x, rcond=None)[0]
            left = x - unit @ h
    return code / size


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
    unit, size = unit_atoms(weight)
    check_positive(k, "k", integer=True)
    require(
        input.shape[1] == len(unit) and k <= min(unit.shape),
        f"input {input.shape}, weight {unit.shape} and k = {k} do not fit; an atom is "
        "a column of weight, and k must not be larger than either of its sizes",
    )
    gram, match = unit.T @ unit, input @ unit  # (m, m), (N, m)
    code, busy = np.zeros_like(match), np.arange(len(input))
    small = np.sqrt(np.finfo(code.dtype).eps) * length(input, 1)[:, 0]
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
    return code / size


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
