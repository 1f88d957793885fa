"""The certificate: every claim about the engine, and what was found here, as CSV and HTML."""

import csv
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from rich.markup import escape as plain
from rich.table import Table

from convgrad.suites.certify.claims import Budget, measured
from convgrad.suites.machine import environment, facts

COLUMNS = ("property", "how", "must be", "found", "measured", "holds")
_WORDS = {True: "yes", False: "no", None: "not measured"}
_COLORS = {True: "green", False: "bold red", None: "yellow"}


def certify(claims, quick, folder, console):
    """Measure claims, and write ``certificate.csv`` and ``certificate.html``.

    Parameters
    ----------
    claims : list of Claim
    quick : bool
        Whether fewer repetitions have to do.
    folder : Path
        Where the files go; it is made if need be. Of a certificate that is there, the other claims
        are kept.
    console : rich.console.Console
        Shows the progress and the table.

    Returns
    -------
    bool
        Whether no claim was refuted. One that could not be measured here is not.
    """
    if not quick:
        console.print(f"{len(claims)} claims, about {_duration(_seconds(claims))}")
    outcomes, rows = [], _rows(folder)
    for claim, outcome, seconds in _outcomes(claims, quick, console):
        word = {True: "holds", False: "does not hold", None: "not measured"}[outcome.holds]
        text = f"{claim.name} ({_duration(seconds)}): {plain(outcome.found)}"
        console.print(f"[{_COLORS[outcome.holds]}]{word}[/] {text}", highlight=False)
        outcomes.append(outcome)
        date = datetime.now().astimezone().isoformat(" ", "minutes")
        row = claim.name, claim.how, claim.must_be, outcome.found, date, _WORDS[outcome.holds]
        rows[claim.name, claim.how] = row
        write(list(rows.values()), folder)  # as it goes: nothing measured is lost
    table = Table("property", "must be", "found", "holds")
    for claim, outcome in zip(claims, outcomes):
        color, word = _COLORS[outcome.holds], _WORDS[outcome.holds]
        texts = (claim.name, claim.must_be, outcome.found)
        table.add_row(*map(plain, texts), f"[{color}]{word}[/]")
    console.print(table)
    console.print(f"wrote {folder / 'certificate.html'}")
    return all(outcome.holds is not False for outcome in outcomes)


def _rows(folder):
    """Rows of the certificate that is there, by property and how it is measured."""
    path = folder / "certificate.csv"
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {tuple(row[:2]): tuple(row) for row in list(csv.reader(file))[1:]}


def write(rows, folder):
    """Write rows of `COLUMNS` as ``certificate.csv`` and as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "certificate.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    (folder / "certificate.html").write_text(_page(rows), encoding="utf-8")


def _outcomes(claims, quick, console):
    """Each claim with its outcome and seconds: those on a fake clock first, and side by side."""
    simulated = [claim for claim in claims if claim.simulated]
    real = [claim for claim in claims if not claim.simulated]
    if simulated:
        cores = min(environment.usable_cores(), len(simulated))
        left = _duration(_seconds(simulated))
        with (
            console.status(f"{len(simulated)} claims on a fake clock, side by side (about {left})"),
            ProcessPoolExecutor(cores, get_context("spawn")) as pool,
        ):
            for claim, found in zip(simulated, pool.map(_measured, simulated, repeat(quick))):
                yield claim, *found
    for number, claim in enumerate(real):
        left = 0 if quick else _seconds(real[number:])
        with console.status("") as status:
            start = time.monotonic()

            def progress(text, claim=claim, status=status, start=start, left=left):
                elapsed = time.monotonic() - start
                rest = f", {_duration(left - elapsed)} left" if left > elapsed else ""
                status.update(f"{claim.name}: {text} ({_duration(elapsed)}{rest})")

            progress("")
            found = _measured(claim, quick, progress)
        yield claim, *found


def _measured(claim, quick, progress=lambda text: None):
    """Outcome of a claim, and seconds that it took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = measured(claim, Budget(quick, Path(scratch), progress))
    return outcome, time.monotonic() - start


def _seconds(claims):
    """About how long they take together, those on a fake clock side by side."""
    cores = environment.usable_cores()
    return sum(claim.seconds / (cores if claim.simulated else 1) for claim in claims)


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _page(rows):
    """Return a page that needs no other file, on which a phone shows a claim below the other."""
    heads = "".join(f"<th>{name}</th>" for name in COLUMNS)
    body = "\n".join(
        f'<tr class="{row[-1].split()[0]}">'
        + "".join(f'<td data-name="{name}">{escape(text)}</td>' for name, text in zip(COLUMNS, row))
        + "</tr>"
        for row in rows
    )
    counts = ", ".join(
        f"{count} {word}"
        for holds, word in ((True, "hold"), (False, "do not"), (None, "could not be measured"))
        if (count := sum(row[-1] == _WORDS[holds] for row in rows))
    )
    css = files("convgrad.results").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>convgrad: certificate</title>
<style>{css}{_CSS}</style>
</head>
<body>
<header><h1>What the measuring engine is known to do</h1>
<p>{escape(_machine())}</p><p>Of {len(rows)} claims, {counts}.</p></header>
<main><table><thead><tr>{heads}</tr></thead>
<tbody>
{body}
</tbody></table></main>
</body>
</html>
"""


_CSS = """
td:first-child, td:last-child { font-weight: 600; }
.no td:last-child { color: #d13a2a; }
@media (max-width: 700px) {
  thead { display: none; }
  tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  td { display: grid; grid-template-columns: 5rem 1fr; border: 0; }
  td::before { content: attr(data-name); color: var(--muted); font-weight: 400; }
}
"""


def _machine():
    told = facts.describe()
    cores = told.get("usable_cores")
    parts = [told.get("cpu"), cores and f"{cores} cores", told.get("os"), told.get("python")]
    return ", ".join(str(part) for part in parts if part)
