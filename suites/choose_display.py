"""What the terminal shows of a choice among models."""

from convgrad.suites.models_display import add_model, model_table

SHOWN = 5
"""Models that are listed: the chosen one, and what comes next."""


def print_choice(console, best, run, path):
    """Print the chosen model, those behind it, and where it went.

    Parameters
    ----------
    console : rich.console.Console
    best : DataFrame
        Models within the limits, best first.
    run, path : Path
        Where they come from, and the file that the best one was saved to.
    """
    table = model_table(f"{len(best)} models within the limits, the best on validation data first")
    for row in best.head(SHOWN).itertuples():
        add_model(table, row)
    console.print(table)
    console.print(f"from {run}", highlight=False, soft_wrap=True)
    console.print(f"saved {best.iloc[0].model} as {path}", highlight=False, soft_wrap=True)
