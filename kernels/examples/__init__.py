"""Arguments that try a kernel: the edge cases of every operation, and strategies that draw more.

What the contract (`convgrad.kernels.contract`) runs over: four tables by operation, put together
from those of a file for each family of operations. Shapes are small, so that loops in Python
keep up; hypothesis is needed, and imported by nothing else here.
"""

import operator
from functools import reduce

from convgrad.kernels.examples import convolve, dense, fits, layers, local, networks
from convgrad.kernels.examples.example import LAYOUTS, Example, arrays_options
from convgrad.kernels.examples.layers import LAYER

__all__ = [
    "BAD_CALLS",
    "EDGE_CASES",
    "LARGE_CASES",
    "LAYER",
    "LAYOUTS",
    "STRATEGIES",
    "Example",
    "arrays_options",
]

_FAMILIES = convolve, layers, dense, local, fits, networks

EDGE_CASES = reduce(operator.or_, (family.EDGE_CASES for family in _FAMILIES))
"""For each operation, the arguments at which implementations tend to be wrong."""

LARGE_CASES = reduce(operator.or_, (family.LARGE_CASES for family in _FAMILIES))
"""For each operation, sizes with odd remainders that fill blocks, vectors and threads.

The first of each is one that loops in Python manage.
"""

STRATEGIES = reduce(operator.or_, (family.STRATEGIES for family in _FAMILIES))
"""For each operation, a hypothesis strategy that draws valid `Example`s."""

BAD_CALLS = reduce(operator.or_, (family.BAD_CALLS for family in _FAMILIES))
"""For each operation, calls that it rejects, with the name of the argument that is at fault."""
