"""Processes that the kernel ends because their memory is used up."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator

_ROOT = pathlib.Path("/sys/fs/cgroup")
# Of both versions of control groups: where groups are, the limit, and who counts kills.
_VERSIONS = {
    _ROOT / "memory": ("memory.limit_in_bytes", "memory.oom_control"),
    _ROOT: ("memory.max", "memory.events"),
}
# Any process takes that much within moments.
_LIMIT = 1 << 20


class Group:
    """Processes that may take 1 MiB more than they have, together."""

    def __init__(self, folder: pathlib.Path, limit: str, events: str):
        self._folder = folder
        self._events = events
        (folder / limit).write_text(str(_LIMIT))

    def take(self, pids: Iterable[int]) -> None:
        """Takes processes in; those that have ended are none."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (self._folder / "cgroup.procs").write_text(str(pid))

    @property
    def killed(self) -> int:
        """How many processes the kernel has ended because of the limit."""
        lines = (self._folder / self._events).read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])


@contextlib.contextmanager
def group(name: str) -> Iterator[Group | None]:
    """Makes a group that ends with its context; None where there can be none."""
    for root, files in _VERSIONS.items():
        folder = root / name
        try:
            folder.mkdir()
            made = Group(folder, *files)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        try:
            yield made
        finally:
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (root / "cgroup.procs").write_text(pid)
            folder.rmdir()
        return
    yield None
