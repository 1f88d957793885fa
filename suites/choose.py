"""The best model within limits: from the newest run that has any, or from one made for it."""

import shutil
from pathlib import Path

from convgrad.results.choosing import timed_models, within
from convgrad.results.learned import learned, with_models
from convgrad.results.store import Run
from convgrad.results.summary import cells as summarise
from convgrad.suites.studies.catalogue import OF_MANY, recipes
from convgrad.suites.studies.training import TIMED_SEED, slug

RUNS = Path("results/runs")


class NothingKeeps(ValueError):
    """No model keeps to the limits; the message says what the smallest ones need."""


def models_of(run, data):
    """Timed models of a dataset in a run."""
    cells = summarise(run.samples(), run.facts(), run.info)
    return timed_models(with_models(cells, learned(run.path)), data)


def newest_run(data, preset, folder=RUNS):
    """The newest run of a preset with timed models of a dataset, and these; None without one."""
    for path in sorted(folder.glob("*/learned.csv"), reverse=True):
        try:
            run = Run.open(path.parent)
            models = models_of(run, data) if run.info.get("preset") == preset else ()
        except ValueError:  # a folder that cannot be read is none to choose from
            continue
        if len(models):
            return run, models
    return None


def choose(models, **limits):
    """Models within limits, best first.

    Raises
    ------
    NothingKeeps
    """
    kept = within(models, **limits)
    if kept.empty:
        least = models[["high_s", "file_bytes", "stored_parameters"]].min()
        raise NothingKeeps(
            f"limits: got none of {len(models)} models within them, expected at least "
            f"{1e3 * least.high_s:.3g} ms, {least.file_bytes / 1e3:.3g} kB and "
            f"{least.stored_parameters:.0f} parameters, the least of each"
        )
    return kept


def keep(run, model, out):
    """Copy a model out of a run folder.

    Parameters
    ----------
    run : Run
    model : Series
        A row of `choose`.
    out : path or None
        A file; one named after data and model, in the working folder, unless given.

    Returns
    -------
    Path
    """
    name = slug(model.kernel)
    out = Path(out or f"{name}.safetensors")
    shutil.copyfile(run.path / "models" / f"{name}-{TIMED_SEED}.safetensors", out)
    return out


def labels(data, preset):
    """Models of a dataset that there are recipes of, by the names of their kernels."""
    return [recipe.label for recipe in recipes(preset, OF_MANY) if recipe.data == data]


def data_names(preset="laptop"):
    """Datasets that there are models of."""
    return list(dict.fromkeys(recipe.data for recipe in recipes(preset, OF_MANY)))
