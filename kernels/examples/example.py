"""What an example is: shapes and options, and how its arrays are drawn and laid out."""

import itertools
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from hypothesis import strategies as st

from convgrad.kernels.guard import guarded


@dataclass(frozen=True)
class Example:
    """Arguments of an operation without the numbers in the arrays.

    Attributes
    ----------
    operation : str
    shapes : dict of str to tuple of int
        Shapes of the arrays by argument name, start weights among them.
    options : dict
        The other arguments.
    title : str
        What it is an example of.
    """

    operation: str
    shapes: dict
    options: dict = field(default_factory=dict)
    title: str = "drawn at random"

    def __str__(self):
        shapes = (f"{name} of shape {shape}" for name, shape in self.shapes.items())
        options = (f"{name}={value!r}" for name, value in self.options.items())
        return f"{', '.join([*shapes, *options])} ({self.title})"

    def arrays(self, *dtypes, layout="contiguous", seed=0, scale=1.0):
        """Draw the arrays, as a dict by argument name.

        Parameters
        ----------
        *dtypes : str
            One for all arrays, or one for each, repeated in order.
        layout : str
            How they lie in memory: a key of `LAYOUTS`.
        seed : int
        scale : float
            Standard deviation of floats; integers lie in -9..9.
        """
        generator = np.random.default_rng(seed)
        return {
            name: LAYOUTS[layout](_draw(generator, shape, np.dtype(dtype), scale))
            for (name, shape), dtype in zip(self.shapes.items(), itertools.cycle(dtypes))
        }


def _draw(generator, shape, dtype, scale):
    if dtype.kind == "f":
        return (scale * generator.standard_normal(shape)).astype(dtype)
    least, most = {"b": (0, 1), "u": (0, 9), "i": (-9, 9)}[dtype.kind]
    return generator.integers(least, most, shape, endpoint=True).astype(dtype)


def _strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _reversed(array):
    return np.flip(np.flip(array).copy())


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _misaligned(array):
    room = np.empty(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _channels_last(array):
    return (
        np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1) if array.ndim > 2 else array.T.copy().T
    )


def _broadcast(array):
    return np.broadcast_to(array[:1], array.shape)


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "strided": _strided,
    "reversed": _reversed,
    "read-only": _read_only,
    "misaligned": _misaligned,
    "channels-last": _channels_last,
    "broadcast": _broadcast,
    "before a guard page": guarded,
    "behind a guard page": partial(guarded, at="start"),
}
"""Ways in which the same numbers may lie in memory (broadcast: the first entry, repeated)."""


@st.composite
def arrays_options(draw):
    """Draw (dtypes, other arguments) of `Example.arrays`."""
    dtype = st.sampled_from(("float32", "float64", "float32", "float64", "int16"))
    dtypes = draw(st.lists(dtype, min_size=1, max_size=2))
    return dtypes, {
        "layout": draw(st.sampled_from(list(LAYOUTS))),
        "seed": draw(st.integers(0, 1000)),
        "scale": draw(st.sampled_from((1.0, 1e-3, 100.0))),
    }


def bad_calls(good, cases):
    """Change one argument of good ones at a time."""
    return [(argument, {**good, argument: value}) for argument, value in cases]
