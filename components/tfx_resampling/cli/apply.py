"""`tfx-resampling apply`: writes resampled records with Beam."""

import logging

import click

from tfx_resampling.cli import common
from tfx_resampling.options import InputOptions

_READING = ("epochs", "start_epoch", "on_corrupt")


@click.command(
    "apply",
    short_help="Writes resampled records.",
    cls=common.OptionsCommand,
    flags=lambda: common.option_flags(InputOptions, _READING, epochs=1),
)
@click.argument("plan")
@common.examples()
@click.option("--output", required=True, metavar="DIR", help="Not yet there.")
@click.option(
    "--mode",
    type=click.Choice(["materialize", "stratify"]),
    default="materialize",
    show_default=True,
    help="The samples of epochs; or every record, laid out for input_fn.",
)
@click.option("--num-shards", type=int, help="Files; by default of about 64 MB.")
@click.option(
    "--compression",
    type=click.Choice(["auto", "none", "gzip"]),
    default="auto",
    show_default=True,
    help="Of what is written; auto: as what is read.",
)
@click.option(
    "--beam-arg",
    "beam_args",
    multiple=True,
    metavar="ARG",
    help="For Beam, e.g. --beam-arg=--direct_num_workers=2; repeatable.",
)
@common.json_flag
def apply_command(
    plan, examples, output, mode, num_shards, compression, beam_args, as_json, **reading
):
    """Writes the samples of a plan's epochs to a directory of TFRecord files."""
    plan = common.read_plan(plan)
    # First, for it is what the extra is named after where both are missing.
    import apache_beam as beam

    common.import_tensorflow()
    from tfx_resampling.beam.arguments import check_arguments
    from tfx_resampling.beam.resample_options import ResampleOptions
    from tfx_resampling.beam.write import write_resampled
    from tfx_resampling.records import files

    chosen = ResampleOptions(
        mode=mode,
        num_shards=num_shards,
        compression={"auto": "auto", "none": "", "gzip": "GZIP"}[compression],
        **reading,
    )
    # Beam logs errors with tracebacks, which come back as errors too.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    check_arguments(beam_args)
    names = files.match_files(list(examples))
    output = output.rstrip("/")
    layout = write_resampled(
        {output: names}, plan, chosen, lambda: beam.Pipeline(argv=list(beam_args))
    )[output]
    if as_json:
        shards = len(layout.names)
        common.write_json({"output": output, "shards": shards, **layout.counts})
        return
    counts = layout.counts
    click.echo(
        f"{counts['read']:,} records read, {counts['corrupt']:,} corrupt left out, "
        f"{sum(layout.records):,} written to {len(layout.names):,} files of {output}"
    )
