"""Modules: recurrent layers with leaks, with clocks and with links that skip."""

from functools import partial
from itertools import count

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_between,
    check_in,
    check_positive,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.modules import Buffer, Parameter
from dlbook_lib.recurrent.backpropagation_through_time.kernels import RNNBase
from dlbook_lib.recurrent.long_term_dependencies import second_derivatives as tensors
from dlbook_lib.recurrent.long_term_dependencies.scratch import (
    as_periods,
    clock_alpha,
    clock_links,
    leaky_inputs_in_one_product,
)
from dlbook_lib.recurrent.unfolding.scratch import as_values


class LeakyRNN(RNNBase):
    r"""`leaky_rnn` with its parameters: weights as torch names them, and `alpha`.

    Parameters
    ----------
    input_size, hidden_size : int
    alpha : float or array_like (H,)
        What units keep in a step, at the start if it is learned. Shares of several
        sizes give one layer several time scales.
    learned : bool
        Whether alpha is learned, as :math:`\sigma` of the parameter `logit_alpha_l0`;
        else it is the buffer `alpha_l0`.
    nonlinearity : {"tanh", "relu", "linear"}
    bias, batch_first : bool
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = LeakyRNN(2, 3, alpha=0.9, learned=True, rng=np.random.default_rng(0))
    >>> net(np.ones((7, 5, 2)))[0].shape, net.alpha.data.round(6)
    ((7, 5, 3), array([0.9, 0.9, 0.9]))
    """

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
        options = 1, bias, batch_first
        super().__init__(input_size, hidden_size, *options, rng=rng, dtype=dtype)
        check_in(learned, "learned", (True, False))
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu", "linear"))
        alpha = as_float(alpha, "alpha", ndim=(0, 1)).astype(dtype)
        check_between(alpha, "alpha", 0, 1)
        fits = alpha.shape in ((), (hidden_size,))
        require(fits, f"alpha {alpha.shape} must be (H,)")
        alpha = np.broadcast_to(alpha, hidden_size).copy()
        inside = not learned or ((alpha > 0) & (alpha < 1)).all()
        require(inside, "alpha must lie between 0 and 1, not at an end, to be learned")
        if learned:
            self.logit_alpha_l0 = Parameter(np.log(alpha) - np.log1p(-alpha))
        else:
            self.alpha_l0 = Buffer(alpha)
        self.learned, self.nonlinearity = learned, nonlinearity
        self.names = [[*self.names[0], "alpha"]]
        self.kernel = partial(leaky_inputs_in_one_product, nonlinearity=nonlinearity)
        self.cell = partial(tensors.leaky_step, nonlinearity=nonlinearity)

    @property
    def alpha(self):
        """What each unit keeps in a step, a Tensor (H,)."""
        return self.logit_alpha_l0.sigmoid() if self.learned else self.alpha_l0


class ClockworkRNN(RNNBase):
    r"""Groups of units with a clock each: fine and coarse time scales in one layer.

    A unit moves at the steps that its period divides, and stays as it is in between: a
    leaky unit whose :math:`\alpha` is 0 at a tick of its clock and else 1. On the way
    back, the gradient passes a step in which it stays unchanged.

    Parameters
    ----------
    input_size, hidden_size : int
        H must be a whole number of groups.
    periods : list of int
        One for each group of units, all of one size.
    nonlinearity : {"tanh", "relu", "linear"}
    bias, batch_first : bool
    rng : numpy.random.Generator
    dtype : dtype

    The clocks start with the sequence. To hand a state on to a further piece, let every
    period divide the length of a piece.

    Source: El Hihi and Bengio (1995); Koutník et al. (2014).

    >>> net = ClockworkRNN(2, 4, (1, 8), rng=np.random.default_rng(0))
    >>> h = net(np.ones((9, 5, 2)))[0].data
    >>> bool((h[0, :, 2:] == h[7, :, 2:]).all()), bool((h[0] == h[8]).any())
    (True, False)
    """

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
        options = 1, bias, batch_first
        super().__init__(input_size, hidden_size, *options, rng=rng, dtype=dtype)
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu", "linear"))
        groups = as_periods(periods)
        require(
            hidden_size % len(groups) == 0,
            f"hidden_size {hidden_size} must be a whole number of groups; there are "
            f"{len(groups)} periods",
        )
        self.nonlinearity = nonlinearity
        self.periods = np.repeat(groups, hidden_size // len(groups))
        self.links = clock_links(self.periods).astype(dtype)

    @property
    def cell(self):
        """One step on Tensors, of a clock that starts anew for each run."""
        ticks = count()

        def step(input, states, w_ih, w_hh, *biases):
            stays = (next(ticks) % self.periods != 0).astype(input.dtype)
            weights = w_ih, w_hh * self.links, *biases, stays
            return tensors.leaky_step(
                input, states, *weights, nonlinearity=self.nonlinearity
            )

        return step

    def kernel(self, input, batch_sizes, states, weights, reverse=False):
        """`leaky_inputs_in_one_product` with ticking leaks and links left out."""
        alpha = clock_alpha(self.periods, len(batch_sizes)).astype(input.dtype)
        masked = weights[0], weights[1] * self.links, *weights[2:], alpha
        options = reverse, self.nonlinearity
        output, ends, pull = leaky_inputs_in_one_product(
            input, batch_sizes, states, masked, *options
        )

        def pull_masked(doutput, dends):
            dinput, dstates, (dw_ih, dw_hh, *db) = pull(doutput, dends)
            return dinput, dstates, (dw_ih, dw_hh * self.links, *db[:-1])

        return output, ends, pull_masked


class SkipRNN(RNNBase):
    r"""`skip_rnn` with its parameters: torch's names, and `weight_skip_l0` (H, H).

    Parameters
    ----------
    input_size, hidden_size : int
    skip : int
        d, how far the long links reach.
    short : bool
        Whether there are links of length one as well; else there is no `weight_hh_l0`,
        and the layer is d plain networks that take turns.
    nonlinearity : {"tanh", "relu"}
    bias, batch_first : bool
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = SkipRNN(2, 3, skip=4, rng=np.random.default_rng(0))
    >>> output, h_n = net(np.ones((7, 5, 2)))
    >>> output.shape, h_n.shape, list(net.state_dict())[-1]
    ((7, 5, 3), (4, 5, 3), 'weight_skip_l0')
    """

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
        options = 1, bias, batch_first
        super().__init__(input_size, hidden_size, *options, rng=rng, dtype=dtype)
        check_positive(skip, "skip", integer=True)
        check_in(short, "short", (True, False))
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu"))
        self.skip, self.short, self.nonlinearity = skip, short, nonlinearity
        bound, shape = hidden_size**-0.5, (hidden_size, hidden_size)
        start = rng.uniform(-bound, bound, shape).astype(dtype)
        self.weight_skip_l0 = Parameter(start)
        if not short:
            self.weight_hh_l0 = None

    def forward(self, input, hx=None):
        """States, and the last d of them, for the next piece.

        Parameters
        ----------
        input : array_like or Tensor (T, N, D), or (N, T, D)
        hx : array_like or Tensor (d, N, H), optional
            The states before the first step; 0 unless given.

        Returns
        -------
        output : Tensor (T, N, H), or (N, T, H)
        h_n : Tensor (d, N, H)
        """
        input = self.check_input(input, 3)
        x = operations.transpose(input, 0, 1) if self.batch_first else input
        if hx is None:
            shape = self.skip, x.shape[1], self.hidden_size
            hx = np.zeros(shape, input.dtype)
        hx = as_values(hx, "hx", 3)
        found = hx.shape[0]
        require(found == self.skip, f"hx holds {found} states; pass {self.skip}")
        biases = (self.bias_ih_l0, self.bias_hh_l0) if self.bias else (None, None)
        weights = self.weight_ih_l0, self.weight_hh_l0, self.weight_skip_l0, *biases
        output = tensors.skip_rnn(x, hx, *weights, self.nonlinearity)
        h_n = operations.cat([hx, output])[-self.skip :]
        return output.transpose(0, 1) if self.batch_first else output, h_n
