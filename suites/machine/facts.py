"""What a reader of a result must know of the machine: what it is, and what is wrong with it."""

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

from convgrad.suites.machine import environment
from convgrad.suites.machine.environment import read

_LIBRARIES = (
    *("numpy", "numba", "llvmlite", "scipy", "pandas", "matplotlib", "pytest", "pytest-benchmark"),
    *("torch", "scikit-learn", "pyfftw", "opencv-python", "opencv-python-headless"),
    *(
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
        "numba-cuda",
        "cupy-cuda13x",
        "tbb",
    ),
    "mkl",
)
_INSTRUCTIONS = (
    *("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    *("avx512bf16", "avx512fp16", "amx-tile", "neon", "asimd", "dotprod", "sve", "sve2"),
)
CPU = Path("/sys/devices/system/cpu")
"""Where Linux tells of its processors."""


def describe():
    """Describe the machine; what cannot be read is left out, and nothing is raised.

    Returns
    -------
    dict
        Text, numbers and lists only, ready for JSON. Sizes are in bytes and end in ``_bytes``.
    """
    told = {}
    for name, fact in _FACTS.items():
        with suppress(Exception):
            told[name] = fact()
    with suppress(Exception):
        told |= caches()
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def libraries():
    """Versions of the installed libraries that results depend on, by distribution name."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def thread_pools():
    """Tell which libraries with threads are loaded in the calling process, and as what they run.

    Returns
    -------
    list of dict
        BLAS and OpenMP libraries, and Numba once it has run something parallel: ``name``,
        ``file``, ``version``, ``architecture`` (whose code runs), ``threads`` and
        ``threading_layer``, without what a library does not say.
    """
    from threadpoolctl import threadpool_info

    told = [
        {
            "name": info["internal_api"],
            "file": Path(info["filepath"]).name,
            "version": info.get("version"),
            "architecture": info.get("architecture"),
            "threads": info["num_threads"],
            "threading_layer": info.get("threading_layer"),
        }
        for info in threadpool_info()
    ]
    if numba := sys.modules.get("numba"):
        with suppress(ValueError):  # no layer was chosen yet
            layer = numba.threading_layer()
            told.append(
                {
                    "name": "numba",
                    "version": numba.__version__,
                    "threads": numba.get_num_threads(),
                    "threading_layer": layer,
                }
            )
    return [{name: value for name, value in entry.items() if value is not None} for entry in told]


def caches():
    """Sizes of the data caches of one usable core, as far as the system tells.

    Returns
    -------
    dict of str to int
        ``l1d_bytes``, ``l2_bytes``, ``l3_bytes``: one cache each, whoever shares it, and
        ``l3_instances``, the number of separate L3 caches among the usable cores.
    """
    found = {}
    for core in environment.affinity():
        for index in sorted((CPU / f"cpu{core}/cache").glob("index*")):
            level, kind, size = (read(index / name) for name in ("level", "type", "size"))
            if not size or kind == "Instruction":
                continue
            name = "l1d" if level == "1" else f"l{level}"
            sharers = read(index / "shared_cpu_list") or str(core)
            found.setdefault(name, {})[sharers] = _bytes(size)
    sizes = {f"{name}_bytes": max(found[name].values()) for name in sorted(found)}
    return sizes | ({"l3_instances": len(found["l3"])} if "l3" in found else {})


def last_level_cache_bytes():
    """Size of the largest cache of a usable core; 32 MiB where the system does not tell."""
    sizes = [size for name, size in caches().items() if name.endswith("_bytes")]
    return max(sizes, default=32 << 20)


def steal_ticks():
    """Time of the usable cores since boot, stolen by a hypervisor and all of it.

    The fraction stolen over a stretch is the difference of the first divided by that of the second.

    Returns
    -------
    stolen, total : float
        In seconds; the system counts them in ticks, of 10 ms mostly.
    """
    cores = set(environment.affinity())
    times = [time for core, time in enumerate(psutil.cpu_times(percpu=True)) if core in cores]
    stolen = sum(getattr(time, "steal", 0.0) for time in times)
    # Linux counts guests' time as their host's user time too
    guests = sum(getattr(time, "guest", 0.0) + getattr(time, "guest_nice", 0.0) for time in times)
    return stolen, sum(map(sum, times)) - guests


def governor():
    """Policy by which the first usable core's frequency is set; None where nobody tells."""
    return read(CPU / f"cpu{environment.affinity()[0]}/cpufreq/scaling_governor")


def turbo():
    """Tell whether cores may run above their base frequency; None where nobody tells."""
    if (boost := read(CPU / "cpufreq/boost")) is not None:
        return boost == "1"
    no_turbo = read(CPU / "intel_pstate/no_turbo")
    return no_turbo and no_turbo == "0"


def huge_pages():
    """How transparent huge pages are handed out: ``always``, ``madvise`` or ``never``."""
    found = re.search(r"\[(\w+)\]", read("/sys/kernel/mm/transparent_hugepage/enabled") or "")
    return found and found[1]


def code_name():
    """Name that LLVM has for the processor, such as ``znver4``."""
    import llvmlite.binding

    return llvmlite.binding.get_host_cpu_name()


def devices():
    """What NVIDIA's driver tells of the GPUs that it serves."""
    fields = "name", "compute_cap", "memory.total", "driver_version", "clocks.max.sm"
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return [" · ".join(line.split(", ")) for line in told.stdout.splitlines()]


def _steal():
    stolen, total = steal_ticks()
    return round(stolen / total, 6)


def _smt():
    active = read(CPU / "smt/active")
    return active and active == "1"


def _frequency(which):
    hertz = getattr(psutil.cpu_freq(), which) * 1e6
    return hertz or None


def _cpu_info(*fields):
    text = read("/proc/cpuinfo") or ""
    for field in fields:
        if found := re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1].strip()
    return None


def _instructions():
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    return [name for name in _INSTRUCTIONS if features.get(name)]


def _virtual():
    flags = _cpu_info("flags", "Features")
    if flags is None:
        return None
    return "hypervisor" in flags.split() or Path("/sys/hypervisor/type").exists()


def _bytes(text):
    """Read a size as Linux writes it: ``32K``."""
    return int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)


_FACTS = {
    "cpu": lambda: _cpu_info("model name", "Model") or platform.processor(),
    "vendor": lambda: _cpu_info("vendor_id", "CPU implementer"),
    "code_name": code_name,
    "architecture": platform.machine,
    "instructions": _instructions,
    "logical_cores": lambda: psutil.cpu_count(logical=True),
    "physical_cores": lambda: psutil.cpu_count(logical=False),
    "usable_cores": environment.usable_cores,
    "affinity": environment.affinity,
    "quota_cores": environment.quota_cores,
    "smt": _smt,
    "numa_nodes": lambda: len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or None,
    "governor": governor,
    "turbo": turbo,
    "frequency_hz": lambda: _frequency("current"),
    "max_frequency_hz": lambda: _frequency("max"),
    "memory_bytes": environment.total_bytes,
    "available_bytes": environment.available_bytes,
    "huge_pages": huge_pages,
    "virtual": _virtual,
    "devices": devices,
    "hypervisor": lambda: read("/sys/hypervisor/type") or read("/sys/class/dmi/id/sys_vendor"),
    "steal": _steal,
    "load": lambda: list(psutil.getloadavg()),
    "preload": lambda: os.environ.get("LD_PRELOAD"),
    "os": platform.platform,
    "kernel": platform.release,
    "python": lambda: f"{platform.python_implementation()} {platform.python_version()}",
    "hostname": platform.node,
}
