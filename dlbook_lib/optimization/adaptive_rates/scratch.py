r"""A learning rate for each parameter, and gradients that are clipped.

All but delta-bar-delta divide the gradient by a root of its squares:

- `Adagrad`: by that of their sum, which never forgets;
- `RMSprop`: by that of a mean that forgets; `RMSPropNesterov` looks ahead as well;
- `Adadelta`: and multiply it by that of the squares of past changes;
- `Adam`: and take a mean of the gradients too, both corrected for starting at 0.

The small number that keeps the denominator from 0 stands outside the root, as in
torch: √r + ε for each of them but Adadelta, √(r + ε). The book writes δ + √r for
AdaGrad and Adam, √(δ + r) for RMSProp.
"""

import numpy as np

from dlbook_lib.common.checks import check_in, check_positive, require
from dlbook_lib.feedforward.autodiff.engine import Tensor, raw
from dlbook_lib.optimization.momentum.scratch import Nesterov
from dlbook_lib.optimization.sgd.scratch import Optimizer


class DeltaBarDelta(Optimizer):
    r"""Rates that rise by `kappa` while the gradient keeps its sign, and fall by the
    share `phi` when it has changed.

    .. math::
        \epsilon_i\leftarrow\begin{cases}\epsilon_i+\kappa&\bar g_ig_i>0\\
        (1-\phi)\,\epsilon_i&\bar g_ig_i<0\end{cases}\qquad
        \theta\leftarrow\theta-\epsilon\odot g,\qquad
        \bar g\leftarrow\theta_{\bar g}\bar g+(1-\theta_{\bar g})g

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr : float
        The rate that all parameters begin with.
    kappa, phi, theta : float
        Added to a rate, taken from it as a share, and the decay of the mean ḡ.

    Meant for the gradient of all examples: the noise of a minibatch changes signs.

    Source: Jacobs 1988, equations 5 and 6.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([1.0, 1.0])
    >>> optimizer = DeltaBarDelta([w], lr=0.1, kappa=0.1, phi=0.5)
    >>> for sign in (1.0, -1.0):
    ...     set_grads(optimizer, [np.array([1.0, sign])])
    ...     optimizer.step()  # the rates are 0.1 and 0.1, then 0.2 and 0.05
    >>> w
    array([0.7 , 0.95])
    """

    def __init__(self, params, lr=1e-2, kappa=1e-3, phi=0.1, theta=0.7):
        options = {"lr": lr, "kappa": kappa, "phi": phi, "theta": theta}
        super().__init__(params, options)

    def _change(self, g, state, *, lr, kappa, phi, theta, **_):
        if not state:
            state.update(rate=np.full_like(g, lr), average=np.zeros_like(g))
        rate, average = state["rate"], state["average"]
        agree = average * g
        fallen = np.where(agree < 0, (1 - phi) * rate, rate)
        rate[...] = np.where(agree > 0, rate + kappa, fallen)
        average *= theta
        average += (1 - theta) * g
        return rate * g


class Adagrad(Optimizer):
    r"""Divide by the root of the sum of all squares.

    .. math::
        r\leftarrow r+g\odot g,\qquad
        \theta\leftarrow\theta-\frac{\epsilon_t}{\sqrt r+\delta}\odot g

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, lr_decay : float
        ε and its decay, :math:`\epsilon_t=\epsilon/(1+(t-1)\,\text{lr\_decay})`.
    weight_decay : float
        λ, for the penalty λ/2 |θ|².
    initial_accumulator_value : float
        What r starts with.
    eps : float
        δ; the book has 1e-7.
    maximize : bool
        Climb.

    Source: Duchi et al. 2011; Goodfellow et al. 2016, algorithm 8.4.
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        *,
        maximize=False,
    ):
        options = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay}
        options["initial_accumulator_value"] = initial_accumulator_value
        super().__init__(params, options | {"eps": eps, "maximize": maximize})

    def add_param_group(self, param_group):
        """Take on more parameters, and begin to sum for each of them."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            start = np.full_like(p.data, group["initial_accumulator_value"])
            self.state[p] = {"step": 0, "sum": start}

    def _change(self, g, state, *, lr, lr_decay, eps, **_):
        rate = lr / (1 + state["step"] * lr_decay)
        state["step"] += 1
        r = state["sum"]
        r += g * g
        return rate * g / (np.sqrt(r) + eps)


class RMSprop(Optimizer):
    r"""Divide by the root of a mean of squares that forgets.

    .. math::
        r\leftarrow\rho r+(1-\rho)\,g\odot g,\qquad
        \theta\leftarrow\theta-\frac\epsilon{\sqrt r+\delta}\odot g

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, alpha, eps : float
        ε, ρ (not the momentum) and δ.
    weight_decay : float
        λ, for the penalty λ/2 |θ|².
    momentum : float
        The decay of a sum of the changes, which is then what is subtracted.
    centered : bool
        Take r less the square of the mean gradient, its variance.
    maximize : bool
        Climb.

    Nothing corrects for r = 0 at the start: the first step is ε/√(1 − ρ). Where
    conventions differ: if rounding makes a variance negative it counts as 0 here and
    gives NaN in torch.

    Source: Hinton 2012, lecture 6e; centered: Graves 2013, section 4.3.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([0.0])
    >>> optimizer = RMSprop([w], lr=1.0, alpha=0.9)
    >>> set_grads(optimizer, [np.array([50.0])])
    >>> optimizer.step()
    >>> w.round(4)
    array([-3.1623])
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        *,
        maximize=False,
    ):
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        options |= {"momentum": momentum, "centered": centered, "maximize": maximize}
        super().__init__(params, options)

    def _change(self, g, state, *, lr, alpha, eps, momentum, centered, **_):
        if not state:
            names = ["square_avg"] + ["momentum_buffer"] * (momentum > 0)
            names += ["grad_avg"] * centered
            state.update({name: np.zeros_like(g) for name in names}, step=0)
        state["step"] += 1
        r = state["square_avg"]
        r *= alpha
        r += (1 - alpha) * g * g
        if centered:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            r = np.maximum(r - mean * mean, 0)
        change = g / (np.sqrt(r) + eps)
        if momentum:
            b = state["momentum_buffer"]
            b *= momentum
            b += change
            change = b
        return lr * change


class RMSPropNesterov(Nesterov):
    r"""RMSprop of the gradient after the look-ahead,

    .. math::
        g=\nabla J(\theta+\alpha v),\quad r\leftarrow\rho r+(1-\rho)\,g\odot g,\quad
        v\leftarrow\alpha v-\frac\epsilon{\sqrt r+\delta}\odot g,\quad
        \theta\leftarrow\theta+v.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, alpha, eps : float
        ε, ρ and δ, under the names of `RMSprop`.
    momentum : float
        α.

    Source: Goodfellow et al. 2016, algorithm 8.6, with δ.
    """

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.9):
        options = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum}
        Optimizer.__init__(self, params, options)

    def _change(self, g, state, *, lr, alpha, eps, momentum, **_):
        if not state:
            state.update(square_avg=np.zeros_like(g), velocity=np.zeros_like(g))
        r, v = state["square_avg"], state["velocity"]
        r *= alpha
        r += (1 - alpha) * g * g
        v *= momentum
        v -= lr * g / (np.sqrt(r) + eps)
        return -v


class Adadelta(Optimizer):
    r"""Changes as large as past changes have been, whatever the unit of the cost.

    .. math::
        r\leftarrow\rho r+(1-\rho)\,g\odot g,\quad
        d=\frac{\sqrt{u+\delta}}{\sqrt{r+\delta}}\odot g,\quad
        \theta\leftarrow\theta-\epsilon\,d,\quad
        u\leftarrow\rho u+(1-\rho)\,d\odot d

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, rho, eps : float
        ε, which the paper does not have, ρ and δ.
    weight_decay : float
        λ, for the penalty λ/2 |θ|².
    maximize : bool
        Climb.

    Source: Zeiler 2012, algorithm 1.
    """

    def __init__(
        self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, *, maximize=False
    ):
        options = {"lr": lr, "rho": rho, "eps": eps}
        options |= {"weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _change(self, g, state, *, lr, rho, eps, **_):
        if not state:
            state.update(
                step=0, square_avg=np.zeros_like(g), acc_delta=np.zeros_like(g)
            )
        state["step"] += 1
        r, u = state["square_avg"], state["acc_delta"]
        r *= rho
        r += (1 - rho) * g * g
        d = np.sqrt(u + eps) / np.sqrt(r + eps) * g
        u *= rho
        u += (1 - rho) * d * d
        return lr * d


class Adam(Optimizer):
    r"""Means of the gradients and of their squares, corrected for starting at 0.

    .. math::
        s\leftarrow\rho_1s+(1-\rho_1)g,\quad r\leftarrow\rho_2r+(1-\rho_2)\,g\odot g,
        \quad\theta\leftarrow\theta-\epsilon\,
        \frac{s/(1-\rho_1^t)}{\sqrt{r/(1-\rho_2^t)}+\delta}

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr : float
        ε, which is also the size of the first step.
    betas : pair of float
        ρ₁ and ρ₂.
    eps : float
        δ.
    weight_decay : float
        λ, for the penalty λ/2 |θ|², which is part of g; see `AdamW`.
    amsgrad : bool
        Divide by the root of the largest r so far.
    maximize : bool
        Climb.

    Source: Kingma and Ba 2015, algorithm 1; amsgrad: Reddi et al. 2018, algorithm 2,
    where torch corrects the largest r as well.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([0.0, 0.0])
    >>> optimizer = Adam([w], lr=0.1)
    >>> set_grads(optimizer, [np.array([50.0, -0.02])])
    >>> optimizer.step()
    >>> w.round(6)
    array([-0.1,  0.1])
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        maximize=False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options | {"amsgrad": amsgrad, "maximize": maximize})

    def add_param_group(self, param_group):
        """Take on more parameters, once their betas have been looked at."""
        super().add_param_group(param_group)
        betas = self.param_groups[-1]["betas"]
        require(
            isinstance(betas, (tuple, list)) and len(betas) == 2,
            f"betas must be two numbers, not {betas!r}; try (0.9, 0.999)",
            TypeError,
        )
        for beta in betas:
            check_positive(beta, "each of betas", zero=True)
            require(beta < 1, f"each of betas must be below 1, not {beta}")

    def _change(self, g, state, *, lr, betas, eps, amsgrad, **_):
        if not state:
            names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * amsgrad
            state.update({name: np.zeros_like(g) for name in names}, step=0)
        state["step"] += 1
        s, r = state["exp_avg"], state["exp_avg_sq"]
        s += (1 - betas[0]) * (g - s)
        r *= betas[1]
        r += (1 - betas[1]) * g * g
        if amsgrad:
            r = np.maximum(state["max_exp_avg_sq"], r, out=state["max_exp_avg_sq"])
        seen = [1 - beta ** state["step"] for beta in betas]
        return lr / seen[0] * s / (np.sqrt(r) / seen[1] ** 0.5 + eps)


MEANS = {"exp_avg": 0, "exp_avg_sq": 1, "max_exp_avg_sq": 1}  # and which beta it has


class AdamInPlace(Adam):
    """The same as `Adam` in ten passes, all in the memory of one scratch array.

    The means are kept without their factors, s / (1 − ρ₁) and r / (1 − ρ₂), so that a
    gradient is added as it is, and the corrections are folded into two numbers.
    `state_dict` gives and takes the means themselves. It takes about two thirds of the
    time: `Adam` goes through memory more often, and asks for new memory eight times.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, betas, eps, weight_decay, amsgrad, maximize
        As in `Adam`.
    """

    def _change(self, g, state, *, lr, betas, eps, amsgrad, **_):
        factors = [1 - beta for beta in betas]
        if not state:
            names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * amsgrad
            state.update({name: np.zeros_like(g) for name in names}, step=0)
            state["factors"] = factors
        elif state["factors"] != factors:
            for name in MEANS.keys() & state.keys():
                state[name] *= state["factors"][MEANS[name]] / factors[MEANS[name]]
            state["factors"] = factors
        state["step"] += 1
        s, r = state["exp_avg"], state["exp_avg_sq"]
        s *= betas[0]
        s += g
        work = np.multiply(g, g, out=np.empty_like(s))
        r *= betas[1]
        r += work
        if amsgrad:
            r = np.maximum(state["max_exp_avg_sq"], r, out=state["max_exp_avg_sq"])
        pairs = zip(factors, betas, strict=True)
        seen = [factor / (1 - beta ** state["step"]) for factor, beta in pairs]
        np.sqrt(r, out=work)
        work += eps / seen[1] ** 0.5
        np.divide(s, work, out=work)
        work *= lr * seen[0] / seen[1] ** 0.5
        return work

    def state_dict(self):
        """As in `Adam`, but the means are copies."""
        found = super().state_dict()
        for state in found["state"].values():
            factors = state.pop("factors")
            for name in MEANS.keys() & state.keys():
                state[name] = state[name] * factors[MEANS[name]]
        return found

    def load_state_dict(self, state_dict):
        """As in `Adam`."""
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["factors"] = [1.0, 1.0]


class AdamW(Adam):
    """Adam with the weight decay beside the gradient, θ ← (1 - ελ) θ, not in it.

    So all parameters decay alike, however large their gradients have been.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, betas, eps, weight_decay, amsgrad, maximize
        As in `Adam`.

    Source: Loshchilov and Hutter 2019, algorithm 2, where the decay is not multiplied
    by ε as it is in torch and here.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
    ):
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize
        )

    def _gradient(self, p, group):
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return super()._gradient(p, group | {"weight_decay": 0})


def clip_grad_value_(parameters, clip_value):
    """Bring every entry of the gradients between ± `clip_value`.

    Parameters
    ----------
    parameters : Parameter (...), or iterable of them
        Those without a gradient are left out. Each gets a new `grad`.
    clip_value : float
    """
    check_positive(clip_value, "clip_value", zero=True)
    for p in with_grads(parameters):
        p.grad = Tensor(np.clip(raw(p.grad), -clip_value, clip_value))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    r"""Shorten all gradients together, :math:`g\leftarrow g\,\min(1,c/(|g|+10^{-6}))`.

    Parameters
    ----------
    parameters : Parameter (...), or iterable of them
        Those without a gradient are left out. Each gets a new `grad`.
    max_norm : float
        c, for the norm of all entries of all gradients.
    norm_type : float
        2.0, another p, or infinity.
    error_if_nonfinite : bool
        Raise RuntimeError instead of making all gradients NaN or 0.

    Returns
    -------
    float
        The norm as it was.

    Source: Pascanu et al. 2013, algorithm 1.
    """
    check_positive(max_norm, "max_norm", zero=True)
    check_positive(norm_type, "norm_type")
    check_in(error_if_nonfinite, "error_if_nonfinite", (False, True))
    clipped = with_grads(parameters)
    with np.errstate(all="ignore"):
        grads = [raw(p.grad).ravel() for p in clipped]
        norms = [np.linalg.norm(g, norm_type) for g in grads if g.size]
        total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
        require(
            np.isfinite(total) or not error_if_nonfinite,
            f"the norm of all gradients is {total}; lower the learning rate",
            RuntimeError,
        )
        factor = float(np.minimum(max_norm / (total + 1e-6), 1.0))
        for p in clipped:
            p.grad = Tensor(factor * raw(p.grad))
    return total


def with_grads(parameters):
    """A list of those parameters (...) that have a gradient.

    >>> with_grads([Tensor(np.ones(2), requires_grad=True)])
    []
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    require(
        isinstance(parameters, (list, tuple)) or hasattr(parameters, "__next__"),
        f"parameters must be a list, not {type(parameters).__name__}",
        TypeError,
    )
    parameters = list(parameters)
    for p in parameters:
        is_tensor = isinstance(p, Tensor)
        kind = type(p).__name__
        require(is_tensor, f"a parameter must be a Parameter, not {kind}", TypeError)
    return [p for p in parameters if p.grad is not None]
