"""Products with weights most of which are zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from convgrad.kernels import Case, find, get, operation
from convgrad.kernels.operation import error_ratio
from convgrad.kernels.products import sparse_blocks, sparse_csr


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from((0.0, 0.5, 0.9, 0.99, 1.0)),
    st.integers(0, 99),
)
def test_right_at_any_sparsity(sides, sparsity, seed):
    """Rows and columns without a weight among them, and no weight at all."""
    batch, features, outputs = sides
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((batch, features)).astype(np.float32)
    weights = generator.standard_normal((outputs, features)).astype(np.float32)
    weights[generator.random(weights.shape) < sparsity] = 0
    definition = operation("dense_pruned")
    reference = definition.reference(inputs, weights)
    bound = definition.bound("direct", inputs, weights)
    for kernel in find("dense_pruned"):
        assert error_ratio(kernel(inputs, weights), reference, bound) <= 1, kernel.name


def drawn(**sizes):
    (_, weights), _ = Case.of("dense_pruned", **sizes).inputs()
    return weights


@pytest.mark.parametrize("block", [1, 16])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95])
def test_a_case_has_the_zeros_that_it_states(block, sparsity):
    sizes = {"features": 40, "outputs": 48, "sparsity": sparsity, "block": block}
    weights = drawn(**sizes)
    case = Case.of("dense_pruned", batch=3, **sizes)
    assert np.count_nonzero(weights) == case.parameters == round((1 - sparsity) * 40 * 48)
    assert case.flops == 2 * 3 * case.parameters
    together = weights.reshape(48 // block, block, 40) != 0
    assert (together.any(axis=1) == together.all(axis=1)).all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"block": 7}, "block: got 7, expected a divisor of the 48 outputs"),
        ({"block": 0}, "block: got 0, expected an integer of at least 1"),
        ({"sparsity": 1.0}, "sparsity: got 1.0, expected a share of at least 0, and below 1"),
    ],
)
def test_sizes_that_make_no_case(sizes, message):
    with pytest.raises(ValueError, match=message):
        drawn(features=40, outputs=48, **sizes)


def test_packed_weights_are_those_that_are_left():
    weights = drawn(features=40, outputs=48, sparsity=0.9)
    values, columns, starts = sparse_csr.pack(weights)
    again = np.zeros_like(weights)
    for output in range(48):
        own = slice(starts[output], starts[output + 1])
        again[output, columns[own]] = values[own]
    assert np.array_equal(again, weights)
    assert len(values) == np.count_nonzero(weights)


def test_whole_blocks_are_dropped():
    weights = drawn(features=40, outputs=48, sparsity=0.9, block=16)
    values, _, _ = sparse_blocks.pack(weights)
    assert values.size == np.count_nonzero(weights)


@pytest.mark.parametrize("name", ["numba_blocks", "numba_csr", "numpy_zeros", "scipy_csr"])
def test_kernels_prepare_from_compressed_rows_too(name):
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((19, 40)) * (generator.random((19, 40)) < 0.2)
    inputs = generator.standard_normal((3, 40))
    prepares = get("dense_pruned", name).prepares
    found = prepares(csr_array(weights))(inputs)
    np.testing.assert_array_equal(found, prepares(weights)(inputs))


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.95])
def test_an_outline_has_the_share_of_zeros_of_its_case(sparsity):
    case = Case.of("dense_pruned", features=300, outputs=200, sparsity=sparsity)
    (kind, told), (_, expected) = (
        case.definition.traits(*arguments.arrays) for arguments in (case.outline(), case.inputs())
    )
    assert kind == "2-D"
    assert told == pytest.approx(expected, abs=0.3)
    assert told[3] == pytest.approx(np.log2(1 - sparsity), abs=0.1)
