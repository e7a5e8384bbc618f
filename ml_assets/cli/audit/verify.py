"""`ml-assets verify`: whether anything of the store, the ledger or a pointer is missing, changed or added."""

import json
import sys
from collections import Counter
from typing import TextIO

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.services.verify.discrepancies import Discrepancy
from ml_assets.services.verify.home import Verified, verify
from ml_assets.spec.product import load_all

SHOWN = 50


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--export", type=click.File(encoding="utf-8"), help="Check this file of `ml-assets export ledger` instead.")
def command(as_json: bool, export: TextIO | None) -> None:
    """Check every digest of the store, every entry and row of the ledger, and the files that name the release that serves; and
    judge again, from the stored scores, every verdict that let a release into production.

    Exit code 0: everything is as it was written; 1: something is not. Nothing is changed.
    """
    if export is not None:
        from ml_assets.services.export.ledger import verify_export

        result = verify_export(export)
    else:
        from ml_assets.services.verify.verdicts import with_verdicts

        space, tell = workspace(), _progress(as_json)
        result = verify(space.settings, tell=tell)
        if result.is_clean and result.counts["entries"]:
            result = with_verdicts(result, space.lineage, load_all(space.settings.products).values(), tell=tell)
    if as_json:
        outcome = {
            "is_clean": result.is_clean,
            **result.counts,
            "findings": [discrepancy.to_dict() for discrepancy in result.discrepancies],
        }
        click.echo(json.dumps(outcome, indent=1))
    else:
        _print(result)
    sys.exit(0 if result.is_clean else 1)


def _progress(is_quiet: bool) -> "_VerifyProgress":
    return _VerifyProgress(is_quiet or not sys.stderr.isatty())


class _VerifyProgress:
    """Shows progress on one line of a terminal."""

    def __init__(self, is_quiet: bool) -> None:
        self.is_quiet = is_quiet

    def __call__(self, message: str) -> None:
        if not self.is_quiet:
            click.echo(f"\r\x1b[K{message}", nl=False, err=True)


def _print(result: Verified) -> None:
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
    click.echo(f"{counts}: {problems or 'everything is as it was written'}")


def _print_hidden(count: int) -> None:
    if count > SHOWN:
        click.echo(f"  and {count - SHOWN} more; --json lists them all")


def _line(discrepancy: Discrepancy) -> str:
    then = f"\n         {discrepancy.then}" if discrepancy.then else ""
    return f"{discrepancy.kind:<8} {discrepancy.where} {discrepancy.message}{then}"
