"""What our kernels are meant to reach, over which sizes; a suite draws the sizes at random."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    draw : callable or sequence of dict
        Sizes of a case from a `numpy.random.Generator`; `log_uniform` helps. Of a sequence none is
        drawn twice, and aims over the same one draw the same.
    ours, rivals : tuple of str
        Names of kernels; the fastest of either side counts. Those that are not there are left out.
    ratio : float, optional
        The rival's time is at least so many times ours.
    roof : float, optional
        Ours reaches at least so much of the roof that binds it.
    nowhere_below : float, optional
        What holds of every single case; `results.aims.NOWHERE_BELOW` of the aim by default.
    often : int
        How many times as many cases are drawn as of other aims.
    dtype : str
    call : str
        How kernels are called, one of `schema.CALLS`.
    """

    name: str
    operation: str
    draw: Callable | Sequence
    ours: tuple
    rivals: tuple
    ratio: float | None = None
    roof: float | None = None
    nowhere_below: float | None = None
    often: int = 1
    dtype: str = "float32"
    call: str = "plain"

    def cases(self, seed, count):
        """Draw so many cases, or `often` as many."""
        count *= self.often
        listed = not callable(self.draw)
        stream = repr(self.draw) if listed else self.name
        random = np.random.default_rng([seed, zlib.crc32(stream.encode())])
        if listed:
            sizes = [self.draw[i] for i in random.permutation(len(self.draw))[:count]]
        else:
            sizes = [self.draw(random) for _ in range(count)]
        return [kernels.Case.of(self.operation, self.dtype, **one) for one in sizes]

    def facts(self, cases):
        """What `convgrad.results.aims` has to know, of the cases that were drawn."""
        shared = {
            "name": self.name,
            "operation": self.operation,
            "call": self.call,
            "cases": [case.label for case in cases],
            "ours": self.ours,
            "rivals": self.rivals,
            "nowhere_below": self.nowhere_below,
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
    slowest_call_s : float, optional
        What a call of the sizes that are drawn may take, where that is more than the preset grants.
    """

    aims: tuple
    counts: dict
    slowest_call_s: float | None = None

    def drawn(self, preset, seed):
        """Pairs of aim and cases; an aim's do not depend on which others there are."""
        for aim in self.aims:
            yield aim, aim.cases(seed, self.counts[preset])

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

        Each aim's first case has its turn before any second one: where time is short, all aims
        are told of, by fewer cases. Within a turn operations follow each other, as changing them
        means other workers.

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
            if not names:
                continue
            for number, case in enumerate(cases if not dtypes or aim.dtype in dtypes else ()):
                for count in threads or dict.fromkeys((1, cores)):
                    block = Block(
                        *(case, count, names, (usable or names)[0]),
                        call=aim.call,
                        turn=(number, aim.operation),
                        slowest_call_s=self.slowest_call_s,
                        roofs=aim.roof is not None,
                    )
                    key = case, count, aim.call
                    found[key] = _joined(found[key], block) if key in found else block
        return list(found.values())


def _joined(block, other):
    """One block for two aims that have drawn the same case: it has the kernels of both."""
    return replace(
        block,
        kernels=tuple(dict.fromkeys((*block.kernels, *other.kernels))),
        turn=min(block.turn, other.turn),
        roofs=block.roofs or other.roofs,
    )
