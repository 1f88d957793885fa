"""The `convgrad` command: a thin front of the pytest suites, and of the results."""

import os
import signal
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
from convgrad.suites.suite import ON_REQUEST, suite_name

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


def _suite_files(names, operations):
    known = {suite_name(path): path for path in sorted(SUITES.glob("bench_*.py"))}
    for name in names:
        if name not in known:
            _fail(f"--suite: got {name}, expected one of {', '.join(known)}")
    default = [name for name in known if name not in ON_REQUEST or name in operations]
    return [str(known[name]) for name in names or default]


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
    cache: Annotated[Many, typer.Option(help="warm or cold.")] = None,
    call: Annotated[Many, typer.Option(help="plain, out, prepared or 'prepared out'.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of suites whose sizes are drawn.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="How long to measure, instead of the preset's time.")
    ] = None,
    import_: Annotated[Many, typer.Option("--import", help="A module with kernels.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Measure what is missing there.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another checkout or wheel, measured in the same blocks.")
    ] = None,
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
        "cache": cache or [],
        "call": call or [],
        "import": import_ or [],
        "keep_environment": keep_environment,
        "seed": seed,
        "against": against,
    }
    if resume is not None:
        options = _as_before(resume, options)
    files = _suite_files(options.pop("suites"), options["operation"])
    arguments = [*files, f"--preset={options.pop('preset')}"]
    arguments += ["--keep-environment"] * options.pop("keep_environment")
    arguments += [f"--minutes={minutes}"] if minutes is not None else []
    for name in ("against", "seed"):
        if (value := options.pop(name, None)) is not None:
            arguments.append(f"--{name}={value}")
    arguments += [f"--{name}={value}" for name, values in options.items() for value in values]
    arguments += [f"--resume={resume}"] if resume else [f"--out={out}"] if out else []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, tidily
    display = Display(console)
    with display:
        status = pytest.main([*_PYTEST, *arguments], plugins=[display])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        _fail("no kernel and case fit these options; see `convgrad list`")
    for error in display.errors:
        typer.echo(f"convgrad: {error}", err=True)
    if display.run and display.run.facts():
        print_outcome(console, display.run)
    if status == pytest.ExitCode.INTERRUPTED:
        again = f"; go on with: convgrad run --resume {display.run.path}" if display.run else ""
        _fail(f"interrupted{again}", 130)
    if display.errors:
        raise typer.Exit(int(pytest.ExitCode.INTERNAL_ERROR))
    if display.run is None:
        raise typer.Exit(int(status))


def _as_before(resume, options):
    """Options of the run that is resumed, where it says them."""
    before = _open(resume).info.get("options", {})
    expected = {name: type(value) for name, value in options.items() if value is not None}
    if not isinstance(before, dict) or any(
        not isinstance(before.get(name, options[name]), kind) for name, kind in expected.items()
    ):
        _fail(f"run.json in {resume}: got options {before}, expected those of `convgrad run`")
    return options | before


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
def doctor():
    """Find what on this machine would spoil a measurement just now, and what cures it.

    Ends with status 1 if numbers measured now would be wrong.
    """
    from convgrad.suites.machine.doctor import diagnose, print_findings

    with console.status("") as status:
        findings = diagnose(lambda name: status.update(f"looking at {name}"))
    raise typer.Exit(print_findings(console, findings))


@app.command()
def certify(
    quick: Annotated[bool, typer.Option("--quick", help="Half a minute, no timing.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the certificate.")] = Path(
        "results/certificate"
    ),
    only: Annotated[Many, typer.Option(help="Only this claim.")] = None,
):
    """Measure whether the measuring itself is as good as it claims to be.

    Leaves certificate.csv and certificate.html. Ends with status 1 if a claim does not hold.
    """
    from convgrad.suites.certify.certificate import certify
    from convgrad.suites.certify.claims import all_claims

    claims = [claim for claim in all_claims() if claim.quick or not quick]
    names = [claim.name for claim in claims]
    for name in only or []:
        if name not in names:
            _fail(f"--only: got {name}, expected one of {', '.join(names)}")
    chosen = [claim for claim in claims if not only or claim.name in only]
    if not certify(chosen, quick, out, console):
        raise typer.Exit(1)


@app.command()
def tune(
    operation: Annotated[
        Many,
        typer.Option(
            help="This operation, instead of convolve, fit_linear, fit_filter; "
            "what is known of others stays."
        ),
    ] = None,
    kind: Annotated[
        Many, typer.Option(help="Arguments of this kind only, as 'few channels' of conv2d.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep what the table knows of the same, of these kernels.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Measure how good the choices are instead.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(help="Time to measure in; compiling comes on top.")
    ] = 150,
    cases: Annotated[int, typer.Option(help="Random cases of --check.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Write the table there.")] = None,
    seed: Annotated[int, typer.Option(help="What sizes are drawn from.")] = 1,
):
    """Measure this machine, for the kernel "auto" to choose by.

    The table is kept in the user's cache folder, where "auto" finds it. It grows while this goes
    on: whoever stops it keeps what was measured.
    """
    import numpy as np

    from convgrad.kernels import auto
    from convgrad.kernels.timetable import PREPARED, Timetable
    from convgrad.suites import tune as tuning
    from convgrad.suites import tune_table
    from convgrad.suites.tune_display import print_regret
    from convgrad.suites.tune_sizes import SPACES, USUAL

    for name in operation or []:
        if name not in SPACES:
            _fail(f"--operation: got {name}, expected one of {', '.join(SPACES)}")
    names = operation or list(USUAL)
    kinds = {turn.stratum.kind.removesuffix(PREPARED) for turn in tuning.turns(names)}
    for name in kind or []:
        if name not in kinds:
            _fail(f"--kind: got {name}, expected one of {', '.join(sorted(kinds))}")
    own, random = tuning.turns(names, kind), np.random.default_rng([seed, check])
    with console.status("") as status:
        if not check:
            path, done = out or auto.own_path(), 0
            older = Timetable.read(path)
            try:
                for content in tuning.tune(own, seconds, status.update, random):
                    tune_table.write(tune_table.with_older(content, older, add), path)
                    done += 1
            except KeyboardInterrupt:
                if not done:
                    _fail("stopped before anything was measured; no table was written", code=130)
                of = 2 * len(own)
                _fail(f"stopped; {path} has what was measured, {done} of {of} parts", code=130)
            typer.echo(f"wrote {path}")
            return
        for name in names:
            if auto.table_of(name) is None:
                _fail(f"--check: there is no table of {name}; run `convgrad tune` first")
        rows = tuning.check(own, cases, status.update, random)
    print_regret(console, rows)
    for table in dict.fromkeys(auto.table_of(name).source for name in names):
        typer.echo(f"by {table}")


@app.command()
def choose(
    data: Annotated[str, typer.Option(help="mnist, digits, vowels or languages.")] = "mnist",
    max_ms: Annotated[
        float | None, typer.Option(help="Milliseconds that one example may take.")
    ] = None,
    max_kb: Annotated[float | None, typer.Option(help="Kilobytes of the file.")] = None,
    max_parameters: Annotated[
        int | None, typer.Option(help="Numbers that are stored and not zero.")
    ] = None,
    run_: Annotated[
        Path | None,
        typer.Option("--run", help="Run to choose from; the newest with such models."),
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="Of the run to choose from, or to make.")
    ] = Preset.laptop,
    out: Annotated[Path | None, typer.Option(help="File that takes the model.")] = None,
):
    """Find the best model within limits, and save it.

    The best on validation data of all models that a run has trained and timed on this machine;
    where there is no such run yet, the models are trained and timed first.
    """
    import numpy as np

    from convgrad.suites import choose as choosing
    from convgrad.suites.choose_display import print_choice
    from convgrad.suites.studies.catalogue import OF_MANY

    given = {"--max-ms": max_ms, "--max-kb": max_kb, "--max-parameters": max_parameters}
    for name, limit in given.items():
        if limit is not None and not limit > 0:
            _fail(f"{name}: got {limit:g}, expected a limit above 0")
    most = [np.inf if limit is None else limit for limit in given.values()]
    limits = {"seconds": most[0] / 1e3, "file_bytes": 1e3 * most[1], "parameters": most[2]}
    labels = choosing.labels(data, preset.value)
    if not labels:
        _fail(f"--data: got {data}, expected one of {', '.join(choosing.data_names())}")
    if run_ is None and choosing.newest_run(data, preset.value) is None:
        run(preset=preset, suite=list(OF_MANY), kernel=labels)
    if run_ is None:
        found = choosing.newest_run(data, preset.value)
    else:
        found = _open(run_), choosing.models_of(_open(run_), data)
    if found is None or found[1].empty:
        _fail(f"--run: got {run_ or choosing.RUNS}, expected a run with models of {data}")
    try:
        best = choosing.choose(found[1], **limits)
        path = choosing.keep(found[0], best.iloc[0], out)
    except (OSError, choosing.NothingKeeps) as error:
        _fail(str(error))
    print_choice(console, best, found[0].path, path)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Run folder.")]):
    """Make tables, plots and report.html again from the raw samples of a run."""
    from convgrad.results.report import write_report

    try:
        write_report(_open(run))
    except OSError as error:
        _fail(f"cannot write the report: {error}")
    typer.echo(f"wrote {run / 'report.html'}")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Run folder, of before.")],
    b: Annotated[Path, typer.Argument(help="Run folder, of after.")],
    threshold: Annotated[str, typer.Option(help="Smaller differences do not matter.")] = "2%",
    csv: Annotated[Path | None, typer.Option(help="Write the whole table there.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page there.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Whatever else differs.")] = False,
):
    """Say what is faster or slower in run B than in run A.

    The exit status is 1 if a kernel became slower or fails now, and 2 if the runs cannot be
    compared: other machine, libraries, threads or dtypes.
    """
    from convgrad.results import compare as comparison
    from convgrad.results.compare_page import render
    from convgrad.suites.compare_display import print_comparison

    least = _share("--threshold", threshold)
    before, after = _open(a), _open(b)
    try:
        differences = comparison.comparable(before, after)
        for sentence in differences:
            typer.echo(f"convgrad: {sentence}", err=True)
        if differences and not force:
            _fail("the runs differ in more than time; --force compares them nevertheless")
        table = comparison.compare(before, after, least)
        if csv:
            table.to_csv(csv, index=False, lineterminator="\n", float_format="%.6g")
        if html:
            html.write_text(render(before, after, table, differences), encoding="utf-8")
    except (OSError, ValueError) as error:
        _fail(error)
    print_comparison(console, table)
    if (table.verdict == "").all():
        _fail("the runs have no cell in common that was measured in both")
    if (table.verdict == "slower").any() or len(comparison.broken(table)):
        raise typer.Exit(1)


def _share(name, text):
    """Read 5% or 0.05."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1
    if not 0 <= share < 1:
        _fail(f"{name}: got {text}, expected a share such as 0.05 or 5%")
    return share


def _open(path):
    from convgrad.results.store import Run

    try:
        run = Run.open(path)
        run.samples(), run.facts()  # damage shows here, and nowhere else
        return run
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
    "--pythonwarnings=ignore:Not saving anything",  # said of a run that ends before its first cell
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
