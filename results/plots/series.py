"""Which cases make up a line: one size varies, the others stay."""

import itertools
from dataclasses import dataclass
from numbers import Real

import pandas as pd

from convgrad.results.plots.style import count
from convgrad.results.schema import FAILURES, size_columns

COUPLED = 4
"""Most sizes that may vary together, as channels, filters, height and width do over layers."""

USUAL = 0.6
"""A size is usual if more than this part of the cases has it."""

MOST_UNRELATED = 8


@dataclass(frozen=True)
class Panel:
    """Cells that are drawn over one axis; column ``x`` says where."""

    cells: pd.DataFrame
    x_label: str
    varies: str
    """What varies, such as ``taps 3 … 1023``."""
    fixed: str
    """The other sizes, where they are not the same in all panels."""
    places: tuple = ()
    """Texts of x = 1, 10, 100, ... for cases that are no series, whose points are not joined."""

    @property
    def joined(self):
        """Whether a line through the points means something."""
        return not self.places


def by_parameters(view):
    """Panels over the parameter count, for one operation, dtype and thread count."""
    return _panels(view, lambda cases, names: cases.parameters, lambda names: "parameters")


def by_size(view):
    """Panels over the size of the data, at constant parameters wherever the cases allow."""

    def magnitudes(cases, names):
        numeric = [name for name in names if cases[name].map(magnitude).notna().all()]
        return cases[numeric[0]].map(magnitude) if numeric else cases.flops

    def label(names):
        return _plain(names[0]) if names else "FLOP of the direct algorithm"

    return _panels(view, magnitudes, label, prefer_constant="parameters")


def constant(view):
    """Sizes that all cases have in common, as text."""
    same = [name for name in size_columns(view) if view[name].astype(str).nunique() == 1]
    return _fixed(view, same) if len(view) else ""


def magnitude(value):
    """A size as one number: ``512x512`` is 262144; None for a text such as ``same``."""
    try:
        product = 1
        for side in str(value).split("x"):
            product *= float(side)
        return product
    except ValueError:
        return None


def thin(items, most):
    """Evenly spread choice of at most ``most`` items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _panels(view, x_of, x_label, prefer_constant=None):
    tried = view.median_s.notna() | view.status.isin(FAILURES)
    view = view[view.case.isin(view.case[tried])]  # Time did not reach the others.
    cases = view.drop_duplicates("case").reset_index(drop=True)
    sizes = [
        name for name in [*size_columns(cases), "data"] if cases[name].astype(str).nunique() > 1
    ]
    panels = []
    covered = set()
    for names, group in _sweeps(cases, sizes, x_of, prefer_constant):
        covered |= set(group.case)
        panels.append(
            Panel(
                cells=_at(view, group.case, x_of(group, names)),
                x_label=x_label(names),
                varies=_span(group, names, x_of(group, names)),
                fixed=_fixed(group, [name for name in sizes if name not in names]),
            )
        )
    panels.sort(key=lambda panel: panel.cells.index.min())
    single = cases[~cases.case.isin(covered)]
    if len(single):
        panels.append(_unrelated(view, single.sort_values("flops", kind="stable"), sizes))
    return panels


def _unrelated(view, cases, sizes):
    """Panel of cases that form no series: side by side, numbered, with a key."""
    if len(cases) == 1:
        return Panel(_at(view, cases.case, [1.0]), "", "one size", _fixed(cases, sizes), ("",))
    cases = cases.iloc[thin(range(len(cases)), MOST_UNRELATED)]
    differing = [name for name in sizes if cases[name].astype(str).nunique() > 1]
    labels, _ = short_labels(cases.set_index("case")[differing], 0)
    key = "; ".join(f"{number}: {labels[case]}" for number, case in enumerate(cases.case, start=1))
    return Panel(
        cells=_at(view, cases.case, [10.0**i for i in range(len(cases))]),
        x_label="size, by the key above",
        varies=f"{len(cases)} sizes that form no series",
        fixed=key,
        places=tuple(str(i + 1) for i in range(len(cases))),
    )


def short_labels(cases, longest):
    """Name cases by their sizes; where that gets long, by what is unusual about them.

    Parameters
    ----------
    cases : DataFrame
        A column a size, a row a case.
    longest : int
        Letters that a label may have before usual sizes are left out of all.

    Returns
    -------
    labels : dict
        By the index of ``cases``.
    usual : str
        What was left out, or nothing.
    """
    rows = [{name: cases[name].iloc[row] for name in cases.columns} for row in range(len(cases))]
    labels, usual = [_label(row) for row in rows], {}
    if max(map(len, labels)) > longest:
        usual = {name: cases[name].mode()[0] for name in cases if _share(cases[name]) > USUAL}
        labels = [
            _label({name: value for name, value in row.items() if value != usual.get(name)})
            for row in rows
        ]
    return dict(zip(cases.index, labels)), _label(usual) if usual else ""


def _share(column):
    """Part of the cases that has the commonest value."""
    return column.astype(str).value_counts(normalize=True).iloc[0]


def _label(sizes):
    known = [f"{_plain(name)} {_number(v)}" for name, v in sizes.items() if pd.notna(v)]
    return ", ".join(_merged(known)).replace(" = ", "=") or "the usual size"


def _sweeps(cases, sizes, x_of, prefer_constant):
    """Choose series until all cases are covered that can be: (names of what varies, cases).

    Series of few sizes that vary come first, and may share cases. What is left is tried by itself
    as well: layers of a network are a series once the other cases are out of the way.
    """
    left = set(cases.case)
    chosen = []
    for together in range(1, COUPLED + 1):
        for pool in (cases, None):
            pool = cases[cases.case.isin(left)] if pool is None else pool
            found = _candidates(pool, sizes, together, x_of)
            for names, group in _ranked(found, prefer_constant):
                if left & set(group.case):
                    left -= set(group.case)
                    chosen.append((names, group))
    return chosen


def _ranked(candidates, prefer_constant):
    def rank(candidate):
        constant = prefer_constant and candidate[1][prefer_constant].nunique() == 1
        return not constant, -len(candidate[1])

    return sorted(candidates, key=rank)


def _candidates(cases, sizes, together, x_of):
    """Groups of cases that differ in exactly ``together`` sizes, which determine each other."""
    texts = {name: cases[name].astype(str).tolist() for name in sizes}
    for names in itertools.combinations(sizes, together):
        groups = {}
        for row in range(len(cases)):
            fixed = tuple(texts[name][row] for name in sizes if name not in names)
            groups.setdefault(fixed, []).append(row)
        for rows in groups.values():
            ways = [[texts[name][row] for row in rows] for name in names]
            # two cases that differ in unlike sizes are a coincidence, not a series
            enough = 2 if all(way == ways[0] for way in ways) else 3
            if len(rows) >= enough and all(len(set(way)) == len(rows) for way in ways):
                group = cases.iloc[rows]
                x = x_of(group, list(names))
                if x.nunique() == len(rows) and _go_along(group[list(names)], x):
                    yield list(names), group


def _go_along(sizes, x):
    """Whether each size rises or falls all along x, as sizes drawn at random do not."""
    numbers = sizes.loc[x.sort_values().index].map(magnitude).dropna(axis="columns")
    return all(
        way.is_monotonic_increasing or way.is_monotonic_decreasing for _, way in numbers.items()
    )


def _at(view, cases, x):
    places = dict(zip(cases, x))
    cells = view[view.case.isin(places)]
    return cells.assign(x=cells.case.map(places).astype(float)).sort_values("x", kind="stable")


def _span(group, names, x):
    order = group.loc[x.sort_values(kind="stable").index]
    parts = [
        f"{_plain(name)} {_number(order[name].iloc[0])} … {_number(order[name].iloc[-1])}"
        for name in names
    ]
    return ", ".join(_merged(parts))


def _fixed(group, names):
    known = [name for name in names if pd.notna(group[name].iloc[0])]
    return ", ".join(_merged([f"{_plain(name)} {_number(group[name].iloc[0])}" for name in known]))


def _merged(parts):
    """Join names whose text is the same: ``height 56``, ``width 56`` is ``height = width 56``."""
    names = {}
    for part in parts:
        name, _, value = part.partition(" ")
        names.setdefault(value, []).append(name)
    return [f"{' = '.join(same)} {value}" for value, same in names.items()]


def _number(value):
    return count(value) if isinstance(value, Real) else str(value)


def _plain(name):
    # a name stays one word, so that it can be told from its value
    return name.replace("_", " ").replace(" ", "\u00a0")
