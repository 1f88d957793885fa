"""What the terminal shows while a run works, and when it is done."""

import time

import pytest
from matplotlib.ticker import EngFormatter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from convgrad.results.against import against
from convgrad.results.aims import ROOF, aims
from convgrad.results.learned import learned, with_models
from convgrad.results.plots.views import machine_name
from convgrad.results.schema import FAILURES
from convgrad.results.summary import cells as summarise
from convgrad.results.summary import winners
from convgrad.suites.models_display import print_models


class Display:
    """A pytest plugin that shows progress: a bar on a terminal, plain lines in a file.

    Parameters
    ----------
    console : rich.console.Console
    """

    __name__ = "convgrad-display"  # pytest registers the instance under it

    def __init__(self, console):
        self.console = console
        self.begin = time.monotonic()
        self.run = None
        self.last = None
        self.errors = []
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self.task = self.progress.add_task("collecting", total=None, left="")

    def finished(self, run):
        """Take the run folder that the session leaves."""
        self.run = run

    def pytest_collectreport(self, report):
        """Show why a suite could not be read: pytest's own reporter is switched off."""
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext.splitlines()[-1]}")

    def pytest_runtest_logreport(self, report):
        """Tell errors of the engine itself from cells that failed, which are results."""
        if report.failed and "status" not in dict(report.user_properties):
            self.errors.append(f"{report.nodeid}: {report.longreprtext.splitlines()[-1]}")

    def pytest_keyboard_interrupt(self, excinfo):
        """Show why the engine gave up, unless it was interrupted from outside."""
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.errors.append(excinfo.value.msg)

    def __enter__(self):
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *exception):
        self.progress.stop()

    def show(self, text, done, total, budget_s):
        """Say what is being measured, and the time left.

        Parameters
        ----------
        text : str
        done, total : int
            Cells.
        budget_s : float or None
            Seconds until the run's time is up; None before it is measured against time.
        """
        left = ""
        if budget_s is not None:
            left = _time_left(time.monotonic() - self.begin, done, total, budget_s)
        if self.console.is_terminal:
            self.progress.update(
                self.task, description=text, completed=done, total=total, left=left
            )
        elif text.split(": ")[0] != self.last:
            self.last = text.split(": ")[0]
            self.console.print(
                ", ".join([f"{done}/{total} cells", *[left] * bool(left)]) + f": {text}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def say(self, text):
        """Print a line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_outcome(console, run):
    """Print who won where, what failed, and where to read on."""
    cells = summarise(run.samples(), run.facts(), run.info)
    cells = with_models(cells, learned(run.path))
    table = Table(title="Fastest kernel of each case", title_justify="left")
    for column in ("case", "threads", "winner", "time", "x next", "x baseline"):
        text = column in ("case", "winner")
        table.add_column(
            column, justify="left" if text else "right", no_wrap=column != "case", overflow="fold"
        )
    operation = None
    for row in winners(cells).itertuples():
        if row.operation != operation:
            operation = row.operation
            table.add_section()
            table.add_row(f"[bold]{operation}[/bold]")
        table.add_row(
            row.case.replace(",", " "),
            " ".join(
                [
                    str(row.threads),
                    *[row.cache] * (row.cache != "warm"),
                    *[row.call] * (row.call != "plain"),
                ]
            ),
            row.winner,
            _engineering(row.median_s),
            _factor(row.factor_over_runner_up),
            _factor(row.factor_over_baseline),
        )
    if table.row_count:
        console.print(table)
    print_models(console, cells)
    _print_versions(console, run, cells)
    _print_aims(console, run, cells)
    for row in cells[cells.status.isin(FAILURES)].itertuples():
        cell = f"{row.operation} {row.case}, {row.threads} threads, {row.kernel}"
        console.print(
            f"{row.status}: {cell}: {row.detail}", markup=False, highlight=False, soft_wrap=True
        )
    counts = ", ".join(f"{count} {status}" for status, count in cells.status.value_counts().items())
    console.print(f"cells: {counts}", highlight=False)
    console.print(f"report: {run.path / 'report.html'}", highlight=False, soft_wrap=True)


def _print_versions(console, run, cells):
    """Compare with the other version, where there is one."""
    versions = against(run.samples(), cells)
    if versions.empty:
        return
    table = Table(title="Installed version and the other, in the same rounds", title_justify="left")
    for column in ("case", "kernel", "installed", "other", "other ÷ installed", "installed is"):
        table.add_column(column, overflow="fold")
    for row in versions.itertuples():
        table.add_row(
            f"{row.operation} {row.case.replace(',', ' ')} {row.threads} threads",
            row.kernel,
            _engineering(row.median_s),
            _engineering(row.against_s),
            f"{row.ratio:.3f} ({row.low:.3f} to {row.high:.3f})",
            row.verdict,
        )
    console.print(table)


def _print_aims(console, run, cells):
    """Hold our kernels against what they are meant to reach, where the run is about that."""
    held = aims(run.samples(), cells, run.info)
    if held.empty:
        return
    where = machine_name(run.info.get("machine") or {})
    title = f"Aims, geometric means over random sizes, on {where}"
    table = Table(title=title, title_justify="left")
    for column in ("aim", "threads", "cases", "must be", "found", "at worst", "holds"):
        table.add_column(column, overflow="fold", justify="left" if column == "aim" else "right")
    for row in held.itertuples():
        show = "{:.0%}".format if row.measure == ROOF else "{:.2f} x".format
        interval = "" if row.low != row.low else f" ({row.low:.2f} to {row.high:.2f})"
        told = (
            show(row.found) + interval,
            show(row.least),
            "yes" if row.holds else "[bold]no[/bold]",
        )
        table.add_row(
            f"{row.aim}: {ROOF}" if row.measure == ROOF else row.aim,
            *(str(row.threads), f"{row.cases} of {row.drawn}", f">= {show(row.must_be)}"),
            *(told if row.cases else ("not measured", "", "")),
        )
    console.print(table)


def _engineering(seconds):
    return f"{EngFormatter(unit='s', places=2)(seconds)}"


def _factor(value):
    return "" if value != value else f"{value:.2f}"


def _time_left(elapsed_s, done, total, budget_s):
    if not done:
        return f"at most {_minutes(budget_s)}"
    return f"{_minutes(min(elapsed_s * (total - done) / done, max(budget_s, 0)))} left"


def _minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
