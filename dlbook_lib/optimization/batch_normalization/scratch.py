r"""Normalisation in NumPy: over the batch, a layer, groups of channels, an instance.

All four subtract a mean and divide by :math:`\sqrt{\sigma^2+\varepsilon}`; they differ
in which numbers share a mean. Of an array (N, C, ...) that is

- batch: one mean for each channel, over N and the places "...";
- layer: one for each example, over the last axes;
- group: one for each example and group of channels;
- instance: one for each example and channel.

Where forms differ: some texts divide by the bare standard deviation, which is a
division by zero for a unit that gives the same number on the whole batch, and leave out
what happens in use, where a single case has no batch: running statistics replace it.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_dim,
    check_in,
    check_number,
    check_positive,
    check_same_shape,
    require,
)


def standardize(input, dim, eps=1e-5):
    r"""Mean 0, mean square 1: :math:`\hat x=(x-\mu)/\sqrt{\sigma^2+\varepsilon}`.

    Parameters
    ----------
    input : array_like (...)
    dim : int or tuple of int
        The axes whose numbers share a mean :math:`\mu` and a variance
        :math:`\sigma^2`, the biased one, which divides by their number.
    eps : float
        What keeps the root from 0 where all numbers are equal.

    Returns
    -------
    ndarray (...)

    >>> standardize([[1.0, 3.0], [5.0, 5.0]], dim=1).round(4)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    input = as_float(input, "input", empty=True)
    check_positive(eps, "eps")
    for d in dim if isinstance(dim, tuple) else (dim,):
        check_dim(d, input)
    if not input.size:  # there is no mean of nothing
        return input.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        centred = input - input.mean(axis=dim, keepdims=True)
        var = (centred * centred).mean(axis=dim, keepdims=True)
        return centred / np.sqrt(var + float(eps))


def standardize_backward(dy, input, dim, eps=1e-5):
    r"""Gradient of `standardize`, with :math:`\hat x` for what it gives,

    .. math:: \frac1{\sqrt{\sigma^2+\varepsilon}}
              \bigl(g-\overline g-\hat x\,\overline{g\hat x}\bigr),

    where `dy` (...) is :math:`g` and the bars are means along `dim`: the parts of `dy`
    that would shift or stretch all numbers alike are taken out.

    >>> standardize_backward([1.0, 0.0, 0.0], [-1.0, 0.0, 1.0], 0).round(3)
    array([ 0.204, -0.408,  0.204])
    """
    x_hat = standardize(input, dim, eps)  # checks the arguments
    dy, input = as_float(dy, "dy", empty=True), np.asarray(input)
    check_same_shape(dy=dy, input=input)
    if not input.size:
        return dy.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        centred = input - input.mean(axis=dim, keepdims=True)
        var = (centred * centred).mean(axis=dim, keepdims=True)
        along = (dy * x_hat).mean(axis=dim, keepdims=True)
        dx_hat = dy - dy.mean(axis=dim, keepdims=True) - x_hat * along
        return dx_hat / np.sqrt(var + float(eps))


def channelwise(x, input, name="weight"):
    """The numbers `x` (C,) as (C, 1, …, 1), to go with `input` (N, C, ...).

    >>> channelwise(np.ones(3), np.zeros((8, 3, 28, 28))).shape
    (3, 1, 1)
    """
    x = as_float(x, name, ndim=1, empty=True)
    input = as_float(input, "input", empty=True)
    require(
        input.ndim > 1 and len(x) == input.shape[1],
        f"{name} has shape {x.shape} but input has {input.shape}; give a number "
        "for each channel, which is axis 1 of (N, C, ...)",
    )
    return x.reshape(-1, *(1 for _ in input.shape[2:]))


def affine(input, weight=None, bias=None):
    r"""Scale and shift every channel: :math:`\gamma_cx+\beta_c`.

    Parameters
    ----------
    input : array_like (N, C, ...)
    weight, bias : array_like (C,), optional
        :math:`\gamma` and :math:`\beta`; 1 and 0 if they are left out.

    Returns
    -------
    ndarray (N, C, ...)

    >>> affine([[1.0, 1.0]], [2.0, 3.0], [0.0, 5.0])
    array([[2., 8.]])
    """
    y = as_float(input, "input", empty=True)
    y = y if weight is None else y * channelwise(weight, y)
    return y if bias is None else y + channelwise(bias, y, "bias")


def affine_backward(dy, input, weight=None, bias=None):
    """Gradients of `affine`: (N, C, ...), and (C,) twice, or None where it was None.

    >>> affine_backward([[1.0, 1.0]], [[4.0, 5.0]], [2.0, 3.0])
    (array([[2., 3.]]), array([4., 5.]), None)
    """
    affine(input, weight, bias)  # checks them
    dy, input = as_float(dy, "dy", empty=True), np.asarray(input)
    check_same_shape(dy=dy, input=input)
    dim = (0, *range(2, input.ndim))
    dweight = None if weight is None else (dy * input).sum(axis=dim)
    dbias = None if bias is None else dy.sum(axis=dim)
    return affine(dy, weight), dweight, dbias


def track_(running_mean, running_var, input, dim, momentum=0.1):
    r"""Move running statistics towards those of a batch, in place.

    .. math:: r\leftarrow(1-\alpha)\,r+\alpha\,s

    Parameters
    ----------
    running_mean, running_var : ndarray (C,)
        What is changed.
    input : array_like (N, C, ...)
    dim : tuple of int
        The axes that share a mean; over the others, but C, the statistics are averaged.
    momentum : float
        The share :math:`\alpha` of the new ones, from 0 to 1.

    Where conventions differ: the running variance is the *unbiased* one, divided by
    n − 1, though training divides by n; and a momentum of 0.1 means that 0.9 is kept,
    which an optimizer would call a momentum of 0.9.

    >>> mean, var = np.zeros(1), np.ones(1)
    >>> track_(mean, var, [[0.0], [2.0]], 0, momentum=0.5)
    >>> mean, var
    (array([0.5]), array([1.5]))
    """
    input = as_float(input, "input", empty=True)
    check_number(momentum, "momentum", 0, 1)
    for name, running in ("running_mean", running_mean), ("running_var", running_var):
        channelwise(running, input, name)  # checks it
        in_place = f"{name} is changed in place, so it must be an array"
        require(isinstance(running, np.ndarray), in_place, TypeError)
    shared = dim if isinstance(dim, tuple) else (dim,)
    for d in shared:
        check_dim(d, input)
    lone = all(input.shape[d] == 1 for d in shared)
    require(not lone, f"one number has no variance; input {input.shape}, dim {dim}")
    if input.size:
        rest = (0, *range(2, input.ndim))
        mean = input.mean(axis=dim, keepdims=True).mean(axis=rest)
        var = input.var(axis=dim, ddof=1, keepdims=True).mean(axis=rest)
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var - running_var)


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    r"""Normalise every channel over the batch, or by running statistics.

    .. math:: y_c=\gamma_c\frac{x_c-\mu_c}{\sqrt{\sigma_c^2+\varepsilon}}+\beta_c

    Parameters
    ----------
    input : array_like (N, C, ...)
        Units (N, C), or series or images with any number of further axes.
    running_mean, running_var : ndarray (C,) or None
        In training they are moved as in `track_`, in place; in use they are
        :math:`\mu` and :math:`\sigma^2`.
    weight, bias : array_like (C,), optional
        :math:`\gamma` and :math:`\beta`.
    training : bool
        Whether the batch gives :math:`\mu` and the biased :math:`\sigma^2`.
    momentum, eps : float

    Returns
    -------
    ndarray (N, C, ...)

    Raises
    ------
    ValueError
        In training, if there is a single number for each channel, as torch does.

    Source: Ioffe and Szegedy (2015), algorithms 1 and 2.

    >>> batch_norm([[1.0], [3.0]], None, None, training=True).round(4)
    array([[-1.],
           [ 1.]])
    """
    input = as_float(input, "input", empty=True)
    check_in(training, "training", (True, False))
    check_positive(eps, "eps")
    if not training:
        mean = channelwise(running_mean, input, "running_mean")
        var = channelwise(running_var, input, "running_var")
        return affine((input - mean) / np.sqrt(var + float(eps)), weight, bias)
    require(
        input.ndim > 1 and input.size != input.shape[1],
        f"input {input.shape} must be (N, C, ...) with more than one number for each "
        "channel, or they are all 0 afterwards; try a larger batch, or eval()",
    )
    dim = (0, *range(2, input.ndim))
    y = affine(standardize(input, dim, eps), weight, bias)
    if running_mean is not None or running_var is not None:
        track_(running_mean, running_var, input, dim, momentum)
    return y


def batch_norm_backward(
    dy,
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """Gradients of `batch_norm`; the running statistics are not changed.

    Parameters
    ----------
    dy : array_like (N, C, ...)
    input, running_mean, running_var, weight, bias, training, momentum, eps
        As given to `batch_norm`.

    Returns
    -------
    dinput : ndarray (N, C, ...)
        In training it depends on the whole batch, as `standardize_backward` says.
    None, None
        In the places of the running statistics.
    dweight, dbias : ndarray (C,) or None

    >>> dx, _, _, _, db = batch_norm_backward(
    ...     [[1.0], [0.0]], [[1.0], [3.0]], None, None, bias=[0.0], training=True
    ... )
    >>> db
    array([1.])
    """
    stats = (None, None) if training else (running_mean, running_var)
    x_hat = batch_norm(input, *stats, None, None, training, momentum, eps)
    d, dweight, dbias = affine_backward(dy, x_hat, weight, bias)
    if training:
        dim = (0, *range(2, x_hat.ndim))
        return standardize_backward(d, input, dim, eps), None, None, dweight, dbias
    var = channelwise(running_var, x_hat, "running_var")
    return d / np.sqrt(var + float(eps)), None, None, dweight, dbias


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise every example over its last axes.

    Parameters
    ----------
    input : array_like (..., *normalized_shape)
    normalized_shape : tuple of int
        The lengths of these axes.
    weight, bias : array_like (*normalized_shape,), optional
        A factor and a shift for each place.
    eps : float

    Returns
    -------
    ndarray (..., *normalized_shape)

    Source: Ba, Kiros and Hinton (2016), equations 3 and 4. Nothing depends on other
    examples, so training and use do not differ.

    >>> layer_norm([[1.0, 3.0], [10.0, 30.0]], (2,)).round(4)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    input = as_float(input, "input", empty=True)
    is_list = isinstance(normalized_shape, (tuple, list)) and normalized_shape
    sizes = f"normalized_shape must be a tuple of lengths, not {normalized_shape!r}"
    require(is_list, sizes, TypeError)
    last = input.shape[-len(normalized_shape) :]
    require(
        last == tuple(normalized_shape),
        f"input {input.shape} does not end in normalized_shape {normalized_shape!r}; "
        "which axes belong to one example?",
    )
    y = standardize(input, tuple(range(-len(last), 0)), eps)
    for name, x in ("weight", weight), ("bias", bias):
        if x is not None:
            wrong = f"{name} must have shape {last}, as normalized_shape says"
            require(as_float(x, name, empty=True).shape == last, wrong)
    y = y if weight is None else y * np.asarray(weight)
    return y if bias is None else y + np.asarray(bias)


def layer_norm_backward(dy, input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Gradients of `layer_norm`: with respect to input (...), weight and bias.

    In the place of `normalized_shape` stands None, as for a weight or bias of None.

    >>> layer_norm_backward([[1.0, 2.0]], [[1.0, 3.0]], (2,), bias=[0.0, 0.0])[3]
    array([1., 2.])
    """
    y = layer_norm(input, normalized_shape, weight, bias, eps)  # checks the arguments
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, input=y)
    dim = tuple(range(-len(normalized_shape), 0))
    examples = tuple(range(dy.ndim + dim[0]))
    x_hat = standardize(input, dim, eps)
    dweight = None if weight is None else (dy * x_hat).sum(axis=examples)
    dbias = None if bias is None else dy.sum(axis=examples)
    dx_hat = dy if weight is None else dy * np.asarray(weight)
    return standardize_backward(dx_hat, input, dim, eps), None, dweight, dbias


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise every example over groups of neighbouring channels.

    Parameters
    ----------
    input : array_like (N, C, ...)
    num_groups : int
        A divisor of C; 1 takes all channels together, C each alone.
    weight, bias : array_like (C,), optional
        A factor and a shift for each channel, not for each group.
    eps : float

    Returns
    -------
    ndarray (N, C, ...)

    Raises
    ------
    ValueError
        If a lone example has groups of a single number, as in torch.

    Source: Wu and He (2018), section 3.

    >>> group_norm([[1.0, 3.0, 10.0, 30.0]], 2).round(4)
    array([[-1.,  1., -1.,  1.]])
    """
    input = as_float(input, "input", empty=True)
    check_positive(num_groups, "num_groups", integer=True)
    require(
        input.ndim > 1 and input.shape[1] % num_groups == 0,
        f"input {input.shape} must be (N, C, ...) with C divisible by num_groups, "
        f"{num_groups}; try 1",
    )
    require(
        input.size != num_groups,
        f"input {input.shape} has one number in each of {num_groups} groups, so all "
        "would become 0; take fewer groups",
    )
    n, channels, *places = input.shape
    groups = input.reshape(n, num_groups, channels // num_groups, *places)
    y = standardize(groups, tuple(range(2, groups.ndim)), eps)
    return affine(y.reshape(input.shape), weight, bias)


def group_norm_backward(dy, input, num_groups, weight=None, bias=None, eps=1e-5):
    """Gradients of `group_norm`: with respect to input (N, C, ...), weight and bias.

    In the place of `num_groups` stands None, as for a weight or bias of None.

    >>> group_norm_backward([[1.0, 2.0]], [[1.0, 3.0]], 1, bias=[0.0, 0.0])[3]
    array([1., 2.])
    """
    x_hat = group_norm(input, num_groups, eps=eps)  # checks the arguments
    d, dweight, dbias = affine_backward(dy, x_hat, weight, bias)
    n, channels, *places = x_hat.shape
    shape = n, num_groups, channels // num_groups, *places
    dim = tuple(range(2, len(shape)))
    d = standardize_backward(d.reshape(shape), np.reshape(input, shape), dim, eps)
    return d.reshape(x_hat.shape), None, dweight, dbias


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Normalise every channel of every example over its places.

    Parameters
    ----------
    input : array_like (N, C, ...)
        With at least one axis of places.
    running_mean, running_var : ndarray (C,), optional
        Moved as in `track_`; what is used without `use_input_stats`.
    weight, bias : array_like (C,), optional
    use_input_stats : bool
        Whether each instance has its own mean and variance.
    momentum, eps : float

    Returns
    -------
    ndarray (N, C, ...)

    Raises
    ------
    ValueError
        If an instance has a single place, as in torch.

    Source: Ulyanov, Vedaldi and Lempitsky (2016), for the style of images.

    >>> instance_norm([[[1.0, 3.0], [10.0, 30.0]]]).round(4)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    input = as_float(input, "input", empty=True)
    check_in(use_input_stats, "use_input_stats", (True, False))
    stats = running_mean, running_var
    if not use_input_stats:
        return batch_norm(input, *stats, weight, bias, False, momentum, eps)
    require(
        np.prod(input.shape[2:]) != 1,
        f"input {input.shape} must be (N, C, ...) with more than one place for each "
        "channel, or they are all 0 afterwards; try batch_norm",
    )
    dim = tuple(range(2, input.ndim))
    y = affine(standardize(input, dim, eps), weight, bias)
    if running_mean is not None or running_var is not None:
        track_(running_mean, running_var, input, dim, momentum)
    return y


def instance_norm_backward(
    dy,
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Gradients of `instance_norm`, in the order of `batch_norm_backward`.

    Parameters
    ----------
    dy : array_like (N, C, ...)
    input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
        As given to `instance_norm`.

    Returns
    -------
    dinput : ndarray (N, C, ...)
    None, None
        In the places of the running statistics.
    dweight, dbias : ndarray (C,) or None

    >>> instance_norm_backward([[[1.0, 2.0]]], [[[1.0, 3.0]]], bias=[0.0])[4]
    array([3.])
    """
    if not use_input_stats:
        stats = running_mean, running_var
        return batch_norm_backward(
            dy, input, *stats, weight, bias, use_input_stats, momentum, eps
        )
    x_hat = instance_norm(input, None, None, None, None, use_input_stats, momentum, eps)
    d, dweight, dbias = affine_backward(dy, x_hat, weight, bias)
    dim = tuple(range(2, x_hat.ndim))
    return standardize_backward(d, input, dim, eps), None, None, dweight, dbias


def _dot(a, b, piece=2**17):
    """The product of two vectors (n,), in pieces: a long one adds up its roundings."""
    if len(a) <= piece:
        return a.dot(b)
    starts = range(0, len(a), piece)
    return sum(a[i : i + piece].dot(b[i : i + piece]) for i in starts)


def batch_norm_by_channel(input, weight, bias, eps=1e-5):
    """The same as `batch_norm` in training, one channel after the other in cache.

    `batch_norm` walks through all of `input` for each of its small steps, and each
    time the numbers come from main memory. A single channel stays in the cache from
    the first step to the last. The variance is the mean square less the square of the
    mean, which needs no centred copy; where the mean is larger than the deviation that
    difference would lose digits, and the channel is centred first.

    Parameters
    ----------
    input : array_like (N, C, ...)
        In any memory layout; fastest if a channel's numbers lie together, as in a
        view of an array (C, ..., N).
    weight, bias : array_like (C,)
    eps : float

    Returns
    -------
    y : ndarray (N, C, ...)
        A view of an array (C, ...), where a channel's numbers lie together.
    pull : callable
        ``pull(dy)`` gives the gradients (N, C, ...), (C,) and (C,). It is what the
        engine's `fused` takes to make an operation on Tensors of both.

    >>> one = np.ones(1)
    >>> batch_norm_by_channel(np.array([[1.0], [3.0]]), one, one)[0].round(4)
    array([[0.],
           [2.]])
    """
    input = as_float(input, "input")
    check_positive(eps, "eps")
    for name, x in ("weight", weight), ("bias", bias):
        channelwise(x, input, name)  # checks it
    numbers = input.size // input.shape[1]
    require(numbers > 1, f"input {input.shape} has one number for each channel")
    # C first, then the axes as they lie in memory
    axes = 1, *sorted((0, *range(2, input.ndim)), key=lambda d: -input.strides[d])
    x, y = input.transpose(axes), np.empty((input.shape[1], numbers), input.dtype)
    mean, inv_std = stats = np.empty((2, len(x)), input.dtype)
    ones = np.ones(numbers, input.dtype)  # a sum is a product with it, and faster
    with np.errstate(over="ignore", invalid="ignore"):
        for c in range(len(x)):
            one = x[c].reshape(-1)  # (numbers,), a copy only where they lie apart
            shift = mean[c] = _dot(one, ones) / numbers
            var = _dot(one, one) / numbers - shift * shift
            if not var >= shift * shift:
                one, shift = one - shift, 0
                var = _dot(one, one) / numbers
            inv_std[c] = 1 / np.sqrt(var + eps)
            factor = weight[c] * inv_std[c]
            t = np.multiply(one, factor, out=y[c])
            t += bias[c] - shift * factor
    y = y.reshape(x.shape).transpose(np.argsort(axes))  # (N, C, ...)
    return y, lambda dy: batch_norm_by_channel_backward(dy, input, weight, *stats)


def batch_norm_by_channel_backward(dy, input, weight, mean, inv_std):
    """Gradients of `batch_norm_by_channel`, from the statistics that it has found.

    Parameters
    ----------
    dy, input : array_like (N, C, ...)
    weight, mean, inv_std : array_like (C,)
        `inv_std` is 1 over the root of variance plus eps.

    Returns
    -------
    dinput : ndarray (N, C, ...)
    dweight, dbias : ndarray (C,)

    >>> one = np.ones(1)
    >>> batch_norm_by_channel_backward(
    ...     np.array([[1.0], [0.0]]), np.array([[1.0], [3.0]]), one, 2 * one, one
    ... )[1:]
    (array([-1.]), array([1.]))
    """
    dy, input = as_float(dy, "dy"), as_float(input, "input")
    check_same_shape(dy=dy, input=input)
    for name, x in ("weight", weight), ("mean", mean), ("inv_std", inv_std):
        channelwise(x, input, name)  # checks it
    axes = 1, *sorted((0, *range(2, input.ndim)), key=lambda d: -input.strides[d])
    x, dy = input.transpose(axes), dy.transpose(axes)  # (C, ...)
    dx = np.empty((len(x), input.size // len(x)), input.dtype)
    dweight, dbias = np.empty((2, len(x)), input.dtype)
    ones = np.ones_like(dx[0])
    with np.errstate(over="ignore", invalid="ignore"):
        for c in reversed(range(len(x))):  # the last is still in the cache
            d, one, shift = dy[c].reshape(-1), x[c].reshape(-1), mean[c]
            if not abs(shift) * inv_std[c] <= 1:
                one, shift = one - shift, 0
            dbias[c] = _dot(d, ones)
            dweight[c] = (_dot(d, one) - shift * dbias[c]) * inv_std[c]
            slope = -dweight[c] * inv_std[c] / len(d)
            t = np.multiply(one, slope, out=dx[c])
            t += d
            t -= dbias[c] / len(d) + slope * shift
            t *= weight[c] * inv_std[c]
    return dx.reshape(x.shape).transpose(np.argsort(axes)), dweight, dbias
