"""Measured times of kernels at scattered sizes, and what they say of the sizes between them."""

import json
import math
from pathlib import Path

import numpy as np

SHIPPED = Path(__file__).parent / "tables"
_NEIGHBOURS = 10
"""Points that a prediction rests upon."""
LEFT_OUT = 6
"""What was not measured at a point was at least this many times slower than the fastest there."""
_RIDGE = 1.0
"""How much a slope is held to zero, against the weight of one neighbour."""


class Timetable:
    """Seconds of kernels by operation, kind of arguments, threads and size.

    Parameters
    ----------
    content : dict
        ``machine``, ``made``, ``libraries``: what was measured, and when; ``timings``: by
        operation a list of groups, each with ``kind`` and ``threads``, ``points`` as
        `Operation.traits` gives them, and ``seconds``, a list for each kernel with None where it
        was too slow to be measured.
    source : str
        Where it comes from.
    """

    def __init__(self, content, source):
        self.content, self.source = content, source
        self._groups = {}
        for operation, groups in content["timings"].items():
            for group in groups:
                by_threads = self._groups.setdefault((operation, group["kind"]), {})
                logs = np.log(np.array([*group["seconds"].values()], dtype=float)).T
                slow = np.nanmin(logs, axis=1, keepdims=True) + math.log(LEFT_OUT)
                logs = np.where(np.isfinite(logs), logs, slow)
                points = np.array(group["points"])
                by_threads[group["threads"]] = points, logs, list(group["seconds"])

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

    def predict(self, operation, kind, threads, point):
        """Predict the seconds of every kernel.

        Parameters
        ----------
        operation, kind : str
        threads : int
            The nearest number that was measured is taken.
        point : sequence of float
            As `Operation.traits` gives it; outside of what was measured, its edge is taken.

        Returns
        -------
        dict of str to float
            Empty if arguments of this kind were not measured.
        """
        by_threads = self._groups.get((operation, kind))
        if not by_threads:
            return {}
        near = min(by_threads, key=lambda count: abs(math.log(count / threads)))
        points, logs, names = by_threads[near]
        where = np.clip(point, points.min(axis=0), points.max(axis=0))
        return dict(zip(names, np.exp(_locally(points, logs, where)).tolist()))


def _locally(points, values, where):
    """Values of planes through the nearest points, the nearer the heavier.

    All kernels get the same weights: a moment in which the machine was slow moves all of them
    alike, and their order not at all (Cleveland, *Robust locally weighted regression*, 1979,
    without the robustness).
    """
    count = min(_NEIGHBOURS, len(points))
    distances = np.sqrt(((points - where) ** 2).sum(axis=1))
    nearest = np.argsort(distances, kind="stable")[:count]
    reach = 1.05 * distances[nearest[-1]] + 1e-9
    weights = (1 - (distances[nearest, np.newaxis] / reach) ** 3) ** 3
    design = np.hstack([np.ones((count, 1)), points[nearest] - where])
    ridge = np.diag([1e-9, *[_RIDGE] * points.shape[1]])
    normal = design.T @ (weights * design) + ridge
    return np.linalg.solve(normal, design.T @ (weights * values[nearest]))[0]
