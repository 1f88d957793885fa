"""The best model that keeps to limits, among those that a run has trained and timed."""

import numpy as np

from convgrad.results.schema import MODELS
from convgrad.results.summary import published


def timed_models(cells, data):
    """Models of a dataset that were trained and timed.

    Parameters
    ----------
    cells : DataFrame
        As `convgrad.results.learned` completes them.
    data : str

    Returns
    -------
    DataFrame
        One row a model: its fastest cell among those of the fewest examples a call.
    """
    models = published(cells[(cells.operation == MODELS) & (cells.data == data)])
    models = models[models.validation_accuracy.notna()]
    models = models[models.batch == models.batch.min()]
    return models.sort_values("median_s").drop_duplicates("model").reset_index(drop=True)


def within(models, *, seconds=np.inf, file_bytes=np.inf, parameters=np.inf):
    """Models that keep to limits, best first by accuracy on validation data, then by time.

    Parameters
    ----------
    models : DataFrame
        As `timed_models` gives them.
    seconds : float
        Of a call: the upper end of its interval has to keep to it.
    file_bytes : float
    parameters : float
        Numbers that are stored and not zero.
    """
    kept = models[
        (models.high_s.fillna(models.median_s) <= seconds)
        & (models.file_bytes <= file_bytes)
        & (models.stored_parameters <= parameters)
    ]
    return kept.sort_values(["validation_accuracy", "median_s"], ascending=[False, True])
