"""``auto``: a kernel that chooses among the others, by times that were measured.

The times are in a table: one that ``convgrad tune`` has made on this machine, or the shipped one of
the machine class that is nearest. What is chosen depends on shapes, dtype, options and threads
alone, and is chosen once for each of them.
"""

import math
import os
import platform
from functools import cache
from operator import itemgetter
from typing import NamedTuple

import numba

from convgrad.kernels import registry, vector
from convgrad.kernels.operation import Arguments
from convgrad.kernels.timetable import PREPARED, SHIPPED, Timetable, place

ALGORITHMS = ("direct", "int8", "fft")
"""Those that may always be chosen: of the others, those that state how exact they are."""
_SUMS = ("direct", "int8")
"""Those of them that sum as the definition does, in floats or in integers."""
_EXACT_ENOUGH = 1e-4
"""Where their error, relative to the largest output, stays below this."""
_REMEMBERED = 4096
"""Choices that are kept."""
_DISCRETE = (int, str, tuple)


class Explanation(NamedTuple):
    """Why ``auto`` chooses what it does; as text, a table."""

    operation: str
    choice: str
    seconds: dict
    """Predicted seconds of the candidates by name, the fastest first."""
    left_out: dict
    """Sentences by name."""
    threads: int
    table: str
    machine: dict
    """What the table was measured on."""
    here: str
    """Class of this machine."""

    def __str__(self):
        kernel = registry.get(self.operation, self.choice)
        width = max(map(len, [*self.seconds, *self.left_out, self.choice]))
        lines = [f"{self.operation} by {self.choice} ({kernel.algorithm}), {self.threads} threads"]
        lines += [f"  {n:{width}}  {1e6 * s:12.2f} us predicted" for n, s in self.seconds.items()]
        lines += [f"  {n:{width}}  left out: {why}" for n, why in self.left_out.items()]
        measured = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        return "\n".join([*lines, f"table: {self.table} ({measured})", f"here: {self.here}"])

    __repr__ = __str__


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def machine_class():
    """Name of the class of machines whose tables may stand for each other."""
    return f"{8 * vector.register_bytes()}-bit-{cores()}-cores"


def own_path():
    """Where `convgrad tune` keeps the table of this machine."""
    from platformdirs import user_cache_path

    name = f"{platform.node() or 'machine'}-{machine_class()}.json"
    return user_cache_path("convgrad") / "tables" / name


def shipped_path():
    """The shipped table of the nearest machine class: like vectors first, then like cores."""
    bits, count = 8 * vector.register_bytes(), cores()

    def distance(path):
        other_bits, _, other_count, _ = path.stem.split("-")
        return abs(math.log2(int(other_bits) / bits)), abs(math.log2(int(other_count) / count))

    return min(sorted(SHIPPED.glob("*-bit-*-cores.json")), key=distance, default=None)


@cache
def tables():
    """The tables that there are, the better one first."""
    paths = own_path(), shipped_path()
    return [table for table in map(Timetable.read, filter(None, paths)) if table]


def table_of(operation_name):
    """The best table that knows an operation; None if there is none."""
    known = (table for table in tables() if operation_name in table.operations)
    return next(known, None)


def why_never(kernel, threads):
    """Say why ``auto`` does not choose a kernel, whatever the arguments; None if it may.

    Threads of other libraries go on looking for work after a call, on the cores where the next
    kernel's threads begin: a ResNet-18 took longer on two threads than on one while the one
    product of its head was BLAS's.
    """
    if kernel.device != "cpu":
        return "it does not run on the processor"
    if kernel.family == "peer":
        return "it is another library's, with threads of its own"
    if kernel.family == "gemm" and threads > 1:
        return "BLAS has threads of its own"
    if kernel.algorithm not in ALGORITHMS and kernel.error is None:
        return f"its algorithm, {kernel.algorithm}, has an error bound of its own"
    return None


def why_not_exact(kernel, arguments, exact):
    """Say why a kernel is not exact enough for some arguments; None if it is."""
    if exact and kernel.algorithm not in _SUMS:
        return f"its algorithm, {kernel.algorithm}, is not direct"
    if kernel.error:
        error = kernel.error(*arguments.arrays, **arguments.options)
        if error >= _EXACT_ENOUGH:
            return f"its error may be {error:.0e} of the largest output"
    return None


def candidates(operation_name, threads):
    """Kernels that ``auto`` may choose on so many threads, if they are usable here, as a list."""
    return [
        kernel
        for kernel in registry.find(operation_name, usable=False)
        if kernel.family != "auto" and why_never(kernel, threads) is None
    ]


def explain(operation_name, *args, exact=False, **kwargs):
    """Say which kernel ``auto`` chooses for a call, and why.

    Parameters
    ----------
    operation_name : str
    *args, **kwargs
        The arguments of the call.
    exact : bool
        Whether only direct sums are allowed.

    Returns
    -------
    Explanation
        Its text is a table.

    Raises
    ------
    KeyError
        If there is no operation of this name, or no ``auto`` of it.
    ValueError, TypeError
        For arguments that the operation does not accept.
    """
    registry.get(operation_name, "auto")
    arguments = registry.operation(operation_name).bind(*args, **kwargs)
    return explained(operation_name, table_of(operation_name), arguments, exact)


def explained(operation_name, table, arguments, exact=False, prepared=False):
    """`explain` by one table, for arguments that are validated."""
    definition, threads = registry.operation(operation_name), numba.get_num_threads()
    kind, point = definition.traits(*arguments.arrays, **arguments.options)
    where = place(point, arguments.dtype.itemsize, threads)
    predicted = prepared and table.predict(operation_name, kind + PREPARED, where)
    predicted = predicted or table.predict(operation_name, kind, where)
    seconds, left_out = {}, {}
    for kernel in registry.find(operation_name, usable=False):
        if kernel.family == "auto":
            continue
        reason = (
            why_never(kernel, threads)
            or kernel.why_not()
            or kernel.why_not_bound(arguments)
            or why_not_exact(kernel, arguments, exact)
        )
        if reason is None and kernel.name not in predicted:
            reason = "the table has no time of it near this size"
        if reason:
            left_out[kernel.name] = reason
        else:
            seconds[kernel.name] = predicted[kernel.name]
    seconds = dict(sorted(seconds.items(), key=lambda item: item[1]))
    choice = next(iter(seconds), None) or _without_times(operation_name, arguments, threads, exact)
    return Explanation(
        operation=operation_name,
        choice=choice,
        seconds=seconds,
        left_out=left_out,
        threads=threads,
        table=table.source,
        machine=table.content.get("machine", {}),
        here=machine_class(),
    )


def _without_times(operation_name, arguments, threads, exact):
    """Any kernel that serves, compiled ones first; BLAS beside threads where nothing else does."""

    def able(count):
        return [
            kernel
            for kernel in candidates(operation_name, count)
            if kernel.why_not() is None
            and kernel.why_not_bound(arguments) is None
            and why_not_exact(kernel, arguments, exact) is None
        ]

    return min(able(threads) or able(1), key=lambda kernel: kernel.family != "numba").name


def _discrete(definition):
    """Getter of the options that a choice depends on: all but the numbers of a fit."""
    options = definition.outline("float32", **definition.named_cases["tiny"]).options
    names = [name for name, value in options.items() if type(value) in _DISCRETE]
    return itemgetter(*names) if names else lambda options: ()


def _compute(kernel, arrays, options, out):
    if out is None:
        return kernel.function(*arrays, **options)
    if kernel.writes_in_place:
        return kernel.function(*arrays, out=out, **options)
    out[...] = kernel.function(*arrays, **options)
    return out


def make(operation_name, table):
    """Make the ``auto`` of one operation, choosing by one table."""
    chosen, get_num_threads = {}, numba.get_num_threads
    definition = registry.operation(operation_name)
    discrete = _discrete(definition)

    def choose(arrays, options, pattern, exact=False, prepared=False):
        first, second = arrays
        key = (
            *(first.shape, second.shape, first.itemsize),
            *(get_num_threads(), discrete(options), pattern, exact, prepared),
        )
        kernel = chosen.get(key)
        if kernel is None:
            if len(chosen) == _REMEMBERED:
                chosen.clear()
            arguments = Arguments(arrays, options)
            name = explained(operation_name, table, arguments, exact, prepared).choice
            kernel = chosen[key] = registry.get(operation_name, name)
        return kernel

    def auto(*arrays, out=None, exact=False, **options):
        kernel = choose(arrays, options, definition.pattern(arrays[1]), exact)
        return _compute(kernel, arrays, options, out)

    def keep(weights, *, exact=False, **options):
        forms, pattern = {}, definition.pattern(weights)

        def call(array, out=None):
            arrays = array, weights
            kernel = choose(arrays, options, pattern, exact, prepared=True)
            if kernel.prepares is None:
                return _compute(kernel, arrays, options, out)
            if kernel not in forms:
                forms[kernel] = kernel.prepares(weights, **options)
            return forms[kernel](array, out=out)

        return call

    def workspace(*arrays, **options):
        kernel = choose(arrays, options, definition.pattern(arrays[1]))
        if not kernel.workspace:
            return 0
        return kernel.workspace(*arrays, **options)

    known = [
        kernel
        for kernel in candidates(operation_name, threads=1)
        if kernel.name in table.kernels(operation_name)
    ]
    algorithms = {kernel.algorithm for kernel in known} - set(_SUMS)
    auto.__doc__ = (
        "Whichever of the other kernels is predicted to be the fastest, by measured times.\n\n"
        "`convgrad.kernels.explain` says which, and why. "
        + (
            f"Not all of them sum directly ({', '.join(sorted(algorithms))}), and errors are "
            "bounded as theirs are; ``exact=True`` keeps to those that do."
            if algorithms
            else "All of them sum directly, with the error bound of the definition."
        )
    )
    sums = max((kernel.algorithm for kernel in known), default="direct")
    algorithm = "any" if algorithms - {"fft"} else max(algorithms, default=sums)
    return auto, {
        "algorithm": algorithm,
        "workspace": workspace,
        "prepare": keep,
        "switches": ("exact",),
    }


def register():
    """Make ``auto`` known for every operation of which there are times."""
    for name in sorted(set().union(*(table.operations for table in tables()))):
        if name in registry.operations():
            function, declared = make(name, table_of(name))
            registry.kernel(name, family="auto", name="auto", **declared)(function)
