"""The page: overview, a section an operation, machine, what could not run, all cells.

It needs neither network nor JavaScript; a short script makes the table of cells sortable. Panels
of a figure flow one below the other where the screen is narrow: each is a window onto the same
drawing, which is in the page once.
"""

from html import escape
from importlib.resources import files

from convgrad.results.ledger import ledger
from convgrad.results.page_machine import machine_section
from convgrad.results.page_models import models_table
from convgrad.results.page_tables import (
    absent_table,
    cells_table,
    ledger_table,
    winners_table,
    with_leads,
)
from convgrad.results.plots import LINEAR, main_view, select, style
from convgrad.results.plots.views import threads_text
from convgrad.results.schema import MODELS
from convgrad.results.summary import winners

MOST_BYTES = 4_800_000
"""Beyond it, figures that are not of the main view are left to ``plots/``."""


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
    won, compiled = with_leads(winners(cells), cells), ledger(cells)
    operations = list(dict.fromkeys(cells.operation))
    rest = machine_section(info, cells) + _absent(cells) + _all_cells(cells)
    room = MOST_BYTES - len(rest.encode())
    sections = [_overview(pictures.get("", []), won, cells)]
    room -= len(sections[0].encode())
    for number, operation in enumerate(operations):
        drawn = pictures.get(operation, [])
        tables = _tables(operation, cells, won, compiled)
        share = room // (len(operations) - number)
        sections.append(_operation(operation, drawn, tables, share))
        room -= len(sections[-1].encode())
    if LINEAR in pictures:
        operations.append(LINEAR)
        sections.append(_operation(LINEAR, pictures[LINEAR], "", room))
    title = f"convgrad: {(info.get('machine') or {}).get('cpu', 'a run')}"
    links = "".join(f'<a href="#{escape(n)}">{escape(_heading(n))}</a>' for n in operations)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>\n<style>{_part('css')}</style>\n</head>\n<body>",
            f"<header><h1>{_question(cells)}</h1>{_lead(info, cells)}",
            f'<nav>{links}<a href="#machine">machine</a><a href="#absent">what could not run</a>',
            '<a href="#cells">all cells</a></nav></header>\n<main>',
            *sections,
            rest,
            f"</main>\n<script>\n{_part('js')}</script>\n</body>\n</html>\n",
        ]
    )


def _question(cells):
    """What the page answers first."""
    if set(cells.operation) == {MODELS}:
        return "What does a model cost, and what does it know?"
    return "Which kernel is fastest here?"


def _heading(operation):
    return {MODELS: "trained models", LINEAR: "linear analysis"}.get(operation, operation)


def _lead(info, cells):
    counts = cells.status.value_counts()
    state = info.get("state", "unknown")
    done = f"{counts.get('ok', 0)} of {len(cells)} cells measured"
    parts = [info.get("preset") and f"preset {info['preset']}", info.get("start"), done]
    note = "" if state == "finished" else f" <strong>The run is {escape(str(state))}.</strong>"
    return f"<p>{' · '.join(escape(str(part)) for part in parts if part)}.{note}</p>"


def _overview(drawn, won, cells):
    contests = cells[cells.operation != MODELS]
    if contests.empty and len(cells):
        return ""
    if won.empty:
        return "<section><h2>Overview</h2><p>Nothing has been measured yet.</p></section>"
    dtype, threads, cache, call = main_view(contests)
    main = winners(select(contests, dtype, threads, cache, call))
    lines = []
    for operation, part in main.groupby("operation", sort=False):
        wins = part.winner.value_counts()
        names = ", ".join(
            f"<b>{escape(name)}</b> at {n} of {len(part)}" for name, n in wins.items()
        )
        best = part.factor_over_baseline.max()
        lead = f"; up to {style.factor(best)} the baseline's speed" if best == best else ""
        rivals = (part.runner_up != "").sum()
        sure = f"; surely ahead of the next at {part.clear.sum()} of {rivals}" if rivals else ""
        link = f'<a href="#{escape(operation)}">{escape(operation)}</a>'
        lines.append(f"<li>{link}: {names}{lead}{sure}.</li>")
    view = f"{escape(dtype)}, {threads_text(threads)}, {escape(cache)} cache, {escape(call)} calls"
    words = f"<p>Wins by size, {view}:</p><ul>{''.join(lines)}</ul>"
    return f"<section><h2>Overview</h2>{''.join(map(_figure, drawn))}{words}</section>"


def _tables(name, cells, won, compiled):
    if name == MODELS:
        return models_table(cells[cells.operation == MODELS])
    own = won[won.operation == name]
    if own.empty:
        return "<p>Nothing was measured; see what could not run, below.</p>"
    return winners_table(own) + ledger_table(compiled[compiled.operation == name])


def _operation(name, drawn, tables, room):
    """One operation's figures and tables; figures that do not fit are named instead."""
    parts, left_out = [], []
    room -= len(tables.encode())
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
    figures = "".join(parts)
    heading = escape(_heading(name))
    return f'<section id="{escape(name)}"><h2>{heading}</h2>{figures}{tables}</section>'


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


def _absent(cells):
    body = absent_table(cells)
    return f'<section id="absent"><h2>What could not run, and why</h2>{body}</section>'


def _all_cells(cells):
    return (
        '<section id="cells"><h2>All cells</h2><p>The number leads to the samples. Time: median '
        "of a call; ±: half its 95 % interval; roof: share of what the machine can do; error: "
        f"part of the admissible error. cells.csv has more columns.</p>{cells_table(cells)}"
        "</section>"
    )


def _part(kind):
    return files("convgrad.results").joinpath(f"report.{kind}").read_text(encoding="utf-8")
