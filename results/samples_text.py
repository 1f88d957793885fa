"""The samples of each cell together, as text that a browser shows and can jump into."""

from urllib.parse import quote

from convgrad.results.schema import KEY

NAME = "samples.txt"

_HEAD = (
    "Samples of each cell in the order in which they were taken, in seconds a call; a bar stands\n"
    "between processes. Made from samples.csv, which says more of each; cell n is row n of\n"
    "cells.csv, and rows without samples are left out.\n"
)


def samples_text(samples, cells):
    """Write out the samples of all cells.

    Parameters
    ----------
    samples : DataFrame
        Columns as `schema.SAMPLE_COLUMNS`.
    cells : DataFrame

    Returns
    -------
    str
    """
    seconds = samples.assign(seconds=samples.wall_ns / samples.loops / 1e9)
    groups = dict(iter(seconds.groupby(list(KEY), sort=False)))
    blocks = [_HEAD]
    for number, key in enumerate(cells[list(KEY)].itertuples(index=False), start=1):
        own = groups.get(tuple(key))
        if own is None:
            continue
        processes = [
            " ".join(f"{value:.5g}" for value in some.seconds)
            for _, some in own.groupby("process", sort=False)
        ]
        operation, case, kernel, threads, cache, call = key
        title = f"cell {number}: {operation} {case} {kernel} threads={threads} {cache} {call}"
        blocks.append(f"{title}\n{' | '.join(processes)}\n")
    return "\n".join(blocks)


def link(number):
    """Address of a cell's samples from beside the file: a text fragment, which scrolls to it."""
    return f"{NAME}#:~:text={quote(f'cell {number}:')}"
