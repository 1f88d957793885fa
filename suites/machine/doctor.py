"""Says what on this machine, just now, would spoil a measurement, and what cures it."""

from contextlib import suppress
from dataclasses import dataclass, replace

from rich.table import Table

from convgrad.suites.machine.judges import JUDGES
from convgrad.suites.machine.readings import READINGS

_COLOURS = {"ok": "green", "warn": "yellow", "stop": "red"}


@dataclass(frozen=True)
class Finding:
    """What one reading says.

    Attributes
    ----------
    name : str
    severity : {"ok", "warn", "stop"}
        With ``"warn"`` numbers are wider or harder to repeat, with ``"stop"`` they are wrong.
    measured : str
    why : str
        How it spoils a measurement.
    cure : str
        A command or an advice; empty where nothing is wrong.
    """

    name: str
    severity: str
    measured: str
    why: str
    cure: str


def diagnose(progress=lambda name: None, readings=READINGS):
    """Take all readings and judge them, within twenty seconds; nothing is raised.

    Parameters
    ----------
    progress : callable
        Told the name of each reading before it is taken.
    readings : mapping of str to callable
        What to look at, by the name of the finding.

    Returns
    -------
    list of Finding
        In the order of the readings, less those that this machine does not give.
    """
    findings = []
    for name, read in readings.items():
        progress(name)
        with suppress(Exception):
            if (value := read()) is not None:
                finding = Finding(name, *JUDGES[name](value))
                findings.append(finding if finding.severity != "ok" else replace(finding, cure=""))
    return findings


def print_findings(console, findings):
    """Print the findings, what cures the bad ones, and a last line with the verdict.

    Returns
    -------
    int
        Status for the shell: 1 if numbers measured now would be wrong, else 0.
    """
    table = Table()
    for column in ("finding", "state", "measured"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.severity]
        table.add_row(finding.name, f"[{colour}]{finding.severity}[/]", finding.measured)
    console.print(table)
    by_state = {state: [f for f in findings if f.severity == state] for state in _COLOURS}
    for finding in by_state["stop"] + by_state["warn"]:
        console.print(f"\n{finding.name}: {finding.why}", highlight=False, markup=False)
        # unbroken, so that it can be copied
        console.print(f"  {finding.cure}", highlight=False, markup=False, soft_wrap=True)
    verdict = "stop: numbers measured now would be wrong" if by_state["stop"] else "go on"
    tally = ", ".join(f"{len(group)} {state}" for state, group in by_state.items())
    console.print(f"\n{verdict} ({tally})", highlight=False)
    return int(bool(by_state["stop"]))
