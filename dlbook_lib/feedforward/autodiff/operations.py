"""The table of derivatives: every operation beside the rule that differentiates it.

A row is ``primitive(f, rule of the first argument, rule of the second, ...)``. In a
rule, `g` is the gradient with respect to the result, `y` the result, then come the
arguments; only the shapes of names with a leading underscore count. Sums over what was
broadcast are left to the engine. Names, arguments and results are torch's, also at
ties and kinks. In the end the operations become methods and operators of `Tensor`.
"""

import math
import operator
from collections import namedtuple

import numpy as np

from dlbook_lib.common.checks import as_labels, check_in, check_reduction, require
from dlbook_lib.feedforward.autodiff import engine
from dlbook_lib.feedforward.autodiff.engine import (
    Tensor,
    change,
    clone,
    primitive,
    raw,
    to,
)

# ---- arithmetic ----------------------------------------------------------------------

add = primitive(np.add, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)
sub = primitive(
    np.subtract, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g, name="sub"
)
mul = primitive(
    np.multiply, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a, name="mul"
)
div = primitive(
    np.divide,
    lambda g, _y, _a, b: g / b,
    lambda g, _y, a, b: -g * (a / b) / b,
    name="div",
)
neg = primitive(np.negative, lambda g, _y, _x: -g, name="neg")
pow = primitive(
    operator.pow,
    lambda g, _y, x, p: g * _slope_of_power(x, p),
    lambda g, y, x, _p: g * y * _log_of_base(x),
    name="pow",
)


def _slope_of_power(x, p):
    """p · x^(p-1), and 0 for p = 0, even at x = 0."""
    if not isinstance(p, (int, float)):
        return where(p == 0, 0.0, p * x ** where(p == 0, 1.0, p - 1))
    return p * (x if p == 2 else x ** (p - 1)) if p else x * 0


def _log_of_base(x):
    """log x, and 0 for x = 0, where x^p does not change with p > 0."""
    if isinstance(x, (int, float)):
        return math.log(x or 1)
    return log(where(x == 0, 1.0, x))


# ---- functions of each number --------------------------------------------------------

exp = primitive(np.exp, lambda g, y, _x: g * y)
expm1 = primitive(np.expm1, lambda g, y, _x: g * (y + 1))
log = primitive(np.log, lambda g, _y, x: g / x)
log1p = primitive(np.log1p, lambda g, _y, x: g / (1 + x))
sqrt = primitive(np.sqrt, lambda g, y, _x: g / (y + y))
sin = primitive(np.sin, lambda g, _y, x: g * cos(x))
cos = primitive(np.cos, lambda g, _y, x: -g * sin(x))
tanh = primitive(np.tanh, lambda g, y, _x: g - g * y * y)
abs = primitive(np.abs, lambda g, _y, x: g * sign(x), name="abs")
sign = primitive(np.sign, lambda g, _y, _x: g * 0)


def _relu(x):
    return np.maximum(x, 0)


def _sigmoid(x):
    e = np.exp(np.where(x.real > 0, -x, x))  # at most 1, so it cannot overflow
    return np.where(x.real > 0, 1, e) / (1 + e)


def _softplus(x):
    return np.logaddexp(x, 0)


relu = primitive(_relu, lambda g, _y, x: g * (x > 0), name="relu")
sigmoid = primitive(_sigmoid, lambda g, y, _x: g * (y - y * y), name="sigmoid")
softplus = primitive(_softplus, lambda g, _y, x: g * sigmoid(x), name="softplus")

# at a tie each of the two gets one half, as in torch
maximum = primitive(
    np.maximum,
    lambda g, _y, a, b: g * (a > b) + g * (a == b) * 0.5,
    lambda g, _y, a, b: g * (a < b) + g * (a == b) * 0.5,
)
minimum = primitive(
    np.minimum,
    lambda g, _y, a, b: g * (a < b) + g * (a == b) * 0.5,
    lambda g, _y, a, b: g * (a > b) + g * (a == b) * 0.5,
)
_where = primitive(
    np.where,
    None,
    lambda g, _y, c, _a, _b: where(c, g, 0.0),
    lambda g, _y, c, _a, _b: where(c, 0.0, g),
    name="where",
)
_clamp = primitive(
    np.clip,
    lambda g, _y, x, low, high: g * ((x >= low) & (x <= high)),
    name="clamp",
)


def where(condition, input, other):
    """`input` where `condition` holds, else `other`; the three are broadcast (...)."""
    return _where(raw(condition), input, other)


def clamp(input, min=None, max=None):
    """`input` (...), cut off below the number `min` and above the number `max`."""
    low = -np.inf if min is None else min
    return _clamp(input, low, np.inf if max is None else max)


# ---- sums and their like -------------------------------------------------------------


def _check_arrays(caller, *inputs):
    """Refuse lists and the like, which have no shape."""
    for x in inputs:
        if not isinstance(x, (Tensor, np.ndarray, np.generic)):
            raise TypeError(
                f"{caller}: it takes Tensors or arrays, not {x!r}; try np.asarray"
            )


def _dims(caller, input, dim):
    """The dimensions that `dim` names, counted from 0; all of them for None."""
    _check_arrays(caller, input)
    ndim = input.ndim
    if dim is None:
        return tuple(range(ndim))
    reach = ndim or 1  # one number alone has a dim 0, or -1, as in torch
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    for d in dims:
        if not isinstance(d, (int, np.integer)) or isinstance(d, bool):
            raise TypeError(f"{caller}: dim must be a whole number, not {d!r}")
        if not -reach <= d < reach:
            raise ValueError(
                f"{caller}: dim must lie between {-reach} and {reach - 1} for a tensor "
                f"of shape {input.shape}, not {d}"
            )
    dims = tuple(int(d) % reach for d in dims)
    if len(set(dims)) < len(dims):
        raise ValueError(f"{caller}: dim {dim} names a dimension twice")
    return dims if ndim else ()


def _one_dim(caller, input, dim):
    if isinstance(dim, (tuple, list)) or dim is None:
        raise TypeError(f"{caller}: dim must be one whole number, not {dim!r}")
    return (*_dims(caller, input, dim), 0)[0]  # 0 for a tensor without dimensions


def _count(shape, dims):
    return math.prod(shape[d] for d in dims)


def _spread(x, shape, dims):
    """An array of `shape` that repeats `x`, its sum or the like over `dims`."""
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
    return np.broadcast_to(x.reshape(kept), shape)


# A sum hands its gradient to all that was summed: each of the two is the other's rule.
_sum = primitive(
    lambda x, dims, keepdim: x.sum(dims, keepdims=keepdim),
    lambda g, _y, _x, dims, _keepdim: spread(g, _x.shape, dims),
    name="sum",
)
spread = primitive(
    _spread,
    lambda g, _y, _x, _shape, dims: _sum(g, dims, _x.ndim == g.ndim),
    name="spread",
)


def sum(input, dim=None, keepdim=False):
    """Sum of `input` (...) over `dim`: one dimension, several, or all."""
    return _sum(input, _dims("sum", input, dim), keepdim)


def _mean_of(x, dims, keepdim):
    n = _count(x.shape, dims)
    return x.sum(dims, keepdims=keepdim) * (1 / n if n else math.nan)


def _mean_rule(g, _y, _x, dims, _keepdim):
    n = _count(_x.shape, dims)
    return spread(g * (1 / n if n else 1), _x.shape, dims)


_mean = primitive(_mean_of, _mean_rule, name="mean")


def mean(input, dim=None, keepdim=False):
    """Mean of `input` (...) over `dim`; NaN if there is nothing."""
    return _mean(input, _dims("mean", input, dim), keepdim)


def var(input, dim=None, correction=1, keepdim=False):
    """Variance of `input` (...) over `dim`: sum of squares / (n - `correction`)."""
    return _var(input, _dims("var", input, dim), correction, keepdim)


def _var(input, dims, correction, keepdim):
    n = _count(input.shape, dims) - correction
    centred = input - _mean(input, dims, True)
    return _sum(centred * centred, dims, keepdim) * (1 / n if n > 0 else math.nan)


def _root_rule(g, y, _x):
    return where(y == 0, 0.0, g / where(y == 0, 1.0, y + y))


_root = primitive(np.sqrt, _root_rule, name="sqrt")  # with slope 0 at 0, as torch's std


def std(input, dim=None, correction=1, keepdim=False):
    """Standard deviation of `input` (...) over `dim`: the root of `var`."""
    return _root(_var(input, _dims("std", input, dim), correction, keepdim))


def _share_rule(g, y, x, dims, _keepdim):
    """Ties share the gradient evenly."""
    hit = raw(x) == _spread(raw(y), x.shape, dims)
    share = np.divide(hit, hit.sum(dims, keepdims=True), dtype=x.dtype)
    return spread(g, x.shape, dims) * share


_amax = primitive(
    lambda x, dims, keepdim: x.max(dims, keepdims=keepdim), _share_rule, name="amax"
)
_amin = primitive(
    lambda x, dims, keepdim: x.min(dims, keepdims=keepdim), _share_rule, name="amin"
)


def amax(input, dim=None, keepdim=False):
    """Largest of `input` (...) over `dim`; ties share the gradient evenly."""
    return _amax(input, _dims("amax", input, dim), keepdim)


def amin(input, dim=None, keepdim=False):
    """Smallest of `input` (...) over `dim`; ties share the gradient evenly."""
    return _amin(input, _dims("amin", input, dim), keepdim)


Extreme = namedtuple("Extreme", "values indices")


def max(input, dim=None, keepdim=False):
    """Largest of `input` (...); with one `dim`, ``(values, indices)`` along it.

    With `dim`, the first of several equal numbers gets the whole gradient; without,
    they share it. Both are as in torch.
    """
    if dim is None:
        return amax(input)
    return _extreme("max", np.argmax, input, dim, keepdim)


def min(input, dim=None, keepdim=False):
    """Smallest of `input` (...); with one `dim`, ``(values, indices)``, as `max`."""
    if dim is None:
        return amin(input)
    return _extreme("min", np.argmin, input, dim, keepdim)


def _extreme(caller, find, input, dim, keepdim):
    dim = _one_dim(caller, input, dim)
    if not input.ndim:
        return Extreme(clone(input), np.zeros((), int))
    if not input.shape[dim]:
        raise ValueError(f"{caller}: dim {dim} of {input.shape} is empty")
    indices = find(raw(input), dim, keepdims=True)
    values = gather(input, dim, indices)
    if keepdim:
        return Extreme(values, indices)
    return Extreme(squeeze(values, dim), indices.squeeze(dim))


def prod(input, dim=None, keepdim=False):
    """Product of `input` (...) over `dim`: one dimension, several, or all.

    Halves are multiplied with halves, so that the derivatives are right at zeros too.
    """
    dims = _dims("prod", input, dim)
    rest = tuple(d for d in range(input.ndim) if d not in dims)
    kept = [1 if d in dims else n for d, n in enumerate(input.shape)]
    lead, n = [input.shape[d] for d in rest], _count(input.shape, dims)
    x = _reshape(_permute(input, rest + dims), (*lead, n))
    while n > 1:
        half = n // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = cat([pairs, x[..., 2 * half :]], -1) if n % 2 else pairs
        n = x.shape[-1]
    y = _sum(x, (x.ndim - 1,), False)  # of one number, or of none
    y = y if n else y + 1
    return _reshape(y, tuple(kept)) if keepdim else y


def _lse(x, dims, keepdim):
    top = x.max(dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    total = np.exp(x - top).sum(dims, keepdims=True)
    with np.errstate(divide="ignore"):  # the log of nothing is -inf
        y = np.log(total) + top
    return y if keepdim else y.squeeze(dims)


def _softmax_of(x, dims):
    e = np.exp(x - x.max(dims, keepdims=True, initial=-np.inf))
    return e / e.sum(dims, keepdims=True)


def _log_softmax_of(x, dims):
    shifted = x - x.max(dims, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(dims, keepdims=True))


_logsumexp = primitive(
    _lse,
    lambda g, y, x, dims, _keepdim: (
        spread(g, x.shape, dims) * exp(x - spread(y, x.shape, dims))
    ),
    name="logsumexp",
)
_softmax = primitive(
    _softmax_of,
    lambda g, y, _x, dims: y * (g - _sum(g * y, dims, True)),
    name="softmax",
)
_log_softmax = primitive(
    _log_softmax_of,
    lambda g, y, _x, dims: g - exp(y) * _sum(g, dims, True),
    name="log_softmax",
)


def logsumexp(input, dim, keepdim=False):
    """log Σ exp of `input` (...) over `dim`; it does not overflow."""
    return _logsumexp(input, _dims("logsumexp", input, dim), keepdim)


def softmax(input, dim):
    """exp of `input` (...), divided by its sum over `dim`."""
    return _softmax(input, _dims("softmax", input, dim))


def log_softmax(input, dim):
    """log of `softmax` of `input` (...); it does not overflow."""
    return _log_softmax(input, _dims("log_softmax", input, dim))


_flip = primitive(np.flip, lambda g, _y, _x, dims: _flip(g, dims), name="flip")
_cumsum = primitive(
    np.cumsum,
    lambda g, _y, _x, dim: _flip(_cumsum(_flip(g, dim), dim), dim),
    name="cumsum",
)


def flip(input, dims):
    """`input` (...) in reverse order along `dims`."""
    return _flip(input, _dims("flip", input, dims))


def cumsum(input, dim):
    """Running sum of `input` (...) along `dim`."""
    dim = _one_dim("cumsum", input, dim)
    return _cumsum(input, dim) if input.ndim else clone(input)


# ---- shapes --------------------------------------------------------------------------

_reshape = primitive(
    np.reshape, lambda g, _y, _x, _shape: _reshape(g, _x.shape), name="reshape"
)
_permute = primitive(
    np.transpose,
    lambda g, _y, _x, dims: _permute(g, tuple(np.argsort(dims).tolist())),
    name="permute",
)


def _numbers(args):
    """(2, 3) of either ``f(x, 2, 3)`` or ``f(x, (2, 3))``."""
    return tuple(args[0]) if len(args) == 1 and np.iterable(args[0]) else args


def reshape(input, *shape):
    """The numbers of `input` (...) in another shape; one length may be -1."""
    return _reshape(input, _numbers(shape))


def permute(input, *dims):
    """`input` (...) with its dimensions in the order `dims`."""
    order = _dims("permute", input, _numbers(dims))
    require(
        len(order) == input.ndim,
        f"{dims} does not name every dimension of a tensor of shape {input.shape}",
    )
    return _permute(input, order)


def transpose(input, dim0, dim1):
    """`input` (...) with two dimensions exchanged."""
    a = _one_dim("transpose", input, dim0)
    b = _one_dim("transpose", input, dim1)
    dims = list(range(input.ndim))
    if dims:
        dims[a], dims[b] = b, a
    return _permute(input, tuple(dims))


def flatten(input, start_dim=0, end_dim=-1):
    """`input` (...) with the dimensions from `start_dim` to `end_dim` made one."""
    first = _one_dim("flatten", input, start_dim)
    last = _one_dim("flatten", input, end_dim)
    require(first <= last, f"start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape
    middle = math.prod(shape[first : last + 1])
    return _reshape(input, (*shape[:first], middle, *shape[last + 1 :]))


def squeeze(input, dim=None):
    """`input` (...) without dimensions of length 1, or without `dim` if it is one."""
    dims = _dims("squeeze", input, dim)
    kept = [n for d, n in enumerate(input.shape) if d not in dims or n != 1]
    return _reshape(input, tuple(kept))


def unsqueeze(input, dim):
    """`input` (...) with a new dimension of length 1 at `dim`."""
    _check_arrays("unsqueeze", input)
    ndim = input.ndim
    require(
        isinstance(dim, (int, np.integer)) and -ndim - 1 <= dim <= ndim,
        f"dim must lie between {-ndim - 1} and {ndim} for a tensor of shape "
        f"{input.shape}, not {dim!r}",
    )
    shape = list(input.shape)
    shape.insert(dim if dim >= 0 else dim + ndim + 1, 1)
    return _reshape(input, tuple(shape))


def expand(input, *sizes):
    """`input` (...) repeated to `sizes` without a copy; -1 keeps a length."""
    _check_arrays("expand", input)
    sizes = _numbers(sizes)
    own = (-1,) * (len(sizes) - input.ndim) + input.shape
    return engine.expand(
        input, tuple(m if n == -1 else n for n, m in zip(sizes, own, strict=False))
    )


def _parts(g, _y, dim, *_xs):
    """The part of `g` for each argument of `cat`."""
    ends = np.cumsum([x.shape[dim] for x in _xs]).tolist()
    lead = (slice(None),) * dim
    starts = [0, *ends[:-1]]
    return [None, *(g[(*lead, slice(*s))] for s in zip(starts, ends, strict=True))]


_cat = primitive(lambda dim, *xs: np.concatenate(xs, dim), joint=_parts, name="cat")


def cat(tensors, dim=0):
    """`tensors`, each (...), one after the other along `dim`."""
    tensors = list(tensors)
    require(tensors, "there is nothing to join; pass at least one tensor")
    _check_arrays("cat", *tensors)
    require(
        all(x.ndim for x in tensors),
        "a tensor without dimensions cannot be joined to others; try stack",
    )
    return _cat(_one_dim("cat", tensors[0], dim), *tensors)


def stack(tensors, dim=0):
    """`tensors`, each (...) of one shape, along a new dimension `dim`."""
    tensors = list(tensors)
    _check_arrays("stack", *tensors)
    shapes = {x.shape for x in tensors}
    require(
        len(shapes) == 1,
        f"the tensors must have one shape, not {sorted(shapes)}; reshape them",
    )
    return cat(
        [unsqueeze(x, dim) for x in tensors],
        dim if dim >= 0 else dim + tensors[0].ndim + 1,
    )


# ---- picking -------------------------------------------------------------------------


def _put_into(g, index, shape):
    """Zeros of this `shape`, with `g` added at `index`."""
    x = np.zeros(shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [np.asarray(i) for i in parts if isinstance(i, (np.ndarray, list))]
    if any(i.dtype != bool for i in arrays):
        np.add.at(x, index, g)  # a place may be picked more than once
    else:
        x[index] = g
    return x


# Picking and putting back: each of the two is the other's rule.
_getitem = primitive(
    operator.getitem,
    lambda g, _y, _x, index: _put(g, index, _x.shape),
    name="getitem",
)
_put = primitive(_put_into, lambda g, _y, _x, index, _shape: g[index], name="put")


def _index(index):
    """The `index` with arrays for its Tensors."""
    return tuple(map(raw, index)) if isinstance(index, tuple) else raw(index)


def getitem(input, index):
    """``input[index]`` of `input` (...): numbers, slices, None, arrays, masks."""
    return _getitem(input, _index(index))


def gather(input, dim, index):
    """``y[i, j] = input[index[i, j], j]`` for `dim` 0, and so on.

    `index` (...) has as many dimensions as `input` (...), the result its shape.
    """
    index, dim = np.asarray(raw(index)), _one_dim("gather", input, dim)
    require(
        index.ndim == input.ndim,
        f"index has shape {index.shape} but input {input.shape}; they need as many "
        "dimensions",
    )
    grid = list(np.indices(index.shape, sparse=True))
    grid[dim] = index
    return _getitem(input, tuple(grid))


def _with_item(x, index, value):
    y = x.copy()
    y[index] = value
    return y


_setitem = primitive(
    _with_item,
    lambda g, _y, _x, index, _value: _setitem(g, index, 0.0),
    None,
    lambda g, _y, _x, index, _value: g[index],
    name="setitem",
)


# ---- products ------------------------------------------------------------------------

# Three ways to multiply matrices, so that no transpose is ever copied or recorded: the
# rules of each are the other two.
_matmul = primitive(  # A B
    np.matmul,
    lambda g, _y, _a, b: _matmul_nt(g, b),
    lambda g, _y, a, _b: _matmul_tn(a, g),
    name="matmul",
)
_matmul_nt = primitive(  # A Bᵀ
    lambda a, b: np.matmul(a, b.mT),
    lambda g, _y, _a, b: _matmul(g, b),
    lambda g, _y, a, _b: _matmul_tn(g, a),
    name="matmul_nt",
)
_matmul_tn = primitive(  # Aᵀ B
    lambda a, b: np.matmul(a.mT, b),
    lambda g, _y, _a, b: _matmul_nt(b, g),
    lambda g, _y, a, _b: _matmul(a, g),
    name="matmul_tn",
)


def matmul(input, other):
    """Product of matrices `input` (..., n, k), `other` (..., k, m); or of vectors."""
    a = input if isinstance(input, Tensor) else np.asarray(input)
    b = other if isinstance(other, Tensor) else np.asarray(other)
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2:][0]:
        raise ValueError(
            f"matmul: {a.shape} and {b.shape} do not chain: the last length of the "
            "first must be the last but one of the second; is one of them transposed?"
        )
    if a.ndim == 1:
        y = matmul(_reshape(a, (1, *a.shape)), b)
        return squeeze(y, -2 if b.ndim > 1 else 0)
    if b.ndim == 1:
        return squeeze(matmul(a, _reshape(b, (*b.shape, 1))), -1)
    if a.ndim > 2 == b.ndim:  # one large product is faster than many small ones
        rows = _reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        return _reshape(_matmul(rows, b), (*a.shape[:-1], b.shape[-1]))
    return _matmul(a, b)


def outer(input, vec2):
    """``y[i, j] = input[i] · vec2[j]`` of vectors `input` (n,) and `vec2` (m,)."""
    require(
        np.ndim(raw(input)) == np.ndim(raw(vec2)) == 1,
        f"it takes two vectors, not {np.shape(raw(input))} and {np.shape(raw(vec2))}",
    )
    return unsqueeze(input, 1) * vec2


def linear(input, weight, bias=None):
    """x Wᵀ + b of `input` (..., in), with `weight` (out, in) and `bias` (out,)."""
    _check_arrays("linear", input, weight)
    shape, (out, width) = input.shape, weight.shape if weight.ndim == 2 else (0, 0)
    if shape[-1:] != (width,) or (bias is not None and bias.shape != (out,)):
        raise ValueError(
            f"linear: input {shape}, weight {weight.shape} and bias "
            f"{None if bias is None else bias.shape} do not fit; they are (..., in), "
            "(out, in) and (out,)"
        )
    if len(shape) == 2:
        y = _matmul_nt(input, weight)
    else:
        rows = _reshape(input, (math.prod(shape[:-1]), width))
        y = _reshape(_matmul_nt(rows, weight), (*shape[:-1], out))
    return y if bias is None else y + bias


def _einsum_rule(g, _y, terms, result, *operands):
    """The letters of an operand and those of the result change places.

    Letters that stand in that operand alone were summed: ones take their place.
    """
    gradients = [None, None]
    for i, term in enumerate(terms):
        names = [result, *terms[:i], *terms[i + 1 :]]
        arrays = [g, *operands[:i], *operands[i + 1 :]]
        for letter, n in zip(term, operands[i].shape, strict=True):
            if not any(letter in name for name in names):
                names.append(letter)
                arrays.append(np.ones(n, g.dtype))
        gradients.append(_einsum(tuple(names), term, *arrays))
    return gradients


_einsum = primitive(
    lambda terms, result, *x: np.einsum(f"{','.join(terms)}->{result}", *x),
    joint=_einsum_rule,
    name="einsum",
)


def einsum(equation, *operands):
    """Products of `operands` (...), summed over letters that the result leaves out.

    Each letter of ``"ij,jk->ik"`` names a dimension. A letter may stand only once in
    an operand, so there are no diagonals, and there is no ellipsis.
    """
    _check_arrays("einsum", *operands)
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = tuple(left.split(","))
    if not arrow:
        result = "".join(c for c in sorted(set(left) - {","}) if left.count(c) == 1)
    require(
        all(len(set(term)) == len(term) for term in (*terms, result))
        and set(result) <= set(left) - {","}
        and all(c.isalpha() for c in "".join(terms)),
        f"{equation!r} is not understood; it is like 'ij,jk->ik', with a letter only "
        "once in each operand, and in the result only letters of operands",
    )
    require(
        [len(term) for term in terms] == [x.ndim for x in operands],
        f"{equation!r} does not fit operands of shapes {[x.shape for x in operands]}",
    )
    return _einsum(terms, result, *operands)


# ---- losses --------------------------------------------------------------------------


def mse_loss(input, target, reduction="mean"):
    """Squared difference of `input` (...) and `target` (...), both of one shape."""
    check_in(reduction, "reduction", ("mean", "sum", "none"))
    _check_arrays("mse_loss", input)
    require(
        input.shape == np.shape(raw(target)),
        f"input has shape {input.shape} but target has shape {np.shape(raw(target))}; "
        "reshape one of them, nothing is broadcast here",
    )
    error = input - target
    check_reduction(reduction, raw(error))
    return _REDUCE[reduction](error * error)


def cross_entropy(input, target, reduction="mean"):
    """-log softmax of scores `input` (N, C, ...) at the classes `target` (N, ...)."""
    check_in(reduction, "reduction", ("mean", "sum", "none"))
    _check_arrays("cross_entropy", input)
    dim = 1 if input.ndim > 1 else 0
    require(input.ndim, "input is one number; it must be scores (N, C, ...)")
    target = as_labels(
        raw(target), "target", classes=input.shape[dim], empty=reduction != "mean"
    )
    require(
        target.shape == input.shape[:dim] + input.shape[dim + 1 :],
        f"input has shape {input.shape} but target has shape {target.shape}; they are "
        "(N, C, ...) and (N, ...)",
    )
    index = list(np.indices(target.shape, sparse=True))
    index.insert(dim, target)
    return _REDUCE[reduction](-_getitem(_log_softmax(input, (dim,)), tuple(index)))


_REDUCE = {"mean": mean, "sum": sum, "none": lambda loss: loss}

# ---- methods and operators of Tensor -------------------------------------------------

copy = primitive(
    lambda x, value: np.broadcast_to(value, x.shape),
    lambda g, _y, _x, _value: g * 0,
    lambda g, _y, _x, _value: g,
    name="copy",
)


def _reflected(operation):
    return lambda self, other: operation(other, self)


def _comparison(compare):
    """Comparisons give plain arrays of booleans: nothing to differentiate there."""
    return lambda self, other: compare(self.data, raw(other))


def _in_place(operation, copy=False):
    return lambda self, other: change(self, operation, other, copy=copy)


def _augmented(operation, copy=False):
    """``y += x``: in place, but a new tensor if `y` is a recorded view.

    For ``y[0] += x`` is ``t = y[0]; t += x; y[0] = t``, and the last step does it.
    """

    def method(self, other):
        if engine._to_be_recorded(self, other) and engine._is_view(self):
            return operation(self, other)
        return change(self, operation, other, copy=copy)

    return method


def _assign(self, index, value):
    change(self, _setitem, _index(index), value)


METHODS = {
    function.__name__: function
    for function in (
        *(add, sub, mul, div, neg, pow, matmul, outer, exp, expm1, log, log1p, sqrt),
        *(sin, cos, tanh, sigmoid, relu, abs, sign, maximum, minimum, clamp),
        *(sum, mean, var, std, prod, amax, amin, max, min, logsumexp, softmax),
        *(log_softmax, flip, cumsum, reshape, permute, transpose, flatten, squeeze),
        *(unsqueeze, expand, gather, clone, to),
    )
}
METHODS |= {"view": reshape, "swapaxes": transpose, "clip": clamp}
METHODS |= {"copy_": _in_place(copy), "fill_": _in_place(copy)}
METHODS["zero_"] = lambda self: change(self, copy, 0)
METHODS["T"] = property(lambda self: _permute(self, tuple(range(self.ndim))[::-1]))
METHODS["mT"] = property(lambda self: transpose(self, -2, -1))
METHODS |= {"__neg__": neg, "__abs__": abs, "__getitem__": getitem}
METHODS["__setitem__"] = _assign
for _name, _operation in {"add": add, "sub": sub, "mul": mul, "truediv": div}.items():
    _looks = _operation in (mul, div)  # at what is overwritten
    METHODS[f"__{_name}__"] = _operation
    METHODS[f"__r{_name}__"] = _reflected(_operation)
    METHODS[f"__i{_name}__"] = _augmented(_operation, _looks)
    METHODS[f"{_operation.__name__}_"] = _in_place(_operation, _looks)
METHODS |= {"__pow__": pow, "__rpow__": _reflected(pow)}
METHODS |= {"__matmul__": matmul, "__rmatmul__": _reflected(matmul)}
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    METHODS[f"__{_name}__"] = _comparison(getattr(operator, _name))
METHODS["__hash__"] = object.__hash__  # by identity, although == compares numbers
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
