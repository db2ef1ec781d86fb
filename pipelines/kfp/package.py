"""A compiled pipeline in a file, as compile.py writes it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import yaml
from tfx_resampling.core.config import PlannerConfig

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
                f"package must be a compiled pipeline, got {path!r}. compile.py writes "
                "one."
            )
        return cls(path, spec, documents[1] if len(documents) > 1 else {})

    def parameters(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Returns values of runtime parameters in their types.

        Raises:
          ValueError: a name that the pipeline does not have, or a value that is not of
            its type, or that the planner would refuse.
        """
        inputs = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        unknown = sorted(set(texts) - set(inputs))
        if unknown:
            raise ValueError(f"unknown parameters {unknown}; valid: {sorted(inputs)}.")
        values: dict[str, Any] = {}
        for name, text in texts.items():
            definition = inputs[name]
            kind = _TYPES[definition.get("parameterType") or definition["type"]]
            try:
                values[name] = kind(text)
            except ValueError:
                raise ValueError(
                    f"{name} must be of type {kind.__name__}, got {text!r}."
                ) from None
        # A wrong target would else be found after the statistics, minutes later.
        known = {field.name for field in dataclasses.fields(PlannerConfig)}
        defaults = {
            k: v["defaultValue"] for k, v in inputs.items() if "defaultValue" in v
        }
        planned = {**defaults, **values}
        PlannerConfig(
            **{
                "label_key": "labels",
                **{k: v for k, v in planned.items() if k in known},
            }
        )
        return values
