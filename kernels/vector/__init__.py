"""The vocabulary of vectors: what a register holds, and what the processor does with it.

Numba compiles loops over scalars, and LLVM makes vectors of the simple ones. A tile of sums that
has to stay in registers does not survive that: such kernels say themselves what is a vector. A
`Vector` is a value like any other in compiled code, with the operators ``+ - *``; a *tile* is a
tuple of vectors, rows first.

Arrays are seen flat, whatever their shape, and have to be C-contiguous: an index counts elements
from the first. Nothing is checked. ``lanes`` and ``count`` have to be known when Numba compiles,
as literals or global constants. Numba's cache on disk notices changes of the file that a kernel is
in, not of these ones: remove the ``__pycache__`` of the kernels after a change here.
"""

from convgrad.kernels.vector.fourier import multiply_complex, rotate, transform
from convgrad.kernels.vector.hints import align_stack, unforeseen
from convgrad.kernels.vector.kinds import Vector
from convgrad.kernels.vector.lanes import (
    as_numbers,
    broadcast,
    even_lanes,
    first_row,
    join,
    move_up,
    repeat,
    sides,
    sum_lanes,
    total,
    totals,
    transpose,
    zero_tile,
)
from convgrad.kernels.vector.loops import (
    add_gathered,
    add_panel,
    add_toeplitz,
    correlate,
    correlate_row,
)
from convgrad.kernels.vector.memory import (
    broadcast_tile,
    load,
    load_first,
    load_levels,
    load_rows,
    load_scattered,
    load_tile,
    prefetch,
    store,
    store_first,
    store_rows,
    store_scattered,
    store_tile,
)
from convgrad.kernels.vector.registers import (
    datapath_bytes,
    lanes_in,
    lanes_of,
    register_bytes,
    width,
)
from convgrad.kernels.vector.sums import (
    add_dots,
    add_outer,
    add_product,
    add_products,
    add_scaled_rows,
    add_tiles,
    multiply_add,
    multiply_rows,
    subtract_rows,
)

__all__ = [
    "Vector",
    "add_dots",
    "add_gathered",
    "add_outer",
    "add_panel",
    "add_product",
    "add_products",
    "add_scaled_rows",
    "add_tiles",
    "add_toeplitz",
    "align_stack",
    "as_numbers",
    "broadcast",
    "broadcast_tile",
    "correlate",
    "correlate_row",
    "datapath_bytes",
    "even_lanes",
    "first_row",
    "join",
    "lanes_in",
    "lanes_of",
    "load",
    "load_first",
    "load_levels",
    "load_rows",
    "load_scattered",
    "load_tile",
    "move_up",
    "multiply_add",
    "multiply_complex",
    "multiply_rows",
    "prefetch",
    "register_bytes",
    "repeat",
    "rotate",
    "sides",
    "store",
    "store_first",
    "store_rows",
    "store_scattered",
    "store_tile",
    "subtract_rows",
    "sum_lanes",
    "total",
    "totals",
    "transform",
    "transpose",
    "unforeseen",
    "width",
    "zero_tile",
]
