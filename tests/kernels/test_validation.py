import numpy as np
import pytest

from convgrad.kernels import validation


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32"], "float32"),
        (["float64"], "float64"),
        (["float16"], "float32"),
        (["int8"], "float32"),
        (["bool"], "float32"),
        (["int32"], "float64"),
        (["uint64"], "float64"),
        ([">f4"], "float32"),
        (["float32", "float64"], "float64"),
        (["float32", "int64"], "float64"),
        (["float32", "int16"], "float32"),
        (["float32", "float32", "int32"], "float64"),
    ],
)
def test_one_dtype_for_all(dtypes, expected):
    given = {f"a{i}": np.ones(2, dtype) for i, dtype in enumerate(dtypes)}
    arrays = validation.arrays(**given)
    assert {array.dtype for array in arrays} == {np.dtype(expected)}
    assert all(array.dtype.isnative for array in arrays)
    assert all(array.tolist() == [1, 1] for array in arrays)


def test_arrays_that_fit_are_not_copied():
    array = np.ones((4, 4))[::-1, ::2]
    assert validation.arrays(a=array)[0] is array


def test_numbers_and_lists_are_arrays():
    assert validation.arrays(a=3, b=[[1, 2]])[1].dtype == np.float64


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([[1], [1, 2]], ValueError, "x: got list, expected a rectangular array of real numbers"),
        (np.ones(2, complex), TypeError, "x: got dtype complex128, expected float32, float64 or"),
        ("abc", TypeError, "x: got dtype <U3, expected"),
        (None, TypeError, "x: got dtype object, expected"),
        (np.array(["2020"], "M8[D]"), TypeError, r"x: got dtype datetime64\[D\], expected"),
        (
            np.ones((3, 0)),
            ValueError,
            r"x: got an empty array of shape \(3, 0\), expected at least",
        ),
    ],
)
def test_arrays_that_are_none(value, error, message):
    with pytest.raises(error, match=message):
        validation.arrays(good=[1.0], x=value)


def test_rank():
    validation.rank("x", np.ones((2, 2)), 1, 2)
    with pytest.raises(ValueError, match=r"x: got shape \(2, 2\), expected a 1-D or 3-D array"):
        validation.rank("x", np.ones((2, 2)), 1, 3)


@pytest.mark.parametrize("value", [2, np.int8(2), np.uint64(2)])
def test_integers(value):
    assert validation.integer("n", value, at_least=1) == 2
    assert type(validation.integer("n", value, at_least=1)) is int


@pytest.mark.parametrize("value", [0, -3, 2.0, True, np.True_, "2", None, np.nan])
def test_not_integers(value):
    with pytest.raises(ValueError, match="n: got .*, expected an integer of at least 1"):
        validation.integer("n", value, at_least=1)


@pytest.mark.parametrize("value", [0, 2, 0.5, np.float32(0.5), np.int16(3)])
def test_numbers(value):
    assert validation.number("x", value) == value
    assert type(validation.number("x", value)) is float


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, -np.inf, True, "1", None, 1j, [1.0]])
def test_not_numbers(value):
    with pytest.raises(ValueError, match="x: got .*, expected a finite non-negative number"):
        validation.number("x", value)


def test_positive_numbers():
    with pytest.raises(ValueError, match=r"x: got 0\.0, expected a finite positive number"):
        validation.number("x", 0.0, positive=True)


@pytest.mark.parametrize("value", ["c", "", None, 1, ["a"]])
def test_choice(value):
    validation.choice("x", "a", ("a", "b"))
    with pytest.raises(ValueError, match="x: got .*, expected one of 'a', 'b'"):
        validation.choice("x", value, ("a", "b"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_finite_names_the_first(value):
    array = np.ones((2, 3), np.float32)
    validation.finite(x=array)
    array[1, 2] = array[1, 1] = value
    with pytest.raises(ValueError, match=rf"x: got {value} at index \(1, 1\), expected finite"):
        validation.finite(y=np.ones(2), x=array)


def test_a_message_is_one_line():
    with pytest.raises(ValueError, match="^x: got 3, expected less$"):
        validation.reject("x", 3, "less")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_by_its_first_place(value):
    array = np.ones((4, 5))
    array[2, 3], array[3, 4] = value, -value
    with pytest.raises(ValueError, match=rf"features: got {value} at index \(2, 3\)"):
        validation.finite(features=array)


def test_numbers_whose_sum_overflows_are_finite():
    large = np.full((3, 4), np.finfo(np.float32).max)
    validation.finite(whole=large, strided=large[:, ::2].T)
