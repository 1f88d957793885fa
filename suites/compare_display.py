"""What the terminal shows of two runs beside each other."""

from rich import box
from rich.table import Table

from convgrad.results.compare import left_out
from convgrad.results.compare_page import readable
from convgrad.results.schema import VERDICTS


def print_comparison(console, table):
    """Print what became faster or slower, and in a line each how much did not and was left out.

    Parameters
    ----------
    console : rich.console.Console
    table : DataFrame
        As `convgrad.results.compare.compare` gives it.
    """
    counts = table.verdict.value_counts()
    words = readable(table[table.verdict.isin(("faster", "slower"))])
    if len(words):
        shown = Table(box=box.SIMPLE_HEAD, padding=0)
        for name in words:
            shown.add_column(
                name,
                justify="right" if name in ("threads", "A", "B") else "left",
                overflow="fold",
                no_wrap=name not in ("operation", "case", "kernel"),
            )
        words["case"] = words["case"].str.replace(",", " ")
        words["B/A"] = words["B/A"].str.replace(" (", "\n(")  # leaves room where that is short
        for row in words.itertuples(index=False):
            shown.add_row(*row)
        console.print(shown, markup=False)
    told = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    for line in (f"cells: {told}", left_out(table)):
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
