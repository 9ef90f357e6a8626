"""The twins agree: values and gradients."""

import numpy as np
import torch

from dlbook_lib.feedforward.cost_functions import pytorch, scratch


def test_twins_agree():
    x = np.random.default_rng(0).normal(size=(4, 3))
    dy = np.random.default_rng(1).normal(size=(4, 3))
    x_torch = torch.tensor(x, requires_grad=True)
    y = pytorch.square(x_torch)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(scratch.square(x), y.detach(), rtol=1e-10)
    dx = scratch.square_backward(dy, x)
    np.testing.assert_allclose(dx, x_torch.grad, rtol=1e-10)
