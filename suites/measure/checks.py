"""First calls: every kernel is right at a case, in every process, before any of it is timed."""

from contextlib import suppress
from functools import partial

from convgrad.results.durable import CannotWrite
from convgrad.results.schema import TWIN
from convgrad.suites.measure.ledger import Ledger
from convgrad.suites.workers.crew import side_by_side
from convgrad.suites.workers.process import Lost

SEED = 0
_JUDGE = "judge", 0
_ROTATIONS = 3
"""Times the last-level cache that rotating inputs take, for none to be found in it."""
_TOLD = ("status", "detail", "error_ratio", "relative_error")


class Checks:
    """Loads cases into workers and holds their first results against the reference.

    Parameters
    ----------
    crew : Crew
    machine : object
        As the engine's.
    scratch : str
        Folder for reference and bounds.
    hang_s : float
    """

    def __init__(self, crew, machine, scratch, hang_s):
        self.crew, self.machine, self.scratch, self.hang_s = crew, machine, scratch, hang_s
        self.ledger = Ledger()
        self.pools = []  # thread pools and BLAS that workers were seen to run

    def try_out(self, kernel, cases, threads):
        """Have a process of its own call a kernel at some cases, for it to compile or to plan.

        Yields
        ------
        Case, float
            And seconds of a second call.
        """
        process, limit = object(), self.machine.available_bytes() // 2
        with suppress(Lost), self.crew.alone(kernel, threads, limit) as ask:
            for case in cases:  # one that is lost will be lost again where it counts
                reply = ask("try_out", case, SEED)
                if "second_s" in reply:
                    specialisation = kernel.operation, kernel.name, case.dtype
                    self.ledger.book(specialisation, None, process, reply, reply["second_s"])
                    yield case, reply["second_s"]

    def judge(self, block, contenders):
        """Reference and bounds, from a process of their own that no kernel's work can spoil.

        Raises
        ------
        CannotWrite
            If there is no room for them: no other block's would fit either.
        """
        algorithms = sorted({kernel.algorithm for kernel in contenders.values()})
        arguments = block.case, SEED, algorithms, self.scratch
        for _ in range(2):  # one that was killed from outside must not cost the whole block
            missing = self.crew.summon({_JUDGE: None}, block.threads, None)
            try:
                reply = self.crew.ask(_JUDGE, "judge", *arguments, seconds=10 * self.hang_s)
            except Lost as reason:
                lost = missing.get(_JUDGE, reason)
                continue
            if "unwritable" in reply:
                raise CannotWrite(reply["unwritable"])
            return reply
        return {"status": lost.status, "detail": f"the reference: {lost.detail}"}

    def check(self, block, contenders, judgement, facts, processes):
        """Have every contender make its first calls in every process.

        Returns
        -------
        dict of str to float
            Seconds of a call of each that is right everywhere.
        """
        calls = {}
        for replicates in ([0], range(1, processes)):
            wanted = {
                (name, replicate): contenders[name]
                for replicate in replicates
                for name in contenders
                if "status" not in facts[name]
            }
            limit = self.machine.available_bytes() // 2
            for (name, _), lost in self.crew.summon(wanted, block.threads, limit).items():
                facts[name] |= lost.facts
            ready = [key for key in wanted if "status" not in facts[key[0]]]
            # Side by side: this is where compiling takes its time, and nothing here is a sample.
            first = partial(self._first_calls, block, judgement)
            replies = side_by_side(first, ready, self.machine.usable_cores())
            for (name, replicate), (fact, reply) in zip(ready, replies):
                facts[name] |= fact
                if reply:
                    calls.setdefault(name, reply.get("second_s"))
                    self._learn(block, name, contenders[name], replicate, reply, calls[name])
        for name in contenders:
            facts[name].setdefault("status", "ok")
        return {name: seconds for name, seconds in calls.items() if facts[name]["status"] == "ok"}

    def verify(self, key, lost):
        """Judge the last timed output of a worker in full; one that is wrong joins the lost."""
        try:
            verdict = self.crew.ask(key, "verify")
            if "status" in verdict:
                raise Lost(verdict["status"], verdict["detail"])
        except Lost as reason:
            lost[key[0]] = reason

    def _first_calls(self, block, judgement, key):
        """Load a case into a worker and have it checked: facts, and times if it is right."""
        name, replicate = key
        ask = partial(self.crew.ask, key)
        cold = block.cache == "cold"
        rotation = _ROTATIONS * self.machine.last_level_cache_bytes() if cold else 0
        try:
            fact = ask("load", block.case, SEED, rotation, block.call, judgement["inputs"])
            if "status" in fact:
                return fact, None
            reply = ask("check", judgement, replicate == 0)  # the last results are all looked at
            fact |= {key: value for key, value in reply.items() if key in _TOLD}
            if "status" in fact:
                return fact, None
            if replicate == 0 and not self.ledger.knows(key):
                self.pools += [pool for pool in ask("pools") if pool not in self.pools]
        except Lost as lost:
            return lost.facts, None
        return fact | ({"first_call_s": reply["first_s"]} if replicate == 0 else {}), reply

    def _learn(self, block, name, kernel, replicate, reply, steady_s):
        specialisation = kernel.operation, name, block.case.dtype
        cell = None if name == TWIN else block.key(name)
        self.ledger.book(specialisation, cell, (name, replicate), reply, steady_s)
