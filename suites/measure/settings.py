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
    sample_s : float
        A sample lasts at least this long; calls are repeated in a loop to reach it.
    rounds : (int, int)
        At least and at most so many rounds a block.
    precision : float
        Half-width of the interval of a median, relative, at which a block stops.
    hang_s : float
        A worker that has not answered by then is given up.
    """

    budget_s: float
    cell_s: float
    slowest_call_s: float
    rounds: tuple
    sample_s: float = 0.02
    precision: float = 0.03
    hang_s: float = 60.0


PRESETS = {
    "smoke": Settings(budget_s=34, cell_s=0.5, slowest_call_s=0.05, rounds=(6, 6)),
    "laptop": Settings(budget_s=510, cell_s=0.7, slowest_call_s=0.25, rounds=(6, 8)),
    "thorough": Settings(budget_s=6 * 3600, cell_s=20, slowest_call_s=2, rounds=(12, 60)),
}
