"""The suite of linear analysis: fits of real data that are timed, and findings that are kept."""

from dataclasses import dataclass

import pandas as pd

from convgrad import kernels
from convgrad.results.durable import replace
from convgrad.results.schema import CHOOSER
from convgrad.suites.machine.environment import usable_cores
from convgrad.suites.workers.process import Lost

SETTINGS = (0.0, "1/L"), (0.0, "2/(L + µ)"), (0.01, "1/L"), (0.1, "1/L")
"""Penalties and steps whose convergence is measured; the first of all kernels."""
EXAMPLES = {"fit_linear": "numpy", "fit_filter": "scipy_correlate"}
"""Kernels that take all settings, by operation."""


@dataclass(frozen=True)
class Extent:
    """How far an analysis goes.

    Attributes
    ----------
    folds : int
    taps : tuple of int
        Sizes of filters, ascending.
    iterations : int
        Most of them.
    limit_s : float
        Seconds that no call shall take whose convergence is measured.
    """

    folds: int
    taps: tuple
    iterations: int
    limit_s: float


@dataclass(frozen=True)
class LinearSuite:
    """Fits of real data.

    Attributes
    ----------
    suites : tuple of Suite
        What is timed.
    extents : dict of str to Extent
        By preset.
    """

    suites: tuple
    extents: dict

    def blocks(self, preset, **options):
        """List the blocks of all suites; options as of `Suite.blocks`."""
        return [block for suite in self.suites for block in suite.blocks(preset, **options)]

    def analyse(self, preset, folder, crew, kernel_filter, report):
        """Write ``path.csv``, ``filters.csv`` and ``convergence.csv``, unless they are there.

        Each finding is that of a process of its own. One that cannot be had (a package is not
        installed, a kernel does not serve the data) has no rows.

        Parameters
        ----------
        preset : str
        folder : Path
        crew : Crew
            Whose processes compute, on all cores.
        kernel_filter : callable
            Says of a kernel whether its convergence is measured.
        report : callable
            Called with a line of text for every finding.

        Raises
        ------
        convgrad.results.durable.CannotWrite
        """
        extent = self.extents[preset]
        for name, jobs in _jobs(extent, kernel_filter).items():
            path, rows = folder / name, []
            if path.exists():
                continue
            for kernel, function, *arguments in jobs:
                report(
                    f"linear analysis: {function} {arguments[0]} {kernel.name if kernel else ''}"
                )
                try:
                    rows += crew.once(kernel, usable_cores(), None, "find", function, *arguments)
                except Lost as lost:
                    report(f"linear analysis without {function} {arguments[0]}: {lost.detail}")
            if rows:
                text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
                replace(path, text)


def _jobs(extent, kernel_filter):
    """By file: kernel or None, finding, and its arguments."""
    convergence = []
    for operation, example in EXAMPLES.items():
        for kernel in kernels.find(operation, device="cpu"):
            if kernel.family != CHOOSER and kernel_filter(kernel):
                settings = SETTINGS if kernel.name == example else SETTINGS[:1]
                arguments = operation, kernel.name, settings, extent.iterations, extent.limit_s
                convergence.append((kernel, "convergence", *arguments))
    return {
        "path.csv": [(None, "path", penalty, extent.folds) for penalty in ("l2", "l1")],
        "filters.csv": [(None, "filters", extent.taps, extent.folds)],
        "convergence.csv": convergence,
    }
