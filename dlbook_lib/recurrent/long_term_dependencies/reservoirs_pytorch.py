"""Reservoirs in PyTorch: recurrent weights that are drawn, scaled, and left alone."""

import torch
from torch import nn

from dlbook_lib.recurrent.long_term_dependencies.pytorch import leaky_rnn, square
from dlbook_lib.recurrent.unfolding.layers_pytorch import _linear
from dlbook_lib.regularization.norm_penalties.pytorch import ridge

__all__ = [
    "EchoStateNetwork",
    "continue_series",
    "fit_readout",
    "nrmse",
    "reservoir_weights",
    "spectral_radius",
]


def spectral_radius(w_hh):
    """As in scratch: of a matrix (H, H)."""
    return torch.linalg.eigvals(square(w_hh)).abs().max().item()


def reservoir_weights(size, radius=0.95, density=0.1, *, rng, dtype=float):
    """As in scratch: (H, H)."""
    drawn = torch.rand(2, size, size, generator=rng, dtype=torch.float64)
    w = (2 * drawn[0] - 1) * (drawn[1] < density)
    return (w * (radius / spectral_radius(w))).to(dtype)


def nrmse(input, target):
    """As in scratch: (...) twice to a float."""
    apart, spread = input - target, target - target.mean()
    if target.min() == target.max():
        return float("inf") if apart.any() else 0.0
    size = spread.abs().max()
    return ((apart / size).norm() / (spread / size).norm()).item()


def fit_readout(states, target, washout=100, alpha=1e-12):
    """As in scratch: (T, N, H) and (T, N, out) to (out, H) and (out,)."""
    h = states[washout:].flatten(0, 1).double()
    columns = torch.cat([h, torch.ones_like(h[:, :1])], 1)
    solved = ridge(columns, target[washout:].flatten(0, 1).double(), alpha).T
    return solved[:, :-1].to(states), solved[:, -1].to(states)


class EchoStateNetwork(nn.Module):
    """As in scratch: (T, N, D) to (T, N, out), and the last state (1, N, H)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        radius=0.95,
        density=0.1,
        leak=1.0,
        input_scale=1.0,
        nonlinearity="tanh",
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.leak, self.nonlinearity = leak, nonlinearity
        drawn = torch.rand(hidden_size, input_size + 1, generator=rng, dtype=dtype)
        drawn = input_scale * (2 * drawn - 1)
        w = reservoir_weights(hidden_size, radius, density, rng=rng, dtype=dtype)
        self.register_buffer("weight_ih_l0", drawn[:, :-1].clone())
        self.register_buffer("weight_hh_l0", w)
        self.register_buffer("bias_ih_l0", drawn[:, -1].clone())
        self.register_buffer("bias_hh_l0", torch.zeros_like(self.bias_ih_l0))
        self.readout = _linear(hidden_size, output_size, rng=rng, dtype=dtype)

    def states(self, input, hx=None):
        """As in scratch: (T, N, D) to (T, N, H)."""
        hx = input.new_zeros(1, input.shape[1], self.hidden_size) if hx is None else hx
        keep = input.new_full((self.hidden_size,), 1 - self.leak)
        matrices = self.weight_ih_l0, self.weight_hh_l0
        biases = self.bias_ih_l0, self.bias_hh_l0
        return leaky_rnn(input, hx[0], *matrices, keep, *biases, self.nonlinearity)

    def forward(self, input, hx=None):
        """As in scratch: `input` (T, N, D), `hx` (1, N, H)."""
        h = self.states(input, hx)
        return self.readout(h), h[-1:]

    @torch.no_grad()
    def fit(self, input, target, washout=100, alpha=1e-12):
        """As in scratch: (T, N, D) and (T, N, out)."""
        weight, bias = fit_readout(self.states(input), target, washout, alpha)
        self.readout.weight.copy_(weight)
        self.readout.bias.copy_(bias)
        return self


@torch.no_grad()
def continue_series(net, input, steps):
    """As in scratch: (T, N, D) to (steps, N, D)."""
    output, hx = net(input)
    written = [output[-1:]]
    for _ in range(steps - 1):
        output, hx = net(written[-1], hx)
        written.append(output)
    return torch.cat(written)
