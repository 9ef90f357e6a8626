"""Checks of arguments that fail with a sentence a reader can act on.

Each function of the book checks its arguments in a line or two and gets an error that
begins with its own name, says what is wrong with which values, and what to try:

>>> def linear(x, weight):
...     x = as_float(x, "x", ndim=2)
...     require(
...         x.shape[1] == weight.shape[1],
...         f"x has {x.shape[1]} features but weight expects {weight.shape[1]} "
...         f"(x {x.shape}, weight {weight.shape}); is weight (out, in)?",
...     )
...     return x @ weight.T
>>> linear(np.ones((4, 3)), np.ones((3, 2)))
Traceback (most recent call last):
ValueError: linear: x has 3 features but weight expects 2 (x (4, 3), weight (3, 2));
  is weight (out, in)?
"""

import sys
from numbers import Real

import numpy as np


def require(ok, sentence, error=ValueError):
    """Raise ``error("<function>: <sentence>")`` unless `ok` is true.

    ``<function>`` is the function that asked for the check, so calls do not repeat it.

    >>> def halve(n):
    ...     require(n % 2 == 0, f"n must be even, not {n}; try {n + 1}")
    ...     return n // 2
    >>> halve(3)
    Traceback (most recent call last):
    ValueError: halve: n must be even, not 3; try 4
    """
    if not ok:
        frame = sys._getframe(1)
        while frame.f_globals is globals():
            frame = frame.f_back
        name = frame.f_code.co_qualname.split(".<locals>.<")[0]  # not <listcomp>
        raise error(f"{name.removesuffix('.__init__')}: {sentence}")


def as_float(x, name, *, ndim=None, empty=False):
    """Hand back `x` as an array of floating-point numbers; refuse anything else.

    Parameters
    ----------
    x : array_like (...)
        Real, or complex for a complex-step derivative. It is not copied, and its
        precision stays what it is. NaN and infinity pass, so that a run that blows up
        can be looked at; `check_finite` stops them.
    name : str
        What the caller calls `x`.
    ndim : int or tuple of int, optional
        The number of dimensions, or those allowed.
    empty : bool
        Whether an array without elements will do, as in an empty batch.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError
        If `x` holds integers, booleans or objects: integer arithmetic would overflow
        or round without a word.
    ValueError
        If `x` has another number of dimensions, or is empty where it may not be.

    >>> def mean(x):
    ...     return as_float(x, "x", ndim=1).sum() / len(x)
    >>> mean([1, 2])
    Traceback (most recent call last):
    TypeError: mean: x must hold floating-point numbers, not int64 (shape (2,));
    try np.asarray(x, dtype=float)
    """
    x = _as_array(x, name)
    if x.dtype.kind not in "fc":  # most often it is, so the sentences can wait
        sentence = f"{name} must hold floating-point numbers, not {x.dtype}"
        advice = f"(shape {x.shape}); try np.asarray({name}, dtype=float)"
        require(False, f"{sentence} {advice}", TypeError)
    if ndim is not None:
        check_ndim(x, name, ndim)
    if not empty and not x.size:
        require(False, f"{name} is empty (shape {x.shape}); pass at least one example")
    return x


def as_floats(arrays, name, *, count=None):
    """Hand back a list of arrays (...) of floating-point numbers, such as parameters.

    >>> def norm(params):
    ...     a, b = as_floats(params, "params", count=2)
    ...     return ((a**2).sum() + (b**2).sum()) ** 0.5
    >>> norm([np.array([3.0]), np.array([4.0])])
    np.float64(5.0)
    >>> norm([np.array([3.0])])
    Traceback (most recent call last):
    ValueError: norm: params must be 2 arrays, not 1
    >>> norm(np.array([3.0, 4.0]))
    Traceback (most recent call last):
    TypeError: norm: params must be a list of arrays, not ndarray
    """
    kind = type(arrays).__name__
    is_list = isinstance(arrays, (list, tuple))
    require(is_list, f"{name} must be a list of arrays, not {kind}", TypeError)
    require(
        count is None or len(arrays) == count,
        f"{name} must be {count} arrays, not {len(arrays)}",
    )
    return [as_float(x, f"{name}[{i}]") for i, x in enumerate(arrays)]


def as_labels(y, name, *, classes=None, ignore_index=None, empty=False):
    """Hand back `y` as an array of class labels 0, 1, …, `classes` − 1.

    Parameters
    ----------
    y : array_like (...)
        Integers. Floating-point labels are refused even when they are whole: NaN would
        become some class without a word.
    name : str
        What the caller calls `y`.
    classes : int, optional
        How many classes there are; without it labels need only be non-negative.
    ignore_index : int, optional
        A further label that is allowed, for places that count for nothing.
    empty : bool
        Whether an array without elements will do.

    Returns
    -------
    ndarray of int (...)

    Raises
    ------
    TypeError
        If `y` does not hold integers.
    ValueError
        If `y` is empty or a label is out of range.

    >>> def one_hot(y, classes):
    ...     return np.eye(classes)[as_labels(y, "y", classes=classes)]
    >>> one_hot([0, 3], 3)
    Traceback (most recent call last):
    ValueError: one_hot: y holds label 3 but there are 3 classes, 0 to 2;
    do the labels start at 1?
    """
    y = _as_array(y, name)
    require(
        empty or y.size, f"{name} is empty (shape {y.shape}); pass at least one label"
    )
    require(
        np.issubdtype(y.dtype, np.integer),
        f"{name} must hold integer class labels, not {y.dtype} (shape {y.shape}); "
        f"drop rows without a label, then try {name}.astype(int)",
        TypeError,
    )
    require(
        ignore_index is None or isinstance(ignore_index, (int, np.integer)),
        f"ignore_index must be a whole number, not {ignore_index!r}; try -100",
        TypeError,
    )
    counted = y if ignore_index is None else y[y != ignore_index]
    low, high = int(counted.min(initial=0)), int(counted.max(initial=0))
    require(low >= 0, f"{name} holds label {low}; labels start at 0, not below")
    if classes is not None:
        require(
            high < classes or not counted.size,
            f"{name} holds label {high} but there are {classes} classes, "
            f"0 to {classes - 1}; do the labels start at 1?",
        )
    return y


def as_binary(y, name):
    """Hand back `y` as floats that are each 0 or 1, for a loss with two classes.

    Parameters
    ----------
    y : array_like (...)
        Booleans, integers or floats, each equal to 0 or 1.
    name : str
        What the caller calls `y`.

    Returns
    -------
    ndarray of float (...)
        The precision of `y` if it is floating, else float64.

    Raises
    ------
    ValueError
        If `y` is empty or holds another value, such as −1 or NaN.

    >>> def positives(y):
    ...     return as_binary(y, "y").sum()
    >>> positives([True, False, True])
    np.float64(2.0)
    >>> positives([-1, 1])
    Traceback (most recent call last):
    ValueError: positives: y must hold only 0 and 1, but holds -1 (shape (2,));
    recode the two classes as 0 and 1
    """
    y = _as_array(y, name)
    require(y.size, f"{name} is empty (shape {y.shape}); pass at least one label")
    for wrong in y[(y != 0) & (y != 1)][:1]:
        require(
            False,
            f"{name} must hold only 0 and 1, but holds {wrong} (shape {y.shape}); "
            "recode the two classes as 0 and 1",
        )
    return y if np.issubdtype(y.dtype, np.floating) else y.astype(float)


def _as_array(x, name):
    """`x` as an array (...), unless its rows have different lengths."""
    try:
        return np.asarray(x)
    except ValueError:
        require(
            False,
            f"{name} is no array: its rows have different lengths; make them equally "
            "long, or pass one row at a time",
        )


def check_ndim(x, name, ndim):
    """Refuse an array `x` (...) whose number of dimensions is not (one of) `ndim`.

    >>> def rows(x):
    ...     check_ndim(x, "x", 2)
    >>> rows(np.ones(3))
    Traceback (most recent call last):
    ValueError: rows: x must have 2 dimensions, not 1 (shape (3,));
    reshape it, or add an axis with [None]
    """
    allowed = ndim if isinstance(ndim, tuple) else (ndim,)
    if np.ndim(x) not in allowed:
        numbers, advice = " or ".join(map(str, allowed)), "or add an axis with [None]"
        sentence = f"{name} must have {numbers} dimensions, not {np.ndim(x)}"
        require(False, f"{sentence} (shape {np.shape(x)}); reshape it, {advice}")


def check_same_shape(**arrays):
    """Refuse arrays (...) of different shapes; nothing broadcasts by accident.

    >>> def mse_loss(input, target):
    ...     check_same_shape(input=input, target=target)
    ...     return np.mean((input - target) ** 2)
    >>> mse_loss(np.ones((5, 1)), np.ones(5))
    Traceback (most recent call last):
    ValueError: mse_loss: input has shape (5, 1) but target has shape (5,);
    reshape one of them, nothing is broadcast here
    """
    (first, x), *others = arrays.items()
    for name, y in others:
        if np.shape(x) != np.shape(y):  # most often not, so the sentence can wait
            sentence = f"{first} has shape {np.shape(x)} but {name} has shape"
            advice = "reshape one of them, nothing is broadcast here"
            require(False, f"{sentence} {np.shape(y)}; {advice}")


def check_square(x, name, n=None, *, symmetric=False):
    """Refuse an array `x` that is no matrix (n, n) or, if it must be, not symmetric.

    >>> def newton_step(g, H):
    ...     check_square(H, "H", len(g), symmetric=True)
    >>> newton_step(np.ones(2), np.ones((2, 3)))
    Traceback (most recent call last):
    ValueError: newton_step: H must be a matrix (2, 2), not (2, 3)
    >>> newton_step(np.ones(2), np.array([[1.0, 2.0], [0.0, 1.0]]))
    Traceback (most recent call last):
    ValueError: newton_step: H is not symmetric or not finite; try (H + H.T) / 2
    """
    shape = np.shape(x)
    n = max(shape, default=1) if n is None else n
    require(shape == (n, n), f"{name} must be a matrix ({n}, {n}), not {shape}")
    require(
        not symmetric or np.allclose(x, np.transpose(x), rtol=1e-4),
        f"{name} is not symmetric or not finite; try ({name} + {name}.T) / 2",
    )


def check_in(value, name, allowed):
    """Refuse a `value` that is not among those `allowed`.

    >>> def loss(reduction="mean"):
    ...     check_in(reduction, "reduction", ("none", "mean", "sum"))
    >>> loss("avg")
    Traceback (most recent call last):
    ValueError: loss: reduction must be 'none', 'mean' or 'sum', not 'avg'
    """
    *head, last = map(repr, allowed)
    choices = f"{', '.join(head)} or {last}" if head else last
    is_one = any(type(value) is type(each) and value == each for each in allowed)
    require(is_one, f"{name} must be {choices}, not {value!r}")


def check_reduction(reduction, loss):
    """Refuse a `reduction` of a `loss` (...) that does not exist or is not defined.

    >>> def mse_loss(input, target, reduction="mean"):
    ...     loss = (input - target) ** 2
    ...     check_reduction(reduction, loss)
    ...     return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)
    >>> mse_loss(np.ones(2), np.zeros(2), "avg")
    Traceback (most recent call last):
    ValueError: mse_loss: reduction must be 'mean', 'sum' or 'none', not 'avg'
    >>> mse_loss(np.ones(0), np.zeros(0))
    Traceback (most recent call last):
    ValueError: mse_loss: there is no mean of an empty batch (shape (0,));
    pass at least one example, or reduction='sum'
    """
    check_in(reduction, "reduction", ("mean", "sum", "none"))
    require(
        np.size(loss) or reduction != "mean",
        f"there is no mean of an empty batch (shape {np.shape(loss)}); pass at least "
        "one example, or reduction='sum'",
    )


def as_share(dy, input, reduction):
    """What each element of a loss counts for in the cost that is differentiated.

    Parameters
    ----------
    dy : float, or ndarray (...) with ``reduction="none"``
        Gradient of the cost with respect to the loss; 1.0 if the loss is the cost.
    input : ndarray (...)
        What the loss was given, one element for each of its terms.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    float or ndarray (...)
        `dy`, divided by the number of elements for a mean.

    >>> def mse_loss_backward(dy, input, target, reduction="mean"):
    ...     return as_share(dy, input, reduction) * 2 * (input - target)
    >>> mse_loss_backward(np.ones((5, 1)), np.ones(5), np.zeros(5), "none")
    Traceback (most recent call last):
    ValueError: mse_loss_backward: dy has shape (5, 1) but input has shape (5,);
    reshape one of them, nothing is broadcast here
    >>> mse_loss_backward(np.ones(5), np.ones(5), np.zeros(5))
    Traceback (most recent call last):
    ValueError: mse_loss_backward: dy must be a number with reduction='mean', as the
    loss is, not shape (5,); try 1.0
    """
    check_reduction(reduction, input)
    dy = _as_array(dy, "dy")
    require(
        np.issubdtype(dy.dtype, np.number),
        f"dy must hold numbers, not {dy.dtype}; it is a gradient, try 1.0",
        TypeError,
    )
    if reduction == "none":
        dy = as_float(dy, "dy", empty=True)
        check_same_shape(dy=dy, input=input)
        return dy
    require(
        dy.ndim == 0,
        f"dy must be a number with reduction={reduction!r}, as the loss is, not shape "
        f"{dy.shape}; try 1.0",
    )
    dy = dy.item()  # a Python number does not change the precision of an array
    return dy / np.size(input) if reduction == "mean" else dy


def check_dim(dim, x):
    """Refuse a `dim` that the array `x` (...) does not have.

    >>> def softmax(input, dim):
    ...     check_dim(dim, input)
    >>> softmax(np.ones((4, 3)), 2)
    Traceback (most recent call last):
    ValueError: softmax: dim must lie between -2 and 1 for an array of shape (4, 3),
    not 2
    >>> softmax(np.ones((4, 3)), 1.0)
    Traceback (most recent call last):
    TypeError: softmax: dim must be a whole number, not 1.0
    """
    is_whole = isinstance(dim, (int, np.integer)) and not isinstance(dim, bool)
    require(is_whole, f"dim must be a whole number, not {dim!r}", TypeError)
    ndim = np.ndim(x)
    require(ndim, "the array has no dimensions, so none can be chosen; reshape it")
    require(
        -ndim <= dim < ndim,
        f"dim must lie between {-ndim} and {ndim - 1} for an array of shape "
        f"{np.shape(x)}, not {dim}",
    )


def check_between(x, name, low, high):
    """Refuse an array `x` (...) with a number below `low`, above `high`, or NaN.

    >>> def entropy(p):
    ...     check_between(p, "p", 0, 1)
    >>> entropy(np.array([0.5, 1.5, np.nan]))
    Traceback (most recent call last):
    ValueError: entropy: p must lie between 0 and 1 but holds 1.5 (2 of 3 numbers lie
    outside); check how it was made
    """
    outside = np.ravel(x)[~np.ravel((x >= low) & (x <= high))]
    for wrong in outside[:1]:
        require(
            False,
            f"{name} must lie between {low} and {high} but holds {wrong:g} "
            f"({len(outside)} of {np.size(x)} numbers lie outside); check how it was "
            "made",
        )


def check_finite(x, name):
    """Refuse an array `x` (...) that holds NaN or infinity.

    >>> def fit(x):
    ...     check_finite(x, "x")
    >>> fit(np.array([1.0, np.nan, 2.0]))
    Traceback (most recent call last):
    ValueError: fit: x is NaN or infinite in 1 of 3 places, first at (1,);
    clean the data or lower the learning rate
    """
    bad = np.argwhere(~np.isfinite(x))
    for index in bad[:1]:
        require(
            False,
            f"{name} is NaN or infinite in {len(bad)} of {np.size(x)} places, first at "
            f"{tuple(map(int, index))}; clean the data or lower the learning rate",
        )


def check_positive(value, name, *, integer=False, zero=False):
    """Refuse a number that is not above 0 or, with `integer`, not a whole number.

    With `zero`, 0 will do as well.

    >>> def descend(lr, steps):
    ...     check_positive(lr, "lr")
    ...     check_positive(steps, "steps", integer=True)
    >>> descend(0.1, -3)
    Traceback (most recent call last):
    ValueError: descend: steps must be a whole number above 0, not -3
    >>> descend(float("nan"), 3)
    Traceback (most recent call last):
    ValueError: descend: lr must be a number above 0, not nan
    """
    kind = "a whole number" if integer else "a number"
    types = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    sentence = f"{name} must be {kind} above 0{' or 0' if zero else ''}, not {value!r}"
    require(
        isinstance(value, types) and not isinstance(value, bool), sentence, TypeError
    )
    require(value > 0 or (zero and value == 0), sentence)


def check_number(value, name, low=-np.inf, high=np.inf):
    """Refuse what is not one real number between `low` and `high`; NaN is none.

    >>> def dropout(p):
    ...     check_number(p, "p", 0, 1)
    >>> dropout(1.5)
    Traceback (most recent call last):
    ValueError: dropout: p must be a number from 0 to 1, not 1.5
    >>> def elu(alpha):
    ...     check_number(alpha, "alpha")
    >>> elu("1")
    Traceback (most recent call last):
    TypeError: elu: alpha must be a number, not '1'
    """
    above = f" from {low}" if low > -np.inf else ""
    below = f" to {high}" if above else f" up to {high}"
    sentence = f"{name} must be a number{above}{below if high < np.inf else ''}, not "
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    require(is_number, f"{sentence}{value!r}", TypeError)
    require(low <= value <= high, f"{sentence}{value!r}")


def check_rng(rng):
    """Refuse what is not a `numpy.random.Generator`; global state is never used.

    >>> def shuffle(x, *, rng):
    ...     check_rng(rng)
    >>> shuffle([1.0, 2.0], rng=0)
    Traceback (most recent call last):
    TypeError: shuffle: rng must be a numpy.random.Generator, not 0; try
    numpy_generator(0)
    """
    is_rng = isinstance(rng, np.random.Generator)
    sentence = f"rng must be a numpy.random.Generator, not {rng!r}; try "
    require(is_rng, f"{sentence}numpy_generator(0)", TypeError)
