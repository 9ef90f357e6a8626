"""Winograd's minimal convolution in PyTorch; the twin of `winograd`.

Autograd derives the gradients. What `winograd` does a few rows of tiles at a time is
done at once here, so that the memory grows with the input.
"""

from fractions import Fraction

import torch
from torch.nn.functional import fold, pad, unfold

from dlbook_lib.convolutional.strides_and_gradients.pytorch import conv_plan

POINTS = 0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5
TILE_BYTES = 2**23


def winograd_transforms(tile, kernel_size=3):
    """As in scratch, in exact fractions: (m, n), (n, r) and (n, n)."""
    n = tile + kernel_size - 1
    points = [Fraction(p) for p in POINTS[: n - 1]]
    at = [[p**j for p in points] + [Fraction(j == tile - 1)] for j in range(tile)]
    g, bt = [], []
    for p in points:
        others = [q for q in points if q != p]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        sign = 1 if scale > 0 else -1
        g.append([p**j / abs(scale) for j in range(kernel_size)])
        bt.append([sign * c for c in _with_roots(others)] + [Fraction(0)])
    g.append([Fraction(j == kernel_size - 1) for j in range(kernel_size)])
    bt.append(_with_roots(points))
    each = ([[float(a) for a in row] for row in matrix] for matrix in (at, g, bt))
    return tuple(torch.tensor(matrix, dtype=torch.float64) for matrix in each)


def _with_roots(roots):
    """Coefficients of the polynomial that vanishes there, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*found, Fraction(0)]
        found = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return found


def winograd_multiplies(tile, kernel_size=3):
    """As in scratch, for numbers of shape ()."""
    n = tile + kernel_size - 1
    return {"direct": (tile * kernel_size) ** 2, "winograd": n * n}


def tile_plan(input, weight, bias=None, padding=0, tile=2):
    """As in scratch, for (N, C, H, W) and (F, C, k, k)."""
    _, _, around, places = conv_plan(input, weight, bias, 1, padding)
    rows, columns = (-(-n // tile) for n in places)
    missing = rows * tile - places[0], columns * tile - places[1]
    ends = [(a, b + more) for (a, b), more in zip(around, missing, strict=True)]
    transforms = winograd_transforms(tile, weight.shape[2])
    shape = len(input), len(weight), *places
    around = [(0, 0), (0, 0), *ends]
    return shape, rows, columns, around, [t.to(input.dtype) for t in transforms]


def winograd_conv2d(input, weight, bias=None, padding=0, tile=2):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW), all tiles at once."""
    plan = tile_plan(input, weight, bias, padding, tile)
    (n, f, *places), rows, columns, around, (at, g, bt) = plan
    (top, bottom), (left, right) = around[2:]
    x = pad(input, (left, right, top, bottom))
    windows = unfold(x, len(bt), stride=tile)  # (N, C · n · n, tiles)
    windows = windows.reshape(n, -1, len(bt), len(bt), rows * columns)
    v = torch.einsum("ai,ncijq,bj->ncabq", bt, windows, bt)
    sums = torch.einsum("fcab,ncabq->nfabq", g @ weight @ g.T, v)
    out = torch.einsum("ia,nfabq,jb->nfijq", at, sums, at)
    size = rows * tile, columns * tile
    y = fold(out.reshape(n, f * tile * tile, rows * columns), size, tile, stride=tile)
    y = y[..., : places[0], : places[1]]
    return y if bias is None else y + bias[:, None, None]


def combine(matrix, parts, out, spare):
    """As in scratch, on tensors (...); `spare` is not needed."""
    for row, y in zip(matrix, out, strict=True):
        y.copy_(sum(c * x for c, x in zip(row, parts, strict=True)))


def spread(x, matrix, columns, step):
    """As in scratch: (C, rows, W, N) to (n, n, C, P, Q, N)."""
    size = matrix.shape[1]
    windows = x.unfold(1, size, step).unfold(2, size, step)  # (C, P, Q, N, size, size)
    windows = windows[:, :, :columns]
    return torch.einsum("ai,cpqnij,bj->abcpqn", matrix, windows, matrix)


def gather(v, matrix, x, step):
    """As in scratch: (n, n, C, P, Q, N) are added to x (C, rows, W, N)."""
    part = torch.einsum("ia,abcpqn,jb->ijcpqn", matrix, v, matrix)
    rows, columns = v.shape[3:5]
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            down, right = i + step * (rows - 1) + 1, j + step * (columns - 1) + 1
            x[:, i:down:step, j:right:step] += part[i, j]


def rows_at_once(plan, weight):
    """As in scratch, for a weight (F, C, k, k)."""
    (n, f, *_), rows, columns, _, (*_, bt) = plan
    bytes_ = bt.numel() * bt.element_size()
    row = (f + weight.shape[1]) * n * columns * bytes_
    return max(1, min(rows, TILE_BYTES // max(1, row)))


def padded_batch_last(x, around):
    """As in scratch: (N, C, H, W) to (C, H, W, N)."""
    (top, bottom), (left, right) = around[2:]
    return pad(x, (left, right, top, bottom)).movedim(0, -1).contiguous()


def winograd_conv2d_by_rows(input, weight, bias=None, padding=0, tile=2):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW)."""
    return winograd_conv2d(input, weight, bias, padding, tile)
