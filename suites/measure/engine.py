"""From blocks to a run folder: who takes part, what is checked, sampled and written down."""

import time
from contextlib import contextmanager
from functools import partial
from itertools import product

import numpy as np

from convgrad.kernels import Case
from convgrad.results.schema import AGAINST, PEAK, READ, SPIN, TWIN
from convgrad.suites.measure.admission import Admission, kernel_of
from convgrad.suites.measure.block import Contender, Contest, Probe
from convgrad.suites.measure.checks import SEED, Checks
from convgrad.suites.workers import memory
from convgrad.suites.workers.crew import side_by_side
from convgrad.suites.workers.process import Lost

OUT_OF_TIME = "the time for this suite was up"
"""Why all kernels of a block are skipped; a resumed run measures such a block."""
_COPIES = 4
"""Arrays that a worker keeps for each that the case counts: inputs, result, and the last ones."""

_PLANNERS = ("pyfftw",)
"""Kernels that take seconds at every new shape, as compiling does."""


class Engine:
    """Measures blocks one after the other; everything it learns goes to the run at once.

    Parameters
    ----------
    settings : Settings
    run : convgrad.results.store.Run or None
        Where samples and facts go; None where only correctness is checked.
    crew : Crew
    machine : object
        With the functions `usable_cores`, `available_bytes`, `steal_ticks` and
        `last_level_cache_bytes`.
    scratch : path
        Folder for reference and bounds.
    identify : callable
        Identity of the cell of a block and a kernel's name.
    first_process : int
        Number of the first process, larger than those of an earlier part of the run.
    progress : callable
        Called with a line of text for every step.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        settings,
        run,
        crew,
        machine,
        scratch,
        *,
        identify=lambda block, name: "",
        first_process=0,
        progress=lambda text: None,
        clock=time.monotonic,
    ):
        self.settings, self.run, self.crew, self.machine = settings, run, crew, machine
        self.identify, self.first_process = identify, first_process
        self.progress, self.clock = progress, clock
        self.deadline = clock() + settings.budget_s
        self.random = np.random.default_rng(SEED)
        self.admission = Admission(settings.slowest_call_s)
        self.checks = Checks(crew, machine, str(scratch), settings.hang_s)
        self.home = None  # operation and threads of the workers that are there
        self.kept = None  # inputs of the block in hand
        self.spent = {}  # seconds, by purpose

    @contextmanager
    def spending(self, on):
        """Book the time inside a ``with``."""
        start = self.clock()
        try:
            yield
        finally:
            self.spent[on] = self.spent.get(on, 0.0) + self.clock() - start

    def roofs(self, threads, dtypes):
        """Measure what this machine can do at most, for each number of threads and dtype."""

        def roof(count, dtype, seconds):
            return self.crew.once(None, count, None, "roof", dtype, count, seconds)

        found = []
        with self.spending("roofs"):
            self.crew.begin(max(threads))
            self.progress("compiling what measures roofs")
            side_by_side(partial(roof, max(threads), seconds=0), dtypes, len(dtypes))
            for count, dtype in product(threads, dtypes):
                self.progress(f"roof of {dtype}, {count} threads")
                found.append(roof(count, dtype, self.settings.roof_s))
        return found

    def device_roofs(self, dtypes):
        """Measure what the CUDA device can do at most, for each dtype."""
        found = []
        with self.spending("roofs"):
            self.crew.begin(1)
            for dtype in dtypes:
                self.progress(f"roof of the device, {dtype}")
                arguments = dtype, self.settings.roof_s
                found.append(self.crew.once(None, 1, None, "device_roof", *arguments))
        return found

    def compile(self, blocks):
        """Have all kernels that compile or plan do so, side by side.

        Both take their time one kernel after the other, while cores idle; nothing here is a
        sample. Code is compiled for sizes of a kind, plans are made for each, so that all cases
        are tried. Of loops one must know how slow they are before they are called at all: they are
        tried at a tiny case, and the others too, of which it says nothing but that they compile.
        """
        jobs, tiny_cases = {}, set()
        for block in blocks:
            case = block.case
            tiny = Case.of(case.operation, case.dtype, **case.definition.named_cases["tiny"])
            tiny_cases.add(tiny)
            _, contenders = self.admission.admit(block)
            for kernel in contenders.values():
                if kernel.device != "cpu" or not (_compiles(kernel) or kernel.name in _PLANNERS):
                    continue
                cases = jobs.setdefault((kernel, case.dtype), {}).setdefault(block.threads, {tiny})
                if kernel.family != "naive":
                    cases.add(case)

        def try_out(job):
            (kernel, dtype), by_threads = job
            for threads, cases in sorted(by_threads.items(), reverse=True):
                title = f"{kernel.operation} {kernel.name}, {dtype}, {threads} threads"
                self.progress(f"compiling {title}")
                own = sorted(cases, key=lambda case: case.flops)
                quick = (c for c in own if not self.admission.is_slow(kernel, c, threads))
                for case, seconds in self.checks.try_out(kernel, quick, threads):
                    # Of others, its time is what a call costs, and what it waited for.
                    if kernel.family == "naive" or case not in tiny_cases:
                        self.admission.forecast.learn_trial(kernel, case, threads, seconds)

        with self.spending("compiling"):
            for threads in {block.threads for block in blocks}:
                self.crew.begin(threads)
            # What compiles for long goes first: no core is to be left with it at the end.
            queue = sorted(jobs.items(), key=lambda job: job[0][0].family == "naive")
            side_by_side(try_out, queue, self.machine.usable_cores())

    def measure(self, block, deadline, part):
        """Check and time all kernels of a block.

        Parameters
        ----------
        block : Block
        deadline : float
            Time on the clock by which the block and those after it should be done.
        part : float
            Of the time until then, how much it may take for itself.

        Returns
        -------
        facts : dict of str to dict
            What is known about the cell of each kernel: status, detail, ...
        samples : list of dict
            Rows of `convgrad.results.schema.SAMPLE_COLUMNS`, evidence among them.
        """
        start, ticks = self.clock(), np.array(self.machine.steal_ticks())
        share = start + max(deadline - start, 0) * part
        facts, contenders = self._admit(block)
        if start > deadline:
            self.admission.skip(block, contenders, facts, OUT_OF_TIME)
            contenders = {}
        calls = self._first_calls(block, contenders, facts, self.settings.processes)
        samples, written = [], set()
        for number, group in enumerate(self._groups(block, calls)):
            first = self.first_process + number * self.settings.processes
            for new in self._compete(block, group, calls, facts, share):
                new = [
                    {**block.key(s["kernel"]), **s, "process": first + s["process"]} for s in new
                ]
                stolen, total = np.array(self.machine.steal_ticks()) - ticks
                own = {name: facts[name] for name in group}
                for fact in own.values():
                    fact["steal"] = float(stolen / max(total, 1))
                self._store(block, own, new, written)
                samples += new
        good = [name for name in facts if facts[name]["status"] == "ok"]
        self.admission.remember(block, good, samples)
        if block.threads == self.machine.usable_cores() and not memory.why_not():
            with self.spending("memory"):
                self._weigh(block, good, facts)
        self._store(block, facts, [], written)
        return facts, [s for s in samples if facts.get(s["kernel"], {}).get("status") == "ok"]

    def check(self, block):
        """Check all kernels of a block without timing them; returns the facts."""
        facts, contenders = self._admit(block)
        self._first_calls(block, contenders, facts, 1)
        return facts

    def _admit(self, block):
        """Facts and contenders, after workers of other operations or thread counts have gone."""
        home = block.case.operation, block.threads
        if home != self.home:
            self.crew.dismiss()
            self.checks.ledger.forget_processes()
        self.home = home
        return self.admission.admit(block)

    def _first_calls(self, block, contenders, facts, processes):
        """Seconds of a call of each contender that is right, and of the null twin."""
        contenders = self.admission.drop_slow(block, contenders, facts)
        if not contenders:
            return {}
        with self.spending("reference"):
            self.progress(f"{_title(block)}: reference")
            judgement = self.checks.judge(block, contenders)
        if "status" in judgement:
            for name in contenders:
                facts[name] |= judgement
            return {}
        self.kept = judgement["inputs"]
        twin = {TWIN: contenders[block.baseline]} if block.baseline in contenders else {}
        with self.spending("first calls"):
            self.progress(f"{_title(block)}: checking {len(contenders)} kernels")
            everybody = facts | {TWIN: {}}
            return self.checks.check(block, contenders | twin, judgement, everybody, processes)

    def _groups(self, block, calls):
        """All kernels together, or in pairs with the baseline where memory is short."""
        names = [name for name in calls if name != TWIN]
        a_worker = _COPIES * block.case.cost.footprint * np.dtype(block.case.dtype).itemsize
        need = (len(names) + 1) * self.settings.processes * a_worker
        if need <= self.machine.available_bytes() / 2 or block.baseline not in calls:
            return [names] if names else []
        return [[block.baseline, name] for name in names if name != block.baseline] or [names]

    def _compete(self, block, group, calls, facts, deadline):
        """Sample a group until all are precise or time is up; yields new samples of each look."""
        names = [*group, *(name for name in calls if name == TWIN)]
        processes = range(self.settings.processes)
        probes = self._probes(block)
        teams = [
            {
                name: Contender(partial(self.crew.ask, (name, p)), calls[name], self.settings)
                for name in names
            }
            | probes
            for p in processes
        ]
        contest = Contest(teams, block.baseline, self.settings, self.random)
        for look in range(self.settings.looks):
            if not (wanting := contest.wanting()) or (look and self.clock() > deadline):
                break
            self.progress(f"{_title(block)}: {len(wanting)} kernels, round by round")
            with self.spending("samples"):
                new = contest.look()
            yield [sample for sample in new if sample["kernel"] not in contest.lost]
        with self.spending("last results"):
            for name, p in product(names, processes):
                if name not in contest.lost:
                    self.checks.verify((name, p), contest.lost)
        for name in contest.lost.keys() & set(group):
            facts[name] |= contest.lost[name].facts

    def _probes(self, block):
        """What samples the machine itself, all from one process."""
        self.crew.summon({(SPIN, 0): None}, block.threads, None)
        ask = partial(self.crew.ask, (SPIN, 0))
        probes = {SPIN: lambda: (1, *ask("spin"))}
        if block.roofs:
            dtype, footprint = block.case.dtype, block.case.cost.footprint
            size = footprint * np.dtype(dtype).itemsize
            probes[PEAK] = partial(ask, "multiply_add_probe", dtype, block.threads)
            probes[READ] = partial(ask, "read_probe", dtype, block.threads, size)
        return {name: Probe(probe, self.settings) for name, probe in probes.items()}

    def _weigh(self, block, good, facts):
        """Measure the peak memory of a call, each kernel in a fresh process."""
        own = {name: kernel_of(block, name) for name in good if not name.endswith(AGAINST)}
        weighed = {name: kernel for name, kernel in own.items() if kernel.device == "cpu"}
        self.progress(f"{_title(block)}: memory of {len(weighed)} kernels")
        limit = self.machine.available_bytes() // 2

        def weigh(name):
            arguments = "weigh", block.case, SEED, block.call, self.kept
            try:
                facts[name] |= self.crew.once(weighed[name], block.threads, limit, *arguments)
            except Lost as lost:  # the time stands, whatever this second process met with
                facts[name]["detail"] = f"memory was not measured: {lost.detail}"

        side_by_side(weigh, list(weighed), self.machine.usable_cores())

    def _store(self, block, facts, samples, written):
        """Append to the run; the first line of a cell says what it is, and begins it anew."""
        lines = []
        for name, fact in facts.items():
            new = {} if name in written else self._description(block, name)
            lines.append({**block.key(name), **new, **fact})
        written |= set(facts)
        self.run.append(samples, lines + self.checks.ledger.lines())

    def _description(self, block, name):
        """What a cell is, whatever will be measured of it."""
        case, cost = block.case, kernel_of(block, name).cost_at(block.case)
        itemsize = np.dtype(case.dtype).itemsize
        return {
            "dtype": case.dtype,
            "data": case.data,
            "sizes": dict(case.sizes),
            "parameters": cost.parameters,
            "flops": cost.flops,
            "bytes": cost.elements * itemsize + cost.kept_bytes,
            "footprint": cost.footprint * itemsize + cost.kept_bytes,
            "identity": self.identify(block, name),
        }


def _compiles(kernel):
    return kernel.family in ("naive", "numba")


def _title(block):
    cold = ", cold" if block.cache == "cold" else ""
    call = f", {block.call}" if block.call != "plain" else ""
    return f"{block.case.operation} {block.case.label}, {block.threads} threads{cold}{call}"
