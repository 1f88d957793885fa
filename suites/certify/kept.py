"""Claims about a kept run: how its time was spent, and that its report can be made again."""

import shutil
from pathlib import Path

from convgrad.results.report import write_report
from convgrad.results.store import Run
from convgrad.suites.certify.claims import Claim, Outcome

PLACES = "results/runs", "results/reference"


def overhead(budget):
    """Share of the newest laptop run that was spent taking samples, by its own log."""
    run = _newest()
    if run is None:
        return Outcome(_NONE, None)
    spent, report_s = run.info["time_spent"], run.info.get("report_s", 0.0)
    share = spent["samples"] / (spent["total"] + report_s)
    rest = {**spent, "report": report_s}
    most = sorted(rest.keys() - {"total", "samples"}, key=rest.get, reverse=True)[:3]
    words = ", ".join(f"{name} {rest[name]:.0f} s" for name in most)
    return Outcome(f"{share:.0%} of {spent['total'] + report_s:.0f} s ({words})", share >= 0.6)


def again(budget):
    """Files of a report made again from the raw facts that differ from those that were kept."""
    run = _newest()
    if run is None:
        return Outcome(_NONE, None)
    copy = Path(shutil.copytree(run.path, budget.scratch / "run"))
    write_report(Run.open(copy))
    files = [path.relative_to(copy) for path in copy.rglob("*") if path.is_file()]
    differing = [f for f in files if (copy / f).read_bytes() != (run.path / f).read_bytes()]
    found = f"{len(files) - len(differing)} of {len(files)} files"
    return Outcome(f"{found}{f', not {differing[0]}' if differing else ''}", not differing)


_NONE = f"no run of the laptop preset in {' or '.join(PLACES)}"


def _newest():
    """The newest finished run of the default suites, by the laptop preset."""
    runs = [Run.open(path.parent) for place in PLACES for path in Path(place).glob("*/run.json")]
    fit = [
        run
        for run in runs
        if run.info.get("preset") == "laptop"
        and not run.info.get("aims")
        and run.info.get("state") == "finished"
        and "time_spent" in run.info
    ]
    return max(fit, key=lambda run: run.info["start"], default=None)


CLAIMS = [
    Claim(
        "overhead",
        "the newest finished run of the laptop preset, by its own log: share of its wall time that "
        "was spent taking samples",
        "at least 60 %",
        overhead,
        quick=False,
        seconds=1,
    ),
    Claim(
        "raw to report",
        "the report of that run made again from its raw facts: files that are the same",
        "all",
        again,
        quick=False,
        seconds=30,
    ),
]
