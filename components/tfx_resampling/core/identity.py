"""What a record is known by, of which its uniform number is a hash (`core.draws`)."""

import dataclasses
import json
from typing import Any

from tfx_resampling.validate import check_choice

KINDS = ("content", "bytes", "position")


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a record is known by. Validated on construction.

    Attributes:
      kind: "content": its features, whatever their order in the record is. "bytes": the
        serialized record. "position": the name of its file, without the directory, and
        its number in the file.
      key_features: "content" of these features only; all features if empty.
    """

    kind: str = "content"
    key_features: tuple[str, ...] = ()

    def __post_init__(self):
        check_choice("identity", self.kind, KINDS)
        object.__setattr__(self, "key_features", parse_names(self.key_features))
        if self.key_features and self.kind != "content":
            raise ValueError(
                f"key_features must be left out with identity={self.kind!r}, got "
                f"{list(self.key_features)!r}."
            )

    def __str__(self) -> str:
        """Returns the identity in words."""
        if self.key_features:
            return f"the features {', '.join(self.key_features)}"
        return f"the {self.kind} of the record"


def parse_names(names: Any) -> tuple[str, ...]:
    """Returns names of features, checked.

    Args:
      names: a list of names, one name, several with commas between them, or a list as
        JSON.

    Raises:
      ValueError: not such a list, or a name twice.
    """
    given = names
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")] if names else []
        if given.startswith("["):
            try:
                names = json.loads(given)
            except json.JSONDecodeError:
                names = None
    is_list = isinstance(names, (list, tuple))
    if not is_list or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            "key_features must be a list of feature names, or names with commas "
            f"between them, got {given!r}."
        )
    if len(set(names)) != len(names):
        raise ValueError(f"key_features must name a feature once, got {given!r}.")
    return tuple(names)


def format_names(names: tuple[str, ...]) -> str:
    """Returns names as one string, which `parse_names` reads back."""
    is_plain = not any("," in name or name.startswith("[") for name in names)
    return ",".join(names) if is_plain else json.dumps(names)


CONTENT = Identity()
