r"""Momentum in three conventions, and Nesterov's look-ahead.

With gradients g, a learning rate that stays the same and the decay α they are

- velocity, the book's: v ← αv − εg, θ ← θ + v (`Momentum`);
- torch's: b ← αb + g, θ ← θ − εb (`SGD`), where v = −εb;
- average: s ← αs + (1 − α)g, θ ← θ − ηs (`EMAMomentum`), where η = ε/(1 − α).

All three take the same path. If the rate changes, so do the paths: a velocity keeps
what it was given at the old rate, while torch's buffer is multiplied by the new one.
"""

import numpy as np

from dlbook_lib.common.checks import check_number, check_positive, require
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401 (p.add_)
from dlbook_lib.feedforward.autodiff.engine import enable_grad, no_grad
from dlbook_lib.optimization.sgd.scratch import Optimizer


class SGD(Optimizer):
    r"""Gradient descent with momentum, dampening and Nesterov's form, as torch has it.

    .. math::
        b\leftarrow\alpha b+(1-\tau)\,g,\qquad
        \theta\leftarrow\theta-\epsilon\,b\quad\text{or}\quad
        \theta\leftarrow\theta-\epsilon\,(g+\alpha b)\ \text{with Nesterov},

    where b starts as the first gradient, not dampened.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, momentum, dampening : float
        ε, α, τ.
    weight_decay : float
        λ, for the penalty λ/2 |θ|², which is part of g.
    nesterov : bool
        Needs momentum, and no dampening.
    maximize : bool
        Climb: the gradient, but not the decay, changes its sign.

    Where conventions differ: b has no learning rate in it. In Nesterov's form the
    parameters are those after the look-ahead, θ + αv of `Nesterov`.

    Source: Sutskever et al. 2013, section 2, in torch's terms.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([0.0])
    >>> optimizer = SGD([w], lr=1.0, momentum=0.5)
    >>> for _ in range(3):
    ...     set_grads(optimizer, [np.ones(1)])
    ...     optimizer.step()  # by 1, 1.5, 1.75
    >>> w
    array([-4.25])
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
    ):
        options = {"lr": lr, "momentum": momentum, "dampening": dampening}
        options |= {"weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, options | {"maximize": maximize})
        require(
            not nesterov or (momentum > 0 and dampening == 0),
            f"nesterov needs momentum above 0 and no dampening, not {momentum} and "
            f"{dampening}",
        )

    def _change(self, g, state, *, lr, momentum, dampening, nesterov, **_):
        if not momentum:
            return lr * g
        if "momentum_buffer" in state:
            b = state["momentum_buffer"]
            b *= momentum
            b += (1 - dampening) * g
        else:
            b = state["momentum_buffer"] = np.array(g)
        return lr * (g + momentum * b) if nesterov else lr * b


class Momentum(Optimizer):
    r"""The velocity form, :math:`v\leftarrow\alpha v-\epsilon g` and
    :math:`\theta\leftarrow\theta+v`.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, momentum : float
        ε and α.

    Source: Goodfellow et al. 2016, algorithm 8.2.
    """

    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def _change(self, g, state, *, lr, momentum, **_):
        if not state:
            state["velocity"] = np.zeros_like(g)
        v = state["velocity"]
        v *= momentum
        v -= lr * g
        return -v


class EMAMomentum(Optimizer):
    r"""The average form, :math:`s\leftarrow\alpha s+(1-\alpha)g,\
    \theta\leftarrow\theta-\eta s`.

    It takes the path of `Momentum` with ``lr=average_lr(lr, momentum)``.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, momentum : float
        η and α; momentum 1 would never look at a gradient.
    """

    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        require(momentum < 1, f"momentum must be below 1, not {momentum}; try 0.9")

    def _change(self, g, state, *, lr, momentum, **_):
        if not state:
            state["average"] = np.zeros_like(g)
        s = state["average"]
        s *= momentum
        s += (1 - momentum) * g
        return lr * s


def average_lr(lr, momentum):
    r"""The rate of the average form that goes as far, :math:`\eta=\epsilon/(1-\alpha)`.

    Parameters
    ----------
    lr, momentum : float
        ε and α, of shape ().

    Returns
    -------
    float
        On a constant slope g it is also the terminal speed, in units of |g|.

    >>> f"{average_lr(0.1, 0.9):.2f}"
    '1.00'
    """
    check_positive(lr, "lr", zero=True)
    check_number(momentum, "momentum", 0, 1)
    require(momentum < 1, "momentum must be below 1; with 1 there is no terminal speed")
    return lr / (1 - momentum)


class Nesterov(Momentum):
    r"""Momentum with the gradient after the look-ahead,

    .. math::
        v\leftarrow\alpha v-\epsilon\nabla J(\theta+\alpha v),\qquad
        \theta\leftarrow\theta+v.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr, momentum : float
        ε and α.

    Where conventions differ: `SGD` with ``nesterov=True`` keeps θ + αv and needs no
    closure; at a constant rate it is the same method.

    Source: Goodfellow et al. 2016, algorithm 8.3.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([1.0])
    >>> optimizer = Nesterov([w], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     _ = optimizer.step(lambda: set_grads(optimizer, [2 * w]))
    >>> w
    array([0.125])
    """

    def step(self, closure):
        """Look ahead, let `closure` compute loss and gradients there, and step.

        Parameters
        ----------
        closure : callable
            Computes the gradients, and its result, the loss, is handed back.
        """
        require(callable(closure), "closure must compute the gradients", TypeError)
        moving = [
            (p, self.state[p]["velocity"] * group["momentum"])
            for group in self.param_groups
            for p in group["params"]
            if "velocity" in self.state.get(p, {})
        ]
        homes = [p.data.copy() for p, _ in moving]
        try:
            with no_grad():
                for p, ahead in moving:
                    p.add_(ahead)
            with enable_grad():
                loss = closure()
        finally:
            with no_grad():
                for (p, _), home in zip(moving, homes, strict=True):
                    p.copy_(home)
        super().step()
        return loss
