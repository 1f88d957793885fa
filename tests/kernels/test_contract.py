"""Every registered kernel keeps the contract, and the contract rejects those that do not."""

import functools

import numba
import numpy as np
import pytest

from convgrad.kernels import Kernel, contract, examples, find, operation, operations
from convgrad.kernels.convolution import reference
from convgrad.kernels.convolution.geometry import resolve_padding

test_registered = contract.test(find(usable=False))


def make(function, operation_name="convolve", family="scipy", cls=Kernel, **declared):
    return cls(function.__name__, operation_name, function, family, **declared)


def right(signal, taps, *, mode):
    """Convolve by the definition."""
    return np.ascontiguousarray(reference.convolve(signal, taps, mode=mode))


def right_in_place(signal, taps, *, mode, out=None):
    """Convolve by the definition, into a given array."""
    result = right(signal, taps, mode=mode)
    if out is None:
        return result
    out[...] = result
    return out


def keeping(convolve):
    """Make the `prepare` of a kernel that convolves so, with the taps that it was given."""

    def prepare(taps, *, mode):
        def call(signal, out=None):
            return convolve(signal, taps, mode=mode, **({} if out is None else {"out": out}))

        return call

    return prepare


test_right = contract.test(
    [
        make(right, prepares=keeping(right)),
        make(right_in_place, family="naive", prepares=keeping(right_in_place)),
    ]
)


def test_unusable_kernels_are_skipped_with_their_reason():
    kernel = make(right, requires=("no_such_module_here",))
    with pytest.raises(pytest.skip.Exception, match="no_such_module_here is not installed"):
        contract.test(kernel)(kernel, contract.check_sign)


# Mistakes. Each says in its name what is wrong.


def misses_the_last_tap(signal, taps, *, mode):
    taps = taps.copy()
    taps.flat[-1] = 0
    return right(signal, taps, mode=mode)


def flips_the_filter(signal, taps, *, mode):
    return right(signal, np.flip(taps), mode=mode)


def shifts_same_mode(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    return np.roll(result, 1) if mode == "same" and taps.size % 2 == 0 else result


def swaps_axes(signal, taps, *, mode):
    return right(signal, taps, mode=mode).reshape(-1)


def changes_its_input(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    if signal.flags.writeable:
        signal.flat[0] += 1
    return result


def changes_its_taps(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    if taps.flags.writeable:
        taps[...] = 0
    return result


def widens_to_float64(signal, taps, *, mode):
    return right(signal, taps, mode=mode).astype(np.float64)


def computes_in_float32(signal, taps, *, mode):
    return right(signal.astype("f4"), taps.astype("f4"), mode=mode).astype(signal.dtype)


def computes_in_float16(signal, taps, *, mode):
    return right(signal, taps.astype(np.float16).astype(taps.dtype), mode=mode)


@functools.cache
def _buffer(shape, dtype):
    return np.empty(shape, dtype)


def returns_its_own_buffer(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    buffer = _buffer(result.shape, result.dtype)
    buffer[...] = result
    return buffer


def returns_its_input(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    if mode == "same" and signal.flags.carray:
        signal[...] = result
        return signal
    return result


_stale = {}


def remembers_by_address(signal, taps, *, mode):
    key = (signal.ctypes.data, taps.ctypes.data, signal.shape, taps.shape, mode)
    return _stale.setdefault(key, right(signal, taps, mode=mode)).copy()


def returns_a_list(signal, taps, *, mode):
    return right(signal, taps, mode=mode).tolist()


def returns_a_strided_view(signal, taps, *, mode):
    return np.repeat(right(signal, taps, mode=mode), 2, axis=-1)[..., ::2]


def returns_read_only(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    result.flags.writeable = False
    return result


def ignores_strides(signal, taps, *, mode):
    return right(signal if signal.flags.c_contiguous else np.flip(signal), taps, mode=mode)


def ignores_the_remainder_of_a_block(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    if result.size > 1024:
        result.flat[result.size // 64 * 64 :] = 0
    return result


def errs_on_one_thread(signal, taps, *, mode):
    return right(signal, taps, mode=mode) * (1 + (numba.get_num_threads() == 1))


def rounds_by_threads(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    return result if numba.get_num_threads() == 1 else np.nextafter(result, np.inf)


def leaves_gaps(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    fresh = np.empty_like(result)
    fresh.flat[1:] = result.flat[1:]
    return fresh


def raises_on_same(signal, taps, *, mode):
    if mode == "same":
        raise ValueError("cannot do that")
    return right(signal, taps, mode=mode)


def hides_nan(signal, taps, *, mode):
    return right(np.nan_to_num(signal, posinf=0, neginf=0), taps, mode=mode)


def spreads_nan(signal, taps, *, mode):
    return right(signal, taps, mode=mode) + 0 * signal.sum()


def flushes_denormals(signal, taps, *, mode):
    result = right(signal, taps, mode=mode)
    return np.where(np.abs(result) < np.finfo(result.dtype).tiny, 0, result).astype(result.dtype)


def undocumented(signal, taps, *, mode):
    return right(signal, taps, mode=mode)


def ignores_out(signal, taps, *, mode, out=None):
    return right(signal, taps, mode=mode)


def fills_out_wrongly(signal, taps, *, mode, out=None):
    result = right(signal, taps, mode=mode)
    if out is None:
        return result
    out.flat[1:] = result.flat[1:]
    return out


CONVOLVE_MISTAKES = [
    (misses_the_last_tap, "edge_cases", "wrong by inf times|wrong by .* times what rounding"),
    (misses_the_last_tap, "random_arguments", "what rounding allows"),
    (flips_the_filter, "edge_cases", "what rounding allows"),
    (shifts_same_mode, "edge_cases", "an even number of taps.*what rounding allows"),
    (swaps_axes, "edge_cases", r"has to return shape \(\d, \d\), not \(\d+,\)"),
    (changes_its_input, "edge_cases", "has changed its input signal"),
    (changes_its_taps, "edge_cases", "has changed its input taps"),
    (widens_to_float64, "edge_cases", "has to return float32, not float64"),
    (computes_in_float32, "edge_cases", "what rounding allows"),
    (computes_in_float16, "edge_cases", "what rounding allows"),
    (returns_its_own_buffer, "fresh_results", "has written into the first result"),
    (returns_its_input, "edge_cases", "has changed its input signal"),
    (remembers_by_address, "sign", "what rounding allows"),
    (returns_a_list, "edge_cases", "C-contiguous ndarray, not list"),
    (returns_a_strided_view, "edge_cases", "C-contiguous ndarray, not ndarray with strides"),
    (returns_read_only, "edge_cases", "writeable C-contiguous"),
    (ignores_strides, "layouts", "what rounding allows"),
    (ignores_strides, "random_arguments", "what rounding allows"),
    (ignores_the_remainder_of_a_block, "large_cases", "a long series.*what rounding allows"),
    (errs_on_one_thread, "large_cases", "on 1 threads.*what rounding allows"),
    (raises_on_same, "edge_cases", "raised ValueError: cannot do that; .*refused by its `serves`"),
    (hides_nan, "not_finite", "nan at flat index"),
    (spreads_nan, "not_finite", "nan at flat index"),
    (flushes_denormals, "denormals", "it loses denormal numbers"),
    (undocumented, "documentation", "the first line of the docstring"),
    (ignores_out, "out", "the very array that it was given"),
    (fills_out_wrongly, "out", "what rounding allows"),
]


@pytest.mark.parametrize(
    ("function", "check", "message"),
    CONVOLVE_MISTAKES,
    ids=[f"{function.__name__}-{check}" for function, check, _ in CONVOLVE_MISTAKES],
)
def test_contract_rejects(function, check, message):
    _stale.clear()
    own_loops = check in ("not_finite", "denormals")
    kernel = make(function, family="naive" if own_loops else "scipy")
    with pytest.raises(AssertionError, match=f"(?s){function.__name__}.*{message}"):
        getattr(contract, f"check_{check}")(kernel)


def test_contract_rejects_fits_that_lose_what_is_not_finite():
    def hides(features, targets, *, iterations, step, l2, l1, weights):
        return np.nan_to_num(weights, posinf=0, neginf=0)

    with pytest.raises(AssertionError, match="nan in features does not reach its result"):
        contract.check_refuses_not_finite(make(hides, "fit_linear"))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="there is one thread only")
def test_contract_rejects_results_that_depend_on_threads():
    with pytest.raises(AssertionError, match="on 2 threads is another one than on 1"):
        contract.check_large_cases(make(rounds_by_threads, family="numba"))


def test_contract_rejects_elements_left_out():
    # What is in fresh memory is not ours to say: over all edge cases it is wrong somewhere.
    with pytest.raises(AssertionError, match=r"at index \(0"):
        contract.check_edge_cases(make(leaves_gaps))


@pytest.mark.parametrize(
    ("declared", "check", "message"),
    [
        ({"serves": lambda *_, **__: "never"}, "edge_cases", "none of the edge cases"),
        ({"serves": lambda *_, **__: False}, "edge_cases", "None or a sentence, not False"),
        ({"serves": lambda *_, **__: " "}, "edge_cases", "None or a sentence, not ' '"),
        (
            {"serves": lambda signal, *_, **__: "too small" if signal.any() else None},
            "edge_cases",
            "has to decide by shapes and options",
        ),
        ({"workspace": lambda *_, **__: -8}, "workspace", "0 or more, not -8"),
        ({"requires": ("no_such_module_here",)}, "edge_cases", "no_such_module_here"),
    ],
)
def test_contract_rejects_declarations(declared, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(contract, f"check_{check}")(make(right, **declared))


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (misses_the_last_tap, "prepared, float32: wrong by"),
        (ignores_out, "it has to return `out`"),
        (fills_out_wrongly, "with out=: wrong by"),
    ],
)
def test_contract_rejects_what_is_prepared_wrongly(kept, message):
    with pytest.raises(AssertionError, match=f"right_in_place.*{message}"):
        contract.check_prepared(make(right_in_place, prepares=keeping(kept)))


class Lenient(Kernel):
    """Accepts what the operation does not."""

    def __call__(self, *args, **kwargs):
        try:
            return super().__call__(*args, **kwargs)
        except ValueError:
            return None


class Unwilling(Kernel):
    """Gives another reason than `why_not`."""

    def why_not_bound(self, arguments):
        return "I would rather not"

    def __call__(self, *args, **kwargs):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (Lenient, "bad_input", "has to raise ValueError.*as every kernel of the operation does"),
        (Unwilling, "edge_cases", "has to raise Unsupported with the sentence of why_not"),
    ],
)
def test_contract_rejects_other_errors(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(contract, f"check_{check}")(make(right, cls=cls))


def pads_first(images, filters, *, stride, padding, dilation, groups):
    padding = tuple((after, before) for before, after in padding)
    return _conv2d(images, filters, stride, padding, dilation, groups)


def ignores_dilation(images, filters, *, stride, padding, dilation, groups):
    sides = [(k - 1) * (dilation - 1) for k in filters.shape[2:]]
    cropped = images[:, :, : images.shape[2] - sides[0] or 1, : images.shape[3] - sides[1] or 1]
    return _conv2d(cropped, filters, stride, padding, 1, groups)


def mixes_groups(images, filters, *, stride, padding, dilation, groups):
    return _conv2d(images[:, ::-1], filters, stride, padding, dilation, groups)


def _conv2d(images, filters, stride, padding, dilation, groups):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    definition = operation("conv2d")
    sides = definition.output_shape(images, filters, **options)[2:]
    return reference.conv2d(images, filters, output_size=sides, **options)


def _descend(features, targets, weights, **options):
    fit = operation("fit_linear")
    return np.ascontiguousarray(fit.definition(features, targets, weights=weights, **options))


def takes_a_step_too_many(features, targets, *, iterations, weights, **options):
    return _descend(features, targets, weights, iterations=iterations + 1, **options)


def ignores_l1(features, targets, *, l1, weights, **options):
    return _descend(features, targets, weights, l1=0.0, **options)


def ignores_l2(features, targets, *, l2, weights, **options):
    return _descend(features, targets, weights, l2=0.0, **options)


def ignores_start_weights(features, targets, *, weights, **options):
    return _descend(features, targets, np.zeros_like(weights), **options)


def changes_start_weights(features, targets, *, weights, **options):
    result = _descend(features, targets, weights, **options)
    if weights.flags.writeable:
        weights[...] = result
    return result


@pytest.mark.parametrize(
    ("function", "operation_name", "message"),
    [
        (pads_first, "conv2d", "even filters, same"),
        (ignores_dilation, "conv2d", "dilation"),
        (mixes_groups, "conv2d", "what rounding allows"),
        (takes_a_step_too_many, "fit_linear", "what rounding allows"),
        (ignores_l1, "fit_linear", "l1"),
        (ignores_l2, "fit_linear", "l2"),
        (ignores_start_weights, "fit_linear", "start weights"),
        (changes_start_weights, "fit_linear", "has changed its input weights"),
    ],
)
def test_contract_rejects_in_other_operations(function, operation_name, message):
    with pytest.raises(AssertionError, match=message):
        contract.check_edge_cases(make(function, operation_name))


def test_examples_cover_every_operation():
    for table in (
        examples.EDGE_CASES,
        examples.LARGE_CASES,
        examples.STRATEGIES,
        examples.BAD_CALLS,
    ):
        assert set(table) == set(operations())


def test_layouts_keep_the_numbers():
    plain = np.arange(48.0, dtype=np.float32).reshape(2, 3, 2, 4)
    for layout, arrange in examples.LAYOUTS.items():
        for array in (plain, plain[0, 0], plain[0, 0, 0]):
            expected = np.broadcast_to(array[:1], array.shape) if layout == "broadcast" else array
            assert np.array_equal(arrange(array), expected), layout
    assert not examples.LAYOUTS["misaligned"](plain).flags.aligned
    assert not examples.LAYOUTS["read-only"](plain).flags.writeable
    assert examples.LAYOUTS["channels-last"](plain).strides[1] == plain.itemsize
    assert all(s < 0 for s in examples.LAYOUTS["reversed"](plain).strides)


def test_layer_examples_pad_as_they_say():
    same = next(e for e in examples.EDGE_CASES["conv2d"] if e.title == "even filters, same")
    assert same.options["padding"] == "same"
    assert resolve_padding("same", (5, 6), (4, 2), 1, 1) == ((1, 2), (0, 1))
