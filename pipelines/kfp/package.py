"""A compiled pipeline in a file, as `pipelines.kfp.compile` writes it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import yaml
from tfx_resampling.core.config import PlannerConfig

from pipelines.kfp.parameters import typed

# Types of parameters in pipeline specs 2.1 and 2.0.
_TYPES = {
    **{"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": float},
    **{"INT": int, "DOUBLE": float},
}


@dataclasses.dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
      path: the file.
      spec: the PipelineSpec, as JSON.
      platform: what Kubernetes alone understands, as JSON; may be empty.
    """

    path: str
    spec: Mapping[str, Any]
    platform: Mapping[str, Any]

    @classmethod
    def read(cls, path: str) -> "Package":
        """Reads a package.

        Raises:
          ValueError: not a compiled pipeline.
          OSError: the file cannot be read.
        """
        with open(path) as file:
            text = file.read()
        try:
            # JSON is YAML, but YAML takes seconds for it.
            is_json = path.endswith(".json")
            documents = (
                [json.loads(text)] if is_json else list(yaml.safe_load_all(text))
            )
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"{path!r} is not YAML or JSON: {error}") from None
        first = documents[0] if documents else None
        spec = first.get("pipelineSpec", first) if isinstance(first, dict) else None
        if not spec or "root" not in spec or "pipelineInfo" not in spec:
            raise ValueError(
                f"package must be a compiled pipeline, got {path!r}. Compile one with "
                "`python -m pipelines.kfp.compile`."
            )
        return cls(path, spec, documents[1] if len(documents) > 1 else {})

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return self.spec["pipelineInfo"]["name"]

    @property
    def root(self) -> str | None:
        """The pipeline root that is compiled in."""
        return self.spec.get("defaultPipelineRoot")

    @property
    def defaults(self) -> dict[str, Any]:
        """Runtime parameters that have a default, and that default."""
        return {
            name: definition["defaultValue"]
            for name, definition in self._inputs.items()
            if "defaultValue" in definition
        }

    @property
    def _inputs(self) -> Mapping[str, Any]:
        return self.spec["root"].get("inputDefinitions", {}).get("parameters", {})

    def parameters(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Returns values of runtime parameters in their types.

        Raises:
          ValueError: a name that the pipeline does not have, or a value that is not of
            its type, or that the planner would refuse.
        """
        kinds = {
            name: _TYPES[one.get("parameterType") or one["type"]]
            for name, one in self._inputs.items()
        }
        values = typed(texts, kinds)
        # Otherwise the planner refuses a wrong target minutes later.
        known = {field.name for field in dataclasses.fields(PlannerConfig)}
        planned = {k: v for k, v in {**self.defaults, **values}.items() if k in known}
        PlannerConfig(**{"label_key": "labels", **planned})
        return values
