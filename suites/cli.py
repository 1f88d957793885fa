"""The `convgrad` command: a thin front of the pytest suites, and of the results."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.console import Console
from rich.table import Table

from convgrad import kernels
from convgrad.suites.display import Display, print_outcome
from convgrad.suites.measure.settings import PRESETS

SUITES = Path(__file__).parent
app = typer.Typer(
    help="Which convolution, which gradient descent: measured on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

Preset = StrEnum("Preset", {name: name for name in PRESETS})
Many = list[str] | None


def _fail(message, code=2):
    typer.echo(f"convgrad: {message}", err=True)
    raise typer.Exit(code)


def _suite_files(names):
    known = {path.stem.removeprefix("bench_"): path for path in sorted(SUITES.glob("bench_*.py"))}
    for name in names:
        if name not in known:
            _fail(f"--suite: got {name}, expected one of {', '.join(known)}")
    return [str(known[name]) for name in names or known]


@app.command()
def run(
    preset: Annotated[Preset, typer.Option(help="How far to sweep.")] = Preset.laptop,
    suite: Annotated[Many, typer.Option(help="Only this suite.")] = None,
    operation: Annotated[Many, typer.Option(help="Only this operation.")] = None,
    kernel: Annotated[Many, typer.Option(help="Only this kernel.")] = None,
    family: Annotated[Many, typer.Option(help="Only kernels of this family.")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="This many threads.")] = None,
    dtype: Annotated[Many, typer.Option(help="float32 or float64.")] = None,
    device: Annotated[Many, typer.Option(help="cpu or cuda.")] = None,
    import_: Annotated[Many, typer.Option("--import", help="A module with kernels.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Measure what is missing there.")] = None,
    keep_environment: Annotated[
        bool, typer.Option("--keep-environment", help="Leave variables that slow libraries.")
    ] = False,
):
    """Sweep kernels over sizes; leaves tables, plots and a report in a run folder.

    Options that name something may be given several times.
    """
    sys.path.insert(0, os.getcwd())
    options = {
        "preset": preset.value,
        "suites": suite or [],
        "operation": operation or [],
        "kernel": kernel or [],
        "family": family or [],
        "threads": threads or [],
        "dtype": dtype or [],
        "device": device or [],
        "import": import_ or [],
        "keep_environment": keep_environment,
    }
    if resume is not None:
        options = _open(resume).info.get("options", options)
    arguments = _suite_files(options.pop("suites")) + [f"--preset={options.pop('preset')}"]
    arguments += ["--keep-environment"] * options.pop("keep_environment")
    arguments += [f"--{name}={value}" for name, values in options.items() for value in values]
    arguments += [f"--resume={resume}"] if resume else [f"--out={out}"] if out else []
    display = Display(console)
    with display:
        status = pytest.main([*_PYTEST, *arguments], plugins=[display])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        _fail("no kernel and case fit these options; see `convgrad list`")
    for error in display.errors:
        typer.echo(f"convgrad: {error}", err=True)
    if status == pytest.ExitCode.USAGE_ERROR or display.run is None:
        raise typer.Exit(int(status))
    print_outcome(console, display.run)
    if display.errors:
        raise typer.Exit(int(pytest.ExitCode.INTERNAL_ERROR))
    if status == pytest.ExitCode.INTERRUPTED:
        typer.echo(f"interrupted; go on with: convgrad run --resume {display.run.path}", err=True)
        raise typer.Exit(130)


@app.command("list")
def list_(operation: Annotated[str | None, typer.Argument(help="Only this operation.")] = None):
    """List operations and kernels, what each needs, and why one cannot run here."""
    if operation is not None and operation not in kernels.operations():
        _fail(f"OPERATION: got {operation}, expected one of {', '.join(kernels.operations())}")
    for name in [operation] if operation else kernels.operations():
        table = Table(title=f"{name}: {_first_line(kernels.operation(name))}", title_justify="left")
        for column in ("kernel", "family", "runs here", "what it is"):
            table.add_column(column, overflow="fold")
        for k in kernels.find(name, usable=False):
            table.add_row(k.name, k.family, k.why_not() or "yes", _first_line(k))
        console.print(table)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run folder.")]):
    """Make tables, plots and report.html again from the raw samples of a run."""
    from convgrad.results.report import write_report

    write_report(_open(run))
    typer.echo(f"wrote {run / 'report.html'}")


def _open(path):
    from convgrad.results.store import Run

    try:
        return Run.open(path)
    except ValueError as error:
        _fail(str(error))


def _first_line(thing):
    return (thing.__doc__ or "").strip().split("\n")[0]


_PYTEST = (
    "--import-mode=importlib",
    "--rootdir=" + str(SUITES),
    "--override-ini=addopts=",
    "--override-ini=python_files=bench_*.py",
    "--override-ini=python_functions=bench*",
    "--benchmark-quiet",
    "--capture=no",  # progress goes straight to the terminal
    "-p",
    "no:terminal",
    "-p",
    "no:cacheprovider",
)


def main():
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
