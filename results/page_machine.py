"""The page's evidence: the machine, its libraries and limits, and what it could tell apart."""

from html import escape

from convgrad.results.page_tables import table
from convgrad.results.plots import style
from convgrad.results.plots.roofline import levels
from convgrad.results.plots.views import threads_text

_FIGURE = ["operation", "dtype", "threads", "cache", "call"]
_RUN = ("command", "preset", "start", "end", "state")


def machine_section(info, cells):
    """Everything that ``run.json`` tells about where and how the run was measured."""
    taken_out = info.get("environment_taken_out") or {}
    parts = [
        _part("", [[name, info[name]] for name in _RUN if info.get(name)]),
        _part("Machine", (info.get("machine") or {}).items()),
        _part("Libraries", (info.get("libraries") or {}).items()),
        _part("Thread pools that ran", _pools(info.get("pools") or ())),
        _part("Taken out of the environment", taken_out.items()),
        _limits(info.get("roofs") or ()),
        _resolution(cells),
        _part("Time spent", [[n, style.seconds(v)] for n, v in _numbers(info.get("time_spent"))]),
    ]
    body = "".join(parts) or "<p>Not recorded.</p>"
    return f'<section id="machine"><h2>Machine and evidence</h2>{body}</section>'


def _part(title, facts):
    rows = [[escape(str(name)), escape(_plain(name, value))] for name, value in facts]
    if not rows:
        return ""
    heading = f"<h3>{title}</h3>" if title else ""
    return heading + table(["", ""], rows)


def _pools(pools):
    for pool in pools:
        told = {name: value for name, value in pool.items() if name not in ("name", "threads")}
        threads = [threads_text(pool["threads"])] if "threads" in pool else []
        yield pool.get("name", ""), ", ".join([*threads, *map(str, told.values())])


def _limits(roofs):
    """What arithmetic and each memory level were measured to reach at most."""
    rows = [
        [
            escape(str(roof.get("device", "cpu"))),
            escape(str(roof["dtype"])),
            str(roof.get("threads", "")),
            f"{style.number(roof['flops_per_s'] / 1e9)} GFLOP/s",
            *(_gflops(roof.get(name)) for name in ("multiply_add_flops_per_s", "gemm_flops_per_s")),
            _speeds(levels(roof)),
            _speeds(_triad(roof)),
        ]
        for roof in roofs
    ]
    if not rows:
        return ""
    heads = ["device", "dtype", "threads", "peak", "multiply-add", "GEMM", "reading", "triad"]
    return "<h3>Measured limits</h3>" + table(heads, rows, numbers={2, 3, 4, 5})


def _triad(roof):
    """Bandwidth of ``a = b + s c``, as the levels of a roof: one number is main memory's."""
    told = roof.get("triad") or []
    return levels({"bandwidth": told}) if isinstance(told, list) else [("memory", told)]


def _speeds(named):
    return "<br>".join(f"{name} {style.bytes_text(speed)}/s" for name, speed in named)


def _gflops(value):
    return f"{style.number(value / 1e9)} GFLOP/s" if value else ""


def _resolution(cells):
    """The smallest difference that each figure's null twins, equal kernels, let one tell."""
    known = cells[cells.resolution.notna()]
    rows = [
        [*(escape(str(name)) for name in figure), style.percent(part.resolution.max())]
        for figure, part in known.groupby(_FIGURE, sort=False)
    ]
    if not rows:
        return ""
    text = (
        "<p>In every block the baseline runs once more under another name. Differences smaller "
        "than those between these twins cannot be told apart.</p>"
    )
    heads = [*_FIGURE, "cannot tell below"]
    return f"<h3>What could be told apart</h3>{text}" + table(heads, rows, numbers={2, 5})


def _numbers(facts):
    return [(n, v) for n, v in (facts or {}).items() if isinstance(v, (int, float))]


def _plain(name, value):
    if isinstance(value, (int, float)) and "bytes" in str(name):
        return style.bytes_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(key, inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
