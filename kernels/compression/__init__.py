"""Ways to make a trained model smaller: each takes one, and returns another and a report.

>>> from convgrad.kernels.compression import prune
>>> from convgrad.kernels.models import mlp
>>> model = mlp((1, 28, 28), [64], 10)
>>> small, report = prune(model, 0.9)
>>> report.way
'magnitude pruning, 90% zeros'
>>> report.bytes_after / report.bytes_before < 0.2  # values and columns of a tenth
True
"""

from convgrad.kernels.compression.distillation import Distillation, distil, with_teacher
from convgrad.kernels.compression.int4 import Int4
from convgrad.kernels.compression.int8 import Int8, quantise
from convgrad.kernels.compression.low_rank import factorise, truncated_svd
from convgrad.kernels.compression.magnitude import Pruned, prune, prune_gradually
from convgrad.kernels.compression.quantisation_aware import (
    Rounded,
    quantise_aware,
    round_to_levels,
)
from convgrad.kernels.compression.rebuild import Report, chain
from convgrad.kernels.compression.sparse import Sparse, compact
from convgrad.kernels.compression.structured import remove_filters

__all__ = [
    "Distillation",
    "Int4",
    "Int8",
    "Pruned",
    "Report",
    "Rounded",
    "Sparse",
    "chain",
    "compact",
    "distil",
    "factorise",
    "prune",
    "prune_gradually",
    "quantise",
    "quantise_aware",
    "remove_filters",
    "round_to_levels",
    "truncated_svd",
    "with_teacher",
]
