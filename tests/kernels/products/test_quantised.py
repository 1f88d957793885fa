"""Quantised products: levels, exact sums, and what packing keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from convgrad.kernels import Case, find, get, operation
from convgrad.kernels.products import quantised_levels, quantised_numba
from convgrad.kernels.products.quantised_levels import Quantised, quantise_weights
from convgrad.kernels.products.quantised_operations import LONGEST, dequantised, integer_sums

FLOATS = st.floats(-1e6, 1e6, width=32)
MATRICES = drawn.arrays(np.float32, drawn.array_shapes(min_dims=2, max_dims=2), elements=FLOATS)
SCALES = st.sampled_from(("tensor", "output", 1, 3))
BITS = st.sampled_from((8, 4))


@given(MATRICES, BITS, SCALES)
def test_no_weight_moves_by_more_than_half_a_level(weights, bits, scale_per):
    levels, scales = quantised_levels.quantise_weights(weights, bits, scale_per)
    most = 2 ** (bits - 1) - 1
    assert np.array_equal(levels, np.rint(levels))
    assert np.abs(levels).max() <= most
    kept = dequantised(weights, np.float64, bits=bits, scale_per=scale_per)
    group = quantised_levels.group_size(weights.shape[1], scale_per)
    steps = np.repeat(scales, group, axis=1)[:, : weights.shape[1]]
    assert (np.abs(kept - weights) <= 0.5001 * steps).all()


@given(MATRICES, BITS, SCALES)
def test_to_quantise_again_changes_no_level(weights, bits, scale_per):
    levels, _ = quantised_levels.quantise_weights(weights, bits, scale_per)
    kept = dequantised(weights, np.float32, bits=bits, scale_per=scale_per)
    again, _ = quantised_levels.quantise_weights(kept, bits, scale_per)
    assert np.array_equal(again, levels)


@given(MATRICES, BITS, SCALES)
def test_negated_weights_have_negated_levels(weights, bits, scale_per):
    levels, scales = quantised_levels.quantise_weights(weights, bits, scale_per)
    negated, same = quantised_levels.quantise_weights(-weights, bits, scale_per)
    assert np.array_equal(negated, -levels)
    assert np.array_equal(same, scales)


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_levels_come_out_again(bits):
    weights = np.random.default_rng(0).standard_normal((37, 11)).astype(np.float32)
    packed, _, (features, _, outputs) = quantised_numba.pack(weights, bits, "output")
    if bits == 4:
        assert packed.dtype == np.uint8
        packed = np.concatenate([packed & 15, packed >> 4], axis=2).astype(np.int8) - 8
    levels = packed.transpose(0, 2, 1).reshape(-1, features)
    expected, _ = quantised_levels.quantise_weights(weights, bits, "output")
    assert np.array_equal(levels[:outputs], expected)
    assert not levels[outputs:].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 70), st.integers(1, 70), st.integers(0, 99))
def test_sums_of_bytes_are_exact(batch, features, outputs, seed):
    """With scales of one, the result is the integer product itself."""
    generator = np.random.default_rng(seed)
    inputs = generator.integers(-127, 128, (batch, features)).astype(np.float32)
    weights = generator.integers(-127, 128, (outputs, features)).astype(np.float32)
    inputs[:, 0] = weights[:, 0] = 127
    result = get("dense_int8", "numba_bytes")(inputs, weights)
    assert np.array_equal(result, inputs.astype(int) @ weights.T.astype(int))


def test_the_longest_sum_of_the_largest_products_fits():
    ones = np.ones((1, LONGEST), np.float32)
    result = get("dense_int8", "numba_bytes")(ones, -ones)
    assert result[0, 0] == pytest.approx(-LONGEST, rel=1e-6)
    with pytest.raises(ValueError, match=f"at most {LONGEST}, whose sum fits int32"):
        operation("dense_int8").bind(np.ones((1, LONGEST + 1)), np.ones((1, LONGEST + 1)))


@pytest.mark.parametrize("name", ["numba_bytes", "numpy_doubles"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("input_scale", [None, 0.1])
def test_a_row_with_an_input_that_is_not_finite_is_nan(name, value, input_scale):
    inputs, weights = np.ones((3, 9), np.float32), np.ones((4, 9), np.float32)
    inputs[1, 4] = value
    result = get("dense_int8", name)(inputs, weights, input_scale=input_scale)
    assert np.isnan(result[1]).all()
    assert np.isfinite(result[[0, 2]]).all()


def test_a_given_scale_saturates():
    inputs, weights = np.array([[1.0, 100.0]]), np.ones((1, 2))
    (result,), _ = integer_sums(inputs, weights, scale_per="output", input_scale=0.5)
    assert result == 127 * (2 + 127)


@pytest.mark.parametrize(("bits", "kept"), [(8, 30), (4, 15)])
def test_bytes_are_those_of_the_small_type(bits, kept):
    case = Case.of("dense_quantised", batch=2, features=6, outputs=5, bits=bits)
    assert case.cost.kept_bytes == kept
    assert case.bytes == 4 * (2 * 6 + 2 * 5 + 5) + kept
    assert case.parameters == 30
    assert case.flops == 2 * 2 * 30


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dense_quantised", {"bits": 8, "scale_per": "output"}),
        ("dense_quantised", {"bits": 4, "scale_per": "output"}),
        ("dense_int8", {"scale_per": "output", "input_scale": 0.1}),
    ],
)
def test_kernels_prepare_from_levels_too(name, options):
    generator = np.random.default_rng(0)
    weights, inputs = generator.standard_normal((19, 40)), generator.standard_normal((3, 40))
    levels, scales = quantise_weights(weights, options.get("bits", 8), "output")
    given = Quantised(levels.astype(np.int8), scales[:, 0])
    for kernel in find(name):
        if kernel.prepares and kernel.family != "auto":
            found = kernel.prepares(given, **options)(inputs)
            np.testing.assert_array_equal(found, kernel.prepares(weights, **options)(inputs))
