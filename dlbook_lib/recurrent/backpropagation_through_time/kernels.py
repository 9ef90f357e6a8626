r"""Layers, directions, starting states, dropout and lengths, for any recurrent kernel.

A **kernel** runs one layer in one direction over a whole packed batch, and hands back
its own backward pass::

    output, ends, pull = kernel(input, batch_sizes, states, weights, reverse=False)
    dinput, dstates, dweights = pull(doutput, dends)

with arrays only, where

- `input` is (K, D): the rows of all steps, ordered by time, `batch_sizes` (T,) of them
  at each step, never rising (`steps` gives their places; an ordinary batch (T, N, D) is
  the case that all are N, and K = T N);
- `states` is a tuple of arrays (N, H), one for each kind of state: (h,) for a plain
  network and a GRU, (h, c) for an LSTM. A kernel may not change them;
- `weights` is a tuple: (w_ih, w_hh) or (w_ih, w_hh, b_ih, b_hh), as torch keeps them,
  with `gates` blocks of H rows each;
- with `reverse` time runs backwards, from the end of each sequence to its start;
- `output` is (K, H), the first kind of state after each step, in the place of its row;
- `ends` is a tuple as `states`: what they are after the last step of each sequence;
- `pull` takes the gradients of `output` and of `ends` and gives those of `input`, of
  `states`, and of `weights`, in tuples of the same lengths. It may not change what it
  was given or has kept, since it can run twice.

The rows of sequences that have ended lie behind all others, so one line serves every
length and both directions: ``h[:n] = rule(input[rows], h[:n])``. `before` gives the
state that each row started from, for weight gradients in one product after the loop.

`run_layers` builds a stack of kernels; `RNNBase` makes a module of it, with torch's
names, so a recurrent layer is::

    class GRU(RNNBase):
        gates, state_names = 3, ("h",)
        kernel = staticmethod(gru_at_once)
        cell = staticmethod(gru_step)

The **cell** is what the kernel does at one step, in operations on Tensors::

    states = cell(input, states, *weights)

from (N, D) and a tuple of (N, H) to the next tuple. It serves where the gradient is to
be differentiated again: `layers_of_tensors` unrolls it. Without it a layer can be
differentiated once.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    as_labels,
    check_in,
    check_number,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import fused, raw
from dlbook_lib.feedforward.autodiff.modules import Module, Parameter
from dlbook_lib.recurrent.unfolding.packing import PackedSequence
from dlbook_lib.recurrent.unfolding.scratch import as_values
from dlbook_lib.regularization.dropout.scratch import dropout_mask


def steps(batch_sizes, reverse=False):
    """Where the rows of each step lie: slices, in the order in which time runs.

    >>> steps([3, 2])
    [slice(0, 3, None), slice(3, 5, None)]
    >>> steps([3, 2], reverse=True)
    [slice(3, 5, None), slice(0, 3, None)]
    """
    ends = np.cumsum(batch_sizes).tolist()
    places = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]
    return places[::-1] if reverse else places


def check_kernel(input, batch_sizes, states, weights, gates=1, projects=False):
    """Refuse arguments of a kernel that do not fit together.

    Parameters
    ----------
    input : ndarray (K, D)
    batch_sizes : array_like of int (T,)
        They add up to K and never rise.
    states : tuple of ndarray (N, H)
        N is the first of the batch sizes.
    weights : tuple of ndarray
        (gates H, D), (gates H, H), and perhaps twice (gates H,).
    gates : int
    projects : bool
        Whether a weight (P, H) may stand after all others. If it does, the first state
        is (N, P), and the second weight (gates H, P).

    >>> w = np.ones((5, 4)), np.ones((5, 5))
    >>> check_kernel(np.ones((3, 4)), [2, 2], (np.ones((2, 5)),), w)
    Traceback (most recent call last):
    ValueError: check_kernel: batch_sizes add up to 4 but input has 3 rows
    """
    shape = as_float(input, "input", ndim=2, empty=True).shape
    sizes = as_labels(batch_sizes, "batch_sizes")
    falls = sizes.ndim == 1 and (np.diff(sizes) <= 0).all()
    require(falls, "batch_sizes must be one list that never rises; longest first")
    total, given = int(sizes.sum()), shape[0]
    require(total == given, f"batch_sizes add up to {total} but input has {given} rows")
    groups = {"states": states, "weights": weights}
    for name, group in groups.items():
        sentence = f"{name} must be a tuple of arrays, not {type(group).__name__}"
        require(isinstance(group, (tuple, list)) and group, sentence, TypeError)
    arrays = {f"{n}[{i}]": x for n, g in groups.items() for i, x in enumerate(g)}
    projected = projects and len(weights) % 2 == 1
    few, count = 3 if projected else 2, len(weights)
    sentence = f"weights must be {few} arrays, or {few + 2} with biases, not {count}"
    require(count in (few, few + 2), sentence)
    width, shown = (
        as_float(states[i], f"states[{i}]", ndim=2, empty=True).shape[1]
        for i in (-1, 0 if projected else -1)
    )
    n, rows = int(sizes[0]), gates * width
    shapes = [(n, shown), *[(n, width)] * (len(states) - 1), (rows, shape[1])]
    shapes += [(rows, shown), *[(rows,)] * (count - few), (shown, width)]
    for (name, x), wanted in zip(arrays.items(), shapes, strict=False):
        found = as_float(x, name, empty=True).shape
        require(found == wanted, f"{name} has shape {found} but must have {wanted}")


def before(output, start, batch_sizes, reverse=False):
    """The state that each row began with: that of the step before, or the start.

    Parameters
    ----------
    output : ndarray (K, H)
        The states after each step.
    start : ndarray (N, H)
    batch_sizes : array_like of int (T,)
    reverse : bool

    Returns
    -------
    ndarray (K, H)

    >>> before(np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [9.0]]), [2, 1])
    array([[0.],
           [9.],
           [1.]])
    """
    if batch_sizes[0] == batch_sizes[-1]:  # one length: everything moves by a step
        n = batch_sizes[0]
        moved = (output[n:], start) if reverse else (start, output[: len(output) - n])
        return np.concatenate(moved)
    found, state = np.empty_like(output), start.copy()
    for rows in steps(batch_sizes, reverse):
        n = rows.stop - rows.start
        found[rows] = state[:n]
        state[:n] = output[rows]
    return found


def run_layers(
    kernel, input, batch_sizes, states, weights, bidirectional=False, masks=None
):
    """A stack of recurrent layers: each runs over what the one below it gives.

    Parameters
    ----------
    kernel : callable
        As the module's first lines describe it.
    input : ndarray (K, D)
    batch_sizes : array_like of int (T,)
    states : tuple of ndarray (L, N, H)
        With `bidirectional` (2 L, N, H): the directions of the first layer, and so on.
    weights : list of tuple of ndarray (gates H, D), (gates H, H), ...
        The kernel's, for each layer and direction in this order.
    bidirectional : bool
        Whether a layer also runs from the end, with weights of its own; its output is
        then the two directions' side by side.
    masks : list of ndarray (K, H) or (K, 2 H), optional
        What the output of each layer but the last is multiplied by, as in dropout.

    Returns
    -------
    output : ndarray (K, H) or (K, 2 H)
    ends : tuple of ndarray, as `states`
    pull : callable
        ``dinput, dstates, dweights = pull(doutput, dends)``.
    """
    directions = 2 if bidirectional else 1
    pulls, ends = [], []
    for layer in range(len(weights) // directions):
        if layer and masks:
            input = input * masks[layer - 1]
        outputs = []
        for k in range(layer * directions, (layer + 1) * directions):
            start, reverse = tuple(s[k] for s in states), k % directions == 1
            y, end, pull = kernel(input, batch_sizes, start, weights[k], reverse)
            outputs.append(y)
            ends.append(end)
            pulls.append(pull)
        input = np.concatenate(outputs, axis=1) if bidirectional else outputs[0]

    def pull_all(doutput, dends):
        return pull_layers(pulls, doutput, dends, directions, masks)

    return input, tuple(map(np.stack, zip(*ends, strict=True))), pull_all


def pull_layers(pulls, doutput, dends, directions=1, masks=None):
    """The backward pass of `run_layers`, from the last layer to the first.

    Parameters
    ----------
    pulls : list of callable
        The kernels', for each layer and direction.
    doutput : ndarray (K, H) or (K, 2 H)
    dends : tuple of ndarray (L, N, H) or (2 L, N, H)
    directions : {1, 2}
    masks : list of ndarray (K, H) or (K, 2 H), optional

    Returns
    -------
    dinput : ndarray (K, D)
    dstates : tuple of ndarray, as `dends`
    dweights : list of tuple of ndarray (gates H, D), (gates H, H), ...
    """
    dstates, dweights = [None] * len(pulls), [None] * len(pulls)
    for layer in reversed(range(len(pulls) // directions)):
        dinput = 0
        for d, part in enumerate(np.split(doutput, directions, axis=1)):
            k = layer * directions + d
            dx, dstates[k], dweights[k] = pulls[k](part, tuple(e[k] for e in dends))
            dinput = dx if d == 0 else dinput + dx
        doutput = dinput * masks[layer - 1] if layer and masks else dinput
    return doutput, tuple(map(np.stack, zip(*dstates, strict=True))), dweights


def layer_of_tensors(cell, input, batch_sizes, states, weights, reverse=False):
    """One layer in one direction, a step at a time: a kernel, but for its `pull`.

    Parameters
    ----------
    cell : callable
        ``states = cell(input, states, *weights)``, as the module's first lines say.
    input : Tensor (K, D)
    batch_sizes : array_like of int (T,)
    states : tuple of Tensor (N, H)
    weights : tuple of Tensor (gates H, D), (gates H, H), ...
    reverse : bool

    Returns
    -------
    output : Tensor (K, H)
    ends : list of Tensor (N, H)

    >>> def count(x, states):
    ...     return (states[0] + x,)
    >>> layer_of_tensors(count, np.ones((3, 1)), [2, 1], (np.zeros((2, 1)),), ())[0]
    array([[1.],
           [1.],
           [2.]])
    """
    outputs = []
    for rows in steps(batch_sizes, reverse):
        n = rows.stop - rows.start
        moved = cell(input[rows], [s[:n] for s in states], *weights)
        pairs = zip(moved, states, strict=True)
        states = [operations.cat([new, old[n:]]) for new, old in pairs]
        outputs.append(moved[0])
    return operations.cat(outputs[::-1] if reverse else outputs), states


def layers_of_tensors(
    cell, input, batch_sizes, states, weights, bidirectional=False, masks=None
):
    """`run_layers` in operations on Tensors, to be differentiated any number of times.

    Parameters
    ----------
    cell : callable
        As in `layer_of_tensors`; the other arguments are those of `run_layers`.
    input : Tensor (K, D)
    batch_sizes : array_like of int (T,)
    states : tuple of Tensor (L, N, H)
    weights : list of tuple of Tensor (gates H, D), (gates H, H), ...
    bidirectional : bool
    masks : list of ndarray (K, H) or (K, 2 H), optional

    Returns
    -------
    output : Tensor (K, H) or (K, 2 H)
    ends : list of Tensor, as `states`
    """
    directions = 2 if bidirectional else 1
    ends = []
    for layer in range(len(weights) // directions):
        if layer and masks:
            input = input * masks[layer - 1]
        outputs = []
        for k in range(layer * directions, (layer + 1) * directions):
            start, reverse = [s[k] for s in states], k % directions == 1
            options = input, batch_sizes, start, weights[k], reverse
            y, end = layer_of_tensors(cell, *options)
            outputs.append(y)
            ends.append(end)
        input = operations.cat(outputs, dim=1)
    return input, [operations.stack(kind) for kind in zip(*ends, strict=True)]


def with_results(f, reference=None):
    """Make an operation with several results of a function that knows its backward.

    Parameters
    ----------
    f : callable
        ``results, pull = f(x, ...)``, then ``dx, ... = pull(dresult, ...)``, arrays.
    reference : callable, optional
        ``results = reference(x, ...)``, the same composed of operations on Tensors, as
        in the engine's `fused`.

    Returns
    -------
    callable
        Takes Tensors and gives a list of Tensors. The engine sees one result, a line of
        all numbers, and cuts it up.

    >>> from dlbook_lib.feedforward.autodiff.engine import tensor
    >>> two = with_results(lambda x: ((x, 2 * x), lambda dy, dz: dy + 2 * dz))
    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> y, z = two(x)
    >>> (y + z).backward(np.ones(2))
    >>> x.grad
    tensor([3., 3.])
    """

    def apply(*args):
        shapes = []

        def line(*arrays):
            results, pull = f(*arrays)
            shapes[:] = [y.shape for y in results]
            places = np.cumsum([y.size for y in results])[:-1]

            def pull_line(dy):
                parts = np.split(dy, places)
                return pull(*(p.reshape(s) for p, s in zip(parts, shapes, strict=True)))

            return np.concatenate([y.ravel() for y in results]), pull_line

        def line_of_tensors(*tensors):
            return operations.cat([y.reshape(-1) for y in reference(*tensors)])

        numbers = fused(line, reference and line_of_tensors)(*args)
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes]).tolist()
        cuts = zip([0, *ends], ends, shapes, strict=False)
        return [numbers[a:b].reshape(shape) for a, b, shape in cuts]

    return apply


class RNNBase(Module):
    r"""What `RNN`, `LSTM` and `GRU` share, spelled as in torch; see the module's text.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers : int
    bias : bool
    batch_first : bool
        Whether input and output are (N, T, ...); states never are.
    dropout : float
        The probability to drop what goes from a layer to the next, in training. One
        layer alone drops nothing; torch warns of it.
    bidirectional : bool
    rng : numpy.random.Generator
        It starts the weights, uniform in :math:`\pm1/\sqrt H`, and draws for dropout.
    dtype : dtype
        Of the parameters. Where conventions differ: torch starts with float32.

    Attributes
    ----------
    gates : int
        How many blocks of H rows the weights have; a subclass says it.
    state_names : tuple of str
        One for each kind of state.
    cell : callable or None
        One step on Tensors, if the layer is to be differentiated twice.
    proj_size : int
        How wide the first kind of state is, if not H, as in an `LSTM` that shows less
        than it keeps; its kernel then gets a weight (proj_size, H) after all others.
    """

    gates, state_names, cell, proj_size = 1, ("h",), None, 0

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_positive(input_size, "input_size", integer=True)
        check_positive(hidden_size, "hidden_size", integer=True)
        check_positive(num_layers, "num_layers", integer=True)
        check_positive(self.proj_size, "proj_size", integer=True, zero=True)
        sentence = f"proj_size is {self.proj_size} but must be below hidden_size"
        require(self.proj_size < hidden_size, f"{sentence}, {hidden_size}")
        check_in(bias, "bias", (True, False))
        check_in(batch_first, "batch_first", (True, False))
        check_number(dropout, "dropout", 0, 1)
        check_in(bidirectional, "bidirectional", (True, False))
        check_rng(rng)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.rng = dropout, bidirectional, rng
        directions = ("", "_reverse")[: 1 + bidirectional]
        self.names, wide, bound = [], input_size, hidden_size**-0.5
        for k in range(num_layers):
            for way in directions:
                shapes = self._shapes(wide)
                self.names.append([f"{name}_l{k}{way}" for name in shapes])
                for name, shape in zip(self.names[-1], shapes.values(), strict=True):
                    start = rng.uniform(-bound, bound, shape).astype(dtype)
                    setattr(self, name, Parameter(start))
            wide = self.shown_size * len(directions)

    def _shapes(self, wide):
        """Names and shapes of the weights that a direction needs for (K, wide)."""
        rows, shown = self.gates * self.hidden_size, self.shown_size
        shapes = {"weight_ih": (rows, wide), "weight_hh": (rows, shown)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        if self.proj_size:
            shapes["weight_hr"] = shown, self.hidden_size
        return shapes

    @property
    def shown_size(self):
        """How wide the first kind of state is, and the output of one direction."""
        return self.proj_size or self.hidden_size

    @property
    def all_weights(self):
        """The parameters of each layer and direction, a list of lists."""
        return [[getattr(self, name) for name in names] for names in self.names]

    def kernel(self, input, batch_sizes, states, weights, reverse=False):
        """What one layer does in one direction; a subclass says it."""
        raise NotImplementedError(f"{type(self).__name__} has no kernel; write one")

    def forward(self, input, hx=None):
        """Run over whole sequences.

        Parameters
        ----------
        input : array_like or Tensor (T, N, D), (T, D), or (N, T, D); or PackedSequence
        hx : array_like or Tensor (L, N, H), or a tuple of them, optional
            Where the states start, with 2 L for two directions, and without N for one
            sequence alone; 0 unless given.

        Returns
        -------
        output : Tensor (T, N, H), with 2 H for two directions; or as `input` was
        h_n : Tensor (L, N, H), or a tuple of them
            The states after the last step of each sequence.
        """
        if isinstance(input, PackedSequence):
            sizes = as_labels(input.batch_sizes, "batch_sizes")
            rows, (order, back) = self.check_input(input.data, (2,)), input[2:]
            states = self.start(hx, int(sizes.max()), rows.dtype)
            states = states if order is None else [s[:, order] for s in states]
            output, *ends = self._run(rows, sizes, states)
            ends = ends if order is None else [s[:, back] for s in ends]
            return input._replace(data=output), self._told(ends)
        input = self.check_input(input, (2, 3))
        batched = len(input.shape) == 3
        turned = batched and self.batch_first
        x = operations.transpose(input, 0, 1) if turned else input
        steps, count = x.shape[0], x.shape[1] if batched else 1
        states = self.start(hx, count, input.dtype, batched)
        rows = operations.reshape(x, steps * count, self.input_size)
        output, *ends = self._run(rows, np.full(steps, count), states)
        if not batched:
            return output, self._told([s[:, 0] for s in ends])
        output = output.reshape(steps, count, output.shape[1])
        return output.transpose(0, 1) if turned else output, self._told(ends)

    def check_input(self, input, ndim):
        """`input` (T, N, D), a Tensor or else an array, if it has D and has steps."""
        packed = hasattr(input, "batch_sizes")
        sentence = f"input is a {type(input)}; pass a batch, an array (T, N, D)"
        require(not packed, f"{sentence}, or what this book packs", TypeError)
        input = as_values(input, "input", ndim)
        shape = input.shape
        require(
            shape[-1] == self.input_size,
            f"input {shape} has {shape[-1]} features, not {self.input_size}; "
            "is its last axis the features?",
        )
        time = 1 if len(shape) == 3 and self.batch_first else 0
        require(shape[time], f"input {shape} has no steps; pass at least one")
        return input

    def start(self, hx, count, dtype, batched=True):
        """The states (L, N, H) to start from, a list: `hx`, or zeros if it is None."""
        layers = self.num_layers * (2 if self.bidirectional else 1)
        kinds = len(self.state_names)
        widths = [self.shown_size, *[self.hidden_size] * (kinds - 1)]
        if hx is None:
            return [np.zeros((layers, count, width), dtype) for width in widths]
        hx = (hx,) if kinds == 1 else hx
        names = ", ".join(f"{name}_0" for name in self.state_names)
        is_tuple = isinstance(hx, (tuple, list)) and len(hx) == kinds
        require(is_tuple, f"hx must be a tuple ({names}), not {hx!r}", TypeError)
        hx = [as_values(s, f"{n}_0") for n, s in zip(self.state_names, hx, strict=True)]
        for name, s, width in zip(self.state_names, hx, widths, strict=True):
            shape, found = (layers, *([count] if batched else []), width), s.shape
            sentence = f"{name}_0 has shape {found} but must have {shape}: layers and "
            require(found == shape, f"{sentence}directions, sequences, units")
        return [s if batched else operations.unsqueeze(s, 1) for s in hx]

    def _run(self, input, batch_sizes, states):
        """Output (K, H) and ends (L, N, H) of rows (K, D), Tensors."""
        kinds, groups = len(self.state_names), [len(names) for names in self.names]
        masks = self._masks(len(input), raw(input).dtype)

        def arguments(input, *rest):
            each = iter(rest[kinds:])
            weights = [tuple(next(each) for _ in range(n)) for n in groups]
            return input, batch_sizes, rest[:kinds], weights, self.bidirectional, masks

        def run(*arrays):
            output, ends, pull = run_layers(self.kernel, *arguments(*arrays))

            def pull_results(doutput, *dends):
                dinput, dstates, dweights = pull(doutput, dends)
                return dinput, *dstates, *(d for group in dweights for d in group)

            return (output, *ends), pull_results

        def run_of_tensors(*tensors):
            output, ends = layers_of_tensors(self.cell, *arguments(*tensors))
            return output, *ends

        weights = [p for group in self.all_weights for p in group]
        reference = self.cell and run_of_tensors
        return with_results(run, reference)(input, *states, *weights)

    def _masks(self, rows, dtype):
        """Dropout masks for what goes from a layer to the next, or None."""
        if not (self.training and self.dropout and self.num_layers > 1):
            return None
        shape = rows, self.shown_size * (2 if self.bidirectional else 1)
        drawn = range(self.num_layers - 1)
        return [
            dropout_mask(shape, self.dropout, rng=self.rng, dtype=dtype) for _ in drawn
        ]

    def _told(self, ends):
        """The ends as torch hands them back: alone, or a tuple."""
        return ends[0] if len(ends) == 1 else tuple(ends)

    def extra_repr(self):
        """Sizes and options, as torch prints them."""
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False}
        usual |= {"dropout": 0.0, "bidirectional": False}
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text
