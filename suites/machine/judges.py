"""Whether a reading of the machine spoils a measurement, why it would, and what cures it.

A judge takes a reading, and returns severity, what was measured, why it matters, and a cure.
"""

import statistics

import numpy as np

_CPU = "/sys/devices/system/cpu"
_CODE_LEVELS = (  # of OpenBLAS on x86: what a processor has to know, and who has code for it
    ({"avx512f", "avx512bw", "avx512vl"}, {"SkylakeX", "Cooperlake", "SapphireRapids"}),
    ({"avx2", "fma"}, {"Haswell", "Zen", "Excavator"}),
)
_UPDATE_BLAS = "pip install --upgrade numpy scipy"


def _other_load(load):
    busy, programs = load
    return (
        _grade(busy, 0.1, 0.5),
        f"{busy:.2f} cores busy with other programs",
        "who shares cores, caches and memory slows kernels down, some more than others",
        f"end or wait for {', '.join(programs) or 'what runs outside this container'}",
    )


def _clock(clock):
    resolution, cost, forward = clock
    return (
        _grade(max(resolution, cost), 1e3, 1e5) if forward else "stop",
        f"steps of {resolution} ns, {cost:.0f} ns a look" + ("" if forward else ", goes backwards"),
        "a sample cannot be told better than the clock that times it",
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
    )


def _steady_core(spins):
    spread = _tail([wall for wall, _ in spins])
    return (
        _grade(spread, 0.1, 0.5),
        f"95 % of times within {_percent(spread)} of the median, for a fixed chain",
        "the clock rate wanders, or others interrupt: samples of one kernel lie far apart",
        "close other programs, let the machine cool down, fix the clock rate",
    )


def _undivided_core(fractions):
    off, stolen = fractions
    return (
        _grade(max(off, stolen), 0.02, 0.1),
        f"waits {_percent(off)} of the time, {_percent(stolen)} stolen by a hypervisor",
        "a thread that is not running still has its time counted",
        "close other programs; on a virtual machine, move to one with cores of its own",
    )


def _core_pairing(pairing):
    usable, physical, worth = pairing
    threads = sorted({1, min(physical, max(1, round(worth)))})
    return (
        "warn" if min(physical, worth) < 0.8 * usable else "ok",
        f"{usable} cores, {physical} of them physical, do the work of {worth:.1f}",
        "threads that share cores, with each other or other programs, gain less than their number",
        f"convgrad run {' '.join(f'--threads {count}' for count in threads)}",
    )


def _memory_bandwidth(times):
    spread = _tail(times)
    return (
        _grade(spread, 0.15, 0.75),
        f"95 % of times within {_percent(spread)} of the median, for one array",
        "others use the same memory: large cases are slowed down, small ones are not",
        "close other programs; on a shared host, measure at a quieter time",
    )


def _twin_processes(ratio):
    apart = abs(np.log(ratio))
    return (
        _grade(apart, 0.03, 0.15),
        f"one call in two like processes: {_percent(apart)} apart",
        "differences between kernels that are smaller than this mean nothing",
        "convgrad run --preset thorough",
    )


def _heat(throttled):
    during, since_boot = throttled
    return (
        "stop" if during else _grade(since_boot, 1, np.inf),
        f"throttled {during} times under load just now, {since_boot} since boot",
        "a hot processor lowers its clock rate, and whoever is measured last looks slowest",
        "let the machine cool down, clear its vents, then run convgrad doctor again",
    )


def _governor(governor):
    return (
        "ok" if governor == "performance" else "warn",
        governor,
        "the clock rate follows the load, and is low at the start of a sample",
        "sudo cpupower frequency-set --governor performance",
    )


def _turbo(turbo):
    return (
        "warn" if turbo else "ok",
        "on" if turbo else "off",
        "the clock rate depends on heat and on how many cores are busy",
        f"echo 0 | sudo tee {_CPU}/cpufreq/boost || echo 1 | sudo tee {_CPU}/intel_pstate/no_turbo",
    )


def _huge_pages(policy):
    return (
        "warn" if policy == "never" else "ok",
        policy,
        "large arrays in small pages miss in the address cache, by luck more or less often",
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
    )


def _swap(used):
    return (
        _grade(used, 64 << 20, np.inf),
        f"{_size(used)} in use",
        "a page that has to come from disk takes longer than most kernels",
        "sudo swapoff --all && sudo swapon --all",
    )


def _cpu_quota(quota):
    return (
        "stop" if quota < 1 else "ok" if quota == int(quota) else "warn",
        f"{quota:g} cores' worth of time",
        "who has used up a period's quota is suspended until the next one",
        f"docker run --cpuset-cpus 0-{max(0, int(quota) - 1)} instead of --cpus {quota:g}",
    )


def _affinity(cores):
    usable, there = cores
    return (
        "warn" if usable < there else "ok",
        f"{usable} of {there} cores may be used",
        "figures for all threads are those of a part of the machine",
        f"taskset --cpu-list 0-{there - 1} convgrad run",
    )


def _free_memory(free):
    return (
        _grade(-free, -(2 << 30), -(512 << 20)),
        _size(free),
        "large cases are left out, or make the machine swap",
        "close other programs",
    )


def _environment(variables):
    return (
        "warn" if variables else "ok",
        ", ".join(variables) or "nothing holds libraries back",
        "libraries are held back or forced; convgrad run takes these out, your program does not",
        f"unset {' '.join(variables)}",
    )


def _openblas(code):
    architectures, features = code
    own = next((names for needed, names in _CODE_LEVELS if needed <= features), architectures)
    return (
        "ok" if architectures <= own else "warn",
        f"runs code for {', '.join(sorted(architectures))}",
        f"this processor could run code for {' or '.join(sorted(own))}: BLAS is slower than it is",
        f"unset OPENBLAS_CORETYPE; {_UPDATE_BLAS}",
    )


def _mains(plugged):
    return (
        "ok" if plugged else "stop",
        "plugged in" if plugged else "on battery",
        "on battery the processor is slower, and the slower the emptier it is",
        "plug the machine in",
    )


def _free_disk(free):
    return (
        _grade(-free, -(1 << 30), -(100 << 20)),
        _size(free),
        "the raw samples of a run are kept, and a full disk ends it",
        "run in another folder, or remove old run folders",
    )


def _grade(value, warn, stop):
    return "stop" if value >= stop else "warn" if value >= warn else "ok"


def _tail(times):
    """By how much the slowest twentieth lies above the median."""
    return np.quantile(times, 0.95) / statistics.median(times) - 1


def _percent(fraction):
    return f"{100 * fraction:.1f} %"


def _size(size):
    return f"{size / (1 << 30):.1f} GiB"


JUDGES = {
    "other load": _other_load,
    "clock": _clock,
    "steady core": _steady_core,
    "undivided core": _undivided_core,
    "core pairing": _core_pairing,
    "memory bandwidth": _memory_bandwidth,
    "twin processes": _twin_processes,
    "heat": _heat,
    "governor": _governor,
    "turbo": _turbo,
    "huge pages": _huge_pages,
    "swap": _swap,
    "CPU quota": _cpu_quota,
    "affinity": _affinity,
    "free memory": _free_memory,
    "environment": _environment,
    "OpenBLAS": _openblas,
    "mains": _mains,
    "free disk": _free_disk,
}
"""The judges by the name of their finding."""
