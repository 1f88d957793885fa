"""What is right at a case: reference and error bounds, computed once for all its kernels."""

import os

import numpy as np

from convgrad.kernels.data import Missing
from convgrad.kernels.operation import error_ratio, largest
from convgrad.suites.workers import masters


def judge(case, seed, algorithms, folder):
    """Make inputs, reference and bounds of a case into files, for all its kernels.

    Returns
    -------
    dict
        ``inputs``: what `masters.read` needs; ``references``, ``bounds``: path by algorithm;
        or ``status`` and ``detail``; or ``unwritable``, a sentence, where the folder has no room.
    """
    try:
        arguments = case.inputs(seed)
    except Missing as missing:
        return {"status": "unavailable", "detail": str(missing)}
    definition = case.definition
    references = definition.references(algorithms, *arguments.arrays, **arguments.options)
    paths, saved = {"references": {}, "bounds": {}}, {}
    try:
        paths["inputs"] = masters.keep(arguments, folder)
        for number, (algorithm, reference) in enumerate(references.items()):
            if id(reference) not in saved:
                saved[id(reference)] = os.path.join(folder, f"reference-{number}.npy")
                np.save(saved[id(reference)], reference)
            paths["references"][algorithm] = saved[id(reference)]
            paths["bounds"][algorithm] = os.path.join(folder, f"bound-{number}.npy")
            bound = definition.bound(algorithm, *arguments.arrays, **arguments.options)
            np.save(paths["bounds"][algorithm], bound)
    except OSError as error:
        return {"unwritable": f"scratch folder: cannot write to {folder} ({error})"}
    return paths


class Judgement:
    """Reference and bound for one algorithm, read from the files of `judge`."""

    def __init__(self, paths, algorithm):
        self.reference = np.load(paths["references"][algorithm], mmap_mode="r")
        bound = np.load(paths["bounds"][algorithm], mmap_mode="r")
        self.bound = np.broadcast_to(bound, self.reference.shape)

    def probe(self, output, random):
        """Error over bound at a few elements: cheap enough for every sample."""
        at = random.integers(self.reference.size, size=16)
        return error_ratio(
            np.asarray(output).flat[at], self.reference.flat[at], self.bound.flat[at]
        )

    def verdict(self, output, dtype):
        """Judge a whole output.

        Returns
        -------
        dict
            ``error_ratio``, the worst error over its bound; ``relative_error``, the largest error
            over the largest element; and ``status``, ``detail`` if it is wrong.
        """
        if not isinstance(output, np.ndarray):
            return wrong(f"returned {type(output).__name__}, not an array")
        if output.shape != self.reference.shape or output.dtype != dtype:
            return wrong(
                f"returned {output.dtype} {output.shape}, not {dtype} {self.reference.shape}"
            )
        ratio = error_ratio(output, self.reference, self.bound)
        if ratio > 1:
            return {**wrong(f"error of {ratio:.3g} times the bound"), "error_ratio": ratio}
        error = largest(lambda *pair: np.abs(np.subtract(*pair)), output, self.reference)
        scale = float(max(self.reference.max(), -self.reference.min())) or 1.0
        return {"error_ratio": ratio, "relative_error": error / scale}


def wrong(detail):
    """Facts of a cell whose kernel does not compute what it should."""
    return {"status": "wrong", "detail": detail}
