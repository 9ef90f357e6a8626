"""The gradient itself, in NumPy: random steps, and a price on lost ones.

Clipping by value and by norm are `clip_grad_value_` and `clip_grad_norm_` of the page
on adaptive learning rates.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_share,
    check_in,
    check_positive,
    check_reduction,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, raw
from dlbook_lib.optimization.adaptive_rates.scratch import with_grads
from dlbook_lib.recurrent.long_term_dependencies.scratch import square
from dlbook_lib.recurrent.unfolding.scratch import state_slope

# -------------------------------------------------------------- steps that may explode


def random_step_(parameters, max_norm, *, rng):
    r"""Replace gradients that explode by a random direction of a bearable length.

    .. math:: \text{if }\lVert\mathbf g\rVert>c\text{ or not finite:}\quad
              \mathbf g\leftarrow c\,\mathbf u,\qquad\lVert\mathbf u\rVert=1

    Where explosion is so severe that a gradient is infinite, there is no direction to
    keep, and any step away will do almost as well. Beside `clip_grad_norm_`, which
    keeps the direction, and `clip_grad_value_`, which turns it, this one ignores it.

    Parameters
    ----------
    parameters : Parameter (...), or iterable of them
        Those without a gradient are left out. If the norm of all gradients together is
        too large, each gets a new `grad`; otherwise they stay as they are.
    max_norm : float
        c.
    rng : numpy.random.Generator

    Returns
    -------
    float
        The norm as it was.

    Source: Goodfellow et al. (2016), section 10.11.1.

    >>> p = Tensor(np.zeros(2), requires_grad=True)
    >>> p.grad = Tensor(np.array([np.inf, 0.0]))
    >>> random_step_([p], 0.5, rng=np.random.default_rng(0))
    inf
    >>> round(float(np.linalg.norm(p.grad.data)), 9)
    0.5
    """
    check_positive(max_norm, "max_norm", zero=True)
    check_rng(rng)
    found = with_grads(parameters)
    with np.errstate(all="ignore"):
        norms = [float(np.linalg.norm(raw(p.grad).ravel())) for p in found]
        total = float(np.linalg.norm(norms)) if norms else 0.0
    if total <= max_norm:
        return total
    drawn = [rng.normal(size=p.shape) for p in found]
    length = sum(float((d * d).sum()) for d in drawn) ** 0.5
    for p, d in zip(found, drawn, strict=True):
        p.grad = Tensor((d * (max_norm / length)).astype(p.dtype))
    return total


# ------------------------------------------------- a penalty on gradients that are lost


def unit_vectors(x):
    """Vectors (..., H) divided by their lengths, however small; 0 stays 0.

    >>> unit_vectors([[3e-200, 4e-200], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x = as_float(x, "x", empty=True)
    require(x.ndim, "x must be vectors (..., H), not a number")
    largest = abs(x).max(axis=-1, keepdims=True, initial=0)
    x = x / np.where(largest == 0, 1, largest)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length == 0, 1, length)


def one_step_back(w_hh, output, dstates, nonlinearity="tanh"):
    r"""Unit gradients on their way over one step: before W, after it, and their length.

    Parameters
    ----------
    w_hh : array_like (H, H)
    output, dstates : array_like (T, N, H)
        States, and :math:`\mathbf g^{(t)}=\nabla_{\mathbf h^{(t)}}L`, as
        `state_gradients` gives them.
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    before : ndarray (T, N, H)
        :math:`\mathrm{diag}(1-\mathbf h^{(t)2})\,\mathbf g^{(t)}/\lVert\mathbf
        g^{(t)}\rVert`.
    after : ndarray (T, N, H)
        :math:`W^{\mathsf T}` times that.
    ratio : ndarray (T, N)
        The length of what is left; 1 where there was no gradient to lose.

    >>> h, g = np.zeros((1, 1, 1)), np.full((1, 1, 1), 7.0)
    >>> one_step_back([[0.5]], h, g)[2]
    array([[0.5]])
    """
    w_hh = square(w_hh)
    output = as_float(output, "output", ndim=3, empty=True)
    dstates = as_float(dstates, "dstates", ndim=3, empty=True)
    check_same_shape(dstates=dstates, output=output)
    fits = output.shape[2] == len(w_hh)
    require(fits, f"w_hh {w_hh.shape} does not fit output {output.shape}: H differs")
    before = state_slope(output, nonlinearity) * unit_vectors(dstates)
    after = before @ w_hh
    ratio = np.linalg.norm(after, axis=2)
    return before, after, np.where(dstates.any(axis=2), ratio, 1).astype(ratio.dtype)


def info_flow_penalty(w_hh, output, dstates, nonlinearity="tanh", reduction="mean"):
    r"""A price on gradients that shrink or grow on their way back through time.

    .. math:: \Omega=\sum_t\left(\frac{\lVert\mathbf g^{(t)\mathsf T}\,
              \partial\mathbf h^{(t)}/\partial\mathbf h^{(t-1)}\rVert}
              {\lVert\mathbf g^{(t)}\rVert}-1\right)^2,\qquad
              \mathbf g^{(t)}=\nabla_{\mathbf h^{(t)}}L

    Parameters
    ----------
    w_hh : array_like (H, H)
        W.
    output, dstates : array_like (T, N, H)
        States, and the gradients :math:`\mathbf g^{(t)}`, as `state_gradients` gives
        them. Only their direction counts.
    nonlinearity : {"tanh", "relu"}
    reduction : {"mean", "sum", "none"}
        Over the sequences; "none" gives an array (N,).

    Returns
    -------
    float, or ndarray (N,)
        Steps without a gradient, as after the end of a sequence, count for nothing.

    Source: Pascanu et al. (2013), section 3.3. It keeps gradients from vanishing, so
    they may explode: clip them too.

    >>> h, g = np.zeros((3, 1, 1)), np.array([0.25, 0.5, 1.0])[:, None, None]
    >>> info_flow_penalty([[0.5]], h, g)
    np.float64(0.75)
    """
    ratio = one_step_back(w_hh, output, dstates, nonlinearity)[2]
    loss = ((ratio - 1) ** 2).sum(axis=0)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def info_flow_penalty_backward(
    dy, w_hh, output, dstates, nonlinearity="tanh", reduction="mean"
):
    r"""The cheap gradient by W alone (H, H): states and their gradients are constants.

    That is what the paper descends; `info_flow_penalty_exact` knows how much it leaves
    out. With :math:`\mathbf p` before and :math:`\mathbf r` after W, of unit
    gradients,

    .. math:: \nabla_W\Omega=\sum_t2\,\frac{\lVert\mathbf r\rVert-1}
              {\lVert\mathbf r\rVert}\,\mathbf p\,\mathbf r^{\mathsf T}

    >>> h, g = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    >>> info_flow_penalty_backward(1.0, [[0.5]], h, g)
    array([[-1.]])
    """
    before, after, ratio = one_step_back(w_hh, output, dstates, nonlinearity)
    share = as_share(dy, ratio.sum(axis=0), reduction)  # a number, or (N,)
    moving = after.any(axis=2)
    pull = np.where(moving, 2 * (ratio - 1) / np.where(moving, ratio, 1), 0)  # (T, N)
    pull = (pull * share).astype(after.dtype)
    return np.tensordot(before * pull[..., None], after, 2 * [(0, 1)])


def info_flow_penalty_exact(loss, states, w_hh, nonlinearity="tanh"):
    r"""The penalty as a Tensor that can be differentiated, through everything.

    States depend on the weights, and so do their gradients: with a graph of the
    backward pass, derivatives go through both, to every parameter. Each step costs
    several times that of the cheap form.

    Parameters
    ----------
    loss : Tensor of shape ()
    states : list of Tensor (N, H)
        One for each step, out of the graph of the loss, as `unroll` gives them.
    w_hh : Tensor (H, H)
    nonlinearity : {"tanh", "relu"}

    Returns
    -------
    Tensor of shape ()
        `info_flow_penalty`, the mean over sequences.

    >>> w = Tensor(np.array([[0.5]]), requires_grad=True)
    >>> h = operations.tanh(operations.linear(np.zeros((1, 1)), w))
    >>> omega = info_flow_penalty_exact(h.sum(), [h], w)
    >>> omega.backward()
    >>> omega.item(), w.grad.item()
    (0.25, -1.0)
    """
    check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
    is_list = isinstance(states, (list, tuple)) and len(states) > 0
    is_list = is_list and all(isinstance(h, Tensor) for h in states)
    sentence = "states must be a list of Tensors (N, H), one for each step"
    require(is_list, sentence, TypeError)
    g = operations.stack(grad(loss, states, create_graph=True))  # (T, N, H)
    h = operations.stack(states)
    slope = 1 - h * h if nonlinearity == "tanh" else state_slope(h.data, "relu")
    largest = abs(g.data).max(axis=2, keepdims=True)
    g = g / np.where(largest == 0, 1, largest)  # only directions count
    after = operations.matmul(slope * g, w_hh)
    there, moving = g.data.any(axis=2), after.data.any(axis=2)
    lost = int((there & ~moving).sum())  # each costs 1, and no small change saves it
    rows = there & moving
    ratio = ((after[rows] ** 2).sum(1) / (g[rows] ** 2).sum(1)).sqrt()
    return (((ratio - 1) ** 2).sum() + lost) / h.shape[1]
