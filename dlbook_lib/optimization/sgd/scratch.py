"""Stochastic gradient descent, and what all optimizers have in common.

An `Optimizer` changes parameters in place. They are the Parameters of a network, whose
gradients `backward` computes, or plain arrays, whose gradients `set_grads` hands over:

>>> w = np.array([1.0, -2.0])
>>> optimizer = SGD([w], lr=0.1)
>>> for _ in range(3):
...     set_grads(optimizer, [2 * w])  # of |w|²
...     optimizer.step()
>>> w
array([ 0.512, -1.024])

How its learning rate changes while it runs is the subject of `schedules`; here stand
two rates as functions of the step.
"""

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
        can = closure is None or callable(closure)
        require(can, f"closure must be a function, not {closure!r}", TypeError)
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
            If there are other groups, other numbers or shapes of parameters, or not all
            options that this optimizer has.
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
        lost = [k for k in self.defaults if not all(k in group for group in groups)]
        require(not lost, f"no {', '.join(lost)} in it; is it another optimizer's?")
        own = [p for group in self.param_groups for p in group["params"]]
        state, numbers = {}, [i for group in groups for i in group["params"]]
        for p, i in zip(own, numbers, strict=True):
            if found := state_dict["state"].get(i):
                state[p] = {name: _copied(name, x, p) for name, x in found.items()}
        self.state = state
        self.param_groups = [
            group | {"params": mine["params"]}
            for mine, group in zip(self.param_groups, groups, strict=True)
        ]


def _copied(name, value, p):
    """A number of steps, or a copy of what is remembered of a parameter (...)."""
    if name == "step":
        return int(value)
    value = np.asarray(value).astype(p.dtype)
    check_same_shape(**{name: value, "parameter": p.data})
    return value


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

    Where conventions differ: the third argument of torch's is the momentum, which this
    has not, so what follows `lr` must be named here.

    >>> w = np.array([2.0], np.float32)
    >>> optimizer = SGD([w], lr=0.5, weight_decay=0.1)
    >>> set_grads(optimizer, [np.ones(1, np.float32)])
    >>> optimizer.step()
    >>> w
    array([1.4], dtype=float32)
    """

    def __init__(self, params, lr=1e-3, *, weight_decay=0, maximize=False):
        options = {"lr": lr, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, options)

    def _change(self, g, state, *, lr, **_):
        return lr * g


# ---- the learning rate as a function of the step -------------------------------------


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
