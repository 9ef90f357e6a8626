"""Modules in PyTorch: leaks, clocks and skips; `rng` is a `torch.Generator`."""

import torch
from torch import nn

from dlbook_lib.recurrent.long_term_dependencies.pytorch import (
    as_periods,
    clock_alpha,
    clock_links,
    leaky_inputs_in_one_product,
    leaky_rnn,
    skip_rnn,
)
from dlbook_lib.recurrent.unfolding.layers_pytorch import _drawn

__all__ = ["ClockworkRNN", "LeakyRNN", "SkipRNN"]


class _OneLayer(nn.RNN):
    """The parameters of torch's own `RNN`, one layer (H, D), started by `rng`."""

    def __init__(self, sizes, bias, batch_first, nonlinearity, rng, dtype):
        options = {"batch_first": batch_first, "dtype": dtype}
        super().__init__(*sizes, bias=bias, **options)
        _drawn(self, self.hidden_size**-0.5, rng)
        self.nonlinearity = nonlinearity

    def biases(self):
        """Both (H,), or None twice."""
        return (self.bias_ih_l0, self.bias_hh_l0) if self.bias else (None, None)

    def run(self, f, input, hx, count=1):
        """Output and the last states, (T, N, H) and (count, N, H), of `f(x, hx)`."""
        x = input.transpose(0, 1) if self.batch_first else input
        hx = x.new_zeros(count, x.shape[1], self.hidden_size) if hx is None else hx
        output = f(x, hx)
        h_n = torch.cat([hx, output])[-count:]
        return output.transpose(0, 1) if self.batch_first else output, h_n


class LeakyRNN(_OneLayer):
    """As in scratch, for whole batches: (T, N, D) to (T, N, H) and (1, N, H)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        alpha=0.9,
        learned=False,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        *,
        rng,
        dtype=float,
    ):
        options = bias, batch_first, nonlinearity, rng, dtype
        super().__init__((input_size, hidden_size), *options)
        alpha = torch.as_tensor(alpha, dtype=dtype)
        alpha = alpha.expand(hidden_size).clone()
        self.learned = learned
        if learned:
            self.logit_alpha_l0 = nn.Parameter(alpha.logit())
        else:
            self.register_buffer("alpha_l0", alpha)

    @property
    def alpha(self):
        """As in scratch: (H,)."""
        return self.logit_alpha_l0.sigmoid() if self.learned else self.alpha_l0

    def forward(self, input, hx=None):
        """As in scratch: `input` (T, N, D), `hx` (1, N, H)."""
        weights = self.weight_ih_l0, self.weight_hh_l0, self.alpha, *self.biases()
        options = *weights, self.nonlinearity
        return self.run(lambda x, h: leaky_rnn(x, h[0], *options), input, hx)


class ClockworkRNN(_OneLayer):
    """As in scratch, for whole batches: (T, N, D) to (T, N, H) and (1, N, H)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        periods=(1, 8),
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        *,
        rng,
        dtype=float,
    ):
        options = bias, batch_first, nonlinearity, rng, dtype
        super().__init__((input_size, hidden_size), *options)
        groups = as_periods(periods)
        self.periods = groups.repeat_interleave(hidden_size // len(groups))
        links = clock_links(self.periods).to(dtype)
        self.register_buffer("links", links, persistent=False)

    def forward(self, input, hx=None):
        """As in scratch: `input` (T, N, D), `hx` (1, N, H)."""
        weights = self.weight_ih_l0, self.weight_hh_l0 * self.links

        def f(x, h):
            alpha = clock_alpha(self.periods, len(x)).to(x)
            options = alpha, *self.biases(), self.nonlinearity
            return leaky_rnn(x, h[0], *weights, *options)

        return self.run(f, input, hx)

    def kernel(self, input, batch_sizes, states, weights, reverse=False):
        """As in scratch: rows (K, D) to (K, H)."""
        alpha = clock_alpha(self.periods, len(batch_sizes)).to(input)
        masked = weights[0], weights[1] * self.links, *weights[2:], alpha
        options = reverse, self.nonlinearity
        output, ends, pull = leaky_inputs_in_one_product(
            input, batch_sizes, states, masked, *options
        )

        def pull_masked(doutput, dends):
            dinput, dstates, (dw_ih, dw_hh, *db) = pull(doutput, dends)
            return dinput, dstates, (dw_ih, dw_hh * self.links, *db[:-1])

        return output, ends, pull_masked


class SkipRNN(_OneLayer):
    """As in scratch: (T, N, D) to (T, N, H) and (d, N, H)."""

    def __init__(
        self,
        input_size,
        hidden_size,
        skip=2,
        short=True,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        *,
        rng,
        dtype=float,
    ):
        options = bias, batch_first, nonlinearity, rng, dtype
        super().__init__((input_size, hidden_size), *options)
        self.skip, self.short = skip, short
        bound, start = hidden_size**-0.5, torch.empty_like(self.weight_hh_l0)
        nn.init.uniform_(start, -bound, bound, generator=rng)
        self.weight_skip_l0 = nn.Parameter(start)
        if not short:
            self.weight_hh_l0 = None

    def forward(self, input, hx=None):
        """As in scratch: `input` (T, N, D), `hx` (d, N, H)."""
        weights = self.weight_ih_l0, self.weight_hh_l0, self.weight_skip_l0
        options = *weights, *self.biases(), self.nonlinearity
        return self.run(lambda x, h: skip_rnn(x, h, *options), input, hx, self.skip)
