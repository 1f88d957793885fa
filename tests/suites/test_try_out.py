import pytest

from convgrad.kernels import Case
from convgrad.suites.workers.worker import Worker

CASE = Case.of("convolve", "float32", signal=(64,), taps=(3,))


@pytest.mark.parametrize(
    ("calls", "second"),
    [
        ([9.0, 1.5e-2, 1e-5, 3e-5, 2e-5, 4e-5], 1e-5),  # The second waits for a neighbour.
        ([9.0, 0.5], 0.5),  # What takes long is called no more than it has to be.
    ],
)
def test_a_call_that_waits_for_a_neighbour_foretells_nothing(monkeypatch, calls, second):
    left = iter(calls)
    monkeypatch.setattr(Worker, "timed_call", lambda self: next(left))
    reply = Worker("convolve", "numpy").try_out(CASE, 0)
    assert (reply["first_s"], reply["second_s"]) == (9.0, second)
    assert not list(left)
