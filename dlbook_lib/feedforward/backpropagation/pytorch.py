"""The square in PyTorch; autograd is the twin of `square_backward`."""

import torch


def square(x):
    """`torch.square` of `x` (...); autograd gives its slope."""
    return torch.square(x)
