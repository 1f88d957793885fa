"""Minimal filtering: its transforms, short tiles, and how layers are shared."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad import kernels
from convgrad.kernels import vector
from convgrad.kernels.convolution import conv2d_winograd, winograd
from convgrad.kernels.operation import error_ratio

LANES = vector.lanes_of(np.float64)


def matrix(transform, size, made, short=False):
    """What a transform makes of each unit vector, column by column."""
    units, compiled = np.repeat(np.eye(size), LANES, axis=1), numba.njit(transform)
    columns = []
    for unit in units.reshape(size, size, LANES):
        target = np.zeros(made * LANES)
        compiled(unit.ravel(), 0, LANES, target, 0, LANES, short)
        columns.append(target[::LANES])
    return np.array(columns).T


@pytest.mark.parametrize("made", [2, 4])
def test_transforms_are_their_matrices(made):
    size = made + 2
    for stage, table, shape in (
        ("before", winograd.SAMPLES, (size, size)),
        ("filter", winograd.TAPS, (3, size)),
        ("after", winograd.PRODUCTS, (size, made)),
    ):
        found = matrix(getattr(winograd, f"{stage}_{made}"), *shape)
        np.testing.assert_allclose(found, table[made], rtol=1e-15)


def test_short_tiles_are_right_and_within_the_bound_of_whole_ones():
    def paths(samples, products):
        """What each sample and tap give to an output, over all products."""
        return np.einsum("op,pt,ps->ost", products, winograd.TAPS[4], samples)

    samples = matrix(winograd.before_4, 6, 6, short=True)
    products = matrix(winograd.after_4, 6, 4, short=True)
    assert not samples[3:5].any()
    assert not products[:, 3:5].any()
    definition = np.zeros((4, 6, 3))
    for output in range(2):
        definition[output, output + np.arange(3), np.arange(3)] = 1
    np.testing.assert_allclose(paths(samples, products), definition, atol=1e-15)

    def magnitudes(samples, products):
        taps = abs(winograd.TAPS[4])
        return np.einsum("op,pt,ps->ost", abs(products), taps, abs(samples))

    short = magnitudes(samples, products)
    whole = magnitudes(winograd.SAMPLES[4], winograd.PRODUCTS[4])
    assert (short <= whole + 1e-12).all()


@pytest.mark.parametrize("name", ["winograd_4x4", "winograd_2x2"])
@pytest.mark.parametrize("operation", ["conv2d", "conv2d_input_gradient"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    sides=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    counts=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 70)),
    threads=st.integers(1, numba.config.NUMBA_NUM_THREADS),
)
def test_all_sides_are_right_and_the_same_however_shared(operation, name, sides, counts, threads):
    """Plain on some threads, and with filters transformed before on one: the same bits."""
    kernel, (batch, channels, filters) = kernels.get(operation, name), counts
    sizes = {"batch": batch, "channels": channels, "filters": filters}
    sizes |= {"height": sides[0], "width": sides[1], "filter_height": 3, "filter_width": 3}
    arrays, options = kernels.Case.of(operation, "float64", **sizes).inputs()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(threads)
        result = kernel(*arrays, **options)
        numba.set_num_threads(1)
        kept = kernel.prepare(arrays[1], **options)(arrays[0])
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(result, kept)
    definition = kernels.operation(operation)
    bound = definition.bound(kernel.algorithm, *arrays, **options)
    assert error_ratio(result, definition.reference(*arrays, **options), bound) <= 1


@given(
    shape=st.tuples(*(st.integers(1, most) for most in (40, 600, 240, 240))),
    channels=st.integers(1, 600),
    threads=st.integers(1, 64),
    made=st.sampled_from([2, 4]),
    kept=st.booleans(),
)
def test_plans_leave_no_thread_without_work(shape, channels, threads, made, kept):
    transformed, most, (groups, own) = conv2d_winograd._plan(
        made, channels, shape, 4, threads, kept
    )
    grid = conv2d_winograd._grid(made, shape[2:], (0, 0))
    rows = shape[0] * (grid.down + grid.short_down)
    assert 1 <= groups * own <= threads
    assert own <= -(-shape[1] // vector.lanes_of(np.float32))
    assert 1 <= most <= -(-rows // groups)
    assert transformed or not kept
    outputs = 4 * grid.down + 2 * grid.short_down if made == 4 else 2 * grid.down
    assert shape[2] <= outputs < shape[2] + 2
