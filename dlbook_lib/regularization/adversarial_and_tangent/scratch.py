"""Adversarial examples and virtual ones, in NumPy.

Each method asks a model for stability along the worst direction of all: the worst for
the label (adversarial training), or for the model's own answer (virtual adversarial
training). Directions that are known beforehand are in `tangents`.

Attacks work on any function that gives a gradient with respect to the input. Losses
that are trained on take two sorts of functions of a `Tensor` (N, ...): `losses`, which
gives a loss (N,) for each example, and `scores`, which gives logits (N, C). Both may
use parameters, and the result is differentiated with respect to them.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_share,
    check_between,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_reduction,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, grad, no_grad, raw, register
from dlbook_lib.feedforward.output_units.scratch import log_softmax, softmax

NORMS = ("linf", "l2")
"""How long a perturbation is: its largest entry, or its Euclidean length."""


# ---- attacks -------------------------------------------------------------------------


def lengths(input):
    r"""Euclidean length of each example: (N, ...) to (N, 1, ...).

    Divided by the largest entry first, so that squares neither overflow nor vanish.

    >>> lengths([[3.0, -4.0], [0.0, 0.0]]).tolist()
    [[5.0], [0.0]]
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim, "input has no dimensions; pass a batch of examples (N, ...)")
    check_finite(input, "input")
    axes = tuple(range(1, input.ndim))
    top = abs(input).max(axis=axes, keepdims=True, initial=0)
    scaled = input / np.where(top > 0, top, 1)
    return top * np.sqrt((scaled * scaled).sum(axis=axes, keepdims=True))


def steepest(gradient, norm="linf"):
    r"""The step of length 1 along which a linear function grows most.

    :math:`\operatorname{sign}(\mathbf g)` if no entry may exceed 1;
    :math:`\mathbf g/\lVert\mathbf g\rVert` if the Euclidean length may not.

    Parameters
    ----------
    gradient : array_like (N, ...)
    norm : {"linf", "l2"}

    Returns
    -------
    ndarray (N, ...)
        0 where the gradient is.

    >>> steepest([[3.0, -4.0]]), steepest([[3.0, -4.0]], "l2")
    (array([[ 1., -1.]]), array([[ 0.6, -0.8]]))
    """
    gradient = as_float(gradient, "gradient", empty=True)
    require(gradient.ndim, "gradient has no dimensions; pass (N, ...)")
    check_finite(gradient, "gradient")
    check_in(norm, "norm", NORMS)
    if norm == "linf":
        return np.sign(gradient)
    size = lengths(gradient)
    return gradient / np.where(size > 0, size, 1)


def project_to_ball(step, eps, norm="linf"):
    """The nearest perturbation that is not longer than `eps`, example by example.

    Parameters
    ----------
    step : array_like (N, ...)
    eps : float
    norm : {"linf", "l2"}

    Returns
    -------
    ndarray (N, ...)

    >>> project_to_ball([[3.0, -4.0]], 1.0, "l2"), project_to_ball([[3.0, -0.5]], 1.0)
    (array([[ 0.6, -0.8]]), array([[ 1. , -0.5]]))
    """
    step = as_float(step, "step", empty=True)
    require(step.ndim, "step has no dimensions; pass (N, ...)")
    check_finite(step, "step")
    check_positive(eps, "eps", zero=True)
    check_in(norm, "norm", NORMS)
    eps = float(eps)  # a number of NumPy's would change the precision
    if norm == "linf":
        return np.clip(step, -eps, eps)
    return steepest(step, "l2") * np.minimum(lengths(step), eps)


def draw_in_ball(shape, eps, norm="linf", *, rng, dtype=float):
    r"""Perturbations drawn evenly from the ball, one for each example.

    In n dimensions most of a Euclidean ball lies near its surface: the radius is
    :math:`\epsilon u^{1/n}` with u uniform in [0, 1).

    Parameters
    ----------
    shape : tuple of int
        (N, ...).
    eps : float
    norm : {"linf", "l2"}
    rng : numpy.random.Generator
    dtype : dtype

    Returns
    -------
    ndarray of the given shape

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> step = draw_in_ball((1000, 2), 0.5, "l2", rng=numpy_generator(0))
    >>> size = lengths(step)
    >>> size.max().round(3), (size < 0.25).mean().round(2)
    (np.float64(0.5), np.float64(0.25))
    """
    check_positive(eps, "eps", zero=True)
    check_in(norm, "norm", NORMS)
    check_rng(rng)
    is_shape = isinstance(shape, tuple) and len(shape) > 0
    require(is_shape, f"shape must be a tuple (N, ...), not {shape!r}")
    is_float = np.issubdtype(dtype, np.inexact)
    require(is_float, f"dtype must be floating, not {dtype}; try float", TypeError)
    for size in shape:
        check_positive(size, "each size in shape", integer=True, zero=True)
    if norm == "linf":
        return rng.uniform(-eps, eps, shape).astype(dtype)
    way = steepest(rng.normal(size=shape), "l2")
    share = rng.random((shape[0], *(1 for _ in shape[1:])))
    return (eps * share ** (1 / max(1, np.prod(shape[1:]))) * way).astype(dtype)


def total_loss(losses, input):
    """The sum of the losses of all examples, each from its own example alone.

    Parameters
    ----------
    losses : callable
        From a `Tensor` (N, ...) to a `Tensor` (N,). No loss may depend on other
        examples, as it does with batch normalization in training.
    input : Tensor (N, ...)

    Returns
    -------
    Tensor
        A number.

    >>> total_loss(lambda x: (x * x).sum(1), Tensor([[1.0, 3.0], [1.0, 0.0]])).item()
    11.0
    """
    require(callable(losses), f"losses must be a function, not {losses!r}", TypeError)
    x = input if isinstance(input, Tensor) else Tensor(as_float(input, "input"))
    each = losses(x)
    kind = type(each).__name__
    require(isinstance(each, Tensor), f"losses returns a {kind}, no Tensor", TypeError)
    require(
        each.shape == x.shape[:1] != (),
        f"losses returns {each.shape} for an input {x.shape}, not one loss for each "
        "example; try reduction='none'",
    )
    return each.sum()


def input_gradient(losses, input):
    """The gradient of each example's own loss with respect to that example.

    Parameters
    ----------
    losses : callable
        As for `total_loss`.
    input : array_like (N, ...)

    Returns
    -------
    ndarray (N, ...)
        Gradients of parameters are left alone.

    >>> input_gradient(lambda x: (x * x).sum(1), [[1.0, 3.0]])
    array([[2., 6.]])
    """
    x = Tensor(as_float(input, "input", empty=True), requires_grad=True)
    (slope,) = grad(total_loss(losses, x), x)
    return slope.data


def uphill(gradient, input, norm="linf", targeted=False):
    """The step of length 1 that raises a loss most or, if targeted, lowers it.

    Parameters
    ----------
    gradient : callable
        From inputs (N, ...) to the gradient of the loss with respect to them, of the
        same shape. Only its direction matters, so the loss may be a sum or a mean.
    input : array_like (N, ...)
    norm : {"linf", "l2"}
    targeted : bool
        Then the loss is that of the label which the model is to give.

    Returns
    -------
    ndarray (N, ...)

    >>> uphill(lambda x: 2 * x, [[3.0, -4.0]], "l2", targeted=True)
    array([[-0.6,  0.8]])
    """
    input = as_float(input, "input", empty=True)
    check_in(targeted, "targeted", (False, True))
    require(callable(gradient), f"gradient must be a function: {gradient!r}", TypeError)
    slope = as_float(gradient(input), "the gradient", empty=True)
    check_same_shape(input=input, gradient=slope)
    return -steepest(slope, norm) if targeted else steepest(slope, norm)


def input_range(input, clip=None):
    """Between which numbers inputs (N, ...) lie: those of `clip`, or infinity.

    >>> input_range([[0.5]], (0.0, 1.0)), input_range([[0.5]])
    ((0.0, 1.0), (-inf, inf))
    """
    input = as_float(input, "input", empty=True)
    if clip is None:
        return -np.inf, np.inf
    is_pair = isinstance(clip, (tuple, list)) and len(clip) == 2
    require(is_pair, f"clip must be two numbers, such as (0.0, 1.0), not {clip!r}")
    low, high = clip
    check_number(low, "clip[0]")
    check_number(high, "clip[1]", low)
    check_between(input, "input", low, high)
    return float(low), float(high)


def fgsm(gradient, input, eps, clip=None, targeted=False):
    r"""Fast gradient sign, :math:`\mathbf x+\epsilon\operatorname{sign}\nabla J`.

    A loss that is linear cannot be raised more by entries of at most :math:`\epsilon`.

    Parameters
    ----------
    gradient : callable
        As for `uphill`.
    input : array_like (N, ...)
    eps : float
    clip : (float, float), optional
        The range of inputs, such as that of pixels. The input must lie within.
    targeted : bool
        Go down instead: the loss is then that of a label that the model is to give.

    Returns
    -------
    ndarray (N, ...)

    Source: Goodfellow, Shlens and Szegedy (2015), section 4.

    >>> fgsm(lambda x: 2 * x, [[1.0, -3.0, 0.0]], 0.5)
    array([[ 1.5, -3.5,  0. ]])
    """
    input = as_float(input, "input", empty=True)
    check_positive(eps, "eps", zero=True)
    step = float(eps) * uphill(gradient, input, "linf", targeted)
    return np.clip(input + step, *input_range(input, clip))


def pgd(
    gradient,
    input,
    eps,
    lr,
    steps,
    norm="linf",
    clip=None,
    targeted=False,
    *,
    rng=None,
):
    r"""Projected gradient steps: the worst point of a ball around each example.

    .. math:: \mathbf x_{t+1}=\Pi_{\lVert\mathbf x'-\mathbf x\rVert\le\epsilon}
        \big(\mathbf x_t+\eta\,\mathbf d(\nabla_{\mathbf x}J(\mathbf x_t))\big)

    Parameters
    ----------
    gradient : callable
        As for `uphill`.
    input : array_like (N, ...)
    eps : float
        Radius of the ball.
    lr : float
        :math:`\eta`, the length of a step in the norm of the ball.
    steps : int
    norm : {"linf", "l2"}
    clip : (float, float), optional
    targeted : bool
    rng : numpy.random.Generator, optional
        Start from a random point of the ball; without it, from the example itself.

    Returns
    -------
    ndarray (N, ...)

    Source: Madry et al. (2018), section 2.1. One step with :math:`\eta=\epsilon` from
    the example itself is `fgsm`.

    >>> pgd(lambda x: x, [[1.0, -3.0]], eps=0.5, lr=0.2, steps=5)
    array([[ 1.5, -3.5]])
    """
    input = as_float(input, "input", empty=True)
    check_positive(lr, "lr")
    check_positive(steps, "steps", integer=True)
    low, high = input_range(input, clip)
    x = input
    if rng is not None:
        x = x + draw_in_ball(x.shape, eps, norm, rng=rng, dtype=x.dtype)
        x = np.clip(x, low, high)
    for _ in range(steps):
        x = x + float(lr) * uphill(gradient, x, norm, targeted)
        x = np.clip(input + project_to_ball(x - input, eps, norm), low, high)
    return x


def adversarial_loss(losses, input, attack, alpha=0.5):
    r"""What adversarial training lowers: :math:`\alpha J(x)+(1-\alpha)J(x')`.

    Parameters
    ----------
    losses : callable
        From a `Tensor` (N, ...) to a `Tensor` (N,).
    input : array_like (N, ...)
    attack : callable
        ``attack(gradient, input)`` gives :math:`x'` (N, ...), as `fgsm` and `pgd` do.
        It is data: nothing is differentiated through it.
    alpha : float
        0 trains on adversarial examples alone.

    Returns
    -------
    Tensor
        A number, the mean over the examples.

    Source: Goodfellow, Shlens and Szegedy (2015), section 6; Madry et al. (2018) take
    alpha = 0.

    >>> def losses(x):
    ...     return (x * x).sum(1)
    >>> adversarial_loss(losses, [[2.0]], lambda g, x: fgsm(g, x, 1.0)).item()
    6.5
    """
    input = as_float(input, "input")
    check_number(alpha, "alpha", 0, 1)
    require(callable(attack), f"attack must be a function, not {attack!r}", TypeError)
    worse = as_float(attack(lambda x: input_gradient(losses, x), input), "the attack")
    check_same_shape(input=input, attacked=worse)
    clean = total_loss(losses, Tensor(input))
    attacked = total_loss(losses, Tensor(worse))
    return (clean * float(alpha) + attacked * (1 - float(alpha))) / len(input)


# ---- virtual adversarial training ----------------------------------------------------


def kl_divergence(input, target, reduction="mean"):
    r"""How far the answers of scores `input` are from those of scores `target`.

    .. math:: \mathrm{KL}(p\Vert q)=\sum_cp_c(\log p_c-\log q_c),\quad
        p=\operatorname{softmax}(\mathrm{target}),\ q=\operatorname{softmax}(
        \mathrm{input})

    Parameters
    ----------
    input, target : array_like (..., C)
        The target is data.
    reduction : {"mean", "sum", "none"}
        Over all examples. Where conventions differ: `torch.nn.functional.kl_div` takes
        logarithms of probabilities, and calls this mean "batchmean".

    Returns
    -------
    float, or ndarray (...) with ``reduction="none"``
        In nats. A class that the target excludes, by a score of −inf, adds nothing;
        one that `input` alone excludes makes it infinite.

    >>> kl_divergence([[0.0, 0.0]], [[0.0, 800.0]]).round(12) == np.log(2).round(12)
    np.True_
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    log_p = log_softmax(target, -1)
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        apart = np.where(p == 0, 0, log_p - log_softmax(input, -1))
    loss = (p * apart).sum(axis=-1)
    check_reduction(reduction, loss)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


def kl_divergence_backward(dy, input, target, reduction="mean"):
    """Gradient of `kl_divergence` for `input` (..., C): `dy` times q − p.

    >>> kl_divergence_backward(1.0, [[0.0, 0.0]], [[0.0, 800.0]])
    array([[ 0.5, -0.5]])
    """
    input = as_float(input, "input", empty=True)
    target = as_float(target, "target", empty=True)
    check_same_shape(input=input, target=target)
    away = softmax(input, -1) - softmax(target, -1)
    share = as_share(dy, away.sum(axis=-1), reduction)
    return np.asarray(share, away.dtype)[..., None] * away


def _kl_divergence(input, target, reduction="mean"):
    """The definition of `kl_divergence`, for (..., C)."""
    log_p = log_softmax(raw(target), -1)
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        apart = log_p - operations.log_softmax(input, -1)
    loss = (p * operations.where(p == 0, 0.0, apart)).sum(-1)
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


kl_of_scores = register(kl_divergence, kl_divergence_backward, _kl_divergence)
"""`kl_divergence` of a `Tensor`."""


def answers(scores, input):
    """What a model says, as data: the scores (N, C) of examples (N, ...).

    >>> answers(lambda x: 2 * x, [[1.0, 3.0]])
    array([[2., 6.]])
    """
    input = as_float(input, "input")
    require(callable(scores), f"scores must be a function, not {scores!r}", TypeError)
    with no_grad():
        return as_float(raw(scores(Tensor(input))), "the scores", ndim=2)


def virtual_perturbation(scores, input, start, eps, xi=1e-3, steps=1):
    r"""The perturbation of length `eps` that changes the model's own answer most.

    Near an example the divergence is :math:`\frac12\mathbf r^{\mathsf T}H\mathbf r`,
    as value and gradient are 0 at :math:`\mathbf r=0`. Power iteration finds the
    direction with the largest curvature; a difference of two gradients, one of them 0,
    stands for the product with H:

    .. math:: \mathbf d\leftarrow\overline{\nabla_{\mathbf r}\mathrm{KL}(p(\cdot\mid
        \mathbf x)\Vert p(\cdot\mid\mathbf x+\mathbf r))}\Big|_{\mathbf r=\xi\mathbf d}

    Parameters
    ----------
    scores : callable
        From a `Tensor` (N, ...) to logits, a `Tensor` (N, C).
    input, start : array_like (N, ...)
        The examples, and directions to begin with.
    eps : float
    xi : float
        :math:`\xi`; the paper's 1e-6 drowns in rounding with float32.
    steps : int

    Returns
    -------
    ndarray (N, ...)
        0 where the answer does not change at all.

    Source: Miyato et al. (2016); Miyato et al. (2019), algorithm 1.

    >>> weight = np.array([[3.0, 0.0], [0.0, 0.1]])
    >>> r = virtual_perturbation(
    ...     lambda x: x @ weight, [[0.0, 0.0]], [[1.0, 1.0]], 0.5, steps=5
    ... )
    >>> (r / r[0, 0]).round(4)
    array([[ 1.    , -0.0333]])
    """
    input, start = as_float(input, "input"), as_float(start, "start")
    check_same_shape(input=input, start=start)
    check_positive(eps, "eps", zero=True)
    check_positive(xi, "xi")
    check_positive(steps, "steps", integer=True)
    before, way = answers(scores, input), steepest(start, "l2")
    for _ in range(steps):
        slope = input_gradient(
            lambda x: kl_of_scores(scores(x), before, "none"), input + float(xi) * way
        )
        way = steepest(slope, "l2")
    return float(eps) * way


def vat_loss(scores, input, eps, xi=1e-3, steps=1, *, rng):
    r"""Virtual adversarial loss: how much the worst small step changes the answer.

    .. math:: \frac1N\sum_n\max_{\lVert\mathbf r\rVert\le\epsilon}
        \mathrm{KL}\big(p(\cdot\mid\mathbf x_n)\Vert p(\cdot\mid\mathbf x_n+\mathbf r)
        \big)

    It needs no labels, so that unlabelled examples count as well. The answer at
    :math:`\mathbf x_n` and the step are data; only the answer at the end of the step
    is differentiated.

    Parameters
    ----------
    scores : callable
        From a `Tensor` (N, ...) to logits, a `Tensor` (N, C).
    input : array_like (N, ...)
    eps, xi, steps
        As for `virtual_perturbation`.
    rng : numpy.random.Generator
        For the direction to begin with.

    Returns
    -------
    Tensor
        A number, in nats.

    Source: Miyato et al. (2016); Goodfellow, Bengio and Courville (2016), section
    7.13.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> vat_loss(lambda x: x * 0.0, np.ones((4, 2)), 0.1, rng=numpy_generator(0)).item()
    0.0
    """
    input = as_float(input, "input")
    check_rng(rng)
    start = rng.normal(size=input.shape).astype(input.dtype)
    step = virtual_perturbation(scores, input, start, eps, xi, steps)
    return kl_of_scores(scores(Tensor(input + step)), answers(scores, input))
