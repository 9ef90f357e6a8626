"""Reservoirs in NumPy: recurrent weights that are drawn, scaled, and left alone."""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_in,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import no_grad, raw
from dlbook_lib.feedforward.autodiff.modules import Buffer, Linear, Module
from dlbook_lib.recurrent.long_term_dependencies import second_derivatives as tensors
from dlbook_lib.recurrent.long_term_dependencies.scratch import square
from dlbook_lib.recurrent.unfolding.scratch import as_values


def spectral_radius(w_hh):
    r"""The largest modulus of an eigenvalue, :math:`\max_i|\lambda_i|`.

    Parameters
    ----------
    w_hh : array_like (H, H)

    Returns
    -------
    float

    >>> round(spectral_radius([[0.0, 2.0], [-2.0, 0.0]]), 9)
    2.0
    """
    return float(abs(np.linalg.eigvals(square(w_hh))).max())


def reservoir_weights(size, radius=0.95, density=0.1, *, rng, dtype=float):
    """A random sparse matrix, scaled until its spectral radius is as wanted.

    Parameters
    ----------
    size : int
        H.
    radius : float
        From 0 up. Below 1 a linear reservoir forgets; just below, it remembers longest.
    density : float
        The share of weights that are not 0, on average.
    rng : numpy.random.Generator
    dtype : dtype

    Returns
    -------
    ndarray (H, H)

    Raises
    ------
    ValueError
        If so few weights are drawn that no eigenvalue is left to scale.

    >>> w = reservoir_weights(50, 0.9, rng=np.random.default_rng(0))
    >>> round(spectral_radius(w), 9)
    0.9
    """
    check_positive(size, "size", integer=True)
    check_number(radius, "radius", 0)
    check_number(density, "density", 0, 1)
    check_rng(rng)
    require(np.isfinite(radius), "radius must be finite; try 0.95")
    w = rng.uniform(-1, 1, (size, size)) * (rng.random((size, size)) < density)
    found = spectral_radius(w)
    sentence = f"all eigenvalues of {size} units with density {density} are 0; raise it"
    require(found > 0, sentence)
    return (w * (radius / found)).astype(dtype)


def nrmse(input, target):
    r"""An error in standard deviations of the target: 1 for who always says its mean.

    .. math:: \sqrt{\frac{\operatorname{mean}(x-y)^2}
              {\operatorname{mean}(y-\bar y)^2}}

    Parameters
    ----------
    input, target : array_like (...)

    Returns
    -------
    float
        Infinite if the target is constant and the input is not that constant.

    >>> nrmse([0.0, 0.0], [1.0, -1.0])
    1.0
    """
    input, target = as_float(input, "input"), as_float(target, "target")
    check_same_shape(input=input, target=target)
    apart, spread = input - target, target - target.mean()
    if target.min() == target.max():
        return float("inf") if apart.any() else 0.0
    size = abs(spread).max()  # so that no square is too large or small
    return float(np.linalg.norm(apart / size) / np.linalg.norm(spread / size))


def fit_readout(states, target, washout=100, alpha=1e-12):
    r"""The V and c that best make targets of states, by penalized least squares.

    .. math:: \min_{V,\mathbf c}\frac1{2K}\lVert X(V\;\mathbf c)^{\mathsf T}-Y\rVert^2
              +\frac\alpha2\lVert(V\;\mathbf c)\rVert^2,\qquad
              \mathbf x=(\mathbf h\;1)

    The states of a reservoir are nearly combinations of each other, and normal
    equations, as `ridge` solves them, square the condition number: digits would be lost
    that predict. So the penalty goes in as a further row for each weight, with target
    0, and least squares does the rest, in float64.

    Parameters
    ----------
    states : array_like (T, N, H)
    target : array_like (T, N, out)
    washout : int
        So many first steps count for nothing: they still hold where it started.
    alpha : float
        The strength of the penalty, 0 or more; K is the number of rows.

    Returns
    -------
    weight, bias : ndarray (out, H), (out,)
        Of the precision of the states.

    >>> h = np.array([1.0, 2.0, 4.0])[:, None, None]
    >>> [w.round(6).tolist() for w in fit_readout(h, 3 * h, 0, 1e-12)]
    [[[3.0]], [0.0]]
    """
    states = as_float(states, "states", ndim=3)
    target = as_float(target, "target", ndim=3)
    check_positive(washout, "washout", integer=True, zero=True)
    check_positive(alpha, "alpha", zero=True)
    check_same_shape(target=target[..., 0], states=states[..., 0])
    check_finite(states, "states")
    check_finite(target, "target")
    left = len(states) - washout
    require(left > 0, f"washout {washout} leaves none of {len(states)} steps")
    h = states[washout:].reshape(-1, states.shape[2]).astype(float)
    columns = np.concatenate([h, np.ones((len(h), 1))], axis=1)  # (K, H + 1)
    wanted = target[washout:].reshape(len(h), -1).astype(float)
    more = (len(h) * alpha) ** 0.5 * np.eye(columns.shape[1])
    rows = np.concatenate([columns, more])
    wanted = np.concatenate([wanted, np.zeros((len(more), wanted.shape[1]))])
    solved = np.linalg.lstsq(rows, wanted)[0].T.astype(states.dtype)  # (out, H + 1)
    return solved[:, :-1], solved[:, -1]


class EchoStateNetwork(Module):
    r"""A recurrent layer that is drawn and never trained; what reads it is solved for.

    .. math:: \mathbf h^{(t)}=(1-a)\mathbf h^{(t-1)}
              +a\tanh(\mathbf b+W\mathbf h^{(t-1)}+U\mathbf x^{(t)}),\qquad
              \mathbf o^{(t)}=\mathbf c+V\mathbf h^{(t)}

    Input and recurrent weights are fixed so that the state's Jacobian has a spectral
    radius near the edge, where it neither forgets nor explodes at once; only V and c
    are fitted, in closed form. Above 1, a linear reservoir explodes, while one of tanh
    units stays between -1 and 1, as they saturate.

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        D, H and the number of outputs.
    radius : float
        Of `weight_hh_l0`; the Jacobian at 0 is then :math:`(1-a)I+aW`.
    density : float
        The share of recurrent weights that are not 0.
    leak : float
        a, the new value's share, :math:`1-\alpha` of a leaky unit; 1 for none.
    input_scale : float
        U and b are uniform between ± this.
    nonlinearity : {"tanh", "relu", "linear"}
    rng : numpy.random.Generator
    dtype : dtype

    Attributes
    ----------
    readout : Linear
        V and c. All else are buffers, named as in torch's `RNN`.

    Source: Jaeger (2001); with leaks, Jaeger et al. (2007).

    >>> net = EchoStateNetwork(1, 50, 1, rng=np.random.default_rng(0))
    >>> x = np.sin(0.3 * np.arange(400.0))[:, None, None]
    >>> output, h_n = net.fit(x[:-1], x[1:])(x[:-1])
    >>> nrmse(output.data[100:], x[101:]) < 0.02
    True
    """

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
        check_positive(input_size, "input_size", integer=True)
        check_positive(hidden_size, "hidden_size", integer=True)
        check_number(leak, "leak", 0, 1)
        check_positive(input_scale, "input_scale", zero=True)
        check_in(nonlinearity, "nonlinearity", ("tanh", "relu", "linear"))
        check_rng(rng)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.leak, self.nonlinearity = leak, nonlinearity
        drawn = [rng.uniform(-1, 1, (hidden_size, input_size))]
        drawn.append(reservoir_weights(hidden_size, radius, density, rng=rng))
        drawn += [rng.uniform(-1, 1, hidden_size), np.zeros(hidden_size)]
        names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
        for name, value in zip(names, drawn, strict=True):
            value = value if name == "weight_hh_l0" else input_scale * value
            setattr(self, name, Buffer(value.astype(dtype)))
        self.readout = Linear(hidden_size, output_size, rng=rng, dtype=dtype)

    def states(self, input, hx=None):
        """States (T, N, H) for input (T, N, D), from hx (1, N, H), 0 unless given."""
        input = as_values(input, "input", 3)
        dtype, size = input.dtype, (1, input.shape[1], self.hidden_size)
        hx = np.zeros(size, dtype) if hx is None else as_values(hx, "hx")
        require(hx.shape == size, f"hx has shape {hx.shape} but must have {size}")
        keep = np.full(self.hidden_size, 1 - self.leak, dtype)
        matrices = self.weight_ih_l0, self.weight_hh_l0
        biases = self.bias_ih_l0, self.bias_hh_l0
        weights = *matrices, keep, *biases
        return tensors.leaky_rnn(input, hx[0], *weights, self.nonlinearity)

    def forward(self, input, hx=None):
        """Outputs (T, N, out), and the last state (1, N, H), for `input` (T, N, D)."""
        h = self.states(input, hx)
        return self.readout(h), h[-1:]

    def fit(self, input, target, washout=100, alpha=1e-12):
        """Solve for the readout by penalized least squares on the states.

        Parameters
        ----------
        input : array_like (T, N, D)
        target : array_like (T, N, out)
        washout, alpha
            As in `fit_readout`.

        Returns
        -------
        EchoStateNetwork
            Itself.
        """
        with no_grad():
            h = raw(self.states(input))
            weight, bias = fit_readout(h, target, washout, alpha)
            same = weight.shape == self.readout.weight.shape
            require(same, f"target {np.shape(target)} does not fit the readout")
            self.readout.weight.copy_(weight)
            self.readout.bias.copy_(bias)
        return self


def continue_series(net, input, steps):
    """Let a reservoir read a series and go on alone: outputs are its next inputs.

    Parameters
    ----------
    net : EchoStateNetwork
        Fitted to predict the next step.
    input : array_like (T, N, D)
        With as many features as there are outputs.
    steps : int

    Returns
    -------
    ndarray (steps, N, D)

    >>> net = EchoStateNetwork(1, 50, 1, rng=np.random.default_rng(0))
    >>> x = np.sin(0.3 * np.arange(420.0))[:, None, None]
    >>> net = net.fit(x[:399], x[1:400])
    >>> nrmse(continue_series(net, x[:400], 20), x[400:]) < 0.01
    True
    """
    is_net = isinstance(net, EchoStateNetwork)
    require(is_net, f"net must be an EchoStateNetwork, not {net!r}", TypeError)
    check_positive(steps, "steps", integer=True)
    wide = len(net.readout.bias)
    require(net.input_size == wide, f"{wide} outputs are no {net.input_size} inputs")
    written = []
    with no_grad():
        output, hx = net(input)
        for _ in range(steps - 1):
            written.append(raw(output)[-1:])
            output, hx = net(written[-1], hx)
    return np.concatenate([*written, raw(output)[-1:]])
