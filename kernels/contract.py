"""The contract that every kernel keeps, as checks that a test can run.

For a kernel of your own, two lines in a test module::

    from convgrad.kernels import contract, get
    test_my_kernel = contract.test(get("convolve", "my_kernel"))

make one test for each check; ``contract.test(find("convolve", family="numba"))`` makes them for
several kernels. A check is a plain function too: ``contract.check_sign(my_kernel)`` raises an
`AssertionError` with a sentence about what is wrong, or returns. hypothesis and pytest have to be
installed.
"""

import inspect
import warnings
from dataclasses import dataclass
from numbers import Integral

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convgrad.kernels import examples
from convgrad.kernels.case import Case
from convgrad.kernels.guard import guarded
from convgrad.kernels.operation import error_ratio
from convgrad.kernels.registry import Kernel, Unsupported, operation


@dataclass(frozen=True)
class _Effort:
    """How much of what is worth trying a kernel is tried with."""

    every: int = 1
    """Edge cases are taken this many apart."""
    again: int = 2
    """Of those, the ones for other checks than whether the result is right, again apart."""
    few: int = 3
    """Edge cases for checks that need no more than a few shapes."""
    drawn: int = 60
    """Random arguments."""
    large: bool = True
    dtypes: tuple = ("float32", "float64")
    layouts: tuple = tuple(examples.LAYOUTS)
    mixtures: tuple = (
        *(("float16",), ("int8",), ("uint8",), ("int64",), ("bool",)),
        *(("float32", "float64"), ("int16", "float32"), ("float64", "int32"), (">f4", ">f8")),
    )
    """Dtypes of the arrays, in turn."""


_FULL = _Effort()
_SIMULATED = _Effort(
    every=9,
    again=3,
    few=1,
    drawn=3,
    large=False,
    dtypes=("float32",),
    layouts=("reversed",),
    mixtures=(("float32", "float64"),),
)
"""On Numba's simulator a call of a CUDA kernel takes up to seconds."""


def _effort(kernel):
    if kernel.device == "cuda":
        from convgrad.kernels import cuda

        if cuda.simulated():
            return _SIMULATED
    return _FULL


def check_documentation(kernel):
    """A docstring whose first line is a sentence: `convgrad list` shows it."""
    text = inspect.getdoc(kernel.function) or ""
    first = text.partition("\n")[0].strip()
    _require(
        len(first) > 1 and first.endswith("."),
        f"{_name(kernel)}: the first line of the docstring has to be a sentence that says what "
        f"the kernel is, and ends with a full stop; it is {first!r}",
    )


def check_edge_cases(kernel):
    """Right at the edge cases of the operation, in both dtypes; `serves` keeps its word."""
    served = [
        _compute(kernel, example, example.arrays(dtype)) is not None
        for example in _edge_cases(kernel)
        for dtype in _effort(kernel).dtypes
    ]
    _require(any(served), f"{_name(kernel)} serves none of the edge cases: nothing was checked")


def check_large_cases(kernel):
    """Right at sizes that fill blocks, vectors and threads, under one thread and under more.

    A compiled kernel of our own gives the very same result under any number of threads; libraries
    may not, whose results lie within the bound of the same reference.
    """
    effort = _effort(kernel)
    cases = examples.LARGE_CASES[kernel.operation] if effort.large else []
    if kernel.family == "naive":  # Loops that have no blocks and no threads, and take long.
        cases = cases[:1]
    before, most = numba.get_num_threads(), numba.config.NUMBA_NUM_THREADS
    results = {}
    try:
        for threads in sorted({1, min(2, most), most}):
            numba.set_num_threads(threads)
            for number, example in enumerate(cases):
                for dtype in effort.dtypes:
                    how = f"on {threads} threads"
                    result = _compute(kernel, example, example.arrays(dtype), how)
                    chosen = kernel.algorithm == "any"  # perhaps another one for more threads
                    if chosen or kernel.family not in ("numba", "winograd") or result is None:
                        continue
                    first = results.setdefault((number, dtype), result)
                    _require(
                        np.array_equal(result, first, equal_nan=True),
                        f"{_name(kernel)} on {example}: its result {how} is another one than on 1",
                    )
    finally:
        numba.set_num_threads(before)


def check_random_arguments(kernel):
    """Right for arguments that hypothesis draws; the same ones on every run."""
    drawn = examples.STRATEGIES[kernel.operation]

    @settings(
        max_examples=_effort(kernel).drawn,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn, examples.arrays_options())
    def compute(example, options):
        dtypes, options = options
        _compute(kernel, example, example.arrays(*dtypes, **options), str(options))

    compute()


def check_layouts(kernel):
    """Right however the inputs lie in memory, and none of them is changed."""
    effort = _effort(kernel)
    for example in _few_cases(kernel):
        for layout in effort.layouts:
            for dtype in effort.dtypes:
                arrays = example.arrays(dtype, layout=layout)
                _compute(kernel, example, arrays, f"{dtype} inputs, {layout}")


def check_dtypes(kernel):
    """Computes and returns ``np.result_type(*arrays, np.float32)``."""
    for example in _few_cases(kernel):
        for dtypes in _effort(kernel).mixtures:
            _compute(kernel, example, example.arrays(*dtypes), f"inputs of {' and '.join(dtypes)}")


def check_fresh_results(kernel):
    """Every result is an array of its own, that later calls leave alone."""
    for example in _few_cases(kernel):
        for dtype in _effort(kernel).dtypes:
            first = _compute(kernel, example, example.arrays(dtype))
            if first is None:
                continue
            kept = first.copy()
            second = _compute(kernel, example, example.arrays(dtype, seed=1))
            _require(
                not np.may_share_memory(first, second) and np.array_equal(first, kept),
                f"{_name(kernel)} on {example}: a second call has written into the first result",
            )


def check_sign(kernel):
    """Negated in place, the operation's `odd` argument negates the result.

    The measuring engine tells stale results from new ones by this. Start weights of a fit are
    negated along.
    """
    definition = operation(kernel.operation)
    for example in _edge_cases(kernel)[:: _effort(kernel).again]:
        arrays = example.arrays("float64")
        result = _compute(kernel, example, arrays)
        if result is None:
            continue
        options = definition.bind(**arrays, **example.options).options
        for name in {definition.odd} | {"weights"} & set(arrays) & set(options):
            np.negative(arrays[name], out=arrays[name])
        negated = _compute(kernel, example, arrays, f"after {definition.odd} was negated in place")
        bound = _expected(kernel, definition.bind(**arrays, **example.options))[1]
        _require(
            error_ratio(-negated, result, bound) <= 1,
            f"{_name(kernel)} on {example}: negating {definition.odd} does not negate the result",
        )


def check_out(kernel):
    """``out=`` is filled, not beyond its end, and returned; a kernel that cannot says so."""
    definition = operation(kernel.operation)
    for example in _few_cases(kernel):
        for dtype in _effort(kernel).dtypes:
            arrays = example.arrays(dtype)
            arguments = definition.bind(**arrays, **example.options)
            if kernel.why_not_bound(arguments) is not None:
                continue
            shape = definition.output_shape(*arguments.arrays, **arguments.options)
            out = guarded(np.full(shape, np.nan, dtype))
            what = f"{_name(kernel)} on {example}, with out="
            if not kernel.writes_in_place:
                error = _error_of(kernel, **arrays, **example.options, out=out)
                _require(
                    isinstance(error, Unsupported),
                    f"{what}: it has no `out` and has to raise Unsupported, not {error!r}",
                )
                continue
            result = kernel(**arrays, **example.options, out=out)
            _require(result is out, f"{what}: it has to return the very array that it was given")
            _check_values(what, kernel, arguments, out)


def check_prepared(kernel):
    """With the weights kept, right as with the weights given; or it says that it keeps none.

    Later changes to the weights have no effect, ``out=`` is filled, and bad input raises what a
    plain call raises.
    """
    definition = operation(kernel.operation)
    reason = kernel.why_not_call("prepared")
    if reason is not None:
        error = _error_of(lambda: kernel.prepare(np.ones(1)))
        _require(
            isinstance(error, Unsupported) and str(error).endswith(reason),
            f"{_name(kernel)}: `prepare` has to raise Unsupported, {reason!r}, not {error!r}",
        )
        return
    for example in _edge_cases(kernel):
        for dtype in _effort(kernel).dtypes:
            arrays = example.arrays(dtype)
            arguments = definition.bind(**arrays, **example.options)
            if kernel.why_not_bound(arguments) is not None:
                continue
            what = f"{_name(kernel)} on {example}, prepared, {dtype}"
            weights = arrays[definition.weights].copy()
            (other,) = (array for name, array in arrays.items() if name != definition.weights)
            prepared = kernel.prepare(weights, **example.options)
            weights[...] = np.nan
            for _ in range(2):  # the second call may rely on the first one's validation
                result = prepared(other)
                _check_values(what, kernel, arguments, result)
            out = np.full_like(result, np.nan)
            if kernel.writes_in_place:
                _require(prepared(other, out=out) is out, f"{what}: it has to return `out`")
                _check_values(f"{what}, with out=", kernel, arguments, out)
            else:
                error = _error_of(prepared, array=other, out=out)
                _require(
                    isinstance(error, Unsupported),
                    f"{what}: it has no `out` and has to raise Unsupported, not {error!r}",
                )
    for argument, call in examples.BAD_CALLS[kernel.operation]:
        arrays = dict(call)
        weights, other = arrays.pop(definition.weights), arrays.pop(definition.odd)
        expected = _error_of(definition.bind, **call)
        error = _error_of(lambda w=weights, o=other, k=arrays: kernel.prepare(w, **k)(o))
        _require(
            type(error) is type(expected) and str(error) == str(expected),
            f"{_name(kernel)}, prepared: for a bad {argument} it has to raise {expected!r}, as a "
            f"plain call does, not {error!r}",
        )


def check_workspace(kernel):
    """`workspace_bytes` is an int that holds at least the result, and needs no numbers."""
    definition = operation(kernel.operation)
    outlines = [
        Case.of(kernel.operation, **sizes).outline() for sizes in definition.named_cases.values()
    ]
    for example in _edge_cases(kernel):
        outlines.append(_outline(definition.bind(**example.arrays("float32"), **example.options)))
    for arguments in outlines:
        if kernel.why_not_bound(arguments) is not None:
            continue
        shape = definition.output_shape(*arguments.arrays, **arguments.options)
        least = int(np.prod(shape)) * arguments.dtype.itemsize
        predicted = kernel.workspace_bytes(arguments)
        temporary = predicted - least
        shapes = ", ".join(str(array.shape) for array in arguments.arrays)
        _require(
            isinstance(predicted, Integral) and temporary >= 0,
            f"{_name(kernel)} on arrays of shape {shapes}: `workspace` has to return bytes that "
            f"it allocates besides its result, 0 or more, not {temporary}",
        )


def check_bad_input(kernel):
    """Bad input raises what the operation's `bind` raises, word by word."""
    for argument, call in examples.BAD_CALLS[kernel.operation]:
        expected = _error_of(operation(kernel.operation).bind, **call)
        error = _error_of(kernel, **call)
        _require(
            type(error) is type(expected) and str(error) == str(expected),
            f"{_name(kernel)}: for a bad {argument} it has to raise {expected!r}, as every kernel "
            f"of the operation does, not {error!r}",
        )


def check_not_finite(kernel):
    """NaN and infinity reach the outputs that see them, and no other.

    Of kernels that are written out as loops; a library may multiply by zeros of its own, and an
    FFT spreads what is not finite over everything.
    """
    if not _sums_as_defined(kernel):
        return
    odd = operation(kernel.operation).odd
    for example in _edge_cases(kernel)[:: _effort(kernel).again]:
        for value in (np.nan, np.inf):
            for dtype in _effort(kernel).dtypes:
                arrays = example.arrays(dtype)
                middle = arrays[odd].size // 2
                arrays[odd].flat[middle] = value
                _compute(kernel, example, arrays, f"{value} at flat index {middle} of {odd}")


def check_refuses_not_finite(kernel):
    """Fits reject NaN and infinity in any array, which no kernel may lose on the way."""
    if not _finite_only(kernel):
        return
    for example in _few_cases(kernel):
        for name, array in example.arrays("float32").items():
            for value in (np.nan, np.inf):
                arrays = example.arrays("float32")
                arrays[name].flat[array.size // 2] = value
                with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                    error = _error_of(kernel, **arrays, **example.options | {"step": 0.01})
                _require(
                    f"{name}: got {value} at index" in str(error),
                    f"{_name(kernel)} on {example}: {value} in {name} does not reach its result, "
                    f"and it raises {error!r}",
                )


def check_denormals(kernel):
    """Multiples of the smallest number there is are summed exactly, and not flushed to zero.

    Of kernels that are written out as loops, like `check_not_finite`.
    """
    if not _sums_as_defined(kernel):
        return
    definition = operation(kernel.operation)
    for example in _few_cases(kernel):
        for dtype in _effort(kernel).dtypes:
            arrays = {name: a.astype(dtype) for name, a in example.arrays("int8").items()}
            arrays[definition.odd] *= np.finfo(dtype).smallest_subnormal
            result = kernel(**arrays, **example.options)
            arguments = definition.bind(**arrays, **example.options)
            exact = definition.reference(*arguments.arrays, **arguments.options)
            _require(
                np.array_equal(result, exact.astype(dtype)),
                f"{_name(kernel)} on {example}: it loses denormal numbers of {dtype}",
            )


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
"""Every check of the contract, in the order of this file."""


def test(kernels):
    """Make a pytest test of every check for every kernel.

    Parameters
    ----------
    kernels : Kernel or list of Kernel
        As `convgrad.kernels.get` and `find` return them. Those that cannot run here are skipped,
        with the sentence of `why_not`.

    Returns
    -------
    callable
        To be given a name that starts with ``test_`` in a test module.
    """
    kernels = [kernels] if isinstance(kernels, Kernel) else list(kernels)

    @pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
    @pytest.mark.parametrize("kernel", kernels, ids=lambda k: f"{k.operation}-{k.name}")
    def test_contract(kernel, check):
        if reason := kernel.why_not():
            pytest.skip(reason)
        check(kernel)

    return test_contract


test.__test__ = False


def _compute(kernel, example, arrays, how=""):
    """Call a kernel, and hold the result to all that every result has to keep.

    Returns
    -------
    ndarray or None
        None if the kernel does not serve the arguments, and says so in the right way.
    """
    definition = operation(kernel.operation)
    arguments = definition.bind(**arrays, **example.options)
    what = f"{_name(kernel)} on {example}{how and ', '}{how}, {arguments.dtype}"
    reason = _why_not(what, kernel, arguments)
    if reason is not None:
        error = _error_of(kernel, **arrays, **example.options)
        _require(
            isinstance(error, Unsupported) and str(error).endswith(reason),
            f"{what}: it has to raise Unsupported with the sentence of why_not, {reason!r}, not "
            f"{error!r}",
        )
        return None
    before = {name: array.tobytes() for name, array in arrays.items()}
    shape = definition.output_shape(*arguments.arrays, **arguments.options)
    # Freed memory full of NaN is what the kernel is likely to get for its result.
    np.full(shape, np.nan, arguments.dtype)
    try:
        result = kernel(**arrays, **example.options)
    except Exception as error:
        raise AssertionError(
            f"{what}: it raised {type(error).__name__}: {error}; arguments that it does not serve "
            "have to be refused by its `serves`"
        ) from error
    changed = [name for name, array in arrays.items() if array.tobytes() != before[name]]
    _require(not changed, f"{what}: it has changed its input {', '.join(changed)}")
    _require(
        type(result) is np.ndarray and result.flags.carray and result.flags.aligned,
        f"{what}: it has to return a writeable C-contiguous ndarray, not {_flags(result)}",
    )
    _require(
        result.dtype == arguments.dtype,
        f"{what}: it has to return {arguments.dtype}, not {result.dtype}",
    )
    _require(
        not any(np.may_share_memory(result, array) for array in arrays.values()),
        f"{what}: its result shares memory with an input",
    )
    _check_values(what, kernel, arguments, result)
    return result


def _sums_as_defined(kernel):
    """Whether a kernel of convolution is loops of our own, which touch what they have to only."""
    loops = kernel.family in ("naive", "numba", "cuda") and kernel.algorithm == "direct"
    return loops and not _finite_only(kernel)


def _finite_only(kernel):
    return kernel.operation.startswith("fit")


def _why_not(what, kernel, arguments):
    """The kernel's reason not to serve, which shapes and options alone have to decide."""
    reason = kernel.why_not_bound(arguments)
    _require(
        reason is None or (isinstance(reason, str) and reason.strip()),
        f"{what}: `serves` has to return None or a sentence, not {reason!r}",
    )
    by_outline = kernel.why_not_bound(_outline(arguments))
    _require(
        by_outline == reason,
        f"{what}: `serves` has to decide by shapes and options; it said {reason!r}, and "
        f"{by_outline!r} for arrays of the same shapes without contents",
    )
    return reason


def _outline(arguments):
    """The same arguments with arrays that hold nothing but zero-stride zeros."""
    empty = np.zeros((), arguments.dtype)
    options = dict(arguments.options)
    if "weights" in options:
        options["weights"] = np.broadcast_to(empty, options["weights"].shape)
    arrays = tuple(np.broadcast_to(empty, array.shape) for array in arguments.arrays)
    return arguments._replace(arrays=arrays, options=options)


def _expected(kernel, arguments):
    """Reference and bound; what is not finite belongs there, and needs no warning."""
    definition = operation(kernel.operation)
    with np.errstate(invalid="ignore", over="ignore"):
        return (
            definition.reference(*arguments.arrays, **arguments.options),
            definition.bound(kernel.algorithm, *arguments.arrays, **arguments.options),
        )


def _check_values(what, kernel, arguments, result):
    reference, bound = _expected(kernel, arguments)
    _require(
        result.shape == reference.shape,
        f"{what}: it has to return shape {reference.shape}, not {result.shape}",
    )
    ratio = error_ratio(result, reference, bound)
    if ratio > 1:
        worst = _worst(result, reference, bound)
        raise AssertionError(
            f"{what}: wrong by {ratio:.3g} times what rounding allows; at index {worst} it is "
            f"{result[worst]}, and {reference[worst]} by the definition"
        )


def _worst(result, reference, bound):
    """Index of the element that is furthest out."""
    ratios = [
        error_ratio(*parts)
        for parts in zip(
            result.ravel(), reference.ravel(), np.broadcast_to(bound, result.shape).ravel()
        )
    ]
    return tuple(int(i) for i in np.unravel_index(np.argmax(ratios), result.shape))


def _edge_cases(kernel):
    return examples.EDGE_CASES[kernel.operation][:: _effort(kernel).every]


def _few_cases(kernel):
    """A few edge cases that the kernel serves, spread over all of them."""
    served = [
        example
        for example in _edge_cases(kernel)
        if kernel.why_not(**example.arrays("float32"), **example.options) is None
    ]
    few = _effort(kernel).few
    apart = max(len(served) // few, 1)
    return served[apart // 2 :: apart][:few]


def _error_of(function, **call):
    try:
        function(**call)
    except Exception as error:  # Whatever it is, it is compared with what it should be.
        return error
    return None


def _flags(result):
    if not isinstance(result, np.ndarray):
        return type(result).__name__
    return f"{type(result).__name__} with strides {result.strides}, flags\n{result.flags}"


def _name(kernel):
    return f"{kernel.operation} by {kernel.name}"


def _require(condition, sentence):
    if not condition:
        raise AssertionError(sentence)
