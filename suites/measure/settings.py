"""How much time a run may take, and how it is spent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Durations in seconds.

    Attributes
    ----------
    budget_s : float
        For the whole run; what does not fit is predicted and marked ``skipped (budget)``.
    cell_s : float
        For the samples of one kernel at one case.
    slowest_call_s : float
        A kernel whose call is predicted to take longer is left out at that case.
    processes : int
        Each kernel is measured in so many processes: what one process was dealt, above all
        addresses, no number of samples from it can reveal.
    rounds : int
        In each process, before one looks whether more are needed.
    looks : int
        At most so many times.
    sample_s : float
        A sample lasts at least this long; calls are repeated in a loop to reach it.
    median_precision, ratio_precision : float
        Half-widths of the intervals, relative, at which a kernel needs no more rounds.
    roof_s : float
        For measuring what the machine can do at most, for each dtype and number of threads.
    hang_s : float
        A worker that has not answered by then is given up.
    """

    budget_s: float
    cell_s: float
    slowest_call_s: float
    processes: int
    rounds: int
    looks: int
    sample_s: float = 0.02
    median_precision: float = 0.03
    ratio_precision: float = 0.02
    roof_s: float = 0.6
    hang_s: float = 60.0


PRESETS = {
    "smoke": Settings(
        budget_s=40, cell_s=0.5, slowest_call_s=0.05, processes=1, rounds=6, looks=1, roof_s=0.2
    ),
    "laptop": Settings(
        budget_s=545, cell_s=0.75, slowest_call_s=0.1, processes=3, rounds=3, looks=4
    ),
    "thorough": Settings(
        budget_s=6 * 3600, cell_s=20, slowest_call_s=2, processes=5, rounds=6, looks=4
    ),
}
