"""The samples of one kernel at one case, and the pairing of two by their rounds."""

from dataclasses import dataclass

import numpy as np

from convgrad.results.schema import KEY


@dataclass(frozen=True)
class Timings:
    """Samples in the order in which they were taken.

    Attributes
    ----------
    wall_ns, cpu_ns : ndarray of float
        Of all loops of a sample together; ``cpu_ns`` is nan where it is not known.
    loops, process, round : ndarray of int
    """

    wall_ns: np.ndarray
    cpu_ns: np.ndarray
    loops: np.ndarray
    process: np.ndarray
    round: np.ndarray

    @property
    def seconds(self):
        """Wall time of each sample, in seconds a call."""
        return self.wall_ns / self.loops / 1e9

    @property
    def cores_used(self):
        """CPU time over wall time of all samples together; nan where it is not known."""
        known = np.isfinite(self.cpu_ns)
        return self.cpu_ns[known].sum() / self.wall_ns[known].sum() if known.any() else np.nan


def timings(samples):
    """Take a table of samples apart.

    Parameters
    ----------
    samples : DataFrame
        Columns as `schema.SAMPLE_COLUMNS`, in order of time.

    Returns
    -------
    dict
        `Timings` by the values of `schema.KEY`.
    """
    names = list(Timings.__annotations__)
    return {
        key: Timings(*(rows[name].to_numpy() for name in names))
        for key, rows in samples.groupby(list(KEY), sort=False)
    }


def log_ratios(one, other):
    """Compare two kernels round by round, so that what slows both cancels.

    Parameters
    ----------
    one, other : Timings

    Returns
    -------
    ratios : ndarray of float
        Logarithm of the time of one over that of the other, for each round that has both.
    processes : ndarray of int
        The process of each of these rounds.
    """
    _, left, right = np.intersect1d(_rounds(one), _rounds(other), return_indices=True)
    return np.log(one.seconds[left] / other.seconds[right]), one.process[left]


def _rounds(timing):
    """One number for a process and a round."""
    return timing.process.astype(np.int64) << 32 | timing.round
