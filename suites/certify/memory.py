"""The claim about memory: known amounts are measured, whatever the process held before."""

from convgrad.kernels import Case
from convgrad.kernels.registry import Kernel
from convgrad.suites.certify import harness
from convgrad.suites.certify.claims import Claim, Outcome
from convgrad.suites.measure.checks import SEED
from convgrad.suites.workers import memory

PLANTED = "convgrad.suites.certify.planted_memory"
MIB = 1 << 20
_WAYS = ("temporary_numpy", "temporary_numba", "temporary_threads", "temporary_each", "result")
_AMOUNTS = (1, 16, 64, 256)
_CASE = Case.of("convolve", signal=(200,), taps=(5,))


def planted(name):
    """A kernel that only workers know: its module would fill this process with ballast."""
    return Kernel(name, "convolve", None, "naive")


def known_amounts(budget):
    """Errors of the peak memory of calls that take a known amount for a millisecond."""
    if reason := memory.why_not():
        return Outcome(reason, None)
    errors = {}
    with harness.crew(budget, [PLANTED]) as crew:
        for way in _WAYS:
            for amount in _AMOUNTS:
                budget.progress(f"memory: {amount} MiB, {way}")
                reply = crew.once(planted(f"{way}_{amount}"), 2, None, "weigh", _CASE, SEED)
                errors[way, amount] = reply["peak_bytes"] / MIB - amount
    used = {key: abs(error) / max(0.02 * key[1], 1) for key, error in errors.items()}
    worst = max(used, key=used.get)
    way, amount = worst
    found = f"{errors[worst]:+.2f} MiB of {amount} MiB at worst ({way}), {len(errors)} amounts"
    return Outcome(found, max(used.values()) <= 1)


CLAIMS = [
    Claim(
        "memory",
        "1, 16, 64 and 256 MiB taken for 1 ms by NumPy, Numba, threads together and each, and as "
        "the result, in forks of a process that holds 400 MiB: error of the peak",
        "within 2 % or 1 MiB",
        known_amounts,
        quick=True,
        seconds=20,
    )
]
