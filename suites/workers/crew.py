"""All processes of a run: zygotes by what they have imported, workers by name and replicate."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from convgrad.results.schema import AGAINST
from convgrad.suites.workers.process import Lost, Zygote


class Crew:
    """Starts workers, passes requests on to them, and forgets those that are lost.

    Parameters
    ----------
    environment : callable
        Environment of a process by its number of threads.
    modules : sequence of str
        The user's own modules, which declare kernels of their own.
    against : path, optional
        Where the kernels of another version are installed.
    hang_s : float
    """

    def __init__(self, environment, modules=(), against=None, hang_s=60.0):
        self.environment, self.modules = environment, list(modules)
        self.against, self.hang_s = against, hang_s
        self.zygotes, self.workers = {}, {}

    def summon(self, wanted, threads, memory_bytes):
        """Start the workers that are missing.

        Parameters
        ----------
        wanted : dict
            By (name, replicate): the kernel, or None for a worker of no kernel.
        threads, memory_bytes : int
            What each may use.

        Returns
        -------
        dict
            The `Lost` of each that could not start.
        """
        missing = {key: kernel for key, kernel in wanted.items() if key not in self.workers}
        self._bury()
        lost = {}
        for key in missing:  # all of them first: they import side by side
            self._base(key, threads)
        for start in (self._zygote, partial(self._start, memory_bytes)):
            for key, kernel in missing.items():
                try:
                    start(key, kernel, threads)
                except Lost as reason:
                    lost[key] = reason
        return lost

    def ask(self, key, method, *arguments, seconds=None):
        """Have a worker answer; it is forgotten if it is lost, and ended if it lacks memory.

        Raises
        ------
        Lost
        """
        if key not in self.workers:
            raise Lost("crashed", "its process could not be started")
        try:
            reply = self.workers[key].ask(seconds or self.hang_s, method, *arguments)
        except Lost:
            del self.workers[key]
            raise
        if isinstance(reply, dict) and reply.get("status") == "out of memory":
            self.workers.pop(key).close()  # it may hold on to all that it has
        return reply

    def begin(self, threads):
        """Start what workers of `once` and `alone` fork from.

        Needed before these are called by threads: a process ends with the thread that started it.
        """
        self._base(("", 0), threads)

    def once(self, kernel, threads, memory_bytes, method, *arguments):
        """Have a worker answer that has done nothing before, and nothing after.

        Raises
        ------
        Lost
        """
        with self.alone(kernel, threads, memory_bytes) as ask:
            reply = ask(method, *arguments)
        if isinstance(reply, dict) and "status" in reply:
            raise Lost(reply["status"], reply["detail"])
        return reply

    @contextmanager
    def alone(self, kernel, threads, memory_bytes):
        """The `ask` of a worker of nobody else's, which ends with the ``with``."""
        worker = self._fork(self._zygote(("", 0), kernel, threads), kernel, memory_bytes)
        yield partial(worker.ask, self.hang_s)
        worker.close()

    def dismiss(self):
        """End the workers: the blocks to come belong to other kernels or thread counts."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def close(self):
        """End all processes."""
        self.workers.clear()
        for zygote in reversed(self.zygotes.values()):  # a branch before what it branched from
            zygote.close()
        self.zygotes.clear()

    def _bury(self):
        """Forget zygotes that somebody has killed: others take their place."""
        gone = [identity for identity, zygote in self.zygotes.items() if zygote.is_gone()]
        for identity in reversed(gone):
            self.zygotes.pop(identity).close()

    def _base(self, key, threads):
        """The zygote that has imported what all kernels need, started but perhaps not ready."""
        name, replicate = key
        other = self.against if name.endswith(AGAINST) else None
        identity = threads, replicate, other
        if identity not in self.zygotes:
            environment = self.environment(threads)
            if other:
                environment |= {"PYTHONPATH": str(other), "NUMBA_CACHE_DIR": f"{other}/numba"}
            self.zygotes[identity] = Zygote.start(
                environment, modules=self.modules, threads=threads
            )
        return self.zygotes[identity]

    def _zygote(self, key, kernel, threads):
        """The zygote that has also imported what this kernel needs."""
        base = self._base(key, threads)
        requires = kernel.requires if kernel else ()
        if not requires:
            return base
        identity = base, requires
        if identity not in self.zygotes:
            base.wait_ready(self.hang_s)
            self.zygotes[identity] = base.branch(requires)
        return self.zygotes[identity]

    def _start(self, memory_bytes, key, kernel, threads):
        zygote = self._zygote(key, kernel, threads)
        self.workers[key] = self._fork(zygote, kernel, memory_bytes)

    def _fork(self, zygote, kernel, memory_bytes):
        zygote.wait_ready(self.hang_s)
        limit = None if kernel is None or kernel.device != "cpu" else memory_bytes
        return zygote.fork(kernel and kernel.operation, kernel and kernel.name, limit)


def side_by_side(function, items, width):
    """Results of a function that waits for processes, called for so many items at once."""
    pool = ThreadPoolExecutor(width)
    try:
        return list(pool.map(function, items))
    finally:  # an interrupted run does not wait for what is under way
        pool.shutdown(wait=False, cancel_futures=True)
