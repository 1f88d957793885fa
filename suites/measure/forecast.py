"""A call's time from smaller sizes: good enough to leave out what would take too long."""

import math
from collections import defaultdict

TRUSTED_S = 1e-3
"""A call shorter than this may be all overhead, which does not grow with the size."""
TRUSTED_NAIVE_S = 5e-5
"""The same for loops, which have hardly any."""
FAR, TRUSTED_FAR_S = 1000, 1e-2
"""And the same for cases of more than so many times its work: kernels that compile beside it have a
part in a short call, which is foretold as many times."""
BESIDE = 4
"""How much longer a call may take while other kernels compile."""


class Forecast:
    """Times by amount of work, for each kernel, number of threads and dtype."""

    def __init__(self):
        self._known, self._tried = defaultdict(dict), defaultdict(dict)

    def learn(self, kernel, case, threads, seconds):
        """Remember the seconds of one call; the shortest counts."""
        _keep(self._known, kernel, case, threads, seconds)

    def learn_trial(self, kernel, case, threads, seconds):
        """Remember a call beside kernels that compile, until the same was measured.

        It may have taken `BESIDE` times as long as it does; of loops, which are known by their
        trials alone, it is taken as it is.
        """
        part = 1 if kernel.family == "naive" else BESIDE
        _keep(self._tried, kernel, case, threads, seconds / part)

    def seconds(self, kernel, case, threads):
        """Predict the seconds of one call from the smaller cases that were measured.

        Returns
        -------
        float or None
            In proportion to the work, at the best pace that was seen: a kernel that waited for
            memory in a case of little work is not slow in one of much. None if no smaller case
            took long enough to tell.
        """
        work = _work(kernel, case)
        near, far = TRUSTED_S, TRUSTED_FAR_S
        if kernel.family == "naive":
            near = far = TRUSTED_NAIVE_S
        key = _key(kernel, case, threads)
        paces = [
            seconds / amount
            for amount, seconds in (self._tried[key] | self._known[key]).items()
            if amount <= work and seconds >= (far if work > FAR * amount else near)
        ]
        return min(paces) * work if paces else None


def _keep(table, kernel, case, threads, seconds):
    known, work = table[_key(kernel, case, threads)], _work(kernel, case)
    known[work] = min(seconds, known.get(work, seconds))


def _key(kernel, case, threads):
    return kernel.operation, kernel.name, threads, case.dtype


def _work(kernel, case):
    """What time grows with: multiply-adds, or n log n where the algorithm avoids most of them."""
    if kernel.algorithm == "direct":
        return case.flops
    points = case.cost.footprint
    return points * math.log2(points + 1)
