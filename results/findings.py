"""What an analysis of linear models found: tables of a run folder besides cells."""

import io

import pandas as pd

from convgrad.results.durable import whole_lines

NAMES = "path", "convergence", "filters"
COEFFICIENT = "coefficient of "
"""What columns of ``path.csv`` begin with that are coefficients."""
_TEXTS = ("penalty", "chosen", "operation", "kernel", "family", "step", "filter")


def findings(folder):
    """Read what there is.

    Parameters
    ----------
    folder : Path
        Of a run.

    Returns
    -------
    dict of str to DataFrame
        ``path``, a row a penalty and lambda; ``convergence``, a row a kernel, setting and number
        of iterations; ``filters``, a row a size: those of them that are there.

    Raises
    ------
    ValueError
        If a file cannot be understood.
    """
    found = {}
    for name in NAMES:
        text = whole_lines(folder / f"{name}.csv")
        if text:
            try:
                table = pd.read_csv(io.BytesIO(text))
            except ValueError as error:
                raise ValueError(f"{name}.csv in {folder}: {error}") from None
            texts = [column for column in _TEXTS if column in table]
            found[name] = table.assign(**table[texts].fillna(""))
    return found
