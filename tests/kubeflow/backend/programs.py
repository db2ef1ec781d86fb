"""Kubeflow's own programs: built from its sources, or those of its images.

KFP_SOURCE names a checkout of github.com/kubeflow/pipelines. KFP_BACKEND, which goes
first, names a folder with programs that somebody has built: `/bin/driver` of the image
kfp-driver and `/bin/launcher-v2` of kfp-launcher. These have no `workflow`, which is
ours (`workflow/main.go`).
"""

import json
import os
import pathlib
import shutil
import subprocess

SOURCE, FOLDER = "KFP_SOURCE", "KFP_BACKEND"
# name -> package of the checkout.
_PACKAGES = {
    name: f"backend/src/v2/cmd/{name}" for name in ("driver", "launcher-v2", "workflow")
}
_OURS = {"workflow": pathlib.Path(__file__).parent / "workflow" / "main.go"}


def missing(*names: str) -> str:
    """Returns what is missing to have these programs, "" if nothing."""
    if folder := os.environ.get(FOLDER):
        for name in names:
            if not os.access(os.path.join(folder, name), os.X_OK):
                return f"no program {name} in {FOLDER}, which is {folder}"
        return ""
    source = os.environ.get(SOURCE)
    if not source:
        return f"{SOURCE} must name a checkout of github.com/kubeflow/pipelines"
    if not os.path.exists(os.path.join(source, _PACKAGES["driver"])):
        return f"no checkout of github.com/kubeflow/pipelines in {SOURCE}: {source}"
    if not shutil.which("go"):
        return f"go not found, which {SOURCE} is built with"
    return ""


def folder(cache: str) -> str:
    """Returns the folder of all programs, which it makes in `cache` from the sources.

    The first time takes a quarter of an hour on two cores, and 4 GB of Go's own caches;
    after that Go finds what has changed, in the checkout or in ours.
    """
    if ready := os.environ.get(FOLDER):
        return os.path.abspath(ready)
    source = os.path.abspath(os.environ[SOURCE])
    # The checkout stays as it is: Go reads our files as if they were in it.
    overlay = os.path.join(cache, "overlay.json")
    replaced = {
        os.path.join(source, _PACKAGES[name], path.name): str(path)
        for name, path in _OURS.items()
    }
    with open(overlay, "w") as file:
        json.dump({"Replace": replaced}, file)
    programs = os.path.join(cache, "bin")
    done = subprocess.run(
        [
            *("go", "build", "-p", "2", "-buildvcs=false", "-overlay", overlay),
            *("-o", f"{programs}{os.sep}"),
            *(f"./{package}" for package in _PACKAGES.values()),
        ],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return programs
