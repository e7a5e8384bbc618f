"""`ml-assets draw`: a report.json that somebody else's code wrote, checked against its schema, as Markdown."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--note", default="", help="A line to begin with.")
def command(file: Path, note: str) -> None:
    """Print the report of a report.json, as `ml-assets ci` would have written it but for pictures.

    Whatever the file holds, the text can do nothing but be read: no HTML, link, picture or mention of its own comes through.
    """
    from ml_assets.core.changes.pull_request_comment import comment
    from ml_assets.services.review import report_folder

    click.echo(comment(report_folder.read(file), note), nl=False)
