"""Lists what the package brings with it: name, version and licence of each dependency.

    python tools/licences.py [extra ...]

Dependencies are followed as pip does, in the environment that runs this. What is not
installed there is left out, and said on standard error.
"""

import sys
from collections.abc import Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "tfx-resampling"
_CLASSIFIER = "License :: "


def licence(found: metadata.Distribution) -> str:
    """Returns the licence that a distribution names, "unknown" if it names none."""
    fields = found.metadata
    if expression := fields.get("License-Expression"):
        return expression
    names = [
        text.rpartition(" :: ")[2]
        for text in fields.get_all("Classifier") or []
        if text.startswith(_CLASSIFIER) and text != "License :: OSI Approved"
    ]
    # Some have the whole text there.
    first = (fields.get("License") or "").strip().splitlines()[:1]
    return " and ".join(names) or " ".join(first)[:80] or "unknown"


def closure(extras: Sequence[str]) -> tuple[dict[str, metadata.Distribution], set[str]]:
    """Returns what the package depends on, by name, and the names that are missing."""
    found: dict[str, metadata.Distribution] = {}
    missing: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    to_do = [(PACKAGE, frozenset(extras))]
    while to_do:
        name, wanted = to_do.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing.add(name)
            continue
        for text in found[name].requires or []:
            required = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *wanted)]
            marker = required.marker
            if marker is None or any(marker.evaluate(each) for each in environments):
                # An older version's name may differ in case and dashes.
                other = canonicalize_name(required.name)
                to_do.append((other, frozenset(required.extras)))
    return found, missing


def main(extras: Sequence[str]) -> int:
    """Prints the list; returns the exit code."""
    found, missing = closure(extras)
    for name in sorted(found):
        print(f"{name}\t{found[name].version}\t{licence(found[name])}")
    for name in sorted(missing):
        print(f"not installed: {name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
