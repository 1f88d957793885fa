"""What `convgrad tune --check` prints: how much slower the choices are than the fastest."""

import numpy as np
from rich.table import Table


def print_regret(console, rows):
    """Print the regret of each operation, and the cases in which it was largest."""
    table = Table(title="How much slower the choice is than the fastest", title_justify="left")
    for column in ("operation", "cases", "mean", "95th percentile", "most"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    names = list(dict.fromkeys(row["operation"] for row in rows))
    for name in [*names, *["all"] * (len(names) > 1)]:
        regret = [row["regret"] for row in rows if name in (row["operation"], "all")]
        table.add_row(name, str(len(regret)), *(f"{value:.1%}" for value in summary(regret)))
    console.print(table)
    for row in sorted(rows, key=lambda row: -row["regret"])[:10]:
        if row["regret"] > 0:
            console.print(
                f"{row['regret']:.0%}: {row['operation']} {row['case']}, {row['threads']} threads: "
                f"{row['choice']}, {row['fastest']} is the fastest",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def summary(regret):
    """Mean, 95th percentile and maximum."""
    return float(np.mean(regret)), float(np.quantile(regret, 0.95)), float(max(regret))
