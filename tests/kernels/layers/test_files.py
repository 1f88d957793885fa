"""Files: what is read is what was written, whatever is zero, and zeros cost next to nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from convgrad.kernels.layers.files import encode, read


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    zeros=st.floats(0, 1),
    dtype=st.sampled_from([np.float32, np.float64, np.int8]),
    seed=st.integers(0, 100),
)
def test_what_is_read_is_what_was_written(tmp_path_factory, shape, zeros, dtype, seed):
    generator = np.random.default_rng(seed)
    array = generator.integers(-9, 9, shape).astype(dtype) * (generator.random(shape) >= zeros)
    arrays = {"0.weights": array.astype(dtype), "1.bias": np.zeros(3, np.float32)}
    path = tmp_path_factory.mktemp("files") / "layer.safetensors"
    path.write_bytes(encode(arrays, of="a layer"))
    found, texts = read(path)
    assert texts == {"of": "a layer"}
    assert set(found) == set(arrays)
    for name, expected in arrays.items():
        assert found[name].dtype == expected.dtype
        assert np.array_equal(found[name], expected)


@pytest.mark.parametrize(("columns", "column_bytes"), [(200, 1), (1000, 2), (70_000, 4)])
def test_a_weight_takes_its_value_and_a_column(columns, column_bytes):
    weights = np.zeros((7, columns), np.float32)
    empty = len(encode({"weights": weights}))
    weights[:, ::10] = 1
    grown = len(encode({"weights": weights})) - empty
    assert grown == pytest.approx(np.count_nonzero(weights) * (4 + column_bytes), abs=40)


def test_arrays_with_few_zeros_are_written_as_they_are():
    weights = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(load(encode({"weights": weights}))["weights"], weights)
