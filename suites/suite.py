"""What a suite declares: sizes as data, crossed with dtypes, threads and the registry."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from convgrad import kernels
from convgrad.suites.measure.block import Block
from convgrad.suites.studies.catalogue import STUDIES

ON_REQUEST = (
    *("device", "speed", "speed_layers", "residual_network"),
    *("dense", "dense_pruned", "dense_quantised", "dense_int8", "conv2d_int8"),
    *("locally_connected", "locally_connected_filter_gradient"),
    "locally_connected_input_gradient",
    *(*STUDIES, "linear"),
)
"""Suites that take part only where they, or their operations, are named."""

ALL = "all"
"""As a number of threads: every core that may be used."""


def suite_name(path):
    """Name of the suite that a file ``bench_<name>.py`` declares."""
    return path.stem.removeprefix("bench_")


def grid(**axes):
    """Cross axes to a list of sizes.

    >>> grid(signal=[(10,)], taps=[(3,), (5,)])
    [{'signal': (10,), 'taps': (3,)}, {'signal': (10,), 'taps': (5,)}]
    """
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


@dataclass(frozen=True)
class Axes:
    """Sizes, crossed with dtypes and numbers of threads.

    Attributes
    ----------
    sizes : sequence of dict
        As `grid` makes them; names as in ``kernels.operation(name).sizes``.
    dtypes : sequence of {"float32", "float64"}
    threads : sequence of int or "all"
    data : str
        "random", or the name of a real input.
    caches : sequence of {"warm", "cold"}
    calls : sequence of {"plain", "out", "prepared", "prepared out", "on device"}
    """

    sizes: Sequence
    dtypes: Sequence = ("float32",)
    threads: Sequence = (ALL,)
    data: str = "random"
    caches: Sequence = ("warm",)
    calls: Sequence = ("plain",)


def both_ways(sizes):
    """Axes for the same sizes in either dtype, and in float32 on one thread."""
    return [Axes(sizes, ("float32", "float64")), Axes(sizes, threads=(1,))]


@dataclass(frozen=True)
class Suite:
    """One operation, swept.

    Attributes
    ----------
    operation : str
    baseline : str
        The kernel that speed-ups refer to.
    presets : dict of str to sequence of Axes
        How far to sweep: smoke, laptop, thorough.
    """

    operation: str
    baseline: str
    presets: dict

    def blocks(
        self,
        preset,
        *,
        cores,
        dtypes=(),
        threads=(),
        caches=(),
        calls=(),
        small_bytes=math.inf,
        kernel_filter=None,
        **_,
    ):
        """List the blocks of a preset.

        Parameters
        ----------
        preset : str
        cores : int
            What "all" means.
        dtypes, threads, caches, calls : sequence, optional
            Take these instead of what the axes say.
        small_bytes : float
            What is larger than a cache of this size is cold anyway.
        kernel_filter : callable, optional
            Says of a kernel whether it takes part.

        Returns
        -------
        list of Block
            Each case and number of threads once, in the order of the axes.
        """
        names = tuple(
            k.name
            for k in kernels.find(self.operation, usable=False)
            if kernel_filter is None or kernel_filter(k)
        )
        found = {}
        for axes in self.presets.get(preset, ()):
            for sizes, dtype, count, cache, call in itertools.product(
                axes.sizes,
                dtypes or axes.dtypes,
                threads or axes.threads,
                caches or axes.caches,
                calls or axes.calls,
            ):
                case = kernels.Case.of(self.operation, dtype, axes.data, **sizes)
                count = cores if count == ALL else count
                if cache == "warm" or case.bytes < small_bytes:
                    block = Block(case, count, names, self.baseline, cache, call)
                    found.setdefault((case, count, cache, call), block)
        return list(found.values())


@dataclass(frozen=True)
class Together:
    """Several suites in one file."""

    suites: Sequence

    def blocks(self, preset, **selection):
        """`Suite.blocks` of all of them."""
        return [block for suite in self.suites for block in suite.blocks(preset, **selection)]


def bench(measured, benchmark):
    """Hand the samples of one cell to pytest-benchmark; the test of every suite."""
    measured.replay(benchmark)
