"""Linear analysis: estimate a model, validate it, and see what its estimation costs.

Nothing here draws; results are named tuples of arrays.

>>> from convgrad.kernels import datasets
>>> from convgrad.kernels.analysis import cross_validate, shuffled_folds
>>> patients = datasets.load("diabetes").development  # doctest: +SKIP
>>> folds = shuffled_folds(len(patients.targets), 10, seed=0)  # doctest: +SKIP
>>> path, held_out = cross_validate(*patients, "l1", folds)  # doctest: +SKIP
>>> path.lambdas[held_out.least], path.zeros[held_out.least]  # doctest: +SKIP
"""

from convgrad.kernels.analysis.conditioning import conditioning
from convgrad.kernels.analysis.convergence import measure_convergence
from convgrad.kernels.analysis.cross_validation import cross_validate
from convgrad.kernels.analysis.filters import validate_filters
from convgrad.kernels.analysis.folds import forward_folds, shuffled_folds
from convgrad.kernels.analysis.path import fit_path

__all__ = [
    "conditioning",
    "cross_validate",
    "fit_path",
    "forward_folds",
    "measure_convergence",
    "shuffled_folds",
    "validate_filters",
]
