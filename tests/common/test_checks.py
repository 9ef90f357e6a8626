"""What each check lets through, what it refuses, and that it names its caller."""

import numpy as np
import pytest

from dlbook_lib.common import checks


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
def test_floats_pass_uncopied_in_their_precision(dtype):
    x = np.ones((2, 3), dtype)
    assert checks.as_float(x, "x", ndim=2) is x


@pytest.mark.parametrize("x", [[1, 2], [True], ["a"], [None], [1.0, None]])
def test_what_is_not_floating_is_refused(x):
    with pytest.raises(TypeError, match="x must hold floating-point numbers"):
        checks.as_float(x, "x")


@pytest.mark.parametrize(
    "as_array", [checks.as_float, checks.as_labels, checks.as_binary]
)
def test_ragged_rows_are_refused(as_array):
    with pytest.raises(ValueError, match="x is no array: its rows have different len"):
        as_array([[1.0], [1.0, 2.0]], "x")


def test_nan_passes_and_check_finite_stops_it():
    x = checks.as_float([0.0, np.nan, np.inf], "x")
    with pytest.raises(ValueError, match=r"in 2 of 3 places, first at \(1,\)"):
        checks.check_finite(x, "x")
    checks.check_finite(np.ones(3), "x")


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"x is empty \(shape \(0, 3\)\)"):
        checks.as_float(np.ones((0, 3)), "x")


def test_an_empty_batch_passes_where_it_means_something():
    x = np.ones((0, 3))
    assert checks.as_float(x, "x", empty=True) is x
    y = np.zeros((0, 3), int)
    assert checks.as_labels(y, "y", classes=2, empty=True) is y


def test_rank_may_be_one_of_several():
    checks.check_ndim(np.ones(3), "x", (1, 2))
    with pytest.raises(ValueError, match="x must have 1 or 2 dimensions, not 3"):
        checks.check_ndim(np.ones((1, 1, 1)), "x", (1, 2))


def test_labels():
    y = np.array([0, 2], np.uint8)
    assert checks.as_labels(y, "y", classes=3) is y
    with pytest.raises(ValueError, match="y holds label 2 but there are 2 classes"):
        checks.as_labels(y, "y", classes=2)
    with pytest.raises(ValueError, match="y holds label -1"):
        checks.as_labels([-1, 0], "y")
    with pytest.raises(TypeError, match="integer class labels, not float64"):
        checks.as_labels([0.0, np.nan], "y")
    with pytest.raises(ValueError, match="y is empty"):
        checks.as_labels([], "y")


def test_an_ignored_label_counts_for_nothing():
    y = np.array([0, -100, 1])
    assert checks.as_labels(y, "y", classes=2, ignore_index=-100) is y
    assert checks.as_labels(y[1:2], "y", classes=2, ignore_index=-100).size == 1
    with pytest.raises(ValueError, match="y holds label -100"):
        checks.as_labels(y, "y", classes=2)
    with pytest.raises(ValueError, match="y holds label 2 but there are 2 classes"):
        checks.as_labels([2, 9], "y", classes=2, ignore_index=9)
    with pytest.raises(TypeError, match="ignore_index must be a whole number, not 'x'"):
        checks.as_labels(y, "y", ignore_index="x")


class Doubled:
    def __init__(self, arrays):
        self.arrays = [2 * checks.as_float(x, "x") for x in arrays]


def test_the_error_names_what_the_reader_called():
    with pytest.raises(TypeError, match=r"^Doubled: x must hold floating-point"):
        Doubled([[1.0], [1]])


@pytest.mark.parametrize("reduction", ["avg", None, "None", 3])
def test_an_unknown_reduction_is_refused(reduction):
    with pytest.raises(ValueError, match="must be 'mean', 'sum' or 'none', not"):
        checks.check_reduction(reduction, np.ones(3))


def test_only_the_mean_of_nothing_is_refused():
    for reduction in ("sum", "none"):
        checks.check_reduction(reduction, np.ones(0))
    checks.check_reduction("mean", np.float64(3.0))
    with pytest.raises(ValueError, match="no mean of an empty batch"):
        checks.check_reduction("mean", np.ones((0, 2)))


def test_dims():
    for dim in (-2, 0, np.int64(1)):
        checks.check_dim(dim, np.ones((2, 3)))
    for dim in (-3, 2):
        with pytest.raises(ValueError, match="dim must lie between -2 and 1"):
            checks.check_dim(dim, np.ones((2, 3)))
    for dim in (None, 1.0, True, "0", (0, 1)):
        with pytest.raises(TypeError, match="dim must be a whole number"):
            checks.check_dim(dim, np.ones((2, 3)))
    with pytest.raises(ValueError, match="no dimensions"):
        checks.check_dim(0, np.ones(()))


def test_binary_labels():
    assert checks.as_binary([True, False], "y").tolist() == [1.0, 0.0]
    assert checks.as_binary(np.ones(2, np.float32), "y").dtype == np.float32
    for wrong in ([0, 2], [0.5], [np.nan]):
        with pytest.raises(ValueError, match="y must hold only 0 and 1, but holds"):
            checks.as_binary(wrong, "y")
    with pytest.raises(ValueError, match="y is empty"):
        checks.as_binary([], "y")


def test_shapes_do_not_broadcast():
    checks.check_same_shape(a=np.ones(3), b=np.zeros(3), c=[1, 2, 3])
    with pytest.raises(
        ValueError, match=r"a has shape \(3, 1\) but c has shape \(3,\)"
    ):
        checks.check_same_shape(a=np.ones((3, 1)), b=np.ones((3, 1)), c=np.ones(3))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (3, 3), (2,), (), (2, 2, 2)])
def test_a_matrix_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"H must be a matrix \(2, 2\), not \("):
        checks.check_square(np.zeros(shape), "H", 2)
    if shape != (3, 3):
        with pytest.raises(ValueError, match=r"H must be a matrix \((.), \1\), not \("):
            checks.check_square(np.zeros(shape), "H")
    checks.check_square(np.zeros((2, 2)), "H", 2)
    checks.check_square(np.zeros((0, 0)), "H", symmetric=True)


@pytest.mark.parametrize("H", [[[1.0, 2.0], [0.0, 1.0]], np.full((2, 2), np.nan)])
def test_a_matrix_that_must_be_symmetric(H):
    checks.check_square(H, "H")
    with pytest.raises(ValueError, match=r"H is not symmetric .* try \(H \+ H.T\) / 2"):
        checks.check_square(H, "H", symmetric=True)
    checks.check_square([[1.0, 2.0], [2.0 + 1e-6, 1.0]], "H", symmetric=True)


def test_choices():
    checks.check_in("sum", "reduction", ("mean", "sum"))
    with pytest.raises(ValueError, match="must be 'mean', not 'avg'"):
        checks.check_in("avg", "reduction", ("mean",))


@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan")])
def test_a_number_not_above_0_is_refused(value):
    with pytest.raises(ValueError, match="lr must be a number above 0"):
        checks.check_positive(value, "lr")


@pytest.mark.parametrize("value", [2.0, True, None, "3"])
def test_a_size_is_a_whole_number(value):
    checks.check_positive(np.int64(2), "steps", integer=True)
    with pytest.raises(TypeError, match="steps must be a whole number above 0"):
        checks.check_positive(value, "steps", integer=True)


def test_the_message_begins_with_the_function_that_asked():
    def conv2d(x):
        checks.as_float(x, "x", ndim=4)

    class Layer:
        def __call__(self, x):
            checks.check_same_shape(x=x, y=0.0)

    with pytest.raises(ValueError, match=r"conv2d: x must have 4 dimensions"):
        conv2d(np.ones(3))
    with pytest.raises(ValueError, match=r"Layer\.__call__: x has shape"):
        Layer()(np.ones(3))


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.int8(1)])
def test_numbers_in_range_pass(value):
    checks.check_number(value, "p", 0, 1)


def test_numbers_out_of_range_and_other_things_are_refused():
    for value in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match="p must be a number from 0 to 1, not "):
            checks.check_number(value, "p", 0, 1)
    for value in ("1", None, True, [0.5], 1j, np.zeros(1)):
        with pytest.raises(TypeError, match="p must be a number from 0, not "):
            checks.check_number(value, "p", 0)
    with pytest.raises(ValueError, match="p must be a number up to 3, not 4"):
        checks.check_number(4, "p", high=3)
    checks.check_number(float("-inf"), "p")
    with pytest.raises(ValueError, match="p must be a number, not nan"):
        checks.check_number(float("nan"), "p")


@pytest.mark.parametrize("rng", [0, None, np.random, np.random.RandomState(0)])
def test_only_a_generator_is_a_source_of_randomness(rng):
    with pytest.raises(TypeError, match="rng must be a numpy"):
        checks.check_rng(rng)
    checks.check_rng(np.random.default_rng(0))
