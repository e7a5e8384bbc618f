"""`ml-assets verify`: whether anything of the store, the ledger or a pointer is missing, changed or added."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, TextIO

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.verify.discrepancies import Discrepancy, Progress
from ml_assets.services.verify.home import Verified, verify, verify_new
from ml_assets.services.verify.memory import remembered
from ml_assets.spec.product import load_all

SHOWN = 50


@click.command()
@click.option(
    "--new",
    "is_new",
    is_flag=True,
    help="Read only what came since the last `--new` that found nothing; the first one reads everything.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--export", type=click.File(encoding="utf-8"), help="Check this file of `ml-assets export ledger` instead.")
def command(is_new: bool, as_json: bool, export: TextIO | None) -> None:
    """Check every digest of the store, every entry and row of the ledger, and the files that name the release that serves; and
    judge again, from the stored scores, every verdict that let a release into production.

    With --new, entries that were verified before are not read again, nor files of the store whose size, times and inode (of
    an object store: size, mark and time) are what they were. It finds what is wrong in everything that came since, and files
    and rows that are gone. It does not see a byte that changed on the disk underneath an old file, nor a change within an old
    entry or row: run `ml-assets verify` now and then for those. What it remembers lies in `cache/verified.db` of the home. If
    that is of another ledger or store, or the last verified entry is no longer in the chain, everything is read, and the output
    says why.

    Exit code 0: everything is as it was written; 1: something is not. Nothing is changed.
    """
    if export is not None and is_new:
        raise click.UsageError("--new is about this home, --export about a file; give one of them")
    tell, about = _progress(as_json), dict[str, Any]()
    if export is not None:
        from ml_assets.services.export.ledger import verify_export

        result = verify_export(export)
    elif is_new:
        result, about = _new(tell)
    else:
        space = workspace()
        result = _judged(verify(space.settings, tell=tell), space, tell)
    if as_json:
        outcome = {
            "is_clean": result.is_clean,
            **about,
            **result.counts,
            "findings": [discrepancy.to_dict() for discrepancy in result.discrepancies],
        }
        click.echo(json.dumps(outcome, indent=1))
    else:
        _print(result, about)
    sys.exit(0 if result.is_clean else 1)


def _new(tell: Progress) -> tuple[Verified, dict[str, Any]]:
    """What came since the last time; and since which entry that is, or why everything was read."""
    space = workspace()
    with remembered(space.settings) as memory:
        result = _judged(verify_new(space.settings, memory, tell=tell), space, tell)
        if result.is_clean and result.point.seq:
            memory.keep(result.point)
        return result, {"since": result.since, "why_everything": memory.why_whole or None}


def _judged(result: Verified, space: Workspace, tell: Progress) -> Verified:
    """The same with the verdicts, where the bytes are as they were written."""
    from ml_assets.services.verify.verdicts import with_verdicts

    if not (result.is_clean and result.point.seq):
        return result
    return with_verdicts(result, space.lineage, load_all(space.settings.products).values(), tell=tell)


def _progress(is_quiet: bool) -> "_VerifyProgress":
    return _VerifyProgress(is_quiet or not sys.stderr.isatty())


class _VerifyProgress:
    """Shows progress on one line of a terminal."""

    def __init__(self, is_quiet: bool) -> None:
        self.is_quiet = is_quiet

    def __call__(self, message: str) -> None:
        if not self.is_quiet:
            click.echo(f"\r\x1b[K{message}", nl=False, err=True)


def _print(result: Verified, about: Mapping[str, Any]) -> None:
    if why := about.get("why_everything"):
        click.echo(f"everything was read: {why}")
    failures = [discrepancy for discrepancy in result.discrepancies if not discrepancy.is_note]
    notes = [discrepancy for discrepancy in result.discrepancies if discrepancy.is_note]
    for discrepancy in failures[:SHOWN]:
        click.echo(_line(discrepancy))
    _print_hidden(len(failures))
    for discrepancy in notes[:SHOWN]:
        click.echo(f"note: {discrepancy.where} {discrepancy.message}")
    _print_hidden(len(notes))
    counts = ", ".join(f"{count} {name}" for name, count in result.counts.items())
    kinds = Counter(discrepancy.kind for discrepancy in failures)
    problems = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    since = f" since entry {result.since}" if result.since else ""
    click.echo(f"{counts}{since}: {problems or 'everything is as it was written'}")


def _print_hidden(count: int) -> None:
    if count > SHOWN:
        click.echo(f"  and {count - SHOWN} more; --json lists them all")


def _line(discrepancy: Discrepancy) -> str:
    then = f"\n         {discrepancy.then}" if discrepancy.then else ""
    return f"{discrepancy.kind:<8} {discrepancy.where} {discrepancy.message}{then}"
