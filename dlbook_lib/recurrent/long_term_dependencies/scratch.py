r"""Long-term dependencies in NumPy: why distance hurts, and the classical remedies.

What a state owes to one k steps before is a product of k Jacobians,
:math:`\mathrm{diag}(1-\mathbf h^{(t)2})W`. It vanishes or explodes with k, whatever is
learned; the remedies make the way shorter (links that skip, slow clocks), give the
product a factor near 1 (leaky units), do not learn W at all (`reservoirs`), or deal
with the gradient itself (`gradients`: a random step, a penalty on what is lost).

Where forms differ: the state is :math:`W\mathbf h` here, with W (out, in). Texts that
write :math:`W^{\mathsf T}\mathbf h` have :math:`(W^t)^{\mathsf T}` where a power stands
here. "Leak" is the new value's share in the literature on reservoirs, :math:`1-\alpha`,
and `alpha` is what the unit keeps.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_between,
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, raw
from dlbook_lib.feedforward.linear_models.scratch import linear
from dlbook_lib.recurrent.backpropagation_through_time.kernels import (
    before,
    check_kernel,
    steps,
)
from dlbook_lib.recurrent.backpropagation_through_time.scratch import score_gradients
from dlbook_lib.recurrent.unfolding.scratch import check_cell, rnn_cell, state_slope

# ------------------------------------------------------------------ why distance hurts


def square(w_hh):
    """Hand back a finite square matrix (H, H) of floats; refuse anything else.

    >>> square(np.ones((2, 3)))
    Traceback (most recent call last):
    ValueError: square: w_hh must be (H, H), not (2, 3)
    """
    w_hh = as_float(w_hh, "w_hh", ndim=2)
    is_square = w_hh.shape[0] == w_hh.shape[1]
    require(is_square, f"w_hh must be (H, H), not {w_hh.shape}")
    require(np.isfinite(w_hh).all(), f"w_hh {w_hh.shape} holds NaN or infinity")
    return w_hh


def linear_recurrence(hx, w_hh, steps):
    r"""A state without input or nonlinearity, :math:`\mathbf h^{(t)}=W\mathbf h^{(t-1)}
    =W^t\mathbf h^{(0)}`.

    Parameters
    ----------
    hx : array_like (N, H) or (H,)
        :math:`\mathbf h^{(0)}`.
    w_hh : array_like (H, H)
        W.
    steps : int

    Returns
    -------
    ndarray (steps + 1, N, H) or (steps + 1, H)

    >>> linear_recurrence([1.0, 1.0], [[2.0, 0.0], [0.0, 0.5]], 3)[-1]
    array([8.   , 0.125])
    """
    w_hh = square(w_hh)
    states = [as_float(hx, "hx", ndim=(1, 2), empty=True)]
    linear(hx, w_hh)  # checks them together
    check_positive(steps, "steps", integer=True, zero=True)
    for _ in range(steps):
        states.append(linear(states[-1], w_hh))
    return np.stack(states)


def linear_recurrence_by_eigenvalues(hx, w_hh, steps):
    r"""The same for a symmetric W: along each eigenvector a number to the power of t.

    .. math:: W=Q\Lambda Q^{\mathsf T},\qquad
              \mathbf h^{(t)}=Q\Lambda^tQ^{\mathsf T}\mathbf h^{(0)}

    Parts of the state with :math:`|\lambda|<1` vanish, those with :math:`|\lambda|>1`
    explode. Forms with a Q on the wrong side, or a transposition for the power, are in
    print; they give other numbers.

    Parameters
    ----------
    hx, w_hh, steps
        As in `linear_recurrence`; w_hh is symmetric.

    Returns
    -------
    ndarray (steps + 1, N, H) or (steps + 1, H)

    >>> w = [[0.0, 2.0], [2.0, 0.0]]
    >>> linear_recurrence_by_eigenvalues([1.0, 0.0], w, 2).round(12)
    array([[1., 0.],
           [0., 2.],
           [4., 0.]])
    """
    w_hh, hx = square(w_hh), as_float(hx, "hx", ndim=(1, 2), empty=True)
    linear(hx, w_hh)  # checks them together
    check_positive(steps, "steps", integer=True, zero=True)
    gap, size = abs(w_hh - w_hh.T).max(), abs(w_hh).max()
    is_symmetric = gap <= 8 * np.finfo(w_hh.dtype).eps * size
    sentence = "w_hh must be symmetric, for eigenvectors at right angles; it misses by "
    require(is_symmetric, f"{sentence}{gap:.2g}")
    values, q = np.linalg.eigh(w_hh)
    powers = values ** np.arange(steps + 1)[:, None].astype(values.dtype)  # (T + 1, H)
    powers = powers if hx.ndim == 1 else powers[:, None]
    return (powers * (hx @ q)) @ q.T


def state_gradients(dy, output, w_hh, nonlinearity="tanh"):
    r"""The gradient of a loss by every state, :math:`\nabla_{\mathbf h^{(t)}}L`.

    .. math:: \nabla_{\mathbf h^{(t)}}L=\nabla_{\mathbf h^{(t)}}L^{(t)}
              +W^{\mathsf T}\mathrm{diag}(1-\mathbf h^{(t+1)2})
              \nabla_{\mathbf h^{(t+1)}}L

    Parameters
    ----------
    dy : array_like (T, N, H)
        What each step's own loss gives; for the way back from the end, 0 but for the
        last.
    output : array_like (T, N, H)
        The states.
    w_hh : array_like (H, H)
        W.
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    ndarray (T, N, H)

    >>> dy, h = np.array([[[0.0]], [[0.0]], [[1.0]]]), np.zeros((3, 1, 1))
    >>> state_gradients(dy, h, [[0.5]]).ravel()
    array([0.25, 0.5 , 1.  ])
    """
    da = score_gradients(dy, output, w_hh, nonlinearity)  # checks them
    dstates = np.array(dy)
    dstates[:-1] += da[1:] @ np.asarray(w_hh)
    return dstates


def grad_norm_by_lag(net, input, dy=None):
    r"""How large the gradient of the last output is by the input k steps before.

    Parameters
    ----------
    net : callable
        ``output = net(input)`` or ``output, hx = net(input)``, with output (T, N, H).
    input : array_like (T, N, D)
    dy : array_like (N, H), optional
        The gradient of the loss by the last output; ones unless given.

    Returns
    -------
    ndarray (T,)
        Norms for k = 0, 1, …, T − 1, the mean over sequences.

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> def fading(x):  # h = h/2 + x
    ...     h = [x[0]]
    ...     for each in x[1:]:
    ...         h.append(h[-1] / 2 + each)
    ...     return operations.stack(h)
    >>> grad_norm_by_lag(fading, np.ones((4, 1, 1)))
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    x = Tensor(as_float(input, "input", ndim=3), requires_grad=True)
    output = net(x)
    last = (output[0] if isinstance(output, (tuple, list)) else output)[-1]
    dy = np.ones(last.shape, last.dtype) if dy is None else as_float(dy, "dy")
    check_same_shape(dy=dy, output=raw(last))
    (dx,) = grad(last, x, dy)
    return np.linalg.norm(dx.data, axis=2).mean(axis=1)[::-1].copy()


def log_slope(norms):
    r"""The rate at which something decays: the slope of its logarithm, in nats a step.

    A straight line is fitted to :math:`\log` of the entries above 0.

    Parameters
    ----------
    norms : array_like (T,)
        Such as `grad_norm_by_lag` gives them.

    Returns
    -------
    float
        Below 0 what vanishes, above 0 what explodes: :math:`\log r` for :math:`r^k`.

    >>> round(log_slope(0.5 ** np.arange(9.0)), 9)
    -0.693147181
    """
    norms = as_float(norms, "norms", ndim=1)
    check_between(norms, "norms", 0, np.inf)
    (lags,) = np.nonzero((norms > 0) & np.isfinite(norms))
    sentence = f"norms {norms.shape} must hold two numbers above 0 at least; pass more"
    require(len(lags) > 1, sentence)
    apart = lags - lags.mean()
    return float(apart @ np.log(norms[lags].astype(float)) / (apart @ apart))


# ------------------------------------------------------------------------ leaky units


def time_constant(alpha):
    r"""In how many steps a leaky unit forgets all but 1/e: :math:`-1/\log\alpha`.

    That is about :math:`1/(1-\alpha)`, a little less.

    Parameters
    ----------
    alpha : array_like (...)
        What is kept in a step, between 0 and 1.

    Returns
    -------
    ndarray (...)
        Steps; infinite for 1.

    >>> time_constant([0.0, 0.9, 1.0]).round(2)
    array([0.  , 9.49,  inf])
    """
    alpha = as_float(alpha, "alpha", empty=True)
    check_between(alpha, "alpha", 0, 1)
    with np.errstate(divide="ignore"):
        return abs(1 / np.log(alpha))


def half_life(alpha):
    r"""In how many steps a leaky unit forgets half: :math:`-\log2/\log\alpha`.

    Parameters
    ----------
    alpha : array_like (...)
        What is kept in a step, between 0 and 1.

    Returns
    -------
    ndarray (...)

    >>> half_life([0.5, 0.25])
    array([1. , 0.5])
    """
    return time_constant(alpha) * float(np.log(2))


def alpha_of_half_life(steps):
    r"""What a leaky unit must keep to forget half in so many steps: :math:`2^{-1/n}`.

    Parameters
    ----------
    steps : array_like (...)
        n, above 0.

    Returns
    -------
    ndarray (...)

    >>> half_life(alpha_of_half_life([1.0, 10.0]))
    array([ 1., 10.])
    """
    steps = as_float(steps, "steps", empty=True)
    check_between(steps, "steps", np.finfo(steps.dtype).tiny, np.inf)
    return np.exp2(-1 / steps)


def proposal(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    r"""What a leaky unit moves towards: :math:`\tanh(\mathbf b+U\mathbf x+W\mathbf h)`.

    Parameters
    ----------
    input, hx, w_ih, w_hh, b_ih, b_hh
        (N, D), (N, H), (H, D), (H, H), (H,), (H,), as in `rnn_cell`.
    nonlinearity : {"tanh", "relu", "linear"}
        "linear" leaves the sum as it is.

    Returns
    -------
    ndarray (N, H)

    >>> proposal([1.0], [0.5], [[2.0]], [[4.0]], nonlinearity="linear")
    array([4.])
    """
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu", "linear"))
    if nonlinearity != "linear":
        return rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    input, hx, w_ih, w_hh, b_ih, b_hh = check_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    return linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)


def proposal_slope(v, nonlinearity="tanh"):
    """The slope of the nonlinearity, from its value (...); 1 for "linear".

    >>> proposal_slope([0.5]), proposal_slope([0.5], "linear")
    (array([0.75]), array([1.]))
    """
    if nonlinearity == "linear":
        return np.ones_like(as_float(v, "v", empty=True))
    return state_slope(v, nonlinearity)


def as_alpha(alpha, steps, units):
    """Hand back what units keep, between 0 and 1, for each step: (T, H).

    >>> as_alpha([0.5, 0.9], 3, 2)
    array([[0.5, 0.9],
           [0.5, 0.9],
           [0.5, 0.9]])
    """
    alpha = as_float(alpha, "alpha", ndim=(1, 2))
    shapes = (units,), (steps, units)
    sentence = f"alpha has shape {alpha.shape} but must have {shapes[0]} or {shapes[1]}"
    require(alpha.shape in shapes, f"{sentence}: units, or steps and units")
    check_between(alpha, "alpha", 0, 1)
    return np.broadcast_to(alpha, shapes[1])


def leaky_rnn(input, hx, w_ih, w_hh, alpha, b_ih=None, b_hh=None, nonlinearity="tanh"):
    r"""States that move a part of the way: a running average of what is proposed.

    .. math:: \mathbf h^{(t)}=\alpha\odot\mathbf h^{(t-1)}
              +(1-\alpha)\odot\mathbf v^{(t)},\qquad
              \mathbf v^{(t)}=\tanh(\mathbf b+W\mathbf h^{(t-1)}+U\mathbf x^{(t)})

    Parameters
    ----------
    input : array_like (T, N, D)
    hx : array_like (N, H)
        :math:`\mathbf h^{(0)}`.
    w_ih, w_hh : array_like (H, D), (H, H)
        U and W.
    alpha : array_like (H,) or (T, H)
        What each unit keeps, between 0 and 1, perhaps another share at each step. With
        0 this is a plain network; a unit with 1 never changes.
    b_ih, b_hh : array_like (H,), optional
    nonlinearity : {"tanh", "relu", "linear"}

    Returns
    -------
    ndarray (T, N, H)

    Source: Mozer (1992); Jaeger et al. (2007), with a = 1 − α.

    >>> one = np.ones((1, 1))
    >>> x = np.ones((3, 1, 1))
    >>> leaky_rnn(x, 0 * one, one, 0 * one, [0.5], nonlinearity="linear").ravel()
    array([0.5  , 0.75 , 0.875])
    """
    input = as_float(input, "input", ndim=3, empty=True)
    require(len(input), f"input {input.shape} has no steps; pass at least one")
    hx, states = as_float(hx, "hx", ndim=2, empty=True), []
    for x, keep in zip(input, as_alpha(alpha, len(input), hx.shape[1]), strict=True):
        v = proposal(x, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
        hx = keep * hx + (1 - keep) * v
        states.append(hx)
    return np.stack(states)


def leaky_rnn_backward(
    dy, input, hx, w_ih, w_hh, alpha, b_ih=None, b_hh=None, nonlinearity="tanh"
):
    r"""Gradients of `leaky_rnn` with respect to its first seven arguments.

    .. math:: \nabla_{\mathbf h^{(t-1)}}L\mathrel{+}=\alpha\odot\nabla_{\mathbf
              h^{(t)}}L+W^{\mathsf T}\nabla_{\mathbf a^{(t)}}L,\qquad
              \nabla_{\mathbf a^{(t)}}L=(1-\alpha)\odot(1-\mathbf v^{(t)2})\odot
              \nabla_{\mathbf h^{(t)}}L

    The first term is the remedy: it needs no weight, and fades with α alone.

    Parameters
    ----------
    dy : array_like (T, N, H)
        From each step's own loss.
    input, hx, w_ih, w_hh, alpha, b_ih, b_hh, nonlinearity
        As given to `leaky_rnn`.

    Returns
    -------
    tuple of ndarray
        Seven, each of the shape of input, hx, w_ih, w_hh, alpha, b_ih, b_hh.

    >>> one = np.ones((1, 1))
    >>> args = np.ones((3, 1, 1)), one, one, 0 * one, [0.5], None, None, "linear"
    >>> leaky_rnn_backward(np.array([0.0, 0, 1])[:, None, None], *args)[1]
    array([[0.125]])
    """
    weights = w_ih, w_hh, b_ih, b_hh, nonlinearity
    output = leaky_rnn(input, hx, w_ih, w_hh, alpha, b_ih, b_hh, nonlinearity)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=output)
    x, hx, w_ih, w_hh = map(np.asarray, (input, hx, w_ih, w_hh))
    (t, n, h), d = output.shape, x.shape[2]
    last = np.concatenate([hx[None], output[:-1]])
    v = proposal(x.reshape(-1, d), last.reshape(-1, h), *weights).reshape(t, n, h)
    keep, slope = as_alpha(alpha, t, h)[:, None], proposal_slope(v, nonlinearity)
    dstates, back = np.empty_like(output), np.zeros((n, h), output.dtype)
    for i in reversed(range(t)):
        dstates[i] = back + dy[i]
        da = (1 - keep[i]) * slope[i] * dstates[i]
        back = keep[i] * dstates[i] + da @ w_hh
    da = (1 - keep) * slope * dstates
    dalpha = (dstates * (last - v)).sum(axis=1)
    dalpha = dalpha.sum(axis=0) if np.ndim(alpha) == 1 else dalpha
    dw_ih, dw_hh = (np.tensordot(da, s, 2 * [(0, 1)]) for s in (x, last))
    db_ih, db_hh = (None if b_ih is None else da.sum(axis=(0, 1)) for _ in range(2))
    return da @ w_ih, back, dw_ih, dw_hh, dalpha, db_ih, db_hh


def check_leaky(input, batch_sizes, states, weights):
    """Refuse arguments of the kernel that do not fit; hand back alpha as (T, H).

    The arguments are those of `leaky_inputs_in_one_product`.

    >>> w = np.ones((1, 1)), np.ones((1, 1))
    >>> check_leaky(np.ones((2, 1)), [1, 1], (np.ones((1, 1)),), w)
    Traceback (most recent call last):
    ValueError: check_leaky: weights must be 3 or 5 arrays, alpha the last, not 2
    """
    count = len(weights)
    sentence = f"weights must be 3 or 5 arrays, alpha the last, not {count}"
    require(count in (3, 5), sentence)
    check_kernel(input, batch_sizes, states, weights[:-1])
    return as_alpha(weights[-1], len(batch_sizes), len(weights[1]))


def leaky_inputs_in_one_product(
    input, batch_sizes, states, weights, reverse=False, nonlinearity="tanh"
):
    """`leaky_rnn` as a kernel of recurrent layers: all that does not recur is outside.

    Parameters
    ----------
    input : ndarray (K, D)
        Rows ordered by time.
    batch_sizes : ndarray of int (T,)
        How many rows each step has.
    states : tuple of ndarray (N, H)
        One, the state before the first step.
    weights : tuple of ndarray (H, D), (H, H), perhaps (H,), (H,); and (H,) or (T, H)
        The last is alpha.
    reverse : bool
        Whether time runs from the end.
    nonlinearity : {"tanh", "relu", "linear"}

    Returns
    -------
    output : ndarray (K, H)
    ends : tuple of ndarray (N, H)
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.

    >>> w = np.ones((1, 1)), np.zeros((1, 1)), np.array([0.5])
    >>> x, h = np.ones((3, 1)), np.zeros((2, 1))
    >>> leaky_inputs_in_one_product(x, [2, 1], (h,), w, False, "linear")[0].ravel()
    array([0.5 , 0.5 , 0.75])
    """
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu", "linear"))
    check_in(reverse, "reverse", (True, False))
    keep = check_leaky(input, batch_sizes, states, weights)
    (start,), (w_ih, w_hh, *biases, alpha) = states, weights
    options = w_hh, keep, batch_sizes, reverse
    sums = input @ w_ih.T + sum(biases)  # (K, H)
    v, output, h = run_leaky(sums, start, *options, nonlinearity)

    def pull(doutput, dends):
        last = before(output, start, batch_sizes, reverse)
        slope = proposal_slope(v, nonlinearity)
        da, dstates, dh = pull_leaky(doutput, dends[0], slope, *options)
        dalpha = dstates * (last - v)  # (K, H)
        dalpha = np.stack([dalpha[rows].sum(axis=0) for rows in steps(batch_sizes)])
        dalpha = dalpha.sum(axis=0) if alpha.ndim == 1 else dalpha
        db = (da.sum(axis=0) for _ in biases)
        return da @ w_ih, (dh,), (da.T @ input, da.T @ last, *db, dalpha)

    return output, (h,), pull


def run_leaky(sums, start, w_hh, keep, batch_sizes, reverse=False, nonlinearity="tanh"):
    r"""The way forth of `leaky_inputs_in_one_product`: the part that recurs.

    Parameters
    ----------
    sums : ndarray (K, H)
        :math:`\mathbf b+U\mathbf x`; they are overwritten.
    start : ndarray (N, H)
    w_hh : ndarray (H, H)
    keep : ndarray (T, H)
    batch_sizes : ndarray of int (T,)
    reverse : bool
    nonlinearity : {"tanh", "relu", "linear"}

    Returns
    -------
    values, states : ndarray (K, H)
        What is proposed, in the memory of the sums, and what is reached.
    end : ndarray (N, H)

    >>> one, w = np.ones((2, 1)), np.zeros((1, 1))
    >>> run_leaky(one, 0 * one[:1], w, one / 4, np.array([1, 1]), False, "linear")[2]
    array([[0.9375]])
    """
    output, h = np.empty_like(sums), start.astype(sums.dtype)
    w_hh_t = np.ascontiguousarray(w_hh.T)
    in_order = steps(batch_sizes, reverse), keep[::-1] if reverse else keep
    for rows, k in zip(*in_order, strict=True):
        v, now = sums[rows], h[: rows.stop - rows.start]
        v += now @ w_hh_t
        if nonlinearity != "linear":
            np.tanh(v, out=v) if nonlinearity == "tanh" else np.maximum(v, 0, out=v)
        now *= k
        now += (1 - k) * v
        output[rows] = now
    return sums, output, h


def pull_leaky(doutput, dend, slope, w_hh, keep, batch_sizes, reverse=False):
    r"""The way back of `leaky_inputs_in_one_product`: the part that recurs.

    Parameters
    ----------
    doutput : ndarray (K, H)
    dend : ndarray (N, H)
        The gradient of the last states.
    slope : ndarray (K, H)
        Of the nonlinearity.
    w_hh : ndarray (H, H)
    keep : ndarray (T, H)
    batch_sizes : ndarray of int (T,)
    reverse : bool

    Returns
    -------
    da, dstates : ndarray (K, H)
        Gradients of the scores and of the states.
    dstart : ndarray (N, H)

    >>> one, w = np.ones((2, 1)), np.zeros((1, 1))
    >>> pull_leaky(one, 0 * one[:1], one, w, one / 4, np.array([1, 1]))[2]
    array([[0.3125]])
    """
    da, dstates, dh = slope.copy(), doutput.copy(), dend.copy()
    in_order = steps(batch_sizes, not reverse), keep if reverse else keep[::-1]
    for rows, k in zip(*in_order, strict=True):
        d, now, back = da[rows], dstates[rows], dh[: rows.stop - rows.start]
        now += back
        d *= (1 - k) * now
        np.matmul(d, w_hh, out=back)
        back += k * now
    return da, dstates, dh


# --------------------------------------------------------------------- several clocks


def clock_alpha(periods, steps):
    """Leaks that tick: 0 at every step that a unit's period divides, else 1.

    Parameters
    ----------
    periods : array_like of int (H,)
        From 1 up.
    steps : int
        T. At the first step, number 0, all units move.

    Returns
    -------
    ndarray (T, H)

    >>> clock_alpha([1, 2], 3)
    array([[0., 0.],
           [0., 1.],
           [0., 0.]])
    """
    periods = as_periods(periods)
    check_positive(steps, "steps", integer=True)
    return (np.arange(steps)[:, None] % periods != 0).astype(float)


def as_periods(periods):
    """Hand back periods (H,), whole numbers from 1 up; refuse anything else.

    >>> as_periods([1, 8])
    array([1, 8])
    """
    is_list = isinstance(periods, (list, tuple, np.ndarray)) and np.ndim(periods) == 1
    require(is_list and len(periods), f"periods must be a list, not {periods!r}")
    for period in periods:
        check_positive(period, "periods", integer=True)
    return np.asarray(periods)


def clock_links(periods):
    """Which units listen to which: 1 where j ticks no faster than i, else 0.

    Parameters
    ----------
    periods : array_like of int (H,)

    Returns
    -------
    ndarray (H, H)
        To multiply W with, so that slow units hear of nothing that is over before they
        tick again; what comes in they all hear.

    >>> clock_links([1, 8])
    array([[1., 1.],
           [0., 1.]])
    """
    periods = as_periods(periods)
    return (periods >= periods[:, None]).astype(float)


# ------------------------------------------------------------- links that skip in time


def skip_rnn(input, hx, w_ih, w_hh, w_skip, b_ih=None, b_hh=None, nonlinearity="tanh"):
    r"""States that also see the one d steps before: :math:`\mathbf h^{(t)}
    =\tanh(\mathbf b+U\mathbf x^{(t)}+W\mathbf h^{(t-1)}+W_d\mathbf h^{(t-d)})`.

    A gradient over :math:`\tau` steps has then a way of only :math:`\tau/d` factors;
    without the short links, it has no other. (:math:`d/\tau` is in print: longer skips
    decay more slowly, not faster.)

    Parameters
    ----------
    input : array_like (T, N, D)
    hx : array_like (d, N, H)
        The d states before the first step, :math:`\mathbf h^{(1-d)},\dots,\mathbf
        h^{(0)}`. Their number says how far the links reach.
    w_ih : array_like (H, D)
        U.
    w_hh : array_like (H, H) or None
        W; with None the links of length one are gone, replaced by the longer ones.
    w_skip : array_like (H, H)
        :math:`W_d`.
    b_ih, b_hh : array_like (H,), optional
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    ndarray (T, N, H)

    Source: Lin et al. (1996), where the network is called NARX. "Skip RNN" of Campos et
    al. (2018) is something else: it learns at which steps not to move.

    >>> x, h, one = np.zeros((4, 1, 1)), np.array([[[1.0]], [[3.0]]]), np.ones((1, 1))
    >>> skip_rnn(x, h, one, None, 0.5 * one, nonlinearity="relu").ravel()
    array([0.5 , 1.5 , 0.25, 0.75])
    """
    input = as_float(input, "input", ndim=3, empty=True)
    require(len(input), f"input {input.shape} has no steps; pass at least one")
    hx = as_float(hx, "hx", ndim=3, empty=True)
    require(len(hx), f"hx {hx.shape} must hold d states, at least one")
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
    w_skip, wanted = as_float(w_skip, "w_skip"), 2 * hx.shape[2:]
    fits = w_skip.shape == wanted
    require(fits, f"w_skip has shape {w_skip.shape} but must have {wanted}: (H, H)")
    check_cell(input[0], hx[0], w_ih, w_skip if w_hh is None else w_hh, b_ih, b_hh)
    states = list(hx)
    for x in input:
        a = linear(x, w_ih, b_ih) + linear(states[-len(hx)], w_skip, b_hh)
        a = a if w_hh is None else a + linear(states[-1], w_hh)
        states.append(np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0))
    return np.stack(states[len(hx) :])


def skip_rnn_backward(
    dy, input, hx, w_ih, w_hh, w_skip, b_ih=None, b_hh=None, nonlinearity="tanh"
):
    r"""Gradients of `skip_rnn` with respect to its first seven arguments.

    Each step hands what it owes to two states: the one before, by :math:`W^{\mathsf
    T}`, and the one d before, by :math:`W_d^{\mathsf T}`.

    Parameters
    ----------
    dy : array_like (T, N, H)
        From each step's own loss.
    input, hx, w_ih, w_hh, w_skip, b_ih, b_hh, nonlinearity
        As given to `skip_rnn`.

    Returns
    -------
    tuple of ndarray
        Seven, each of the shape of input, hx, w_ih, w_hh, w_skip, b_ih, b_hh; None
        for what is None.

    >>> x, one = np.ones((4, 1, 1)), np.ones((1, 1))
    >>> args = x, np.ones((2, 1, 1)), one, None, 0.5 * one, None, None, "relu"
    >>> skip_rnn_backward(x, *args)[1].ravel()
    array([0.75, 0.75])
    """
    output = skip_rnn(input, hx, w_ih, w_hh, w_skip, b_ih, b_hh, nonlinearity)
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=output)
    x, hx, w_ih, w_skip = map(np.asarray, (input, hx, w_ih, w_skip))
    d, states = len(hx), np.concatenate([hx, output])
    da, dstates = state_slope(output, nonlinearity), np.zeros_like(states)
    dstates[d:] = dy
    for t in reversed(range(len(x))):
        da[t] *= dstates[d + t]
        dstates[t] += da[t] @ w_skip
        if w_hh is not None:
            dstates[d + t - 1] += da[t] @ np.asarray(w_hh)
    short, long = states[d - 1 : -1], states[: len(x)]
    over = [(0, 1), (0, 1)]
    dw_ih, dw_skip = np.tensordot(da, x, over), np.tensordot(da, long, over)
    dw_hh = None if w_hh is None else np.tensordot(da, short, over)
    db_ih, db_hh = (None if b_ih is None else da.sum(axis=(0, 1)) for _ in range(2))
    return da @ w_ih, dstates[:d], dw_ih, dw_hh, dw_skip, db_ih, db_hh
