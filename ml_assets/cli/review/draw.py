"""`ml-assets draw`: a report.json that somebody else's code wrote, checked against its schema, as Markdown."""

from pathlib import Path

import click

from ml_assets.errors import MlAssetsError

MOST_BYTES = 4_000_000
MOST_TEXT = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""


class ReportRefused(MlAssetsError):
    """The file is no report.json."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--note", default="", help="A line to begin with.")
def command(file: Path, note: str) -> None:
    """Print the report of a report.json, as `ml-assets ci` would have written it but for pictures.

    Whatever the file holds, the text can do nothing but be read: no HTML, link, picture or mention of its own comes through.
    """
    import msgspec

    from ml_assets.core.changes.page import page
    from ml_assets.core.changes.review import Review

    try:
        found = msgspec.json.decode(_bytes(file), type=Review)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReportRefused(
            f"{file.name} is no report: {error}; `ml-assets schema report.json` prints what it may hold"
        ) from None
    bare = tuple(msgspec.structs.replace(each, pictures=()) for each in found.comparisons)
    text = page(msgspec.structs.replace(found, comparisons=bare))
    shown = (
        text if len(text) <= MOST_TEXT else text[:MOST_TEXT].rpartition("\n\n")[0] + "\n\nThe rest is in the run's artifact.\n"
    )
    click.echo((f"> {note}\n\n" if note else "") + shown, nl=False)


def _bytes(file: Path) -> bytes:
    if file.is_symlink() or not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise ReportRefused(f"{file.name} is not there, no plain file, or has more than {MOST_BYTES:,} bytes")
    return file.read_bytes()
