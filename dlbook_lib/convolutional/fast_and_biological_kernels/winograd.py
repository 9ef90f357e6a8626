r"""Convolution with fewer multiplications, by the minimal algorithms of Winograd.

Three taps at two neighbouring places take 2 · 3 products. Read as a polynomial product,
transposed, the two places take 4: a number for each coefficient of the product of a
polynomial of degree 1 and one of degree 2. In two dimensions 36 become 16, and 144
become 36 for 4 x 4 places; the price is additions, and accuracy in float32.

Arrays are channels-first, (N, C, H, W); the kernel is square and moves with stride 1.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlbook_lib.common.checks import as_float, check_positive, require
from dlbook_lib.convolutional.convolution.scratch import COLUMN_BYTES, batch_last
from dlbook_lib.convolutional.strides_and_gradients.scratch import conv_plan

POINTS = 0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5
"""Where polynomials are evaluated, besides at infinity: sums and shifts suffice."""
TILE_BYTES = 2**23
"""What the transformed tiles of a few rows may take in `winograd_conv2d_by_rows`."""


def winograd_transforms(tile, kernel_size=3):
    r"""The three matrices of :math:`F(m,r)`, m places of a kernel of r taps.

    .. math:: y=A^{\mathsf T}\bigl[(Gg)\odot(B^{\mathsf T}d)\bigr]

    for taps g (r,) and inputs d (n,), where n = m + r − 1. :math:`A` and :math:`G`
    evaluate polynomials of m and of r coefficients at n points, of which the last is
    infinity (its value is the leading coefficient); :math:`B` interpolates: row i of
    its transpose is the polynomial that vanishes at all points but the i-th.

    Parameters
    ----------
    tile, kernel_size : int
        m and r, with at most 8 points.

    Returns
    -------
    at : ndarray (m, n)
    g : ndarray (n, r)
    bt : ndarray (n, n)

    Source: Winograd (1980); Lavin and Gray (2016), section 4.

    >>> at, g, bt = winograd_transforms(2)
    >>> bt
    array([[ 1.,  0., -1.,  0.],
           [ 0.,  1.,  1.,  0.],
           [ 0., -1.,  1.,  0.],
           [ 0., -1.,  0.,  1.]])
    >>> g.tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]]
    >>> at @ ((g @ [1.0, 10.0, 100.0]) * (bt @ [1.0, 2.0, 3.0, 4.0]))
    array([321., 432.])
    """
    check_positive(tile, "tile", integer=True)
    check_positive(kernel_size, "kernel_size", integer=True)
    n, most = tile + kernel_size - 1, len(POINTS) + 1
    sentence = f"{tile} places of {kernel_size} taps need {n} points, but there are "
    require(1 < n <= most, f"{sentence}2 to {most}; try tile=2")
    points = POINTS[: n - 1]
    evaluate = [[p**j for j in range(n)] for p in points] + [[0.0] * n]
    at, g = (np.array(evaluate)[:, :size] for size in (tile, kernel_size))
    at[-1, -1] = g[-1, -1] = 1.0  # at infinity
    bt = np.zeros((n, n))
    bt[-1] = np.poly(points)[::-1]  # (x - p) for all points
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        scale = np.prod([p - q for q in others])  # what their polynomial is at p
        bt[i, :-1] = np.atleast_1d(np.poly(others))[::-1] * np.sign(scale) + 0.0
        g[i] /= abs(scale)
    return at.T, g, bt


def winograd_multiplies(tile, kernel_size=3):
    """Products for a square of tile x tile places of one channel, in two ways.

    Returns
    -------
    dict
        "direct", tile² · kernel_size², and "winograd", (tile + kernel_size − 1)², for
        the numbers given, of shape ().

    >>> winograd_multiplies(2), winograd_multiplies(4)
    ({'direct': 36, 'winograd': 16}, {'direct': 144, 'winograd': 36})
    """
    check_positive(tile, "tile", integer=True)
    check_positive(kernel_size, "kernel_size", integer=True)
    return {
        "direct": tile**2 * kernel_size**2,
        "winograd": (tile + kernel_size - 1) ** 2,
    }


def tile_plan(input, weight, bias=None, padding=0, tile=2):
    """What there is to do: refuses what does not fit.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, k, k)
    bias : array_like (F,), optional
    padding : int or (int, int), or {"same", "valid"}
    tile : int
        m, the side of a tile of outputs.

    Returns
    -------
    shape : tuple
        (N, F, OH, OW) of the output.
    rows, columns : int
        How many tiles it takes, the last ones perhaps in part.
    around : list of pairs
        Zeros before and after on each axis of `input`, so that all tiles are whole.
    transforms : list of three ndarrays, (m, n), (n, k) and (n, n)

    >>> tile_plan(np.ones((1, 2, 5, 5)), np.ones((4, 2, 3, 3)))[:4]
    ((1, 4, 3, 3), 2, 2, [(0, 0), (0, 0), (0, 1), (0, 1)])
    """
    input = as_float(input, "input", ndim=4, empty=True)
    weight = as_float(weight, "weight", ndim=4)
    _, _, around, places = conv_plan(input, weight, bias, 1, padding)
    square = weight.shape[2] == weight.shape[3]
    require(square, f"the kernel must be square, not {weight.shape[2:]}; pad it")
    transforms = winograd_transforms(tile, weight.shape[2])
    dtype = np.result_type(input, weight)
    rows, columns = (-(-n // tile) for n in places)
    missing = rows * tile - places[0], columns * tile - places[1]
    ends = [(a, b + more) for (a, b), more in zip(around, missing, strict=True)]
    shape = len(input), len(weight), *places
    around = [(0, 0), (0, 0), *ends]
    return shape, rows, columns, around, [t.astype(dtype) for t in transforms]


def winograd_conv2d(input, weight, bias=None, padding=0, tile=2):
    r"""Cross-correlation of images, :math:`F(m\times m,k\times k)`, a row of tiles at a
    time.

    .. math:: Y=A^{\mathsf T}\Bigl[\sum_c(GK_cG^{\mathsf T})\odot
              (B^{\mathsf T}X_cB)\Bigr]A

    for each tile: the sum over channels is taken between the transforms, so that each
    of the n² numbers of a tile is a matrix product over channels.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight : array_like (F, C, k, k)
    bias : array_like (F,), optional
    padding : int or (int, int), or {"same", "valid"}
    tile : int
        m: 2 divides the products by 2.25, 4 by 4.

    Returns
    -------
    ndarray (N, F, OH, OW)
        In float32 with k = 3 within about 2e-6 of the largest output for m = 2, and
        3e-5 for m = 4; the direct sum has 1e-6.

    Source: Lavin and Gray (2016), algorithm 1.

    >>> winograd_conv2d(np.eye(4)[None, None], np.ones((1, 1, 3, 3)))[0, 0].round(12)
    array([[3., 2.],
           [2., 3.]])
    """
    plan = tile_plan(input, weight, bias, padding, tile)
    (n, f, *places), rows, columns, around, (at, g, bt) = plan
    if n > 1 and _too_large(plan, weight):
        return _in_halves(winograd_conv2d, input, weight, bias, padding, tile)
    u = _to_matrices(g @ np.asarray(weight) @ g.T)  # (n, n, F, C)
    x, y = np.pad(input, around), np.empty((n, f, rows * tile, columns * tile), u.dtype)
    for t in range(rows):
        windows = _row_of_tiles(x, t, tile, len(bt))  # (N, C, Q, n, n)
        v = _to_matrices((bt @ windows @ bt.T).swapaxes(0, 1))  # (n, n, C, N · Q)
        sums = (u @ v).transpose(2, 3, 0, 1).reshape(f, n, columns, *bt.shape)
        out = at @ sums @ at.T  # (F, N, Q, m, m)
        y[:, :, t * tile : (t + 1) * tile] = out.transpose(1, 0, 3, 2, 4).reshape(
            n, f, tile, columns * tile
        )
    y = y[:, :, : places[0], : places[1]]
    return y if bias is None else y + np.asarray(bias)[:, None, None]


def _row_of_tiles(x, t, tile, size):
    """A view of the overlapping windows (N, C, Q, size, size) of one row of tiles."""
    strip = x[:, :, t * tile : t * tile + size]
    return sliding_window_view(strip, (size, size), axis=(2, 3))[:, :, 0, ::tile]


def _to_matrices(x):
    """From (A, B, ..., n, n) to n · n matrices: (n, n, A, B · ...), laid out anew."""
    x = np.moveaxis(x, (-2, -1), (0, 1))
    return _flat(np.ascontiguousarray(x))


def _flat(x):
    """(n, n, A, B, ...) as n · n matrices with rows of B · ... numbers."""
    return x.reshape(*x.shape[:3], math.prod(x.shape[3:]))


def _too_large(plan, weight):
    """Whether a transformed row of tiles would take more than `COLUMN_BYTES`."""
    (n, f, *_), _, columns, _, (*_, bt) = plan
    numbers = max(f, np.shape(weight)[1]) * n * columns * bt.size
    return numbers * bt.itemsize > COLUMN_BYTES


def _in_halves(f, input, *args):
    """`f` of the two halves of a batch `input` (N, ...)."""
    half = len(input) // 2
    return np.concatenate([f(input[:half], *args), f(input[half:], *args)])


def winograd_conv2d_backward(dy, input, weight, bias=None, padding=0, tile=2):
    """Gradients of `winograd_conv2d`: its lines in reverse, each transposed.

    Parameters
    ----------
    dy : array_like (N, F, OH, OW)
    input, weight, bias, padding, tile
        As given to `winograd_conv2d`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight : ndarray (F, C, k, k)
    dbias : ndarray (F,), or None where there is no bias
    """
    dy = as_float(dy, "dy", empty=True)
    plan = tile_plan(input, weight, bias, padding, tile)
    (n, *_), rows, columns, around, (at, g, bt) = plan
    require(dy.shape == plan[0], f"dy has shape {dy.shape}, the output {plan[0]}")
    if n > 1 and _too_large(plan, weight):
        args = weight, bias, padding, tile
        return _gradients_in_halves(winograd_conv2d_backward, dy, input, *args)
    ut = _to_matrices(g @ np.asarray(weight) @ g.T).swapaxes(2, 3)
    size, x, tiles = len(bt), np.pad(input, around), np.pad(dy, _missing(plan))
    dx, du = np.zeros(x.shape, ut.dtype), np.zeros_like(ut.swapaxes(2, 3))
    for t in range(rows):
        v = _to_matrices((bt @ _row_of_tiles(x, t, tile, size) @ bt.T).swapaxes(0, 1))
        part = _row_of_tiles(tiles, t, tile, tile)  # (N, F, Q, m, m)
        dsums = _to_matrices((at.T @ part @ at).swapaxes(0, 1))  # (n, n, F, N · Q)
        du += dsums @ v.swapaxes(2, 3)
        dv = (ut @ dsums).transpose(2, 3, 0, 1)
        dv = dv.reshape(x.shape[1], n, columns, size, size)
        dwindows = (bt.T @ dv @ bt).swapaxes(0, 1)  # (N, C, Q, n, n)
        for i, j in np.ndindex(size, size):
            end = j + tile * (columns - 1) + 1
            dx[:, :, t * tile + i, j:end:tile] += dwindows[..., i, j]
    dbias = None if bias is None else dy.sum(axis=(0, 2, 3))
    return _uncovered(dx, around), g.T @ du.transpose(2, 3, 0, 1) @ g, dbias


def _missing(plan):
    """What has to be put behind the outputs so that all tiles are whole."""
    (_, _, height, width), rows, columns, _, (at, *_) = plan
    ends = rows * len(at) - height, columns * len(at) - width
    return [(0, 0), (0, 0), (0, ends[0]), (0, ends[1])]


def _uncovered(x, around):
    """`x` (N, C, H, W) without what `np.pad` put around it."""
    (top, bottom), (left, right) = around[2:]
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _gradients_in_halves(f_backward, dy, input, *args):
    """The gradients of two halves of a batch, of `input` (N, ...) and of the rest."""
    half = len(dy) // 2
    (dx, dw, db), (dx2, dw2, db2) = (
        f_backward(dy[part], input[part], *args)
        for part in (slice(half), slice(half, None))
    )
    return np.concatenate([dx, dx2]), dw + dw2, None if db is None else db + db2


def combine(matrix, parts, out, spare):
    """Write out[i] = Σⱼ matrix[i, j] · parts[j], without products where it is ±1.

    Parameters
    ----------
    matrix : ndarray (rows, columns)
        Few numbers, many of them 0, 1 or −1.
    parts, out : sequence of ndarray (...)
        As many as `matrix` has columns, and rows.
    spare : ndarray (...)
        Of the shape of each part; it is overwritten.

    >>> a, b, out = np.array([1.0, 2.0]), np.array([5.0, 5.0]), np.empty((2, 2))
    >>> combine(np.array([[1.0, -1.0], [0.0, 2.0]]), [a, b], out, np.empty(2))
    >>> out
    array([[-4., -3.],
           [10., 10.]])
    """
    for row, y in zip(matrix.tolist(), out, strict=True):
        terms = [(c, j) for j, c in enumerate(row) if c]
        terms.sort(key=lambda term: (term[0] != 1, abs(term[0]) != 1))  # 1, −1, others
        (c, i), *rest = terms
        if c == 1 and rest and abs(rest[0][0]) == 1:  # one pass for two terms
            c, j = rest.pop(0)
            (np.add if c > 0 else np.subtract)(parts[i], parts[j], out=y)
        else:
            np.multiply(parts[i], c, out=y)
        for c, j in rest:
            if abs(c) == 1:
                (np.add if c > 0 else np.subtract)(y, parts[j], out=y)
            else:
                y += np.multiply(parts[j], c, out=spare)


def spread(x, matrix, columns, step):
    """Transform the windows of a few rows of tiles: from pixels to (n, n, ...).

    Parameters
    ----------
    x : ndarray (C, rows, W, N)
        The pixels of these rows, batch last.
    matrix : ndarray (n, size)
        For windows of size x size pixels.
    columns, step : int
        Q windows in a row, `step` pixels apart in both directions.

    Returns
    -------
    ndarray (n, n, C, P, Q, N)
    """
    size, (c, height, width, batch) = matrix.shape[1], x.shape
    rows = (height - size) // step + 1
    down, right = step * (rows - 1) + 1, step * (columns - 1) + 1
    half = np.empty((len(matrix), c, rows, width, batch), x.dtype)
    parts = [x[:, i : i + down : step] for i in range(size)]
    combine(matrix, parts, half, np.empty_like(half[0]))
    out = np.empty((len(matrix), *half.shape[:3], columns, batch), x.dtype)
    parts = [half[..., j : j + right : step, :] for j in range(size)]
    combine(matrix, parts, out.swapaxes(0, 1), np.empty_like(out[0]))
    return out


def gather(v, matrix, x, step):
    """The transpose of `spread`: add what (n, n, C, P, Q, N) holds to the pixels `x`.

    Parameters
    ----------
    v : ndarray (n, n, C, P, Q, N)
    matrix : ndarray (size, n)
    x : ndarray (C, rows, W, N)
        The pixels of these rows, which are changed.
    step : int
        As for `spread`.
    """
    size, (rows, columns) = len(matrix), v.shape[3:5]
    down, right = step * (rows - 1) + 1, step * (columns - 1) + 1
    half = np.empty((size, *v.shape[1:]), v.dtype)
    combine(matrix, v, half, np.empty_like(v[0]))
    part, spare = np.empty((size, *v.shape[2:]), v.dtype), np.empty_like(v[0, 0])
    for i in range(size):
        combine(matrix, half[i], part, spare)
        for j in range(size):
            x[:, i : i + down : step, j : j + right : step] += part[j]


def rows_at_once(plan, weight):
    """How many rows of tiles fit into `TILE_BYTES`, inputs and outputs together.

    `plan` is that of `tile_plan` for `weight` (F, C, k, k).

    >>> weight = np.ones((64, 64, 3, 3))
    >>> rows_at_once(tile_plan(np.ones((8, 64, 30, 30)), weight), weight)
    4
    """
    (n, f, *_), rows, columns, _, (*_, bt) = plan
    row = (f + np.shape(weight)[1]) * n * columns * bt.size * bt.itemsize
    return max(1, min(rows, TILE_BYTES // max(1, row)))


def winograd_conv2d_by_rows(input, weight, bias=None, padding=0, tile=2):
    """`winograd_conv2d` with the batch last, a few rows of tiles at a time.

    The transforms are sums of whole rows, and the transformed tiles, `TILE_BYTES` of
    them, are multiplied while they are in the cache.

    Parameters
    ----------
    input : array_like (N, C, H, W)
    weight, bias, padding, tile
        As for `winograd_conv2d`.

    Returns
    -------
    ndarray (N, F, OH, OW)
        A view of an array that lies batch-last in memory.

    >>> winograd_conv2d_by_rows(np.eye(4)[None, None], np.ones((1, 1, 3, 3)))[0, 0]
    array([[3., 2.],
           [2., 3.]])
    """
    plan = tile_plan(input, weight, bias, padding, tile)
    (n, f, *places), rows, columns, around, (at, g, bt) = plan
    if n > 1 and _too_large(plan, weight):
        return _in_halves(winograd_conv2d_by_rows, input, weight, bias, padding, tile)
    u, x = _to_matrices(g @ np.asarray(weight) @ g.T), padded_batch_last(input, around)
    start = 0 if bias is None else np.reshape(bias, (-1, 1, 1, 1))
    y = np.empty((f, rows * tile, columns * tile, n), u.dtype)
    y[...] = start
    few = rows_at_once(plan, weight)
    for t in range(0, rows, few):
        strip = x[:, t * tile : min(t + few, rows) * tile + len(bt) - tile]
        v = spread(strip, bt, columns, tile)  # (n, n, C, P, Q, N)
        sums = u @ _flat(v)
        into = y[:, t * tile : (t + few) * tile]
        gather(sums.reshape(*sums.shape[:3], *v.shape[3:]), at, into, tile)
    return np.moveaxis(y[:, : places[0], : places[1]], -1, 0)


def padded_batch_last(x, around):
    """`x` (N, C, H, W) with zeros `around` it, as (C, H, W, N) in memory.

    What lies so already and needs no zeros is not copied.

    >>> padded_batch_last(np.ones((2, 1, 1, 1)), [(0, 0), (0, 0), (0, 0), (1, 0)])
    array([[[[0., 0.],
             [1., 1.]]]])
    """
    last = batch_last(x)
    return np.pad(last, [*around[1:], (0, 0)]) if np.any(around) else last


def winograd_conv2d_by_rows_backward(dy, input, weight, bias=None, padding=0, tile=2):
    """Gradients of `winograd_conv2d_by_rows`, again a few rows of tiles at a time.

    Parameters
    ----------
    dy : array_like (N, F, OH, OW)
    input, weight, bias, padding, tile
        As given to `winograd_conv2d_by_rows`.

    Returns
    -------
    dinput : ndarray (N, C, H, W)
    dweight : ndarray (F, C, k, k)
    dbias : ndarray (F,), or None where there is no bias
    """
    dy = as_float(dy, "dy", empty=True)
    plan = tile_plan(input, weight, bias, padding, tile)
    (n, *_), rows, columns, around, (at, g, bt) = plan
    require(dy.shape == plan[0], f"dy has shape {dy.shape}, the output {plan[0]}")
    if n > 1 and _too_large(plan, weight):
        args = weight, bias, padding, tile
        return _gradients_in_halves(winograd_conv2d_by_rows_backward, dy, input, *args)
    ut = _to_matrices((g @ np.asarray(weight) @ g.T).swapaxes(0, 1))
    x, d = padded_batch_last(input, around), padded_batch_last(dy, _missing(plan))
    dx, du = np.zeros_like(x, ut.dtype), np.zeros_like(ut)
    few = rows_at_once(plan, weight)
    for t in range(0, rows, few):
        end = min(t + few, rows) * tile
        strip = slice(t * tile, end + len(bt) - tile)
        v = spread(x[:, strip], bt, columns, tile)  # (n, n, C, P, Q, N)
        dsums = spread(d[:, t * tile : end], at.T, columns, tile)
        gather(_dtiles(v, dsums, ut, du), bt.T, dx[:, strip], tile)
        del v, dsums  # before the next ones are made
    dweight = g.T @ du.transpose(3, 2, 0, 1) @ g
    dbias = None if bias is None else dy.sum(axis=(0, 2, 3))
    return _uncovered(np.moveaxis(dx, -1, 0), around), dweight, dbias


def _dtiles(v, dsums, ut, du):
    """The gradient of the transformed inputs `v` (n, n, C, P, Q, N), in their memory.

    That of the transformed kernels is added to `du` (n, n, C, F), point by point: at
    once the products would take as much memory as `du`.
    """
    inputs, outputs = _flat(v), _flat(dsums)
    for point in np.ndindex(du.shape[:2]):
        du[point] += inputs[point] @ outputs[point].T
    return np.matmul(ut, outputs, out=inputs).reshape(v.shape)
