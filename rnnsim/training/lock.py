"""The lock of a folder: one process at a time writes a run, or the results of an experiment."""

import contextlib
import json
import os
from pathlib import Path

from rnnsim.core.reading import Damaged, cannot, parse_json
from rnnsim.errors import RnnsimError

_HOLDER = {"pid": int, "started": int | None}


class Lock:
    """The lock of a run. Raises `RnnsimError` if another living process holds it; the lock of a dead process is taken over.

    The system releases its file lock with the process; without file locks, process id and start time in the file
    decide.
    """

    def __init__(self, path):
        self.path = Path(path)
        while True:
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise cannot("write", path, error) from None
            try:
                taken = self._taken()
                if not taken and not self._still_there():
                    os.close(self._file)  # its holder has just removed it: try again with a new file
                    continue
                if taken:
                    raise RnnsimError(f"{self.path.parent} is in use by process {taken}")
                os.ftruncate(self._file, 0)
                os.write(self._file, json.dumps({"pid": os.getpid(), "started": _started(os.getpid())}).encode())
                return
            except OSError as error:
                os.close(self._file)
                raise cannot("write", path, error) from None
            except RnnsimError:
                os.close(self._file)
                raise

    def _taken(self):
        """The id of the process that holds the lock, or 0."""
        locked = False
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError:
            locked = True
        except OSError:  # a file system without locks
            pass
        try:
            holder = parse_json(os.pread(self._file, 1000, 0), "lock", _HOLDER)
            pid, started = holder["pid"], holder["started"]
        except Damaged:
            return "unknown" if locked else 0
        if locked:
            return pid
        return pid if pid != os.getpid() and _started(pid) == started and _started(pid) is not None else 0

    def _still_there(self):
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self):
        """Remove the lock while it is held, so that no process holds a deleted file."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._file)


def _started(pid):
    """Start time of a process, for comparison only; None if there is no such process."""
    try:
        # The name, in brackets, may hold spaces; the start is field 22, the 20th after it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        pass
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return 0
