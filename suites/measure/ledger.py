"""What compiling and loading cost, which is learned for many cells at once."""

from collections import defaultdict


class Ledger:
    """Costs of a first call on top of a second one, by specialisation: operation, kernel, dtype.

    The first process of a run that calls a specialisation compiles it; later ones load it from
    Numba's cache, with which the run begins empty. What loading costs is the least of these: it
    takes milliseconds, which a busy machine makes many of.
    """

    def __init__(self):
        self.costs = defaultdict(dict)
        self.cells = defaultdict(list)
        self.called = set()  # specialisations by the process that has called them before
        self.news = set()

    def book(self, specialisation, cell, process, reply, steady_s):
        """Learn from the first call of a case in one process.

        Parameters
        ----------
        specialisation : tuple of str
        cell : dict
            Key of the cell, which is to be told; None for evidence.
        process : hashable
        reply : dict
            ``first_s``; ``compiled``, whether anything was.
        steady_s : float
            Seconds of a second call.
        """
        if cell and cell not in self.cells[specialisation]:
            self.cells[specialisation].append(cell)
        extra = max(reply["first_s"] - steady_s, 0)
        fresh = (process, specialisation) not in self.called
        self.called.add((process, specialisation))
        costs = self.costs[specialisation]
        if reply["compiled"]:
            costs["compile_s"] = costs.get("compile_s", 0.0) + extra
        elif fresh and "compile_s" in costs:
            costs["load_s"] = min(costs.get("load_s", extra), extra)
        if costs:
            self.news.add(specialisation)

    def knows(self, process):
        """Whether a process has called anything."""
        return any(process == caller for caller, _ in self.called)

    def forget_processes(self):
        """Know that those that called anything have ended."""
        self.called.clear()

    def lines(self):
        """Facts that are new since the last time."""
        found = [{**cell, **self.costs[key]} for key in self.news for cell in self.cells[key]]
        self.news.clear()
        return found
