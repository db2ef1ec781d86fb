"""Executor of `Resampler`."""

import os
from collections.abc import Sequence
from typing import Any

from absl import logging
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from tfx_resampling import artifacts
from tfx_resampling.artifacts import split_files, splits_but
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.core.config import from_properties
from tfx_resampling.core.plan import Plan
from tfx_resampling.resampler import spec
from tfx_resampling.shards.manifest import Manifest, check_natural, manifest_path
from tfx_resampling.validate import check_choice, parse_names


class Executor(base_beam_executor.BaseBeamExecutor):
    """Resamples some splits with Beam; copies, links or leaves out the others."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the examples.

        Args:
          input_dict: "natural_examples" and "resample_plan".
          output_dict: "examples".
          exec_properties: `ResampleOptions` by `to_properties`, and the splits.

        Raises:
          ValueError: a split is missing, the payload format is another, examples are
            resampled already, or as in `write_resampled`. Nothing is left in the
            output then.
          OSError: the disk is full.
        """
        options = from_properties(ResampleOptions, exec_properties)
        other_splits = exec_properties[spec.OTHER_SPLITS_KEY]
        check_choice("other_splits", other_splits, spec.OTHER_SPLITS)
        plan_uri = artifact_utils.get_single_uri(input_dict[spec.RESAMPLE_PLAN_KEY])
        plan = artifacts.read_plan(plan_uri)
        examples = input_dict[spec.NATURAL_EXAMPLES_KEY]
        splits = _splits(exec_properties, examples, plan)
        files = {split: split_files(examples, split) for split in splits}
        for name in (name for split in files.values() for name in split):
            check_natural(name, plan)
        output = artifact_utils.get_single_instance(output_dict[spec.EXAMPLES_KEY])
        names = artifact_utils.decode_split_names(examples[0].split_names)
        if other_splits == "drop":
            names = [name for name in names if name in splits]
        # Set first, because the URIs of splits are taken from it.
        output.split_names = artifact_utils.encode_split_names(names)
        uris = {name: artifact_utils.get_split_uri([output], name) for name in names}
        for uri in uris.values():
            _clear(uri)  # Files of an earlier try that was killed.
        try:
            manifests = write_resampled(
                {uris[split]: files[split] for split in splits},
                plan,
                options,
                self._make_beam_pipeline,
            )
            for name in set(names) - set(splits):
                _pass_through(split_files(examples, name), uris[name], other_splits)
        except BaseException:
            for uri in uris.values():
                _clear(uri)
            raise
        payload = examples_utils.get_payload_format(examples[0])
        examples_utils.set_payload_format(output, payload)
        for split in splits:
            manifest = manifests[uris[split]]
            logging.info("Split %r:\n%s", split, _as_text(plan, manifest))
            for name, number in _counts(manifest).items():
                output.set_int_custom_property(f"{split}_{name}", number)
        output.set_string_custom_property("resampled", options.mode)
        artifacts.carry_span(examples, output)


def _counts(manifest: Manifest) -> dict[str, int]:
    """Returns what properties count; of what is stratified nothing is emitted yet."""
    counts = {**manifest.counts, "written": sum(manifest.records)}
    if manifest.mode == "stratify":
        del counts["dropped"], counts["emitted"]
    return counts


def _splits(
    exec_properties: dict[str, Any], examples: list[types.Artifact], plan: Plan
) -> Sequence[str]:
    """Returns the splits to resample."""
    if exec_properties.get(spec.SPLITS_KEY):
        return parse_names("splits", exec_properties[spec.SPLITS_KEY], 1)
    if exec_properties.get(spec.EXCLUDE_SPLITS_KEY):
        return splits_but(examples, exec_properties[spec.EXCLUDE_SPLITS_KEY])
    return plan.splits


def _pass_through(files: list[str], directory: str, how: str) -> None:
    fileio.makedirs(directory)
    for number, source in enumerate(files):
        # Several artifacts may have files of one name.
        name = os.path.basename(source)
        target = os.path.join(directory, name)
        if fileio.exists(target):
            target = os.path.join(directory, f"{number:05}-{name}")
        if how == "copy":
            fileio.copy(source, target)
            continue
        try:
            os.link(source, target)
        except OSError as error:
            raise ValueError(
                f"other_splits='link' cannot link {source!r} to {target!r}: {error}. "
                "Set other_splits='copy'."
            ) from None


def _clear(uri: str) -> None:
    if fileio.exists(uri):
        fileio.rmtree(uri)
    if fileio.exists(manifest_path(uri)):
        fileio.remove(manifest_path(uri))


def _as_text(plan: Plan, manifest: Manifest) -> str:
    counts = manifest.counts
    lines = [
        f"{counts['read']:,} records read, {counts['corrupt']:,} corrupt left out, "
        f"{sum(manifest.records):,} written to {len(manifest.names):,} shards"
    ]
    if manifest.mode == "materialize":
        epochs = range(manifest.start_epoch, manifest.start_epoch + manifest.epochs)
        predicted = sum(plan.predicted_records_at(epoch) for epoch in epochs)
        lines.append(
            f"{counts['emitted']:,} samples emitted ({predicted:,.0f} predicted), "
            f"{counts['dropped']:,} records dropped, in {manifest.epochs} epoch(s) "
            f"from epoch {manifest.start_epoch}"
        )
    return "\n".join(lines)
