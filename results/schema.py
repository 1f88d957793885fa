"""Names that every table shares: columns, statuses, flags, verdicts."""

KEY = ("operation", "case", "kernel", "threads", "cache", "call")
"""What identifies a cell. Kernels compete where the others of these are equal."""

CONTEST = ("operation", "case", "threads", "cache", "call")

AGAINST = "@against"
"""Behind the name of a kernel: the same kernel of another version of convgrad."""

CACHES = ("warm", "cold")
"""Whether inputs may lie in a cache, or come from memory with every call."""

ON_DEVICE = "on device"
CALLS = ("plain", "out", "prepared", "prepared out", ON_DEVICE)
"""How a kernel is called: into an array of its own or a given one, with weights given or kept; or
with inputs that lie on a device, and a result that stays there."""

BEFORE = {"cache": CACHES[0], "call": CALLS[0]}
"""What runs leave unsaid that are older than these columns."""

CHOOSER = "auto"
"""Family of kernels that choose among the others: measured like them, and never a winner."""

TWIN = "null twin"
SPIN = "spin probe"
PEAK, READ = ROOF_PROBES = "multiply-add probe", "read probe"
EVIDENCE = (TWIN, SPIN, *ROOF_PROBES)
"""Names under which a block samples the machine itself: the baseline once more, in a process of its
own, and a fixed chain of dependent steps. Where kernels are held to a share of the roof, also what
the machine can do in that very round: a loop of a probe is one flop, or one byte that is read, of
all threads together. All have rows among the samples, and no cell."""

SAMPLE_COLUMNS = (
    *KEY,
    "process",  # number of the replicate, the same for all competitors: not a process id
    "round",  # with `process`, pairs a kernel's sample with its baseline's
    "position",
    "loops",
    "wall_ns",
    "cpu_ns",
)

STATUSES = (
    "ok",
    "wrong",
    "unsupported",
    "unavailable",
    "crashed",
    "timed out",
    "out of memory",
    "skipped (budget)",
)
FAILURES = ("wrong", "crashed", "timed out", "out of memory")
"""Statuses of a kernel that was tried and did not deliver; the others were never tried."""

MODELS = "predict"
"""Operation whose kernels are trained models: they compute different things, and no time wins."""

LEARNED_COLUMNS = (
    "data",
    "package",  # that the data come with
    "version",
    "sha256",
    "model",
    "family",
    "base",  # the model that it was made from, or nothing
    "compared_to",  # the model that `gain` is against, or nothing
    "seed",
    "accuracy",  # share of test examples
    "validation_accuracy",
    "parameters",  # numbers that were trained
    "stored_parameters",  # numbers in the file that are not zero
    "flops",  # of one example
    "file_bytes",
    "train_s",
    "made_by",  # hash of recipes, code, seed, data and file; nothing in runs of before
)
"""Columns of `learned.csv`: a row a model and seed that it was trained from."""

MODEL_COLUMNS = (
    "model",
    "base",
    "compared_to",
    "seeds",
    "accuracy",  # mean over seeds, and its interval
    "accuracy_low",
    "accuracy_high",
    "validation_accuracy",
    "gain",  # accuracy less that of `compared_to`, paired by seed
    "gain_low",
    "gain_high",
    "stored_parameters",
    "file_bytes",
    "train_s",
)
"""What cells of models have besides, and others leave empty."""

VERDICTS = ("faster", "slower", "same", "unresolved")
FLAGS = (
    "single-shot",
    "noisy",
    "drift",
    "non-stationary",
    "steal",
    "throttled",
    "oversubscribed",
    "overhead-bound",
    "memory-bound",
    "above-roof",
    "extrapolated",
    "failed-check",
)
REMARKS = ("overhead-bound", "memory-bound")
"""Flags that explain a time; all others cast doubt on it."""

CELL_COLUMNS = (
    *KEY,
    "dtype",
    "data",
    "family",
    "device",
    "algorithm",
    "baseline",
    "parameters",
    "flops",
    "bytes",
    "footprint",
    "status",
    "detail",
    "error_ratio",  # error over admissible error, at its worst element
    "relative_error",  # largest error over largest element
    "sample_count",  # not "samples", which is a size of fits
    "process_count",
    "median_s",
    "low_s",
    "high_s",
    "min_s",
    "q1_s",
    "q3_s",
    "predicted_s",
    "gflops",
    "gbytes_s",
    "intensity",  # flops a byte
    "level",  # L1, L2, L3 or memory: where the working set lies
    "bound_by",  # arithmetic or memory: the roof that binds there
    "roof_gflops",  # where the direct algorithm would meet the machine's measured limits
    "roof_fraction",
    "speedup",
    "speedup_low",
    "speedup_high",
    "p_adjusted",  # of "as fast as the baseline", after Holm over one figure
    "resolution",  # the smallest relative difference that the figure's null twins let one tell
    "cores_used",
    "peak_bytes",
    "workspace_bytes",
    "prepare_s",  # of keeping the weights; what a first call adds to that is in first_call_s
    "compile_s",
    "load_s",
    "first_call_s",
    "break_even_calls",
    "verdict",  # against the baseline
    "lead",  # of a winner: the runner-up's time over its own, paired like a speed-up
    "lead_low",
    "lead_high",
    "lead_verdict",
    "flags",
    "identity",  # hash of kernel source, case, threads, libraries and machine
    *MODEL_COLUMNS,
)
"""Columns of `cells.csv` besides the sizes, which stand between the key and the rest."""

TEXT_COLUMNS = (
    "operation",
    "case",
    "kernel",
    "dtype",
    "data",
    "family",
    "device",
    "algorithm",
    "status",
    "detail",
    "verdict",
    "lead_verdict",
    "flags",
    "cache",
    "call",
    "level",
    "bound_by",
    "identity",
    "model",
    "base",
    "compared_to",
)


def size_columns(cells):
    """Names of the columns of a table of cells that are sizes: those between key and dtype."""
    names = list(cells.columns)
    return names[names.index(KEY[-1]) + 1 : names.index("dtype")]
