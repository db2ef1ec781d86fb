"""Containers without Kubernetes: processes with a root directory of their own.

A pod sees the machine's files, and what it writes nobody else sees: an overlay of the
kernel, in a mount namespace. Needs root.
"""

import dataclasses
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from tests import processes

_TIMEOUT_SECONDS = 900
# The paths of the root, of what is written, and of the kernel's own work directory, and
# the user. A user may read every file, as those of an image, and has no other right.
_START = """
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$2,workdir=$3" "$1"
mount --rbind /proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
root=$1 user=$4
shift 4
PATH=$PATH:/usr/sbin:/sbin
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups \
  --inh-caps +dac_read_search --ambient-caps +dac_read_search \
  env -C "${HOME:-/}" "$@"
"""


@functools.cache
def missing() -> str:
    """Returns why there can be no pods on this machine, "" if there can."""
    if os.geteuid():
        return "a mount namespace needs root"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Pod(pathlib.Path(folder)).run(["true"], {})
        except (OSError, RuntimeError) as error:
            return f"no overlay in a mount namespace: {error}"
    return ""


@dataclasses.dataclass
class Pod:
    """One pod, made for one process.

    Attributes:
      directory: where its files and its log are; made if it is not there.
      files: path in the pod -> text, files that it has beside the machine's.
      user: id of the user; 0 is root.
      volumes: directories in the pod that are empty, and that every user may write.
    """

    directory: pathlib.Path
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    user: int = 0
    volumes: Sequence[str] = ()

    def __post_init__(self):
        for name in ("root", "written", "work"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in self.volumes:
            self.path(name).mkdir(parents=True)
            self.path(name).chmod(0o777)

    def path(self, name: str) -> pathlib.Path:
        """Returns where a file that the pod has written is on the machine."""
        return self.directory / "written" / name.lstrip("/")

    @property
    def log(self) -> str:
        path = self.directory / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(
        self, command: list[str], environment: Mapping[str, str]
    ) -> subprocess.Popen:
        """Starts the process, in a session of its own."""
        directories = [str(self.directory / x) for x in ("root", "written", "work")]
        shell = ("sh", "-c", _START, "pod", *directories, str(self.user))
        with open(self.directory / "log.txt", "ab") as log:
            return subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", *shell, *command],
                env={"PATH": "/usr/bin:/bin", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Runs the process to its end.

        Raises:
          RuntimeError: it failed; with the end of its log.
        """
        code = processes.exit_code(self.start(command, environment), _TIMEOUT_SECONDS)
        if code != 0:
            raise RuntimeError(f"exit {code}\n{self.log[-6000:]}")

    def remove(self) -> None:
        """Removes its files, but not its log."""
        for name in ("root", "written", "work"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
