"""Schedules of the learning rate, as objects that belong to an optimizer.

The `step` of a schedule follows the optimizer's, and writes the next learning rate into
the parameter groups:

>>> from dlbook_lib.optimization.sgd.scratch import SGD, set_grads
>>> optimizer = SGD([np.array([1.0])], lr=0.1)
>>> schedule = StepLR(optimizer, step_size=2)
>>> for _ in range(4):
...     set_grads(optimizer, [np.ones(1)])
...     optimizer.step()
...     schedule.step()
>>> f"{schedule.get_last_lr()[0]:.4f}"
'0.0010'
"""

from bisect import bisect_left, bisect_right
from math import cos, inf, pi

import numpy as np

from dlbook_lib.common.checks import check_in, check_number, check_positive, require
from dlbook_lib.feedforward.autodiff.engine import raw
from dlbook_lib.optimization.sgd.scratch import Optimizer


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
        groups, count = self.optimizer.param_groups, len(self.base_lrs)
        require(
            len(groups) == count,
            f"there are {len(groups)} groups, but there were {count} when the schedule "
            "was made; make another one",
        )
        self.last_epoch += 1
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
        kinds = {"momentum", "betas"} & set(getattr(optimizer, "defaults", ()))
        require(
            isinstance(optimizer, Optimizer) and (kinds or cycle_momentum is False),
            "optimizer must be one with momentum or betas; or try cycle_momentum=False",
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
        total_steps = self._length(total_steps, epochs, steps_per_epoch)
        up, end = pct_start * total_steps - 1, total_steps - 1
        first, low, high = max_lr / div_factor, base_momentum, max_momentum
        down = [(2 * up, first, high)] * three_phase
        last = end, first / final_div_factor, high
        turns = [(0.0, first, high), (up, max_lr, low), *down, last]
        self.ends, self.lrs, self.momenta = zip(*turns, strict=True)
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        for group in optimizer.param_groups:
            group["initial_lr"] = first
        super().__init__(optimizer)

    def _length(self, total_steps, epochs, steps_per_epoch):
        """Of the cycle, in steps."""
        if total_steps is None:
            check_positive(epochs, "epochs, without total_steps,", integer=True)
            check_positive(steps_per_epoch, "steps_per_epoch", integer=True)
            return epochs * steps_per_epoch
        check_positive(total_steps, "total_steps", integer=True)
        return total_steps

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
        The floor, of all groups; torch takes a list of them, too.
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
