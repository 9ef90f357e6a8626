"""Reverse-mode automatic differentiation on NumPy arrays, to any order.

A `Tensor` is an array that remembers how it was computed. A *primitive* is a NumPy
function with one rule for each argument,

    rule(g, y, *args) = g · ∂y/∂arg,

which turns `g`, the gradient with respect to the result `y`, into the one with respect
to that argument. Rules use only what arrays and Tensors have in common, so one line
serves twice: fed with arrays it is a plain, fast backward pass; fed with Tensors it is
recorded like everything else and can be differentiated again.

The table of primitives is `operations.py`, which also gives a Tensor its operators and
methods: import it beside this module.
"""

from contextlib import contextmanager
from inspect import signature
from itertools import compress, count
from weakref import ref

import numpy as np

from dlbook_lib.common.checks import require

_recording = True
_clock = count(1).__next__  # results and changes in place get ages 1, 2, 3, …
_changes = {}  # id of an array that was changed: how often, when, recorded when, ref
_last_change = 0  # the latest of these times


class Tensor:
    """An array that can be differentiated with respect to.

    Parameters
    ----------
    data : array_like (...)
        An array is shared, not copied (`tensor` copies). Lists of floats become
        float64.
    requires_grad : bool
        Whether gradients with respect to this tensor are wanted.
    dtype : dtype, optional
        What to convert `data` to.

    Attributes
    ----------
    data : ndarray (...)
        The numbers. The version counter does not see what is written to them directly.
    grad : Tensor (...) or None
        What `backward` has added up so far; only leaves get one.
    node : tuple or None
        How a result came about: the rules, the arguments that they belong to, all
        arguments as arrays, all arguments, the name of the operation. None for a leaf.
    age : int
        When a result was computed, so that it is younger than its arguments; 0 for a
        leaf, -1 for a result that was not recorded.
    past : Tensor or None
        What it was before it was last changed in place.

    Where conventions differ: torch turns lists of floats into float32.

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = (
        "__weakref__",
        "age",
        "data",
        "grad",
        "node",
        "past",
        "requires_grad",
    )
    __array_ufunc__ = None  # array * Tensor asks the Tensor

    def __init__(self, data, requires_grad=False, dtype=None):
        self.data = _as_array(data, dtype)
        self.grad = self.node = self.past = None
        self.age = 0
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    dtype = property(lambda self: self.data.dtype)
    is_leaf = property(lambda self: self.node is None)
    op = property(lambda self: self.node[4] if self.node else "")
    _version = property(lambda self: _change_of(self.data)[0])

    @property
    def parents(self):
        """The tensors it was computed from; none for what was not recorded."""
        args = self.node[3] if self.node else ()
        return tuple(_as_of(x, self.age) for x in args if isinstance(x, Tensor))

    def requires_grad_(self, requires_grad=True):
        """Ask for gradients with respect to this tensor, or no longer."""
        if requires_grad and self.data.dtype.kind not in "fc":
            raise TypeError(
                f"requires_grad: only floating-point tensors have gradients, not "
                f"{self.dtype} (shape {self.shape}); try dtype=float"
            )
        self.requires_grad = bool(requires_grad)
        return self

    def backward(self, gradient=None, retain_graph=None, create_graph=False):
        """Add the gradient of this tensor to `grad` of every leaf it depends on.

        Parameters
        ----------
        gradient : Tensor or array_like (...), optional
            Gradient of something with respect to this tensor, in its shape. It may be
            left out if the tensor holds one number.
        retain_graph : bool, optional
            Keep the graph for another call, instead of freeing it on the way. None
            means `create_graph`.
        create_graph : bool
            Record the backward pass too, so that it can be differentiated. The
            gradients then refer to the leaves and the leaves to them: set `grad` to
            None in the end, or use `grad`, the function.
        """
        found = _seeds([self], [gradient], create_graph, "backward")
        given = [raw(g) for g in found.values()]
        order, leaves = _graph([self])
        keep = create_graph if retain_graph is None else retain_graph
        with _grad_mode(create_graph):
            _pull_back(order, found, (), create_graph, keep)
            _accumulate(leaves, found, given)

    def item(self):
        """The only number, as Python's own."""
        require(
            self.data.size == 1,
            f"a tensor of shape {self.shape} is not one number; try .tolist()",
        )
        return self.data.item()

    def numpy(self):
        """The array (...) itself, shared, not copied."""
        require(
            not self.requires_grad,
            "the array of a tensor that requires grad would lose its history; "
            "try .detach().numpy()",
            RuntimeError,
        )
        return self.data

    def detach(self):
        """The same numbers in a tensor that is not differentiated."""
        return Tensor(self.data)

    def tolist(self):
        """The numbers in nested lists."""
        return self.data.tolist()

    def size(self, dim=None):
        """The shape, or its entry `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self):
        """How many numbers it holds."""
        return self.data.size

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __len__(self):
        require(self.ndim, "a tensor without dimensions has no length", TypeError)
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __format__(self, spec):
        return format(self.item(), spec) if spec else repr(self)

    def __repr__(self):
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        if self.op:
            text += f", op={self.op!r}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"


def tensor(data, *, dtype=None, requires_grad=False):
    """A leaf with a copy of `data` (...).

    >>> tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    return Tensor(np.array(_as_array(data, dtype)), requires_grad)


def raw(x):
    """The array (...) of a Tensor (...); anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def _as_array(data, dtype=None):
    data = raw(data)
    if type(data) is np.ndarray and dtype is None and data.dtype.kind in "fc":
        return data
    try:
        data = np.asarray(data, dtype)
    except (ValueError, TypeError) as fault:
        raise type(fault)(f"tensor: this is no array of numbers: {fault}") from None
    if data.dtype.kind not in "biufc":
        raise TypeError(f"tensor: it holds numbers, not {data.dtype} {data.shape}")
    return data


# ---- whether operations are recorded -----------------------------------------------


@contextmanager
def _grad_mode(on):
    global _recording
    before, _recording = _recording, on
    try:
        yield
    finally:
        _recording = before


def no_grad():
    """Record nothing: ``with no_grad(): ...``, or ``@no_grad()`` above a function.

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> x = tensor(3.0, requires_grad=True)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return _grad_mode(False)


def enable_grad():
    """Record again, within `no_grad`."""
    return _grad_mode(True)


def is_grad_enabled():
    """Whether operations are recorded."""
    return _recording


# ---- forward: an operation and its node ----------------------------------------------


def primitive(f, *rules, joint=None, name=None):
    """Make a function of arrays differentiable.

    Parameters
    ----------
    f : callable
        ``y = f(*args)``, arrays in, array out.
    *rules : callable or None
        ``rule(g, y, *args)`` for each argument that may be a Tensor with a gradient.
        The gradient may be larger than the argument, if `f` broadcasts: what was
        stretched is summed afterwards. A name with a leading underscore tells that
        the rule does not look at those numbers (only at the shape, perhaps), so that
        they may change between forward and backward.
    joint : callable, optional
        Instead of `rules`: ``joint(g, y, *args)`` gives the gradients of all arguments.
    name : str, optional
        What graphs and errors call it.

    Returns
    -------
    callable
        Takes arrays and gives an array, or takes Tensors and gives a Tensor (...).

    >>> cube = primitive(lambda x: x**3, lambda g, _y, x: g * 3 * x**2, name="cube")
    >>> x = tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """
    if not callable(f):
        raise TypeError(f"primitive: f must be a function of arrays, not {f!r}")
    name = name or f.__name__
    if joint or None in rules or len(rules) > 2:
        apply = _of_many(f, rules, joint, name)
    else:
        apply = (_of_one if len(rules) == 1 else _of_two)(f, *rules, name)
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"{name} of arrays or Tensors (...), differentiable."
    apply.f = f
    return apply


def _of_one(f, rule, name):
    """An operation on one Tensor, with any options."""
    rules = (rule,)

    def apply(x, *options):
        array = x.data if isinstance(x, Tensor) else x
        try:
            y = f(array, *options)
        except _FAULTS as fault:
            _explain(name, (x, *options), fault)
        if array is x:
            return y
        if not (x.requires_grad and _recording):
            return _unrecorded(y)
        out = _new(Tensor)  # as in _recorded; the call would cost a tenth
        out.data = y if type(y) is _ndarray else np.asarray(y)
        out.grad = out.past = None
        out.requires_grad = True
        out.node = rules, (x,), (array, *options), (x, *options), name
        out.age = _clock()
        return out

    return apply


def _of_two(f, rule_a, rule_b, name):
    """An operation on two arguments, one of them or both Tensors."""
    both, only_a, only_b = (rule_a, rule_b), (rule_a,), (rule_b,)

    def apply(a, b):
        array_a, array_b, args, rules = a, b, (a, b), None
        if isinstance(a, Tensor):
            array_a = a.data
            if a.requires_grad:
                rules, parents = only_a, (a,)
        if isinstance(b, Tensor):
            array_b = b.data
            if b.requires_grad:
                rules, parents = (both, args) if rules else (only_b, (b,))
        try:
            y = f(array_a, array_b)
        except _FAULTS as fault:
            _explain(name, args, fault)
        if rules is None or not _recording:
            return y if array_a is a and array_b is b else _unrecorded(y)
        out = _new(Tensor)  # as in _recorded; the call would cost a tenth
        out.data = y if type(y) is _ndarray else np.asarray(y)
        out.grad = out.past = None
        out.requires_grad = True
        out.node = rules, parents, (array_a, array_b), args, name
        out.age = _clock()
        return out

    return apply


def _of_many(f, rules, joint, name):
    """An operation on any number of arguments, with a rule each or a joint one."""

    def apply(*args):
        arrays = [raw(x) for x in args]
        try:
            y = f(*arrays)
        except _FAULTS as fault:
            _explain(name, args, fault)
        if not any(isinstance(x, Tensor) for x in args):
            return y
        needs = [isinstance(x, Tensor) and x.requires_grad for x in args]
        if not (any(needs) and _recording):
            return _unrecorded(y)
        for i in [] if joint else compress(range(len(args)), needs):
            if i >= len(rules) or rules[i] is None:
                raise TypeError(f"{name}: argument {i} has no gradient; detach it")
        chosen = _Joint(joint, needs) if joint else tuple(compress(rules, needs))
        return _recorded(y, chosen, tuple(compress(args, needs)), arrays, args, name)

    return apply


class _Joint:
    """One rule for all arguments, reduced to those that need a gradient."""

    def __init__(self, rule, needs):
        self.rule, self.needs = rule, needs

    def __call__(self, g, y, *args):
        return compress(self.rule(g, y, *args), self.needs)


def _recorded(y, rules, parents, arrays, args, name):
    """A Tensor around the array `y` that knows how it came about."""
    out = _new(Tensor)  # without __init__, which would check and take longer
    out.data = y if type(y) is _ndarray else np.asarray(y)
    out.grad = out.past = None
    out.requires_grad = True
    out.node = rules, parents, arrays, args, name
    out.age = _clock()
    return out


def _unrecorded(y):
    """A Tensor around the array `y` that does not."""
    out = _new(Tensor)
    out.data = y if type(y) is _ndarray else np.asarray(y)
    out.grad = out.past = out.node = None
    out.requires_grad = False
    out.age = -1
    return out


_new, _ndarray = Tensor.__new__, np.ndarray
_FAULTS = ValueError, TypeError, IndexError, AttributeError


def _explain(name, args, fault):
    """Say what an operation was given, and why it cannot take it."""
    given = ", ".join(
        f"{x.dtype} {x.shape}" if isinstance(x, (Tensor, np.ndarray)) else repr(x)
        for x in args
    )
    why = str(fault)
    if "operands could not be broadcast" in why:
        why = (
            "these shapes do not go together; counted from the right, lengths must be "
            "equal or one of them 1"
        )
    elif "ufunc" in why or isinstance(fault, AttributeError):
        why = "it takes Tensors, arrays and numbers"
    kinds = (k for k in (ValueError, IndexError) if isinstance(fault, k))
    kind = next(kinds, TypeError)
    raise kind(f"{name}: cannot work on ({given}): {why}") from None


# ---- in which order ----------------------------------------------------------------


class _Freed:
    """What stands for the node of a result that a backward pass has been through."""

    def __getitem__(self, _):
        raise RuntimeError(
            "backward: this part of the graph was freed by an earlier backward pass; "
            "pass retain_graph=True to the earlier one, or compute it anew"
        )

    def __bool__(self):
        return False


_FREED = _Freed()


def _graph(outputs):
    """The results that `outputs` depend on, oldest first, and the leaves below them.

    By age every result comes after its arguments. There is no recursion, so that a
    graph may be as deep as memory allows.
    """
    leaves = {t for t in outputs if t.node is None}
    todo = [t for t in outputs if t.node is not None]
    seen = {t.age: t for t in todo}
    while todo:
        t = todo.pop()
        for x in t.node[1]:
            age = x.age
            if age > t.age:
                x = _mend(t, x)
                age = x.age
            if age <= 0:
                leaves.add(x)
            elif age not in seen:
                seen[age] = x
                todo.append(x)
    return [seen[age] for age in sorted(seen)], leaves


def _leading_to(wanted, order):
    """Those of `order` through which a gradient reaches what is wanted."""
    useful = set(wanted)
    for t in order:
        if any(x in useful for x in t.node[1]):
            useful.add(t)
    return [t for t in order if t in useful]


def topological_order(tensor):
    """A Tensor and all that it was computed from, arguments before results.

    Tensors that need no gradient are there too, as leaves.

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> x = tensor(3.0, requires_grad=True)
    >>> [t.op or "leaf" for t in topological_order((x * x + x).exp())]
    ['leaf', 'mul', 'add', 'exp']
    """
    seen, todo = {tensor}, [tensor]
    while todo:
        for x in todo.pop().parents:
            if x not in seen:
                seen.add(x)
                todo.append(x)
    return sorted(seen, key=lambda t: t.age)


# ---- backward ----------------------------------------------------------------------


def _pull_back(order, found, inner, create_graph, keep):
    """Go through `order` from its end and add up gradients.

    Parameters
    ----------
    order : list of Tensor
        Results, oldest first. It is emptied, so that memory is free as early as can be.
    found : dict of Tensor to ndarray or Tensor (...)
        Gradients with respect to the outputs. In the end, those with respect to leaves
        and to `inner`.
    inner : set of Tensor
        Results whose gradients are wanted.
    create_graph, keep : bool
        Whether rules are fed with Tensors, and whether nodes are kept.
    """
    get, pop, kept = found.get, found.pop, {}
    changed = bool(order) and order[0].age < _last_change
    while order:
        t = order.pop()
        g = pop(t, None)
        if g is None:
            continue
        if inner and t in inner:
            kept[t] = g
        if changed:
            _check_unchanged(t)
        rules, parents, arrays, args, _ = t.node
        y, inputs = (t, args) if create_graph else (t.data, arrays)
        if type(rules) is not tuple:  # one for all
            rules = [_constant(dx) for dx in rules(g, y, *inputs)]
        if len(inputs) == 1:
            (rule,), (x,) = rules, parents
            dx, old = rule(g, y, inputs[0]), get(x)
            found[x] = dx if old is None else old + dx
        else:
            two = len(inputs) == 2
            if two:  # a call with *inputs would take twice as long
                a, b = inputs
            for x, rule in zip(parents, rules):  # noqa: B905 (strict=True takes time)
                dx = rule(g, y, a, b) if two else rule(g, y, *inputs)
                if dx.shape != x.data.shape:
                    dx = sum_to(dx, x.data.shape)
                old = get(x)
                found[x] = dx if old is None else old + dx
        if not keep:
            t.node = _FREED
    found.update(kept)


def _constant(dx):
    return lambda *_: dx


def _seeds(outputs, gradients, create_graph, caller):
    """The gradients with which a backward pass starts, by output."""
    seeds = {}
    for y, g in zip(outputs, gradients, strict=True):
        if not y.requires_grad:
            raise RuntimeError(
                f"{caller}: this tensor of shape {y.shape} does not depend on any that "
                "requires grad; was it computed under no_grad or from detached ones?"
            )
        if g is None and y.data.size != 1:
            raise ValueError(
                f"{caller}: a tensor of shape {y.shape} is not one number; sum it "
                "first, or pass the gradient with respect to it, in its shape"
            )
        if g is None:
            g = np.ones_like(y.data)
        elif not isinstance(g, Tensor):
            g = _as_array(g, y.dtype)
        if g.shape != y.shape:
            raise ValueError(
                f"{caller}: the gradient has shape {g.shape} but the tensor {y.shape}; "
                "pass the gradient with respect to this tensor"
            )
        if isinstance(g, Tensor) is not bool(create_graph):
            g = Tensor(g) if create_graph else g.data
        seeds[y] = seeds[y] + g if y in seeds else g
    return seeds


def _accumulate(leaves, found, given):
    """Add what was found to `grad` of each leaf, whose array belongs to nobody else."""
    taken = {id(array) for array in given}
    for leaf in leaves:
        g = found.get(leaf)
        if g is None:
            continue
        g = _as_gradient_of(leaf, g)
        if leaf.grad is not None:
            g = leaf.grad + g
        elif g.node is None and (g.data.base is not None or id(g.data) in taken):
            g = Tensor(g.data.copy())
        taken.add(id(g.data))
        leaf.grad = g


def _as_gradient_of(x, g):
    """A Tensor with the gradient `g`, in the shape and precision of the Tensor `x`."""
    if g.shape != x.shape:
        raise ValueError(
            f"backward: a rule gave a gradient of shape {g.shape} for a tensor of "
            f"shape {x.shape}; they must agree"
        )
    if isinstance(g, Tensor):
        return g if g.dtype == x.dtype else to(g, x.dtype)
    return Tensor(np.asarray(g, x.dtype))


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    allow_unused=False,
):
    """Gradients of the sum of `outputs` with respect to `inputs`.

    Parameters
    ----------
    outputs, inputs : Tensor (...) or sequence of Tensor (...)
    grad_outputs : Tensor, array_like (...) or sequence of them, optional
        For each output the gradient with respect to it, in its shape: the vector of a
        vector-Jacobian product. None for outputs of one number.
    retain_graph : bool, optional
        Keep the graph for another call; None means `create_graph`.
    create_graph : bool
        Record the backward pass, so that the result can be differentiated again.
    allow_unused : bool
        Give None for an input that the outputs do not depend on, instead of an error.

    Returns
    -------
    tuple of Tensor
        One for each input, in its shape (...).

    >>> from dlbook_lib.feedforward.autodiff import operations
    >>> x = tensor(2.0, requires_grad=True)
    >>> (slope,) = grad(x**3, x, create_graph=True)
    >>> slope
    tensor(12., op='mul')
    >>> grad(slope, x)
    (tensor(12.),)
    """
    outputs, inputs = _listed(outputs, "outputs"), _listed(inputs, "inputs")
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif isinstance(grad_outputs, (Tensor, np.ndarray)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: there are {len(outputs)} outputs but {len(grad_outputs)} "
            "grad_outputs; give one for each"
        )
    found = _seeds(outputs, grad_outputs, create_graph, "grad")
    order, leaves = _graph(outputs)
    wanted = set(inputs)
    if not leaves <= wanted:
        order = _leading_to(wanted, order)
    keep = create_graph if retain_graph is None else retain_graph
    with _grad_mode(create_graph):
        _pull_back(order, found, wanted - leaves, create_graph, keep)
        return tuple(_handed_out(x, found, allow_unused) for x in inputs)


def _listed(tensors, name):
    if isinstance(tensors, Tensor):
        return [tensors]
    tensors = list(tensors) if np.iterable(tensors) else [tensors]
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"grad: {name} must be Tensors, not {t!r}")
    return tensors


def _handed_out(x, found, allow_unused):
    if x in found:
        return _as_gradient_of(x, found[x])
    if not allow_unused:
        raise RuntimeError(
            f"grad: the outputs do not depend on an input of shape {x.shape}, or it "
            "does not require grad; allow_unused=True gives None for it"
        )
    return None


# ---- broadcasting, copies: what the engine itself needs ------------------------------


def _sum_to(x, shape):
    """Sum `x` (...) along what broadcasting had stretched from `shape`."""
    lead = x.ndim - len(shape)
    inner = [lead + i for i, n in enumerate(shape) if n == 1 != x.shape[lead + i]]
    return x.sum((*range(lead), *inner), keepdims=True).reshape(shape)


sum_to = primitive(
    _sum_to, lambda g, _y, _x, _shape: expand(g, _x.shape), name="sum_to"
)
# the gradient g is larger than what was expanded, so `_pull_back` sums it
expand = primitive(np.broadcast_to, lambda g, _y, _x, _shape: g, name="expand")
clone = primitive(np.copy, lambda g, _y, _x: g, name="clone")
to = primitive(
    lambda x, dtype: x.astype(dtype),
    lambda g, _y, _x, _dtype: to(g, _x.dtype),
    name="to",
)


# ---- pairs written by hand ---------------------------------------------------------


def register(f, f_backward, reference=None):
    """Make an operation on Tensors of a pair of functions on arrays.

    Parameters
    ----------
    f : callable
        ``y = f(x, ...)``, arrays in, array out.
    f_backward : callable
        ``dx, ... = f_backward(dy, x, ...)``: one gradient, or a tuple for the first
        arguments in their order. Arguments after them are data.
    reference : callable, optional
        The same as `f`, composed of operations on Tensors. It is what is differentiated
        if a derivative of the derivative is asked for (``create_graph=True``).

    Returns
    -------
    callable
        Takes the arguments of `f`, Tensors among them, and gives a Tensor (...).

    >>> cube = register(lambda x: x**3, lambda dy, x: dy * 3 * x**2)
    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).backward(np.ones(2))
    >>> x.grad
    tensor([ 3., 12.])
    """

    def kernel(*arrays):
        return f(*arrays), lambda dy: f_backward(dy, *arrays)

    return _from_kernel(kernel, f, reference)


def fused(kernel, reference=None):
    """Make an operation of a function that hands back its own backward pass.

    Parameters
    ----------
    kernel : callable
        ``y, pull = kernel(x, ...)``; then ``pull(dy)`` gives what the second of a pair
        gives in `register`, from whatever the first half has left ready. It must not
        change that: it runs again if the graph is retained.
    reference : callable, optional
        As in `register`.

    Returns
    -------
    callable
        As in `register`: it gives a Tensor (...).
    """
    return _from_kernel(kernel, kernel, reference)


def _from_kernel(kernel, f, reference):
    name = f.__name__

    def apply(*args, **options):
        if options:  # a node has no names, only places
            bound = signature(f).bind(*args, **options)
            bound.apply_defaults()
            args = bound.args
        y, pull = kernel(*[raw(x) for x in args])
        if not any(isinstance(x, Tensor) for x in args):
            return y
        needs = [isinstance(x, Tensor) and x.requires_grad for x in args]
        if not (any(needs) and _recording):
            return _unrecorded(y)

        def rule(g, _y, *inputs):
            if isinstance(g, Tensor):
                return _by_reference(name, reference, inputs, needs, g)
            return _by_hand(name, pull(g), needs)

        arrays, parents = [raw(x) for x in args], tuple(compress(args, needs))
        return _recorded(y, rule, parents, arrays, args, name)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f.__doc__
    return apply


def _by_hand(name, gradients, needs):
    """Those of the gradients of a pair that are needed."""
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    gradients += (None,) * (len(needs) - len(gradients))
    gradients = list(compress(gradients, needs))
    if any(g is None for g in gradients):
        raise RuntimeError(
            f"{name}: its backward has no gradient for an argument that requires grad; "
            "detach it"
        )
    return [np.asarray(g) for g in gradients]


def _by_reference(name, reference, args, needs, g):
    """The same gradients as Tensors, by differentiating the reference."""
    if reference is None:
        raise RuntimeError(
            f"{name}: its backward was written for arrays, so it cannot be "
            "differentiated again; register it with reference=, the same function "
            "composed of operations on Tensors"
        )
    # While the reference is differentiated, leaves stand for the arguments, so that
    # the graph ends there; afterwards each becomes a result, linked to its argument.
    leaves = {i: Tensor(args[i].data, True) for i, need in enumerate(needs) if need}
    births = {i: _clock() for i in leaves}
    y = reference(*[leaves.get(i, x) for i, x in enumerate(args)])
    gradients = grad(y, leaves.values(), [g], create_graph=True, allow_unused=True)
    for i, leaf in leaves.items():
        x, leaf.age = args[i], births[i]
        leaf.node = _SAME, (x,), (x.data,), (x,), "alias"
    pairs = zip(gradients, leaves.values(), strict=True)
    return [Tensor(np.zeros_like(x.data)) if d is None else d for d, x in pairs]


_SAME = (lambda g, _y, _x: g,)


# ---- changes in place --------------------------------------------------------------


def change(t, operation, *args, copy=False):
    """Make the Tensor `t` (...) what ``operation(t, *args)`` gives, in its own memory.

    All methods that work in place end here. If anything requires grad, the operation
    is recorded as usual, on what `t` was before; `copy` tells that its rules look at
    that, so that it must be copied.
    """
    name = f"{operation.__name__}_"
    if not _to_be_recorded(t, *args):
        arrays = [raw(x) for x in args]
        if not _directly(t.data, operation, arrays):
            _write(t, operation(t.data, *arrays), name)
        _note_change(t.data, recorded=False)
        return t
    if t.requires_grad and t.node is None:
        raise RuntimeError(
            f"{name}: a leaf that requires grad cannot be changed in place while "
            "operations are recorded; wrap the change in no_grad()"
        )
    if _is_view(t):
        raise RuntimeError(
            f"{name}: this tensor may be a view of another, which would not notice; "
            "change the other, as in y[0] = ..., or a .clone()"
        )
    before = _new(Tensor)
    for part in ("data", "grad", "node", "past", "age", "requires_grad"):
        setattr(before, part, getattr(t, part))
    new = operation(clone(before) if copy else before, *args)
    _write(t, new.data, name)
    _note_change(t.data, recorded=True)
    t.node, t.requires_grad, t.age, t.past = new.node, True, _clock(), before
    return t


def _to_be_recorded(*args):
    return _recording and any(isinstance(x, Tensor) and x.requires_grad for x in args)


def _is_view(t):
    """Whether `t` may share its memory with the tensor it was computed from."""
    if t.data.base is None:
        return False
    while t.past is not None:
        t = t.past
    return t.age != 0  # a leaf may be a view of an array, which no gradient knows of


def _directly(array, operation, arrays):
    """Let NumPy work in the memory of `array`; False if it cannot."""
    f = getattr(operation, "f", None)
    if not isinstance(f, np.ufunc):
        return False
    try:
        f(array, *arrays, out=array)
    except (ValueError, TypeError):
        return False  # nothing was written; `_write` finds out what is wrong
    return True


def _write(t, array, name):
    array = np.asarray(array)
    if array.shape != t.shape or not np.can_cast(array.dtype, t.dtype, "same_kind"):
        raise ValueError(
            f"{name}: {array.dtype} {array.shape} does not fit into the memory of a "
            f"tensor of {t.dtype} {t.shape}; compute a new tensor instead"
        )
    if not t.data.flags.writeable:
        raise ValueError(
            f"{name}: this tensor of shape {t.shape} can only be read, as what expand "
            "gives; change a .clone()"
        )
    t.data[...] = array


def _owner(array):
    """The array whose memory `array` is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _change_of(array):
    """How often the memory of `array` was changed, when, and when it was recorded."""
    return _changes.get(id(_owner(array)), (0, 0, 0))


def _note_change(array, recorded):
    """Count a change, for all tensors that share the memory of `array`."""
    global _last_change
    owner, now = _owner(array), _clock()
    key = id(owner)
    if key not in _changes:  # forgotten when the memory is freed
        _changes[key] = [0, 0, 0, ref(owner, lambda _: _changes.pop(key, None))]
    entry = _changes[key]
    entry[0] += 1
    entry[1] = _last_change = now
    if recorded:
        entry[2] = now


def _as_of(x, age):
    """What the tensor `x` was when something of this `age` was computed from it."""
    while x.age > age:
        x = x.past
    return x


def _mend(t, x):
    """Let the node of `t` point to what `x` was before it was changed in place."""
    past = _as_of(x, t.age)
    rules, parents, *rest = t.node
    t.node = rules, tuple(past if p is x else p for p in parents), *rest
    return past


def _check_unchanged(t):
    """Raise if something that the rules of `t` look at was changed after `t`."""
    rules, parents, arrays, _, name = t.node
    rules = rules if type(rules) is tuple else [getattr(rules, "rule", rules)]
    for array in (a for r in rules for a in _looked_at(r, t.data, *arrays)):
        version, when = _change_of(array)[:2]
        if when > t.age:
            raise RuntimeError(
                f"backward: {name} needs a tensor of shape {array.shape} as it was, "
                f"but it has been changed in place since (it is at version {version}); "
                "change a .clone() of it, or do it after backward"
            )
    for x in parents:
        if x is not t.past and 0 < x.age < _change_of(x.data)[2] < t.age:
            raise RuntimeError(
                f"backward: {name} was computed from a view of shape {x.shape} whose "
                "memory had been changed in place; take the view after the change"
            )


def _looked_at(rule, *values):
    """The arrays among y, *args that a rule reads: those without an underscore."""
    code = rule.__code__
    names = list(code.co_varnames[1 : code.co_argcount])
    if code.co_flags & 4:  # it ends in *rest
        rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        names += [rest] * (len(values) - len(names))
    pairs = zip(names, values, strict=False)
    return [v for n, v in pairs if n[0] != "_" and isinstance(v, np.ndarray)]
