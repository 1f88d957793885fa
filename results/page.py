"""The page: overview, a section an operation, machine, what could not run, all cells.

It needs neither network nor JavaScript. Panels of a figure flow one below the other where the
screen is narrow: each is a window onto the same drawing, which is in the page once.
"""

import itertools
from html import escape
from importlib.resources import files

import pandas as pd

from convgrad.results.plots import main_view, select, style
from convgrad.results.summary import winners

MOST_BYTES = 4_800_000
"""Beyond it, figures that are not of the main view are left to ``plots/``."""

MOST_ROWS = 6000
MOST_OPEN = 40
"""Rows from which a table is folded."""


def render(info, cells, pictures):
    """Return the whole page.

    Parameters
    ----------
    info : dict
        What ``run.json`` says.
    cells : DataFrame
    pictures : dict of str to list of plots.figure.Picture
        By operation; the overview is under "".
    """
    won = winners(cells)
    operations = list(dict.fromkeys(cells.operation))
    rest = _machine(info) + _absent(cells) + _all_cells(cells)
    room = MOST_BYTES - len(rest.encode())
    sections = [_overview(pictures.get("", []), won, cells)]
    room -= len(sections[0].encode())
    for operation in operations:
        drawn = pictures.get(operation, [])
        sections.append(_operation(operation, drawn, won, cells, room // (len(operations) or 1)))
    title = f"convgrad: {(info.get('machine') or {}).get('cpu', 'a run')}"
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in operations)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>\n<style>{_css()}</style>\n</head>\n<body>",
            f"<header><h1>Which kernel is fastest here?</h1>{_lead(info, cells)}",
            f'<nav>{links}<a href="#machine">machine</a><a href="#absent">what could not run</a>',
            '<a href="#cells">all cells</a></nav></header>\n<main>',
            *sections,
            rest,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _lead(info, cells):
    counts = cells.status.value_counts()
    state = info.get("state", "unknown")
    done = f"{counts.get('ok', 0)} of {len(cells)} cells measured"
    parts = [info.get("preset") and f"preset {info['preset']}", info.get("start"), done]
    note = "" if state == "finished" else f" <strong>The run is {escape(str(state))}.</strong>"
    return f"<p>{' · '.join(escape(str(part)) for part in parts if part)}.{note}</p>"


def _overview(drawn, won, cells):
    if won.empty:
        return "<section><h2>Overview</h2><p>Nothing has been measured yet.</p></section>"
    dtype, threads = main_view(cells)
    main = winners(select(cells, dtype, threads))
    lines = []
    for operation, part in main.groupby("operation", sort=False):
        wins = part.winner.value_counts()
        names = ", ".join(
            f"<b>{escape(name)}</b> at {n} of {len(part)}" for name, n in wins.items()
        )
        best = part.factor_over_baseline.max()
        lead = f"; up to {style.factor(best)} the baseline's speed" if best == best else ""
        lines.append(
            f'<li><a href="#{escape(operation)}">{escape(operation)}</a>: {names}{lead}.</li>'
        )
    words = f"<p>Wins by size, {escape(dtype)}, {_threads(threads)}:</p><ul>{''.join(lines)}</ul>"
    return f"<section><h2>Overview</h2>{''.join(map(_figure, drawn))}{words}</section>"


def _operation(name, drawn, won, cells, room):
    """One operation's figures and winners; figures that do not fit are named instead."""
    parts, left_out = [], []
    for picture in drawn:
        text = _figure(picture)
        if room < len(text.encode()):
            left_out.append(picture.name)
            continue
        room -= len(text.encode())
        parts.append(text)
    if left_out:
        names = ", ".join(f"plots/{escape(one)}.svg" for one in left_out)
        parts.append(f"<p>More figures lie beside this page: {names}.</p>")
    own = won[won.operation == name]
    if own.empty:
        parts.append("<p>Nothing was measured; see what could not run, below.</p>")
    else:
        parts.append(_winners(own))
    return f'<section id="{escape(name)}"><h2>{escape(name)}</h2>{"".join(parts)}</section>'


def _figure(picture):
    """Windows onto the drawing, one a panel, which the page may lay out as it likes."""
    identity = f"drawing-{picture.name}"
    start = picture.svg.index(">", picture.svg.index("<svg")) + 1
    inner = picture.svg[start : picture.svg.rindex("</svg>")]
    inner = inner[inner.index("</defs>") + len("</defs>") :]  # metadata, and a style for everything
    windows = "".join(
        f'<svg class="panel" role="img" aria-label="{escape(picture.title)}" '
        f'style="max-width:{width * 4 / 3:.0f}px" '
        f'viewBox="{x:.1f} {y:.1f} {width:.1f} {height:.1f}">'
        f'<use href="#{escape(identity)}"/></svg>'
        for x, y, width, height in picture.boxes
    )
    least = f"--least:{picture.boxes[0][2] * 1.15:.0f}px"
    return (
        f"<figure><h3>{escape(picture.title)}</h3><p>{escape(picture.reading)}</p>"
        f'<svg class="store" aria-hidden="true"><g id="{escape(identity)}">{inner}</g></svg>'
        f'<div class="panels" style="{least}">{windows}</div>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _winners(won):
    rows, last = [], None
    for row in won.itertuples():
        if row.case != last:
            rows.append(row.case)
            last = row.case
        over = style.factor(row.factor_over_runner_up) if row.runner_up else ""
        rows.append(
            [
                f"<b>{escape(row.winner)}</b>",
                str(row.threads),
                style.seconds(row.median_s),
                "baseline" if row.winner == row.baseline else _factor(row.factor_over_baseline),
                over if row.clear or not row.runner_up else f"{over} (a tie)",
                escape(row.runner_up),
            ]
        )
    heads = ["fastest", "threads", "time", "over baseline", "over the next", "next"]
    table = _table(heads, rows, numbers={1, 2, 3, 4})
    folded = "" if len(won) > MOST_OPEN else " open"
    return f"<details{folded}><summary>Winners at {len(won)} cells</summary>{table}</details>"


def _machine(info):
    rows = [
        [escape(f"{group}: {name}" if group else name), escape(_plain(name, value))]
        for group, facts in (
            (
                "",
                {name: info[name] for name in ("command", "start", "end", "state") if name in info},
            ),
            ("machine", info.get("machine") or {}),
            ("library", info.get("libraries") or {}),
        )
        for name, value in facts.items()
    ]
    for roof in info.get("roofs") or ():
        speeds = [speed for _, speed in roof["bandwidth"]]
        reading = f", reads {style.bytes_text(max(speeds))}/s from cache" if speeds else ""
        reading += f", {style.bytes_text(speeds[-1])}/s from memory" if speeds else ""
        peak = f"{style.number(roof['flops_per_s'] / 1e9)} GFLOP/s{reading}"
        rows.append([f"measured: {escape(str(roof['dtype']))}, {_threads(roof['threads'])}", peak])
    table = _table(["", ""], rows) if rows else "<p>Not recorded.</p>"
    return f'<section id="machine"><h2>Machine and libraries</h2>{table}</section>'


def _absent(cells):
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
    body = (
        _table(["kernel", "status", "why, and at how many cells"], rows)
        if rows
        else "<p>Everything ran.</p>"
    )
    return f'<section id="absent"><h2>What could not run, and why</h2>{body}</section>'


_IMPOSSIBLE = "faster than this machine can be: something is wrong with the measurement"


def _reason(why, part):
    listed = "<br>".join(map(_code, dict.fromkeys(part.case)))
    title = f"{escape(why or 'no reason given')} ({len(part)})"
    return f"<details><summary>{title}</summary>{listed}</details>"


def _all_cells(cells):
    heads = [
        "kernel",
        "status",
        "time",
        "±",
        "speed-up",
        "GFLOP/s",
        "roof",
        "memory",
        "error",
        "flags",
    ]
    parts, shown = [], 0
    for (operation, threads), group in cells.groupby(["operation", "threads"], sort=False):
        if shown + len(group) > MOST_ROWS:
            parts.append("<p>The others are in cells.csv.</p>")
            break
        shown += len(group)
        place = group.case.map({case: i for i, case in enumerate(dict.fromkeys(group.case))})
        order = group.assign(place=place).sort_values(["place", "median_s", "kernel"])
        rows = []
        for case, some in itertools.groupby(order.to_dict("records"), lambda row: row["case"]):
            rows += [case, *map(_cell, some)]
        title = f"{escape(operation)}, {_threads(threads)}: {len(group)} cells"
        table = _table(heads, rows, numbers=set(range(2, 9)))
        parts.append(f"<details><summary>{title}</summary>{table}</details>")
    return (
        '<section id="cells"><h2>All cells</h2><p>Time: median of a call; ±: half its 95 % '
        "interval; roof: share of what the machine can do; error: part of the admissible error. "
        f"cells.csv has more columns.</p>{''.join(parts)}</section>"
    )


def _cell(row):
    time = style.seconds(row["median_s"])
    if not time and row["predicted_s"] == row["predicted_s"]:
        time = f"<i>{style.seconds(row['predicted_s'])} predicted</i>"
    half = (row["high_s"] - row["low_s"]) / 2 / row["median_s"]
    speed = "baseline" if row["baseline"] else _factor(row["speedup"])
    if row["verdict"] in ("same", "unresolved"):
        speed = f"{speed} {row['verdict']}"
    return [
        escape(row["kernel"]),
        escape(row["status"]),
        time,
        _percent(half),
        speed if row["median_s"] == row["median_s"] else "",
        style.number(row["gflops"]) if row["gflops"] == row["gflops"] else "",
        _percent(row["roof_fraction"]),
        style.bytes_text(row["peak_bytes"]),
        f"{row['error_ratio']:.2g}" if row["error_ratio"] == row["error_ratio"] else "",
        escape(row["flags"]),
    ]


def _table(heads, rows, numbers=()):
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
    return f'<div class="wide"><table>{heading}<tbody>{body}</tbody></table></div>'


def _code(case):
    """A case's name, with places where it may be broken."""
    return f"<code>{escape(case).replace(',', ',<wbr>')}</code>"


def _factor(value):
    return style.factor(value) if pd.notna(value) and value > 0 else ""


def _percent(value):
    return f"{100 * value:.2g} %" if value == value else ""


def _threads(count):
    return f"{count} thread{'' if count == 1 else 's'}"


def _plain(name, value):
    if isinstance(value, (int, float)) and "bytes" in str(name):
        return style.bytes_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(key, inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _css():
    return files("convgrad.results").joinpath("report.css").read_text(encoding="utf-8")
