"""By hand, by complex step, and what is refused."""

import numpy as np
import pytest

from dlbook_lib.feedforward.hidden_units import scratch


def test_square_by_hand():
    np.testing.assert_array_equal(scratch.square([-3.0, 0.5]), [9.0, 0.25])


def test_slope_equals_the_complex_step():
    x, dy = np.array([-1.5, 0.0, 2.0]), np.array([1.0, 2.0, -3.0])
    slope = scratch.square(x + 1e-20j).imag / 1e-20
    np.testing.assert_allclose(scratch.square_backward(dy, x), dy * slope, rtol=1e-15)


def test_precision_is_kept():
    assert scratch.square(np.ones(2, np.float32)).dtype == np.float32


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match=r"square: x must hold floating-point numbers"):
        scratch.square([200])
