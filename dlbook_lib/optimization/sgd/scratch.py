"""Stochastic gradient descent and the schedules of its learning rate.

An `Optimizer` changes parameters in place. They are the Parameters of a network, whose
gradients `backward` computes, or plain arrays, whose gradients `set_grads` hands over:

>>> w = np.array([1.0, -2.0])
>>> optimizer = SGD([w], lr=0.1)
>>> for _ in range(3):
...     set_grads(optimizer, [2 * w])  # of |w|²
...     optimizer.step()
>>> w
array([ 0.512, -1.024])

A schedule belongs to an optimizer; its `step` follows the optimizer's and writes the
next learning rate into the parameter groups:

>>> schedule = StepLR(optimizer, step_size=2)
>>> for _ in range(4):
...     optimizer.step()
...     schedule.step()
>>> f"{schedule.get_last_lr()[0]:.4f}"
'0.0010'
"""

from bisect import bisect_left, bisect_right
from math import cos, inf, pi

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff import operations  # noqa: F401 (p.sub_)
from dlbook_lib.feedforward.autodiff.engine import Tensor, enable_grad, no_grad, raw
from dlbook_lib.feedforward.autodiff.modules import Parameter

FLAGS = "amsgrad", "centered", "maximize", "nesterov"
"""Options of optimizers that are true or false; all others are numbers from 0 on."""

FRACTIONS = "alpha", "dampening", "phi", "rho", "theta"
"""Options of optimizers that lie between 0 and 1."""


class Optimizer:
    """Parameters in groups, each with its options, and what is remembered of each.

    An optimizer says in `_change` what is to be subtracted from a parameter.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
        Real floating-point numbers; an array is changed in its own memory. Dicts are
        groups: ``{"params": [...], "lr": 0.1}`` with options other than the usual.
    defaults : dict
        The options of groups that do not say otherwise.

    Attributes
    ----------
    param_groups : list of dict
        Every group with all its options; schedules and readers may change them.
    state : dict
        By parameter, a dict of what was remembered, under torch's names.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range, or a parameter comes twice or cannot be changed.

    Where conventions differ: torch's groups keep options nobody knows, such as "Lr",
    without a word; here they are refused.
    """

    def __init__(self, params, defaults):
        is_one = isinstance(params, (Tensor, np.ndarray, str, dict))
        require(
            not is_one and hasattr(params, "__iter__"),
            f"params must be a list of Parameters or arrays, or of groups, not "
            f"{type(params).__name__}; put it into a list",
            TypeError,
        )
        require(
            isinstance(defaults, dict),
            f"defaults must be a dict of options, not {type(defaults).__name__}",
            TypeError,
        )
        groups = list(params)
        require(groups, "params is empty; did you pass module.parameters()?")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults, self.state, self.param_groups = dict(defaults), {}, []
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        """Take on more parameters: ``{"params": [...]}`` and options of their own."""
        is_group = isinstance(param_group, dict) and "params" in param_group
        require(is_group, "a group must be a dict with 'params' in it", TypeError)
        for name in param_group:
            check_in(name, "an option", ("params", *self.defaults))
        group = self.defaults | param_group
        for name in self.defaults:
            if name in FLAGS:
                check_in(group[name], name, (True, False))
            elif name in FRACTIONS:
                check_number(group[name], name, 0, 1)
            elif name != "betas":  # a pair, which Adam looks at
                check_positive(group[name], name, zero=True)
        params, kind = group["params"], type(group["params"]).__name__
        if isinstance(params, (Tensor, np.ndarray)):
            params = [params]
        is_list = hasattr(params, "__iter__") and not isinstance(params, (str, dict))
        require(is_list, f"params of a group must be a list, not {kind}", TypeError)
        group["params"] = [as_parameter(p) for p in params]
        arrays = [p.data for g in [*self.param_groups, group] for p in g["params"]]
        require(
            len({id(a) for a in arrays}) == len(arrays),
            "a parameter comes twice; it would be changed twice in a step",
        )
        self.param_groups.append(group)

    def zero_grad(self):
        """Forget the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self, closure=None):
        """Change every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the gradients first, and its result, the loss, is handed back.

        Numbers that blow up become infinite or NaN without a warning, as in torch.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad(), np.errstate(all="ignore"):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        g = self._gradient(p, group)
                        state = self.state.setdefault(p, {})
                        p.sub_(self._change(g, state, **group))
        return loss

    def _gradient(self, p, group):
        """What to descend on: the gradient (...) and that of the weight decay."""
        g, decay = raw(p.grad), group.get("weight_decay", 0)
        check_same_shape(grad=g, parameter=p.data)
        if group.get("maximize", False):
            g = -g
        return g + decay * p.data if decay else g

    def _change(self, g, state, **options):
        """What to subtract from a parameter (...) with the gradient `g` (...)."""
        raise NotImplementedError(f"{type(self).__name__} has no _change; write one")

    def state_dict(self):
        """All options, and what is remembered, by numbers instead of parameters.

        The arrays are not copied: they change with the next step.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        number = {p: i for i, p in enumerate(params)}
        return {
            "state": {number[p]: dict(s) for p, s in self.state.items() if s},
            "param_groups": [
                group | {"params": [number[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict):
        """Take on a copy of what `state_dict` gave, also of torch's optimizer.

        Raises
        ------
        ValueError
            If there are other groups, or other numbers or shapes of parameters.
        """
        parts = {"state", "param_groups"}
        is_state = isinstance(state_dict, dict) and set(state_dict) == parts
        require(is_state, "pass what state_dict() of an optimizer gives", TypeError)
        groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        found = [len(group["params"]) for group in groups]
        require(
            found == sizes,
            f"there are groups of {found} parameters but it has {sizes}; make it alike",
        )
        own = [p for group in self.param_groups for p in group["params"]]
        state, numbers = {}, [i for group in groups for i in group["params"]]
        for p, i in zip(own, numbers, strict=True):
            for name, value in state_dict["state"].get(i, {}).items():
                if name == "step":
                    value = int(value)
                else:
                    value = np.asarray(value).astype(p.dtype)
                    check_same_shape(**{name: value, "parameter": p.data})
                state.setdefault(p, {})[name] = value
        self.state = state
        self.param_groups = [
            group | {"params": mine["params"]}
            for mine, group in zip(self.param_groups, groups, strict=True)
        ]


def as_parameter(p):
    """The leaf (...) that an optimizer changes, around the same memory as `p` (...).

    >>> as_parameter(np.zeros(2))
    Parameter(tensor([0., 0.], requires_grad=True))
    """
    require(
        isinstance(p, (Tensor, np.ndarray)),
        f"a parameter must be a Parameter or an array, not {type(p).__name__}",
        TypeError,
    )
    array = raw(p)
    require(
        array.dtype.kind == "f",
        f"a parameter must hold real floating-point numbers, not {array.dtype} "
        f"{array.shape}",
        TypeError,
    )
    require(
        array.flags.writeable,
        f"a parameter {array.shape} can only be read, not changed; pass a copy",
    )
    is_leaf = not isinstance(p, Tensor) or p.is_leaf
    require(is_leaf, "a parameter is the result of an operation; pass the leaf")
    return p if isinstance(p, Tensor) else Parameter(p)


def set_grads(optimizer, grads):
    """Give each parameter of an optimizer its gradient, in order.

    Parameters
    ----------
    optimizer : Optimizer
    grads : list of ndarray (...) or None
        In the shapes and the precision of the parameters. None for a parameter that
        the next step shall leave alone.
    """
    require(
        isinstance(optimizer, Optimizer),
        f"optimizer must be an Optimizer, not {type(optimizer).__name__}",
        TypeError,
    )
    params = [p for group in optimizer.param_groups for p in group["params"]]
    is_list = isinstance(grads, (list, tuple))
    require(is_list, f"grads must be a list, not {type(grads).__name__}", TypeError)
    require(
        len(grads) == len(params),
        f"there are {len(grads)} gradients for {len(params)} parameters",
    )
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        if g is not None:
            g = as_float(raw(g), f"grads[{i}]", empty=True)
            check_same_shape(**{f"grads[{i}]": g, "parameter": p.data})
            same = f"grads[{i}] is {g.dtype} but its parameter {p.dtype}; convert one"
            require(g.dtype == p.dtype, same, TypeError)
            g = Tensor(g)
        p.grad = g


class SGD(Optimizer):
    r"""Gradient descent, :math:`\theta\leftarrow\theta-\epsilon\,(g+\lambda\theta)`.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...), or of dict
    lr : float
        The learning rate ε.
    weight_decay : float
        λ, for the penalty λ/2 |θ|².
    maximize : bool
        Climb: the gradient, but not the decay, changes its sign.

    >>> w = np.array([2.0], np.float32)
    >>> optimizer = SGD([w], lr=0.5, weight_decay=0.1)
    >>> set_grads(optimizer, [np.ones(1, np.float32)])
    >>> optimizer.step()
    >>> w
    array([1.4], dtype=float32)
    """

    def __init__(self, params, lr=1e-3, weight_decay=0, *, maximize=False):
        options = {"lr": lr, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _change(self, g, state, *, lr, **_):
        return lr * g


# ---- schedules: the learning rate as a function of the step -------------------------


def linear_decay(k, lr, end_lr, total_iters):
    r"""The textbook's rate :math:`(1-\alpha)\epsilon_0+\alpha\epsilon_T`, α = k/T.

    Parameters
    ----------
    k : int or ndarray of int (...)
        The step, from 0 on.
    lr, end_lr : float
        ε at step 0, and from step `total_iters` on.
    total_iters : int
        T, in steps.

    Returns
    -------
    float or ndarray (...)

    It is ``LinearLR(optimizer, 1.0, end_lr / lr, total_iters)``.

    Source: Goodfellow et al. 2016, section 8.3.1, equation 8.14.

    >>> linear_decay(np.array([0, 50, 100, 200]), 1.0, 0.01, 100)
    array([1.   , 0.505, 0.01 , 0.01 ])
    """
    k = np.asarray(k)
    whole = np.issubdtype(k.dtype, np.integer) and np.all(k >= 0)
    require(whole, f"k must be whole numbers from 0 on, not {k!r}", TypeError)
    check_positive(lr, "lr")
    check_positive(end_lr, "end_lr", zero=True)
    check_positive(total_iters, "total_iters", integer=True)
    alpha = np.minimum(k, total_iters) / total_iters
    return (1 - alpha) * lr + alpha * end_lr


def step_decay(k, lr, step_size, gamma=0.1, min_lr=0.0):
    r"""A rate that falls in steps to a floor, :math:`\max(\epsilon_{\min},
    \epsilon_0\gamma^{\lfloor k/M\rfloor})`; with `step_size` 1 it is exponential.

    Parameters
    ----------
    k : int or ndarray of int (...)
        The step, from 0 on.
    lr, min_lr : float
        ε at step 0, and the floor.
    step_size : int
        M, in steps.
    gamma : float
        The factor γ.

    Returns
    -------
    float or ndarray (...)

    >>> step_decay(np.array([0, 9, 10, 20, 30]), 1.0, 10, min_lr=0.05)
    array([1.  , 1.  , 0.1 , 0.05, 0.05])
    """
    k = np.asarray(k)
    whole = np.issubdtype(k.dtype, np.integer) and np.all(k >= 0)
    require(whole, f"k must be whole numbers from 0 on, not {k!r}", TypeError)
    check_positive(lr, "lr")
    check_positive(step_size, "step_size", integer=True)
    check_positive(gamma, "gamma")
    check_positive(min_lr, "min_lr", zero=True)
    return np.maximum(min_lr, lr * np.power(float(gamma), k // step_size))


class LRScheduler:
    """The learning rate of each group as a function of `last_epoch`, 0, 1, 2, ….

    A schedule says in `get_lr` what the rates are at `last_epoch`.

    Parameters
    ----------
    optimizer : Optimizer

    Attributes
    ----------
    last_epoch : int
        How often `step` was called.
    base_lrs : list of float
        The rates that the groups had when their first schedule was made.

    Where conventions differ: the rate is computed from the first one. Torch multiplies
    the last one by a factor, so that its schedules can be stacked on one optimizer, and
    rates changed by hand stay changed; here `SequentialLR` joins schedules.
    """

    def __init__(self, optimizer):
        require(
            isinstance(optimizer, Optimizer),
            f"optimizer must be an Optimizer, not {type(optimizer).__name__}",
            TypeError,
        )
        self.optimizer, self.last_epoch = optimizer, -1
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def step(self):
        """Give the groups their next rate; call it after the optimizer's step."""
        self.last_epoch += 1
        groups = self.optimizer.param_groups
        for group, lr in zip(groups, self.get_lr(), strict=True):
            group["lr"] = lr

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr; write one")

    def get_last_lr(self):
        """The rates that the groups have now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """Everything but the optimizer."""
        return {k: v for k, v in vars(self).items() if k != "optimizer"}

    def load_state_dict(self, state_dict):
        """Take on what `state_dict` gave; the optimizer has a state of its own."""
        own = set(self.state_dict())
        fits = isinstance(state_dict, dict) and set(state_dict) == own
        require(fits, f"pass what state_dict() gave, with {sorted(own)}", TypeError)
        vars(self).update(state_dict)


class StepLR(LRScheduler):
    """Every M = `step_size` steps a factor: ε₀ γ to the power ⌊k/M⌋."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        check_positive(step_size, "step_size", integer=True)
        check_positive(gamma, "gamma", zero=True)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [lr * factor for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """A factor `gamma` at each of the `milestones`, which are steps."""

    def __init__(self, optimizer, milestones, gamma=0.1):
        is_list = isinstance(milestones, (list, tuple))
        require(is_list, f"milestones must be a list, not {milestones!r}", TypeError)
        for milestone in milestones:
            check_positive(milestone, "each of milestones", integer=True)
        check_positive(gamma, "gamma", zero=True)
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        factor = self.gamma ** bisect_right(self.milestones, self.last_epoch)
        return [lr * factor for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    r"""A factor at every step: :math:`\epsilon_0\gamma^k`."""

    def __init__(self, optimizer, gamma):
        check_positive(gamma, "gamma", zero=True)
        self.gamma = gamma
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """A factor that goes in a straight line to `end_factor`, and stays there.

    With a small `start_factor` it is a warm-up, with ``start_factor=1.0`` a decay.
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5):
        check_positive(start_factor, "start_factor")
        check_number(start_factor, "start_factor", 0, 1)
        check_number(end_factor, "end_factor", 0, 1)
        check_positive(total_iters, "total_iters", integer=True)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        alpha = min(self.last_epoch, self.total_iters) / self.total_iters
        factor = (1 - alpha) * self.start_factor + alpha * self.end_factor
        return [lr * factor for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    r"""Half a cosine from ε₀ down to `eta_min` in `T_max` steps, and up again after.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without the restarts.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0):
        check_positive(T_max, "T_max", integer=True)
        check_positive(eta_min, "eta_min", zero=True)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`, one for each group."""
        share = (1 + cos(pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


class SequentialLR(LRScheduler):
    """One schedule after the other; each starts at its milestone, from its own step 0.

    A warm-up is ``SequentialLR(optimizer, [LinearLR(optimizer), other], [5])``.

    Where conventions differ: torch lets the first schedule begin from what a
    `OneCycleLR` further back takes for its first rate, here it keeps its own.
    """

    def __init__(self, optimizer, schedulers, milestones):
        require(
            isinstance(schedulers, (list, tuple))
            and schedulers
            and all(type(s) in PLAIN and s.optimizer is optimizer for s in schedulers),
            "schedulers must be a list of schedules of this optimizer, none of them "
            "SequentialLR or ReduceLROnPlateau",
            TypeError,
        )
        require(
            isinstance(milestones, (list, tuple))
            and len(milestones) == len(schedulers) - 1,
            f"milestones must be {len(schedulers) - 1} steps, one between each two "
            f"schedules, not {milestones!r}",
        )
        for milestone in milestones:
            check_positive(milestone, "each of milestones", integer=True)
        rising = list(milestones) == sorted(milestones)
        require(rising, f"milestones must rise, not {milestones}")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        for schedule in schedulers:
            schedule.last_epoch = -1
        super().__init__(optimizer)

    def step(self):
        """Let the schedule whose turn it is take a step."""
        self.last_epoch += 1
        self.schedulers[bisect_right(self.milestones, self.last_epoch)].step()

    def state_dict(self):
        """Everything but the optimizer, with the states of the schedules."""
        states = [schedule.state_dict() for schedule in self.schedulers]
        return super().state_dict() | {"schedulers": states}

    def load_state_dict(self, state_dict):
        """Take on what `state_dict` gave; the optimizer has a state of its own."""
        own = self.schedulers
        super().load_state_dict(state_dict)
        self.schedulers = own
        for schedule, state in zip(own, state_dict["schedulers"], strict=True):
            schedule.load_state_dict(state)


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to almost nothing, the momentum the other way.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float
        The highest rate, of all groups.
    total_steps : int, optional
        How long it takes; or else `epochs` times `steps_per_epoch`.
    pct_start : float
        The share of the steps on the way up.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool
        Whether the momentum, or the first of Adam's betas, changes too.
    base_momentum, max_momentum : float
        Where it is while the rate is highest, and where it begins and ends.
    div_factor, final_div_factor : float
        `max_lr` over the first rate, and the first over the last.
    three_phase : bool
        Go down to the first rate as fast as up, and only then to the last.

    Where conventions differ: if the way up ends at step 0, as with 10 steps and
    ``pct_start=0.1``, torch divides by zero; here the cycle begins at `max_lr`.

    Source: Smith and Topin 2018, Super-convergence.
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
    ):
        is_optimizer = isinstance(optimizer, Optimizer)
        kinds = {"momentum", "betas"} & set(getattr(optimizer, "defaults", ()))
        require(
            is_optimizer and (kinds or cycle_momentum is False),
            "optimizer must be an Optimizer with momentum or betas; without them try "
            "cycle_momentum=False",
            TypeError,
        )
        given = locals()
        for name in ("max_lr", "div_factor", "final_div_factor"):
            check_positive(given[name], name)
        for name in ("pct_start", "base_momentum", "max_momentum"):
            check_number(given[name], name, 0, 1)
        for name in ("cycle_momentum", "three_phase"):
            check_in(given[name], name, (True, False))
        check_in(anneal_strategy, "anneal_strategy", ("cos", "linear"))
        if total_steps is None:
            check_positive(epochs, "epochs, without total_steps,", integer=True)
            check_positive(steps_per_epoch, "steps_per_epoch", integer=True)
            total_steps = epochs * steps_per_epoch
        check_positive(total_steps, "total_steps", integer=True)
        up, end = pct_start * total_steps - 1, total_steps - 1
        first, low, high = max_lr / div_factor, base_momentum, max_momentum
        turns = [(0.0, first, high), (up, max_lr, low), (2 * up, first, high)]
        turns.append((end, first / final_div_factor, high))
        if not three_phase:
            del turns[2]
        self.ends, self.lrs, self.momenta = zip(*turns, strict=True)
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        for group in optimizer.param_groups:
            group["initial_lr"] = first
        super().__init__(optimizer)

    def get_lr(self):
        """The rates at `last_epoch`; the momentum of every group is set as well."""
        k, ends = self.last_epoch, self.ends
        require(k <= ends[-1] + 1, f"the cycle is over; there is no step {k}")
        i = bisect_left(ends[1:-1], k)  # the phase
        share = (
            (k - ends[i]) / (ends[i + 1] - ends[i]) if ends[i + 1] > ends[i] else 1.0
        )
        if self.anneal_strategy == "cos":
            share = (1 - cos(pi * share)) / 2
        lr, m = (
            (1 - share) * x[i] + share * x[i + 1] for x in (self.lrs, self.momenta)
        )
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            if "betas" in group:
                group["betas"] = (m, *group["betas"][1:])
            else:
                group["momentum"] = m
        return [lr] * len(self.base_lrs)


PLAIN = StepLR, MultiStepLR, ExponentialLR, LinearLR, CosineAnnealingLR, OneCycleLR
"""The schedules that `SequentialLR` joins."""


class ReduceLROnPlateau(LRScheduler):
    """A factor each time that a measured number has not improved for too long.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether the smaller or the larger number is the better one.
    factor : float
        What the rates are multiplied by, below 1.
    patience : int
        How many steps without improvement are borne; the next one is too many.
    threshold : float
        By how much a number must beat the best one to count.
    threshold_mode : {"rel", "abs"}
        Whether the threshold is a share of the best number.
    cooldown : int
        For how many steps after a reduction nothing is counted.
    min_lr : float
        The floor.
    eps : float
        A reduction by less is not made.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0,
        eps=1e-8,
    ):
        require(
            isinstance(optimizer, Optimizer),
            f"optimizer must be an Optimizer, not {type(optimizer).__name__}",
            TypeError,
        )
        check_in(mode, "mode", ("min", "max"))
        check_positive(factor, "factor", zero=True)
        require(factor < 1, f"factor must be below 1 to reduce anything, not {factor}")
        check_positive(patience, "patience", integer=True, zero=True)
        check_positive(threshold, "threshold", zero=True)
        check_in(threshold_mode, "threshold_mode", ("rel", "abs"))
        check_positive(cooldown, "cooldown", integer=True, zero=True)
        check_positive(min_lr, "min_lr", zero=True)
        check_positive(eps, "eps", zero=True)
        self.optimizer, self.last_epoch = optimizer, 0
        self.sign = 1 if mode == "min" else -1
        self.factor, self.patience, self.cooldown = factor, patience, cooldown
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lr, self.eps = min_lr, eps
        self.best = self.sign * inf
        self.cooldown_counter = self.num_bad_epochs = 0

    def step(self, metrics):
        """Look at a new number, such as the validation loss, and reduce if need be."""
        metrics = np.asarray(raw(metrics))
        is_number = metrics.ndim == 0 and metrics.dtype.kind in "iuf"
        require(is_number, f"metrics must be one number, not {metrics!r}", TypeError)
        metrics, margin = metrics.item(), self.sign * self.threshold
        relative = self.threshold_mode == "rel"
        goal = self.best * (1 - margin) if relative else self.best - margin
        better = self.sign * metrics < self.sign * goal
        self.best = metrics if better else self.best
        waiting = self.cooldown_counter > 0
        self.cooldown_counter -= waiting
        self.num_bad_epochs = 0 if better or waiting else self.num_bad_epochs + 1
        self.last_epoch += 1
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group in self.optimizer.param_groups:
                lr = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
