"""Simple and complex cells in NumPy: symmetries, fits, answers to waves; the twin."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.fast_and_biological_kernels import cells, cells_pytorch
from tests.convolutional.fast_and_biological_kernels.test_scratch import PARAMS

close = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def test_gabor_functions_are_symmetric():
    x, y = cells.grid(21)
    even, odd = (cells.gabor(x, y, phi=phi, tau=0.7) for phi in (0.0, np.pi / 2))
    np.testing.assert_allclose(even, even[::-1, ::-1], **close)
    np.testing.assert_allclose(odd, -odd[::-1, ::-1], **close)
    flat = cells.gabor(x, y, f=0.0)
    np.testing.assert_allclose(flat, flat.T, **close)
    upright, turned = cells.gabor(x, y), cells.gabor(x, y, tau=np.pi / 2)
    np.testing.assert_allclose(turned, upright.T, **close)
    moved = cells.gabor(x, y, x0=2.0, y0=3.0)
    np.testing.assert_allclose(moved[3:, 2:], upright[:-3, :-2], **close)
    assert cells.gabor(x, y, alpha=-3.0)[10, 10] == -3.0
    assert cells.gabor(x, y, tau=np.pi).max() <= 1


@given(st.integers(0, 999))
def test_a_gabor_function_is_found_again(seed):
    rng = numpy_generator(seed)
    x, y = cells.grid((15, 17))
    low = [0.5, 0.03, 0.03, 0.7, -3, -2, -2, -1.5]
    high = [2.0, 0.1, 0.1, 1.6, 3, 2, 2, 1.5]
    params = rng.uniform(low, high)
    kernel = cells.gabor(x, y, *params)
    found, share = cells.fit_gabor(kernel)
    assert share > 0.999999
    np.testing.assert_allclose(cells.gabor(x, y, *found), kernel, atol=1e-4)
    noisy = kernel + 0.05 * rng.normal(size=kernel.shape)
    _, worse = cells.fit_gabor(noisy, steps=20)
    assert 0.5 < worse < share


def test_a_fit_of_nothing_or_noise_ends():
    _, share = cells.fit_gabor(np.zeros((5, 5)) + 1e-3)
    assert share <= 1
    _, share = cells.fit_gabor(numpy_generator(0).normal(size=(9, 9)), steps=10)
    assert 0 < share < 0.9


def test_a_complex_cell_does_not_see_the_phase():
    pair = cells.quadrature_pair(31, beta_x=0.03, beta_y=0.03, f=1.2, tau=0.4)
    phases = np.linspace(0, 2 * np.pi, 24)
    waves = np.stack([cells.grating(31, 1.2, phi, 0.4) for phi in phases])
    simple = cells.simple_cell(waves, pair[0])
    answers = cells.complex_cell(waves, *pair)
    assert np.ptp(simple) > 1.9 * answers.mean()
    assert np.ptp(answers) < 0.02 * answers.mean()
    other = cells.complex_cell(cells.grating(31, 1.2, 0.0, 0.4 + np.pi / 2), *pair)
    assert other < 0.02 * answers.mean()
    shifted = cells.grating(31, 1.2, 0.0, 0.4 + np.pi)
    np.testing.assert_allclose(shifted, cells.grating(31, 1.2, 0.0, 0.4), **close)
    assert cells.complex_cell(np.zeros((31, 31)), *pair) == 0
    assert not cells.complex_cell_backward(1.0, np.zeros((31, 31)), *pair)[0].any()


def test_gabor_functions_are_those_of_the_twin():
    x, y = cells.grid((7, 9))
    tx, ty = cells_pytorch.grid((7, 9))
    pairs = [
        (x, tx),
        (y, ty),
        (cells.turned(x, y, 0.3)[0], cells_pytorch.turned(tx, ty, 0.3)[0]),
        (
            cells.gabor_slopes(x, y, *PARAMS),
            cells_pytorch.gabor_slopes(tx, ty, *PARAMS),
        ),
        (cells.grating(7, 1.1, 0.2, 0.3), cells_pytorch.grating(7, 1.1, 0.2, 0.3)),
        (cells.quadrature_pair(7, *PARAMS), cells_pytorch.quadrature_pair(7, *PARAMS)),
    ]
    kernel = cells.gabor(x, y, *PARAMS) + 0.01 * numpy_generator(0).normal(size=(7, 9))
    ours, share = cells.fit_gabor(kernel, steps=15)
    theirs, theirs_share = cells_pytorch.fit_gabor(torch.tensor(kernel), steps=15)
    start = cells.gabor_start(kernel), cells_pytorch.gabor_start(torch.tensor(kernel))
    pairs += [(share, theirs_share), start]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, **close)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    again, _ = cells.fit_gabor(kernel, ours, steps=5)
    np.testing.assert_allclose(again, ours, rtol=1e-6, atol=1e-6)


def test_a_silent_complex_cell_has_no_gradient():
    image = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.ones(2, 3, 3, dtype=torch.float64)
    cells_pytorch.complex_cell(image, *weights).backward()
    assert not image.grad.any()


def test_numbers_pass():
    assert list(cells_pytorch.as_numbers(f=torch.tensor(0.5), phi=1)) == [0.5, 1.0]
