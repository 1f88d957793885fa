"""The tables of the page: winners, the ledger of compiling, what could not run, all cells."""

import itertools
from html import escape

import pandas as pd

from convgrad.results.ledger import payoff
from convgrad.results.plots import style
from convgrad.results.samples_text import link
from convgrad.results.schema import CONTEST, KEY

MOST_ROWS = 6000
MOST_OPEN = 40
"""Rows from which a table is folded."""


def table(heads, rows, numbers=(), identity=""):
    """Rows of ready HTML; a row that is a text is a heading over those that follow.

    End tags that HTML lets one leave out are left out: they would be a third of the page.
    """
    kind = ['<td class="n">' if column in numbers else "<td>" for column in range(len(heads))]
    head = "".join(
        f'<th class="n">{name}' if column in numbers else f"<th>{name}"
        for column, name in enumerate(heads)
    )
    body = "\n".join(
        f'<tr><th colspan="{len(heads)}">{_code(row)}'
        if isinstance(row, str)
        else "<tr>" + "".join(itertools.chain.from_iterable(zip(kind, row)))
        for row in rows
    )
    heading = f"<thead><tr>{head}</thead>" if any(heads) else ""
    named = f' id="{identity}"' if identity else ""
    return f'<div class="wide"><table{named}>{heading}<tbody>{body}</tbody></table></div>'


def with_leads(won, cells):
    """Winners, with the interval of their lead over the runner-up."""
    leads = cells[[*KEY, "lead_low", "lead_high"]].rename(columns={"kernel": "winner"})
    return won.merge(leads, how="left", on=[*CONTEST, "winner"])


def winners_table(won):
    """Who is fastest at each case, by how much, and how sure that is."""
    rows, last = [], None
    for row in won.itertuples():
        if row.case != last:
            rows.append(row.case)
            last = row.case
        rows.append(
            [
                f"<b>{escape(row.winner)}</b>",
                str(row.threads),
                escape(row.cache),
                escape(row.call),
                style.seconds(row.median_s),
                "baseline" if row.winner == row.baseline else _factor(row.factor_over_baseline),
                _lead(row),
                _sure(row),
                escape(row.runner_up),
            ]
        )
    heads = [
        "fastest",
        "threads",
        "cache",
        "call",
        "time",
        "over baseline",
        "over the next",
        "how sure",
        "next",
    ]
    body = table(heads, rows, numbers={1, 4, 5, 6})
    folded = "" if len(won) > MOST_OPEN else " open"
    return f"<details{folded}><summary>Winners at {len(won)} cells</summary>{body}</details>"


def ledger_table(ledger):
    """What compiling costs and when that has paid off; nothing where nothing is compiled."""
    if ledger.empty:
        return ""
    rows = [
        [
            escape(row.kernel),
            escape(row.dtype),
            str(row.threads),
            escape(row.cache),
            escape(row.call),
            *map(style.seconds, (row.compile_s, row.load_s, row.first_call_s, row.steady_s)),
            escape(payoff(row)),
            _code(row.case),
        ]
        for row in ledger.itertuples()
    ]
    costs = ["compile", "load", "first call", "later calls"]
    heads = [
        "kernel",
        "dtype",
        "threads",
        "cache",
        "call",
        *costs,
        "compiling has paid off",
        "size",
    ]
    body = table(heads, rows, numbers={2, 5, 6, 7, 8})
    return f"<details><summary>What compiling costs</summary>{body}</details>"


def absent_table(cells):
    """What is not in the figures: a line a kernel and reason, with the cases that it is about."""
    place = {name: number for number, name in enumerate(dict.fromkeys(cells.operation))}
    missing = cells[cells.status != "ok"]
    above = cells[cells["flags"].str.contains("above-roof", regex=False)]
    named = [missing.assign(why=missing.detail), above.assign(status="above-roof", why=_IMPOSSIBLE)]
    reasons = pd.concat(named).groupby(["operation", "kernel", "status", "why"], sort=False)
    rows, last = [], None
    for (operation, kernel, status, why), part in sorted(reasons, key=lambda r: place[r[0][0]]):
        if operation != last:
            rows.append(operation)
            last = operation
        rows.append([escape(kernel), escape(status), _reason(why, part)])
    if not rows:
        return "<p>Everything ran.</p>"
    return table(["kernel", "status", "why, and at how many cells"], rows)


_IMPOSSIBLE = "faster than this machine can be: something is wrong with the measurement"


def cells_table(cells):
    """Every cell in one table, which the page's script sorts and filters."""
    shown = cells.head(MOST_ROWS)
    rows = [_cell(number, row) for number, row in enumerate(shown.to_dict("records"), start=1)]
    rest = f"<p>The first {MOST_ROWS} of {len(cells)}.</p>" if len(cells) > MOST_ROWS else ""
    return rest + table(_HEADS, rows, _NUMBERS, identity="every-cell")


_HEADS = [
    "samples",
    "operation",
    "size",
    "kernel",
    "threads",
    "cache",
    "call",
    "status",
    "time",
    "±",
    "speed-up",
    "verdict",
    "GFLOP/s",
    "roof",
    "bound by",
    "memory",
    "error",
    "flags",
]
_NUMBERS = {0, 4, 8, 9, 10, 12, 13, 15, 16}


def _cell(number, row):
    time = style.seconds(row["median_s"])
    if not time and row["predicted_s"] == row["predicted_s"]:
        time = f"<i>{style.seconds(row['predicted_s'])} predicted</i>"
    timed = row["median_s"] == row["median_s"]
    return [
        f'<a href="{link(number)}">{number}</a>' if row["sample_count"] > 0 else str(number),
        escape(row["operation"]),
        escape(row["case"]).replace(",", ",<wbr>"),
        escape(row["kernel"]),
        str(row["threads"]),
        escape(row["cache"]),
        escape(row["call"]),
        escape(row["status"]),
        time,
        style.percent((row["high_s"] - row["low_s"]) / 2 / row["median_s"]) if timed else "",
        _factor(row["speedup"]) if timed else "",
        "baseline" if timed and row["baseline"] else escape(row["verdict"]),
        style.number(row["gflops"]) if row["gflops"] == row["gflops"] else "",
        style.percent(row["roof_fraction"]),
        escape(row["bound_by"]),
        style.bytes_text(row["peak_bytes"]),
        f"{row['error_ratio']:.2g}" if row["error_ratio"] == row["error_ratio"] else "",
        escape(row["flags"]),
    ]


def _lead(row):
    """Factor over the runner-up, with its interval where rounds could be paired."""
    if not row.runner_up:
        return ""
    known = pd.notna(row.lead_low) and pd.notna(row.lead_high)
    between = f" <small>({row.lead_low:.3g} … {row.lead_high:.3g})</small>" if known else ""
    return _factor(row.factor_over_runner_up) + between


def _sure(row):
    if not row.runner_up:
        return "alone"
    return "sure" if row.clear else escape(row.verdict)


def _reason(why, part):
    listed = "<br>".join(map(_code, dict.fromkeys(part.case)))
    title = f"{escape(why or 'no reason given')} ({len(part)})"
    return f"<details><summary>{title}</summary>{listed}</details>"


def _code(case):
    """A case's name, with places where it may be broken."""
    return f"<code>{escape(case).replace(',', ',<wbr>')}</code>"


def _factor(value):
    return style.factor(value) if pd.notna(value) and value > 0 else ""
