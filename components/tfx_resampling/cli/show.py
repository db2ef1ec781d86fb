"""`tfx-resampling show`: a plan as table, page or picture."""

import click

from tfx_resampling.cli import common


@click.command("show")
@click.argument("plan")
@click.option("--html", metavar="PATH", help="Write the report, one HTML page.")
@click.option("--png", metavar="PATH", help="Write the figure; needs matplotlib.")
@common.json_flag
def command(plan, html, png, as_json):
    """Shows a plan.json, the directory it is in, or - for standard input."""
    if common.STANDARD_STREAM in (html, png) and (as_json or html == png):
        raise click.UsageError("only one thing can go to standard output.")
    from tfx_resampling import report
    from tfx_resampling.cli.plan import print_plan, summary

    plan = common.read_plan(plan)
    if html:
        common.write(html, report.as_html(plan))
    if png:
        common.write(png, _as_png(plan))
    if as_json:
        common.write_json(summary(plan))
    elif common.STANDARD_STREAM not in (html, png):
        print_plan(plan)


def _as_png(plan) -> bytes:
    import io

    from tfx_resampling import report

    figure = report.figure(plan)
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=150, bbox_inches="tight")
    return contents.getvalue()
