"""L-BFGS as an optimizer: a quasi-Newton method for whole batches.

Its direction and its search along a line are those of `loss_landscapes.second_order`;
here they get the spelling, the stops and the memory of `torch.optim.LBFGS`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import enable_grad, no_grad, raw
from dlbook_lib.optimization.loss_landscapes.second_order import (
    Place,
    lbfgs_direction,
    strong_wolfe,
)
from dlbook_lib.optimization.sgd.scratch import Optimizer


class LBFGS(Optimizer):
    r"""BFGS with a memory of the last steps instead of a matrix.

    Parameters
    ----------
    params : iterable of Parameter or ndarray (...)
        One group; the method sees all of them as one vector.
    lr : float
        How far to go along each direction, or where the search begins. The very first
        step is shortened to min(1, 1 / Σ|g|) times that.
    max_iter, max_eval : int
        How many directions, and calls of the closure, a `step` may use; as many calls
        as 5/4 of the directions if not given.
    tolerance_grad, tolerance_change : float
        Stop where no entry of the gradient is above the one, or where the loss and the
        parameters change by less than the other.
    history_size : int
        How many steps are remembered, each with two arrays as long as all parameters.
    line_search_fn : {None, "strong_wolfe"}
        Without a search every step has the length `lr`, and may well lead uphill.

    `step` needs a closure, which is called again and again and must give the loss of
    the same examples each time.

    Where conventions differ: torch also keeps `al`, numbers of the last direction that
    are never read again, in its state.

    Source: Liu and Nocedal 1989; Nocedal and Wright 2006, algorithm 7.5.

    >>> from dlbook_lib.optimization.sgd.scratch import set_grads
    >>> w = np.array([-1.0, 4.0])
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     set_grads(optimizer, [np.array([2.0, 200.0]) * w])
    ...     return w[0] ** 2 + 100 * w[1] ** 2
    >>> _ = optimizer.step(closure)
    >>> bool(abs(w).max() < 1e-6)
    True
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_positive(max_iter, "max_iter", integer=True)
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        check_positive(max_eval, "max_eval", integer=True)
        check_positive(tolerance_grad, "tolerance_grad", zero=True)
        check_positive(tolerance_change, "tolerance_change", zero=True)
        check_positive(history_size, "history_size", integer=True)
        check_in(line_search_fn, "line_search_fn", (None, "strong_wolfe"))
        super().__init__(params, {"lr": lr})
        options = {"max_iter": max_iter, "max_eval": max_eval}
        options |= {"tolerance_grad": tolerance_grad, "history_size": history_size}
        options["tolerance_change"] = tolerance_change
        options["line_search_fn"] = line_search_fn
        self.defaults |= options
        self.param_groups[0] |= options

    def add_param_group(self, param_group):
        """Take on the only group."""
        require(not self.param_groups, "there can be one group only; join the params")
        super().add_param_group(param_group)

    def step(self, closure):
        """Move up to `max_iter` times; the loss before that is handed back.

        Parameters
        ----------
        closure : callable
            Computes the gradients (...) at the parameters as they are, and the loss.
        """
        require(callable(closure), "closure must compute the gradients", TypeError)
        (group,) = self.param_groups
        state = self.state.setdefault(
            group["params"][0], {"func_evals": 0, "n_iter": 0}
        )
        with no_grad(), np.errstate(all="ignore"):
            loss, here = self._look(closure)
            calls, k = 1, 0
            moving = abs(here.gradient).max() > group["tolerance_grad"]
            while moving:
                k, left = k + 1, max(0, group["max_eval"] - calls)
                last = k == group["max_iter"]
                here, used, moving = self._iterate(closure, here, state, last, left)
                calls += used
                moving = moving and not last and calls < group["max_eval"]
        state["func_evals"] += calls
        return loss

    def _iterate(self, closure, here, state, last, left):
        """One direction: the `Place` it leads to, calls used, whether to go on."""
        (group,) = self.param_groups
        tol, t = group["tolerance_change"], float(group["lr"])
        d = self._direction(here, state)
        if state["n_iter"] == 1:
            t *= min(1.0, 1 / float(abs(here.gradient).sum()))
        start = here._replace(t=0.0, slope=float(here.gradient @ d))
        state.update(d=d, t=t, prev_flat_grad=here.gradient, prev_loss=here.value)
        if start.slope > -tol:
            return start, 0, False
        place, used = self._go(closure, start, t, d, last, left)
        state["t"] = place.t
        moving = (
            abs(place.gradient).max() > group["tolerance_grad"]
            and abs(place.t * d).max() > tol
            and not abs(place.value - start.value) < tol
        )
        return place, used, moving

    def _look(self, closure, t=0.0, d=None):
        """The loss as the closure gives it, and all that is known of the place."""
        with enable_grad():
            loss = closure()
        value = np.asarray(raw(loss))
        is_number = value.ndim == 0 and value.dtype.kind in "iuf"
        sentence = f"closure must return the loss, one number, not {loss!r}"
        require(is_number, sentence, TypeError)
        flat = []
        for p in self.param_groups[0]["params"]:
            g = np.zeros_like(p.data) if p.grad is None else raw(p.grad)
            check_same_shape(grad=g, parameter=p.data)
            flat.append(g.ravel())
        g = np.concatenate(flat)
        slope = None if d is None else float(g @ d)
        return loss, Place(t, float(value), slope, g)

    def _direction(self, here, state):
        """−B g, after the last step has been added to the memory."""
        state["n_iter"] += 1
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -here.gradient
        y, s = here.gradient - state["prev_flat_grad"], state["t"] * state["d"]
        ys = float(y @ s)
        if ys > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / ys)):
                state[name].append(value)
                del state[name][: -self.param_groups[0]["history_size"]]
            state["H_diag"] = ys / float(y @ y)
        steps, changes = state["old_stps"], state["old_dirs"]
        return lbfgs_direction(here.gradient, steps, changes, state["H_diag"])

    def _go(self, closure, start, t, d, last, left):
        """Move along d; the `Place` there, and how often the closure was called."""
        (group,) = self.param_groups
        homes, place = [p.data.copy() for p in group["params"]], start

        def along(t):
            self._move(homes, t, d)
            return self._look(closure, t, d)[1]

        if group["line_search_fn"] is None:
            if not last:
                return along(t), 1
            self._move(homes, t, d)  # and the next `step` looks there
            return start._replace(t=t), 0
        try:
            tol = group["tolerance_change"] / float(abs(d).max())
            place, used = strong_wolfe(along, start, t, tol=tol, max_ls=left)
        finally:
            self._move(homes, place.t, d)
        return place, used

    def _move(self, homes, t, d):
        """Write home + t d into the parameters (...)."""
        ends = np.cumsum([home.size for home in homes])[:-1]
        params = self.param_groups[0]["params"]
        for p, home, part in zip(params, homes, np.split(d, ends), strict=True):
            p.copy_(home + t * part.reshape(home.shape))

    def load_state_dict(self, state_dict):
        """Take on a copy of what `state_dict` gave, also of torch's L-BFGS.

        Raises
        ------
        ValueError
            If it remembers another number of parameters.
        """
        is_whole = isinstance(state_dict, dict) and "state" in state_dict
        super().load_state_dict(state_dict | {"state": {}} if is_whole else state_dict)
        (numbers,) = (group["params"] for group in state_dict["param_groups"])
        params = self.param_groups[0]["params"]
        memory = dict(state_dict["state"].get(numbers[0], {}))
        memory.pop("al", None)
        memory = {name: _copied(x, params[0].dtype) for name, x in memory.items()}
        n = sum(p.data.size for p in params)
        found = len(memory.get("d", range(n)))
        require(found == n, f"it remembers {found} parameters but there are {n}")
        self.state = {params[0]: memory} if memory else {}


def _copied(value, dtype):
    """Lists of lists, arrays (...) and numbers, with arrays of the book's."""
    if isinstance(value, list):
        return [_copied(each, dtype) for each in value]
    if np.ndim(value) == 0:
        return value.item() if hasattr(value, "item") else value
    return np.asarray(value).astype(dtype)
