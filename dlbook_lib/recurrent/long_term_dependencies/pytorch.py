"""Long-term dependencies in PyTorch: autograd's way back, links, leaks and clocks."""

import torch
from torch.nn.functional import linear

from dlbook_lib.recurrent.unfolding.pytorch import rnn_cell, state_slope

__all__ = [
    "alpha_of_half_life",
    "as_alpha",
    "as_periods",
    "check_leaky",
    "clock_alpha",
    "clock_links",
    "grad_norm_by_lag",
    "half_life",
    "leaky_inputs_in_one_product",
    "leaky_rnn",
    "linear_recurrence",
    "linear_recurrence_by_eigenvalues",
    "log_slope",
    "proposal",
    "proposal_slope",
    "pull_leaky",
    "run_leaky",
    "skip_rnn",
    "square",
    "state_gradients",
    "time_constant",
]


def square(w_hh):
    """As in scratch: a matrix (H, H)."""
    if w_hh.ndim != 2 or w_hh.shape[0] != w_hh.shape[1]:
        raise ValueError(f"square: w_hh must be (H, H), not {tuple(w_hh.shape)}")
    return w_hh


def linear_recurrence(hx, w_hh, steps):
    """As in scratch: (N, H) to (steps + 1, N, H)."""
    states = [hx]
    for _ in range(steps):
        states.append(linear(states[-1], w_hh))
    return torch.stack(states)


def linear_recurrence_by_eigenvalues(hx, w_hh, steps):
    """As in scratch: (N, H) to (steps + 1, N, H)."""
    values, q = torch.linalg.eigh(w_hh)
    powers = values ** torch.arange(steps + 1).to(values)[:, None]  # (T + 1, H)
    powers = powers if hx.ndim == 1 else powers[:, None]
    return (powers * (hx @ q)) @ q.T


def state_gradients(dy, output, w_hh, nonlinearity="tanh"):
    """As in scratch: (T, N, H) to (T, N, H)."""
    slope, found = state_slope(output, nonlinearity), [dy[-1]]
    for t in reversed(range(len(dy) - 1)):
        found.insert(0, dy[t] + (slope[t + 1] * found[0]) @ w_hh)
    return torch.stack(found)


def grad_norm_by_lag(net, input, dy=None):
    """As in scratch: input (T, N, D) to norms (T,)."""
    x = input.detach().requires_grad_()
    output = net(x)
    last = (output[0] if isinstance(output, tuple) else output)[-1]
    dy = torch.ones_like(last) if dy is None else dy
    (dx,) = torch.autograd.grad(last, x, dy)
    return dx.norm(dim=2).mean(1).flip(0)


def log_slope(norms):
    """As in scratch: norms (T,) to a float."""
    lags = torch.nonzero((norms > 0) & norms.isfinite())[:, 0]
    columns = torch.stack([lags, torch.ones_like(lags)], 1).double()
    logs = norms[lags].double().log()[:, None]
    return torch.linalg.lstsq(columns, logs).solution[0].item()


def time_constant(alpha):
    """As in scratch: (...) to (...)."""
    return (1 / alpha.log()).abs()


def half_life(alpha):
    """As in scratch: (...) to (...)."""
    return time_constant(alpha) * torch.tensor(2.0, dtype=alpha.dtype).log()


def alpha_of_half_life(steps):
    """As in scratch: (...) to (...)."""
    return torch.exp2(-1 / steps)


def proposal(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """As in scratch: (N, D) and (N, H) to (N, H)."""
    if nonlinearity != "linear":
        return rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
    return linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)


def proposal_slope(v, nonlinearity="tanh"):
    """As in scratch: (...) to (...)."""
    linear = nonlinearity == "linear"
    return torch.ones_like(v) if linear else state_slope(v, nonlinearity)


def as_alpha(alpha, steps, units):
    """As in scratch: (H,) or (T, H) to (T, H)."""
    return alpha.expand(steps, units)


def leaky_rnn(input, hx, w_ih, w_hh, alpha, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """As in scratch: (T, N, D) to (T, N, H)."""
    states = []
    for x, keep in zip(input, as_alpha(alpha, len(input), hx.shape[1]), strict=True):
        v = proposal(x, hx, w_ih, w_hh, b_ih, b_hh, nonlinearity)
        hx = torch.lerp(v, hx, keep.expand_as(hx))
        states.append(hx)
    return torch.stack(states)


def check_leaky(input, batch_sizes, states, weights):
    """As in scratch, but it checks nothing: alpha as (T, H)."""
    return as_alpha(weights[-1], len(batch_sizes), len(weights[1]))


def leaky_inputs_in_one_product(
    input, batch_sizes, states, weights, reverse=False, nonlinearity="tanh"
):
    """As in scratch, with autograd for `pull`: rows (K, D) to (K, H)."""
    leaves = [x.detach().requires_grad_() for x in (input, states[0], *weights)]
    x, start, w_ih, w_hh, *biases, _ = leaves
    with torch.enable_grad():
        keep = check_leaky(x, batch_sizes, (start,), leaves[2:])
        sums, options = x @ w_ih.T + sum(biases), (batch_sizes, reverse, nonlinearity)
        output, h = run_leaky(sums, start, w_hh, keep, *options)[1:]

    def pull(doutput, dends):
        pairs = (output, h), leaves, (doutput, *dends)
        dx, dh, *rest = torch.autograd.grad(*pairs, retain_graph=True)
        return dx, (dh,), tuple(rest)

    return output.detach(), (h.detach(),), pull


def run_leaky(sums, start, w_hh, keep, batch_sizes, reverse=False, nonlinearity="tanh"):
    """As in scratch, but `sums` stay: (K, H), (K, H) and (N, H)."""
    bend = {"linear": torch.clone}.get(nonlinearity) or getattr(torch, nonlinearity)
    rows, h = list(sums.split([int(n) for n in batch_sizes])), start
    values = rows.copy()
    for t in sorted(range(len(rows)), reverse=reverse):
        n = len(rows[t])
        values[t] = bend(rows[t] + h[:n] @ w_hh.T)
        rows[t] = keep[t] * h[:n] + (1 - keep[t]) * values[t]
        h = torch.cat([rows[t], h[n:]])
    return torch.cat(values), torch.cat(rows), h


def pull_leaky(doutput, dend, slope, w_hh, keep, batch_sizes, reverse=False):
    """As in scratch: (K, H), (K, H) and (N, H)."""
    sizes = [int(n) for n in batch_sizes]
    parts, slopes = list(doutput.split(sizes)), slope.split(sizes)
    da, back = list(slopes), dend
    for t in sorted(range(len(sizes)), reverse=not reverse):
        n = sizes[t]
        parts[t] = parts[t] + back[:n]
        da[t] = slopes[t] * (1 - keep[t]) * parts[t]
        back = torch.cat([keep[t] * parts[t] + da[t] @ w_hh, back[n:]])
    return torch.cat(da), torch.cat(parts), back


def clock_alpha(periods, steps):
    """As in scratch: (H,) to (T, H)."""
    periods = as_periods(periods)
    times = torch.arange(steps, device=periods.device)
    return (times[:, None] % periods != 0).double()


def as_periods(periods):
    """As in scratch: a tensor of int (H,)."""
    return torch.as_tensor(periods)


def clock_links(periods):
    """As in scratch: (H,) to (H, H)."""
    periods = as_periods(periods)
    return (periods >= periods[:, None]).double()


def skip_rnn(input, hx, w_ih, w_hh, w_skip, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """As in scratch: (T, N, D) and (d, N, H) to (T, N, H)."""
    states = list(hx)
    for x in input:
        a = linear(x, w_ih, b_ih) + linear(states[-len(hx)], w_skip, b_hh)
        a = a if w_hh is None else a + linear(states[-1], w_hh)
        states.append(getattr(torch, nonlinearity)(a))
    return torch.stack(states[len(hx) :])
