"""Starting, waking and losing worker processes, as the coordinator sees it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Pipe

import psutil


class Lost(Exception):
    """A worker is gone; carries the status and the sentence for its cell."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


class WorkerProcess:
    """One worker, stopped except while it answers.

    Pools of threads that spin after a call slow down whoever comes next, up to ten times, unless
    they are stopped: `ask` continues the process, waits for one answer, and stops it again.

    Parameters
    ----------
    environment : dict
        With the thread counts in it: libraries read them when they are imported.
    **setup
        operation, kernel, modules, requires, threads: what `worker.main` reads.
    """

    def __init__(self, environment, **setup):
        self.connection, theirs = Pipe()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        setup |= {"descriptor": theirs.fileno(), "path": sys.path}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "convgrad.suites.measure.worker", json.dumps(setup)],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.errors,
            stderr=self.errors,
            start_new_session=True,  # Ctrl-C is for the coordinator
        )
        theirs.close()
        self.handle = psutil.Process(self.process.pid)
        self.specialisations = set()  # what this process has called before

    def wait_ready(self, seconds):
        """Wait until imports are done, then stop the process."""
        self._receive(seconds)
        self.handle.suspend()

    def ask(self, seconds, method, *arguments):
        """Have one request answered.

        Raises
        ------
        Lost
            If the process died or did not answer within ``seconds``; it is gone then.
        """
        self.handle.resume()
        try:
            self.connection.send((method, arguments))
        except OSError:
            self._lose()
        reply = self._receive(seconds)
        self.handle.suspend()
        return reply

    def close(self):
        """Kill the process, stopped or not."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.errors.close()

    def _receive(self, seconds):
        try:
            if not self.connection.poll(seconds):
                self.close()
                raise Lost("timed out", f"no answer within {seconds:.0f} s")
            return self.connection.recv()
        except (EOFError, OSError):
            self._lose()

    def _lose(self):
        code = self.process.wait()
        self.errors.seek(0, os.SEEK_SET)
        lines = [line for line in self.errors.read().decode(errors="replace").splitlines() if line]
        self.close()
        if code == -signal.SIGKILL:
            raise Lost("out of memory", "killed, as the system does when memory runs out")
        if code < 0:
            raise Lost("crashed", f"ended by {signal.Signals(-code).name}")
        raise Lost("crashed", f"exit status {code}" + (f": {lines[-1]}" if lines else ""))
