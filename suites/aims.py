"""What our kernels are meant to reach, over which sizes; a suite draws the sizes at random."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from convgrad import kernels
from convgrad.results.aims import RATIO, ROOF
from convgrad.suites.measure.block import Block


@dataclass(frozen=True)
class Aim:
    """What the best of our kernels is meant to reach at sizes of one kind.

    Attributes
    ----------
    name, operation : str
    draw : callable
        Sizes of a case from a `numpy.random.Generator`; `log_uniform` helps.
    ours, rivals : tuple of str
        Names of kernels; the fastest of either side counts. Those that are not there are left out.
    ratio : float, optional
        The rival's time is at least so many times ours.
    roof : float, optional
        Ours reaches at least so much of the roof that binds it.
    dtype : str
    call : str
        How kernels are called, one of `schema.CALLS`.
    """

    name: str
    operation: str
    draw: Callable
    ours: tuple
    rivals: tuple
    ratio: float | None = None
    roof: float | None = None
    dtype: str = "float32"
    call: str = "plain"

    def facts(self, cases):
        """What `convgrad.results.aims` has to know, of the cases that were drawn."""
        shared = {
            "name": self.name,
            "operation": self.operation,
            "call": self.call,
            "cases": [case.label for case in cases],
            "ours": self.ours,
            "rivals": self.rivals,
        }
        return [
            {**shared, "measure": measure, "must_be": must_be}
            for measure, must_be in ((RATIO, self.ratio), (ROOF, self.roof))
            if must_be is not None
        ]


def log_uniform(random, low, high):
    """Draw a whole number from low to high; each power of ten is as likely as the next."""
    return int(np.rint(np.exp(random.uniform(np.log(low), np.log(high)))))


@dataclass(frozen=True)
class AimSuite:
    """Aims, at sizes that are drawn anew by every run.

    Attributes
    ----------
    aims : tuple of Aim
    counts : dict of str to int
        Cases of each aim, by preset.
    """

    aims: tuple
    counts: dict

    def drawn(self, preset, seed):
        """Pairs of aim and cases; an aim's do not depend on which others there are."""
        for aim in self.aims:
            random = np.random.default_rng([seed, zlib.crc32(aim.name.encode())])
            sizes = [aim.draw(random) for _ in range(self.counts[preset])]
            yield aim, [kernels.Case.of(aim.operation, aim.dtype, **one) for one in sizes]

    def facts(self, preset, seed):
        """What the run folder has to know about the aims."""
        return [fact for aim, cases in self.drawn(preset, seed) for fact in aim.facts(cases)]

    def blocks(
        self,
        preset,
        *,
        seed,
        cores,
        dtypes=(),
        threads=(),
        kernel_filter=None,
        **_,
    ):
        """List the blocks of a preset: every case on one thread and on all.

        Parameters
        ----------
        preset : str
        seed : int
            Says which sizes are drawn.
        cores : int
        dtypes, threads : sequence, optional
            Only these dtypes; these numbers of threads.
        kernel_filter : callable, optional
            Says of a kernel whether it takes part.
        """
        found = {}
        for aim, cases in self.drawn(preset, seed):
            known = {k.name: k for k in kernels.find(aim.operation, usable=False)}
            names = [name for name in (*aim.ours, *aim.rivals) if name in known]
            names = tuple(n for n in names if kernel_filter is None or kernel_filter(known[n]))
            usable = [name for name in aim.rivals if name in names and not known[name].why_not()]
            for case in cases if not dtypes or aim.dtype in dtypes else ():
                for count in threads or dict.fromkeys((1, cores)):
                    baseline = usable[0] if usable else names[0]
                    block = Block(case, count, names, baseline, call=aim.call)
                    found.setdefault((case, count, aim.call), block)
        return list(found.values())
