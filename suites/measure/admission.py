"""Who takes part in a block: kernels that run here, serve the case, and come back in time."""

import numpy as np

from convgrad.kernels import registry
from convgrad.results.schema import AGAINST
from convgrad.suites.measure.forecast import Forecast


class Admission:
    """Gives every kernel of a block a status and a sentence, or lets it compete.

    Parameters
    ----------
    slowest_call_s : float
        A kernel whose call is predicted to take longer is left out, unless its block says how long.
    """

    def __init__(self, slowest_call_s):
        self.slowest_call_s = slowest_call_s
        self.forecast = Forecast()

    def admit(self, block):
        """Split kernels into facts about all, and those that will be tried."""
        facts, contenders = {}, {}
        outline = block.case.outline()
        for name in block.kernels:
            kernel = kernel_of(block, name)
            facts[name] = {
                "family": kernel.family,
                "device": kernel.device,
                "algorithm": kernel.algorithm,
                "baseline": name == block.baseline,
            }
            if reason := kernel.why_not():
                facts[name] |= {"status": "unavailable", "detail": reason}
            elif reason := kernel.why_not_call(block.call) or kernel.why_not_bound(outline):
                facts[name] |= {"status": "unsupported", "detail": reason}
            else:
                contenders[name] = kernel
        return facts, contenders

    def skip(self, block, contenders, facts, detail):
        """Leave all of these out, with what their times would be where that can be told."""
        for name, kernel in contenders.items():
            facts[name] |= {"status": "skipped (budget)", "detail": detail}
            predicted = self.forecast.seconds(kernel, block.case, block.threads)
            if predicted is not None:
                facts[name]["predicted_s"] = predicted

    def is_slow(self, kernel, case, threads, limit=None):
        """Whether a call is predicted to take too long, or longer than so many seconds."""
        predicted = self.forecast.seconds(kernel, case, threads) or 0
        return predicted > (limit or self.slowest_call_s)

    def drop_slow(self, block, contenders, facts):
        """Leave out what is predicted to be slow; returns those that remain."""
        limit = block.slowest_call_s or self.slowest_call_s
        slow = {
            name: kernel
            for name, kernel in contenders.items()
            if self.is_slow(kernel, block.case, block.threads, limit)
        }
        self.skip(block, slow, facts, f"a call would take more than {limit:g} s")
        return {name: kernel for name, kernel in contenders.items() if name not in slow}

    def remember(self, block, names, samples):
        """Predict larger cases from these samples."""
        for name in names:
            times = [s["wall_ns"] / s["loops"] / 1e9 for s in samples if s["kernel"] == name]
            if times:
                kernel = kernel_of(block, name)
                self.forecast.learn(kernel, block.case, block.threads, float(np.median(times)))


def kernel_of(block, name):
    """The kernel of a contender's name, whichever version of it competes."""
    return registry.get(block.case.operation, name.removesuffix(AGAINST))
