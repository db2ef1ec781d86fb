"""What a record is known by, of which its uniform number is a hash (`core.draws`)."""

import dataclasses

from tfx_resampling.validate import check_choice, parse_names

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
        object.__setattr__(
            self, "key_features", parse_names("key_features", self.key_features)
        )
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


CONTENT = Identity()
