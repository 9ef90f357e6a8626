"""Fast convolutions in PyTorch; autograd derives every backward half."""

import math

import torch

from dlbook_lib.convolutional.strides_and_gradients.pytorch import conv_plan


def fast_length(n):
    """As in scratch, for a length of shape ()."""
    rest = n
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return n if rest == 1 else fast_length(n + 1)


def as_real(x, name, **options):
    """As in scratch, unchecked: (...)."""
    return x


def fft_convolve(input, kernel, mode="full"):
    """As in scratch: (...) and (...)."""
    sizes = zip(input.shape, kernel.shape, strict=True)
    lengths = [fast_length(n + k - 1) for n, k in sizes]
    spectra = [torch.fft.rfftn(x, lengths) for x in (input, kernel)]
    product = spectra[0] * spectra[1]
    return torch.fft.irfftn(product, lengths)[kept_places(input, kernel, mode)]


def kept_places(input, kernel, mode="full"):
    """As in scratch: an index into the full result (...)."""
    found = []
    for n, k in zip(input.shape, kernel.shape, strict=True):
        full, same = slice(0, n + k - 1), slice((k - 1) // 2, (k - 1) // 2 + n)
        found.append({"full": full, "same": same, "valid": slice(k - 1, n)}[mode])
    return tuple(found)


def fft_conv2d(input, weight, bias=None, padding=0):
    """As in scratch: (N, C, H, W) to (N, F, OH, OW)."""
    _, _, ((top, bottom), (left, right)), (oh, ow) = conv_plan(
        input, weight, bias, 1, padding
    )
    x = torch.nn.functional.pad(input, (left, right, top, bottom))
    y = correlate_by_fft(x, weight)[..., :oh, :ow]
    return y if bias is None else y + bias[:, None, None]


def correlate_by_fft(x, weight, lengths=None):
    """As in scratch, at once: (N, C, H, W) and (F, C, kH, kW) to (N, F, *lengths)."""
    if lengths is None:
        lengths = [fast_length(size) for size in x.shape[2:]]
    spectra = [torch.fft.rfft2(a, lengths) for a in (x, weight)]
    product = torch.einsum("nchw,fchw->nfhw", spectra[0], spectra[1].conj())
    return torch.fft.irfft2(product, lengths)


def separable_factors(kernel, rank=1):
    """As in scratch: (kH, kW) to (rank, kH) and (rank, kW)."""
    u, s, vt = torch.linalg.svd(kernel, full_matrices=False)
    root = s[:rank, None].sqrt()
    return u[:, :rank].T * root, vt[:rank] * root


def separable_rank(kernel, tol=None):
    """As in scratch, for a kernel (kH, kW); torch's own rule where `tol` is None."""
    return int(torch.linalg.matrix_rank(kernel, atol=0.0, rtol=tol))


def separable_multiplies(kernel_size, rank=1):
    """As in scratch, for sizes of shape (axes,)."""
    several = isinstance(kernel_size, (tuple, list))
    sizes = tuple(kernel_size) if several else (kernel_size,) * 2
    return {"direct": math.prod(sizes), "separable": rank * sum(sizes)}


def separable_conv2d(input, columns, rows):
    """As in scratch: (..., H, W) to (..., OH, OW), by two of torch's convolutions."""
    *batch, height, width = input.shape
    x = input.reshape(-1, 1, height, width)
    x = torch.conv2d(x, rows[:, None, None])  # (N, rank, H, OW)
    y = torch.conv2d(x, columns[None, :, :, None])
    return y.reshape(*batch, *y.shape[2:])


def separable_plan(input, columns, rows):
    """As in scratch, unchecked: (..., H, W), (rank, kH), (rank, kW) and (OH, OW)."""
    kernel = columns.shape[1], rows.shape[1]
    places = [n - k + 1 for n, k in zip(input.shape[-2:], kernel, strict=True)]
    return input, columns, rows, tuple(places)
