"""All studies by name, and the models that they have recipes of."""

import importlib

STUDIES = "shape", "pareto", "filter_size", "depth", "budget"
"""Suites ``bench_<name>.py`` whose ``SUITE`` is a study."""
OF_MANY = "pareto", "budget"
"""Those of many models of each dataset, for a choice among them."""


def recipes(preset, names=STUDIES):
    """Recipes of some studies; those that several have are there once."""
    suites = (importlib.import_module(f"convgrad.suites.bench_{name}").SUITE for name in names)
    return list(dict.fromkeys(one for suite in suites for one in suite.recipes.get(preset, ())))
