"""Measured times of kernels at scattered sizes, and what they say of the sizes between them."""

import json
import math
from functools import cached_property
from pathlib import Path

import numpy as np

SHIPPED = Path(__file__).parent / "tables"
PREPARED = ", prepared"
"""What the kind of a call has behind it where weights are kept."""
_APART = 2.0
"""Octaves of a size that tell as much as twice the bytes of an element, or the threads, do."""
_SMOOTHING = 0.5
"""How far predictions may stay from what was measured, which is noisy."""


def place(point, itemsize, threads):
    """Coordinates of a call: what `Operation.traits` says, bytes of an element, threads."""
    return (*point, _APART * math.log2(itemsize), _APART * math.log2(threads))


class Timetable:
    """Seconds of kernels by operation, kind of arguments, size, dtype and threads.

    Parameters
    ----------
    content : dict
        ``machine``, ``made``, ``libraries``: what was measured, and when; ``timings``: by
        operation a list of groups, each with ``kind``, ``points`` as `place` gives them, and
        ``seconds``, a list for each kernel with None where it takes no part.
    source : str
        Where it comes from.
    """

    def __init__(self, content, source):
        self.content, self.source = content, source
        self._groups = {
            (operation, group["kind"]): _Group(group["points"], group["seconds"])
            for operation, groups in content["timings"].items()
            for group in groups
        }

    @classmethod
    def read(cls, path):
        """Read a table; None where there is none that can be understood."""
        try:
            return cls(json.loads(Path(path).read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def operations(self):
        return set(self.content["timings"])

    def kernels(self, operation):
        """Names of the kernels that were measured."""
        return {n for group in self.content["timings"][operation] for n in group["seconds"]}

    def predict(self, operation, kind, where):
        """Predict the seconds of every kernel.

        Parameters
        ----------
        operation, kind : str
        where : sequence of float
            As `place` gives it; outside of what was measured, its edge is taken.

        Returns
        -------
        dict of str to float
            Empty if arguments of this kind were not measured, or had other coordinates then.
        """
        group = self._groups.get((operation, kind))
        known = group is not None and group.points.shape[1] == len(where)
        return group.predict(where) if known else {}


class _Group:
    """Logarithms of seconds as a smooth function of the coordinates.

    All kernels get the same weights at a place: a moment in which the machine was slow moves all
    of them alike, and their order not at all.
    """

    def __init__(self, points, seconds):
        self.names = list(seconds)
        self.points = np.array(points, dtype=float)
        self.logs = np.log(np.array([*seconds.values()], dtype=float)).T

    @cached_property
    def _function(self):
        return _spline(self.points, self._filled())

    def _filled(self):
        """Logarithms without gaps.

        A kernel that takes no part at a point, as BLAS does not on several threads, is not slow
        there, or it would seem slow beside it too: it keeps the ratio that it has where it takes
        part, to the fastest of those that take part everywhere.
        """
        everywhere = np.isfinite(self.logs).all(axis=0)
        those = self.logs[:, everywhere] if everywhere.any() else self.logs
        fastest = np.nanmin(those, axis=1, keepdims=True)
        ratios = self.logs - fastest
        for ratio in ratios.T:
            part = np.isfinite(ratio)
            if not part.all():
                known = _spline(self.points[part], ratio[part, np.newaxis])
                ratio[~part] = known(self.points[~part])[:, 0]
        return fastest + ratios

    def predict(self, where):
        logs = self._function(np.array([where], dtype=float))[0]
        return dict(zip(self.names, np.exp(logs).tolist()))


def _spline(points, values):
    """Polyharmonic splines (Duchon, 1977) over a plane, where there are points for one.

    Parameters
    ----------
    points : ndarray, shape (points, axes)
    values : ndarray, shape (points, functions)

    Returns
    -------
    callable
        Values at other points, by the axes that these here differ on; beyond these, at the edge.
    """
    from scipy.interpolate import RBFInterpolator

    told = np.ptp(points, axis=0) > 0
    if not told.any():
        return lambda where: np.tile(values.mean(axis=0), (len(where), 1))
    points = points[:, told]
    low, high = points.min(axis=0), points.max(axis=0)
    count, axes = points.shape
    plane = np.linalg.matrix_rank(points - points[0]) == axes
    function = RBFInterpolator(
        points,
        values,
        smoothing=_SMOOTHING,
        kernel="linear",
        degree=1 if plane and count > axes + 1 else 0,
    )
    return lambda where: function(np.clip(where[:, told], low, high))
