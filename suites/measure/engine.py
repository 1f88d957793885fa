"""From blocks to a run folder: workers, budget, and what is learned about each cell."""

import os
import shutil
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from convgrad.kernels import Case, registry
from convgrad.suites.measure import machine, memory
from convgrad.suites.measure.block import Contender, compete
from convgrad.suites.measure.forecast import Forecast
from convgrad.suites.measure.process import Lost, WorkerProcess

SEED = 0
OUT_OF_TIME = "the time for this suite was up"
"""Why all kernels of a block are skipped; a resumed run measures such a block."""


class Engine:
    """Measures blocks one after the other; everything it learns goes to the run at once.

    Parameters
    ----------
    settings : Settings
    run : convgrad.results.store.Run or None
        Where samples and facts go; None where only correctness is checked.
    keep_environment : bool
        Leave environment variables that hold a library back.
    modules : sequence of str
        The user's own modules, which declare kernels of their own.
    progress : callable
        Called with a line of text for every step.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        settings,
        run,
        *,
        keep_environment=False,
        modules=(),
        progress=lambda text: None,
        clock=time.monotonic,
    ):
        self.settings = settings
        self.run = run
        self.keep_environment = keep_environment
        self.modules = list(modules)
        self.progress = progress
        self.clock = clock
        self.deadline = clock() + settings.budget_s
        self.scratch = Path(tempfile.mkdtemp(prefix="convgrad-"))
        self.random = np.random.default_rng(SEED)
        self.forecast = Forecast()
        self.ledger = defaultdict(dict)  # what compiling and loading cost, by specialisation
        self.cells = defaultdict(list)  # cells of a specialisation, to be told later
        self.news = set()  # specialisations about which something was learned since the last block
        self.workers = {}
        self.zygotes = SimpleQueue()
        self.taken_out = {}
        self.pools = []  # thread pools and BLAS that workers were seen to run

    def environment(self, threads):
        """Environment of a worker: thread counts set, nothing that holds a peer back."""
        environment, self.taken_out = machine.fair_environment(
            os.environ, threads, keep=self.keep_environment
        )
        return environment

    def kernel_environment(self, threads):
        """The same, with a cache of compiled code that the run begins with empty."""
        return self.environment(threads) | {"NUMBA_CACHE_DIR": str(self.scratch / "numba")}

    def roofs(self, threads, dtypes):
        """Measure what this machine can do at most, for each number of threads and dtype."""
        found = []
        for count in threads:
            worker = self._start(count)
            try:
                worker.wait_ready(self.settings.hang_s)
                for dtype in dtypes:
                    self.progress(f"roof of {dtype}, {count} threads")
                    found.append(worker.ask(self.settings.hang_s, "roof", dtype, count))
            finally:
                worker.close()
        return found

    def measure(self, block, deadline, blocks_left):
        """Check and time all kernels of a block.

        Parameters
        ----------
        block : Block
        deadline : float
            Time on the clock by which the block and those after it should be done.
        blocks_left : int
            How many these are, this one included: it may take its share of the time.

        Returns
        -------
        facts : dict of str to dict
            What is known about the cell of each kernel: status, detail, ...
        samples : list of dict
            Rows of `convgrad.results.schema.SAMPLE_COLUMNS`.
        """
        start = self.clock()
        share = max(deadline - start, 0) / blocks_left
        facts, contenders = self._admit(block)
        if start > deadline:
            self._skip(block, contenders, facts, OUT_OF_TIME)
        else:
            self._try_out(block, contenders, facts)
            contenders = {name: k for name, k in contenders.items() if "status" not in facts[name]}
            self._drop_slow(block, contenders, facts)
        checked = self._check(block, contenders, facts) if contenders else {}
        samples = []
        for process, group in enumerate(self._groups(block, checked)):
            ready = {
                name: Contender(self._asker(block, name), checked[name], self.settings)
                for name in group
            }
            self.progress(f"{_title(block)}: {len(ready)} kernels, round by round")
            new, lost = compete(ready, self.settings, self.clock, start + share, self.random)
            for name, reason in lost.items():
                facts[name] |= {"status": reason.status, "detail": reason.detail}
            samples += [{**block.key(s["kernel"]), **s, "process": process} for s in new]
        self._verify(block, checked, facts)
        good = {name for name in checked if facts[name]["status"] == "ok"}
        samples = [sample for sample in samples if sample["kernel"] in good]
        self._remember(block, good, samples)
        if good and block.threads == machine.usable_cores() and not memory.why_not():
            self._weigh(block, good, facts)
        self._store(block, facts, samples)
        return facts, samples

    def check(self, block):
        """Check all kernels of a block without timing them; returns the facts."""
        facts, contenders = self._admit(block)
        self._check(block, contenders, facts)
        return facts

    def close(self):
        """End all processes and remove what they shared."""
        self.dismiss()
        while not self.zygotes.empty():
            self.zygotes.get().close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def dismiss(self):
        """End the workers: the blocks to come belong to other kernels or thread counts."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def _admit(self, block):
        """Split kernels into those that will be tried and facts about those that cannot be."""
        facts, contenders = {}, {}
        outline = block.case.outline()
        for name in block.kernels:
            kernel = registry.get(block.case.operation, name)
            facts[name] = {
                "family": kernel.family,
                "device": kernel.device,
                "algorithm": kernel.algorithm,
                "baseline": name == block.baseline,
            }
            if reason := kernel.why_not():
                facts[name] |= {"status": "unavailable", "detail": reason}
            elif reason := kernel.why_not_bound(outline):
                facts[name] |= {"status": "unsupported", "detail": reason}
            else:
                contenders[name] = kernel
        return facts, contenders

    def _skip(self, block, contenders, facts, detail):
        for name, kernel in list(contenders.items()):
            facts[name] |= {"status": "skipped (budget)", "detail": detail}
            predicted = self.forecast.seconds(kernel, block.case, block.threads)
            if predicted is not None:
                facts[name]["predicted_s"] = predicted
            del contenders[name]

    def _try_out(self, block, contenders, facts):
        """Time plain loops of which nothing is known at a tiny case, lest a call takes minutes."""
        case = block.case
        unknown = {
            name: kernel
            for name, kernel in contenders.items()
            if kernel.family == "naive" and not self.forecast.knows(kernel, case, block.threads)
        }
        self._summon(block, unknown, facts)
        tiny = Case.of(case.operation, case.dtype, **case.definition.named_cases["tiny"])
        for name, kernel in unknown.items():
            if "status" in facts[name]:
                continue
            try:
                reply = self._asker(block, name)("try_out", tiny, SEED)
            except Lost as lost:
                facts[name] |= {"status": lost.status, "detail": lost.detail}
                continue
            if "second_s" in reply:
                self.forecast.learn(kernel, tiny, block.threads, reply["second_s"])
                self._learn(block, kernel, reply)

    def _drop_slow(self, block, contenders, facts):
        limit = self.settings.slowest_call_s
        slow = {
            name: kernel
            for name, kernel in contenders.items()
            if (self.forecast.seconds(kernel, block.case, block.threads) or 0) > limit
        }
        self._skip(block, slow.copy(), facts, f"a call would take more than {limit:g} s")
        for name in slow:
            del contenders[name]

    def _check(self, block, contenders, facts):
        """Have every contender make its first calls; returns the seconds of a call of the good."""
        judgement = self._judge(block, {kernel.algorithm for kernel in contenders.values()})
        if "status" in judgement:
            for name in contenders:
                facts[name] |= judgement
            return {}
        self._summon(block, contenders, facts)
        self.progress(f"{_title(block)}: checking {len(contenders)} kernels")
        ready = [name for name in contenders if "status" not in facts[name]]
        # Side by side: this is where compiling takes its time, and nothing here is a sample.
        # Workers of one thread share a core, and would only be in each other's way.
        width = 1 if block.threads == 1 else machine.usable_cores()
        first_calls = partial(self._first_calls, block, judgement)
        replies = dict(zip(ready, _side_by_side(first_calls, ready, width)))
        for name, (fact, reply) in replies.items():
            facts[name] |= fact
            if reply:
                self._learn(block, contenders[name], reply)
        return {name: reply["second_s"] for name, (_, reply) in replies.items() if reply}

    def _first_calls(self, block, judgement, name):
        """Load a case into a worker and have it checked: facts, and times if it is right."""
        ask = self._asker(block, name)
        try:
            fact = ask("load", block.case, SEED)
            if "status" in fact:
                return fact, None
            reply = ask("check", judgement)
            self._look_at_pools(ask)
        except Lost as lost:
            return {"status": lost.status, "detail": lost.detail}, None
        fact |= {k: v for k, v in reply.items() if k in ("status", "detail", "error_ratio")}
        if "status" in fact:
            return fact, None
        return {**fact, "status": "ok", "first_call_s": reply["first_s"]}, reply

    def _judge(self, block, algorithms):
        """Reference and bounds, from a process of their own that no kernel's work can spoil."""
        self.progress(f"{_title(block)}: reference")
        judge = self.workers.get("judge")
        try:
            if judge is None:
                judge = self.workers["judge"] = self._start(block.threads)
                judge.wait_ready(self.settings.hang_s)
            return judge.ask(
                10 * self.settings.hang_s,
                "judge",
                block.case,
                SEED,
                sorted(algorithms),
                str(self.scratch),
            )
        except Lost as lost:
            del self.workers["judge"]
            return {"status": lost.status, "detail": f"the reference: {lost.detail}"}

    def _start(self, threads, kernel=None):
        origin = [kernel.function.__module__] if kernel else []
        return WorkerProcess(
            self.kernel_environment(threads) if kernel else self.environment(threads),
            operation=kernel and kernel.operation,
            kernel=kernel and kernel.name,
            modules=[*origin, *self.modules],
            requires=list(kernel.requires) if kernel else [],
            threads=threads,
        )

    def _summon(self, block, contenders, facts):
        """Start the workers that are missing, all at once: they import side by side."""
        started = {}
        for name, kernel in contenders.items():
            if name not in self.workers:
                started[name] = self.workers[name] = self._start(block.threads, kernel)
        for name, worker in started.items():
            try:
                worker.wait_ready(self.settings.hang_s)
            except Lost as lost:
                del self.workers[name]
                facts[name] |= {"status": lost.status, "detail": lost.detail}

    def _asker(self, block, name):
        """Return the ``ask`` of a kernel's worker, forgetting the worker if it is lost."""

        def ask(method, *arguments, seconds=self.settings.hang_s):
            try:
                return self.workers[name].ask(seconds, method, *arguments)
            except Lost:
                del self.workers[name]
                raise

        return ask

    def _groups(self, block, checked):
        """All kernels together, or in pairs with the baseline where memory is short."""
        names = list(checked)
        need = (
            len(names) * _COPIES * block.case.cost.footprint * np.dtype(block.case.dtype).itemsize
        )
        if need <= machine.available_bytes() / 2 or block.baseline not in checked:
            return [names] if names else []
        return [[block.baseline, name] for name in names if name != block.baseline] or [names]

    def _verify(self, block, checked, facts):
        for name in checked:
            ask = self._asker(block, name)
            if facts[name]["status"] != "ok":
                continue
            try:
                facts[name] |= ask("verify")
                ask("unload")
            except Lost as lost:
                facts[name] |= {"status": lost.status, "detail": lost.detail}

    def _learn(self, block, kernel, reply):
        """Book what a first call cost on top of the second: compiling, or loading compiled code.

        A kernel specialises by dtype. The first process of a run that calls a specialisation
        compiles it, later ones load it from Numba's cache.
        """
        key = (kernel.operation, kernel.name, block.case.dtype)
        if block.key(kernel.name) not in self.cells[key]:
            self.cells[key].append(block.key(kernel.name))
        extra = max(reply["first_s"] - reply["second_s"], 0)
        worker = self.workers[kernel.name]
        fresh = key not in worker.specialisations
        worker.specialisations.add(key)
        entry = self.ledger[key]
        if reply["compiled"] and "compile_s" not in entry:
            entry["compile_s"] = extra
        elif fresh and "compile_s" in entry and "load_s" not in entry:
            entry["load_s"] = extra
        if entry:
            self.news.add(key)

    def _look_at_pools(self, ask):
        """Book what a library really runs once it has run: version, architecture, threads."""
        self.pools += [pool for pool in ask("pools") if pool not in self.pools]

    def _remember(self, block, good, samples):
        for name in good:
            times = [s["wall_ns"] / s["loops"] / 1e9 for s in samples if s["kernel"] == name]
            if times:
                kernel = registry.get(block.case.operation, name)
                self.forecast.learn(kernel, block.case, block.threads, float(np.median(times)))

    def _weigh(self, block, good, facts):
        """Measure the peak memory of a call, each kernel in a fresh child."""
        names = [
            name
            for name in sorted(good)
            if registry.get(block.case.operation, name).device == "cpu"
        ]
        self.progress(f"{_title(block)}: memory of {len(names)} kernels")
        while self.zygotes.qsize() < machine.usable_cores():
            self.zygotes.put(memory.Zygote(self.kernel_environment(block.threads), self.modules))

        def weigh(name):
            zygote = self.zygotes.get()
            outcome = zygote.measure(name, block.case, SEED, self.settings.hang_s)
            self.zygotes.put(zygote)
            facts[name]["peak_bytes"] = outcome.peak_bytes

        _side_by_side(weigh, names, machine.usable_cores())

    def _store(self, block, facts, samples):
        if self.run is None:
            return
        cost = block.case.cost
        shared = {
            "dtype": block.case.dtype,
            "data": block.case.data,
            "sizes": dict(block.case.sizes),
            "parameters": cost.parameters,
            "flops": cost.flops,
            "bytes": block.case.bytes,
            "footprint": cost.footprint * np.dtype(block.case.dtype).itemsize,
        }
        lines = [{**block.key(name), **shared, **fact} for name, fact in facts.items()]
        # Compile and load times become known at different times, for many cells at once.
        lines += [{**cell, **self.ledger[key]} for key in self.news for cell in self.cells[key]]
        self.news.clear()
        self.run.append(samples, lines)


_COPIES = 4
"""Arrays that a worker keeps for each that the case counts: master, inputs, result, last result."""


def _side_by_side(function, items, width):
    pool = ThreadPoolExecutor(width)
    try:
        return list(pool.map(function, items))
    finally:  # an interrupted run does not wait for what is under way
        pool.shutdown(wait=False, cancel_futures=True)


def _title(block):
    return f"{block.case.operation} {block.case.label}, {block.threads} threads"
