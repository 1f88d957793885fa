"""What models have learned: means and intervals over seeds, and gains between models."""

import io

import numpy as np
import pandas as pd

from convgrad.results.durable import replace, whole_lines
from convgrad.results.schema import LEARNED_COLUMNS, MODEL_COLUMNS, MODELS
from convgrad.results.statistics import mean_interval

NAME = "learned.csv"
_TEXTS = (
    "data",
    "package",
    "version",
    "sha256",
    "model",
    "family",
    "base",
    "compared_to",
    "made_by",
)
_NUMBERS = [name for name in LEARNED_COLUMNS if name not in _TEXTS]


def learned(folder):
    """Read what was trained, as far as it is written.

    Parameters
    ----------
    folder : Path
        Of a run.

    Returns
    -------
    DataFrame
        `schema.LEARNED_COLUMNS`, a row a model and seed: the last, where it was trained again. No
        row where there is no such file.

    Raises
    ------
    ValueError
        If the file cannot be understood.
    """
    text = whole_lines(folder / NAME)
    if not text:
        return pd.DataFrame(columns=list(LEARNED_COLUMNS))
    try:
        rows = pd.read_csv(
            io.BytesIO(text),
            dtype=dict.fromkeys(_TEXTS, str) | dict.fromkeys(_NUMBERS, float),
            keep_default_na=False,  # a model may be called "null"
            na_values=dict.fromkeys(_NUMBERS, [""]),
        )
    except ValueError as error:
        raise ValueError(f"{NAME} in {folder}: {' '.join(str(error).split())}") from None
    if "made_by" not in rows:
        rows["made_by"] = ""
    missing = [name for name in LEARNED_COLUMNS if name not in rows]
    if missing:
        raise ValueError(
            f"{NAME} in {folder}: got no column {', '.join(missing)}, "
            f"expected {', '.join(LEARNED_COLUMNS)}"
        )
    return rows.drop_duplicates(["data", "model", "seed"], keep="last", ignore_index=True)


def job_of(row):
    """Name of a row's model among those of all data, and its seed."""
    return f"{row['data']} {row['model']}", int(row["seed"])


def discard(folder, jobs):
    """Take models out of the file, and give it today's columns, so that rows can follow.

    Parameters
    ----------
    folder : Path
        Of a run.
    jobs : set
        As `job_of` names them.

    Raises
    ------
    convgrad.results.durable.CannotWrite
    """
    text = whole_lines(folder / NAME)
    if not text:
        return
    rows = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    kept = rows[[job_of(row) not in jobs for row in rows.to_dict("records")]]
    kept = kept.reindex(columns=list(LEARNED_COLUMNS), fill_value="")
    if not kept.equals(rows):
        replace(folder / NAME, kept.to_csv(index=False, lineterminator="\n"))


def models(rows):
    """Summarise each model over its seeds.

    Parameters
    ----------
    rows : DataFrame
        As `learned` gives them.

    Returns
    -------
    DataFrame
        ``data``, ``family``, ``parameters``, ``flops`` and `schema.MODEL_COLUMNS`, a row a model.
        Accuracies are means over seeds, ``train_s`` is the median; accuracy and gain have
        Student's 95 % interval, none of a single seed. What is stored is that of the least seed,
        whose model is timed. A gain is the mean difference over the seeds that both models have.
    """
    other = rows[["data", "model", "seed", "accuracy"]].rename(
        columns={"model": "compared_to", "accuracy": "other_accuracy"}
    )
    paired = rows.merge(other, how="left", on=["data", "compared_to", "seed"])
    paired["gain"] = paired.accuracy - paired.other_accuracy
    found = [_model(own) for _, own in paired.groupby(["data", "model"], sort=False)]
    return pd.DataFrame(found, columns=[*_KEPT, *MODEL_COLUMNS])


def with_models(cells, rows):
    """Say of each cell of a model what the model has learned.

    Parameters
    ----------
    cells : DataFrame
        As `summary.cells` gives them. Kernels of `schema.MODELS` are called by their data and
        the model's name, with a space between.
    rows : DataFrame
        As `learned` gives them.

    Returns
    -------
    DataFrame
        The cells, with `schema.MODEL_COLUMNS` filled where there is something to say.
    """
    if rows.empty:
        return cells
    found = models(rows)
    found.index = found.data + " " + found.model
    known = (cells.operation == MODELS) & cells.kernel.isin(found.index)
    said = found.reindex(cells.kernel)
    return cells.assign(
        **{name: np.where(known, said[name], cells[name]) for name in MODEL_COLUMNS}
    )


_KEPT = ("data", "family", "parameters", "flops")


def _model(own):
    first = own.loc[own.seed.idxmin()]
    gains = own.gain.dropna()
    low, high, _ = mean_interval(own.accuracy)
    gain_low, gain_high, _ = mean_interval(gains)
    return {
        **{name: first[name] for name in ("model", "base", "compared_to", *_KEPT)},
        "seeds": len(own),
        "accuracy": own.accuracy.mean(),
        "accuracy_low": np.maximum(low, 0),
        "accuracy_high": np.minimum(high, 1),
        "validation_accuracy": own.validation_accuracy.mean(),
        "gain": gains.mean(),
        "gain_low": gain_low,
        "gain_high": gain_high,
        "stored_parameters": first.stored_parameters,
        "file_bytes": first.file_bytes,
        "train_s": own.train_s.median(),  # the first may have compiled
    }
