"""`ml-assets verify`: whether anything of the store, the ledger or a pointer is missing, changed or added."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TextIO

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.services.verify.findings import Finding
from ml_assets.services.verify.home import Verified, verify

SHOWN = 50


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--export", type=click.File(encoding="utf-8"), help="Check this file of `ml-assets export ledger` instead.")
def command(as_json: bool, export: TextIO | None) -> None:
    """Check every digest of the store, every entry and row of the ledger, and the files that say who answers.

    Exit code 0: everything is as it was written; 1: something is not. Nothing is changed.
    """
    if export is not None:
        from ml_assets.services.export.ledger import verify_export

        found = verify_export(export)
    else:
        found = verify(workspace().settings, tell=_progress(as_json))
    if as_json:
        told = {"is_clean": found.is_clean, **found.counts, "findings": [asdict(finding) for finding in found.findings]}
        click.echo(json.dumps(told, indent=1))
    else:
        _print(found)
    sys.exit(0 if found.is_clean else 1)


def _progress(is_quiet: bool) -> "_Teller":
    return _Teller(is_quiet or not sys.stderr.isatty())


class _Teller:
    """Writes how far it came over one line of a terminal."""

    def __init__(self, is_quiet: bool) -> None:
        self.is_quiet = is_quiet

    def __call__(self, told: str) -> None:
        if not self.is_quiet:
            click.echo(f"\r\x1b[K{told}", nl=False, err=True)


def _print(found: Verified) -> None:
    failures = [finding for finding in found.findings if not finding.is_note]
    notes = [finding for finding in found.findings if finding.is_note]
    for finding in failures[:SHOWN]:
        click.echo(_line(finding))
    _print_hidden(len(failures))
    for finding in notes[:SHOWN]:
        click.echo(f"note: {finding.where} {finding.told}")
    _print_hidden(len(notes))
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items())
    kinds = Counter(finding.kind for finding in failures)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    click.echo(f"{counts}: {told or 'everything is as it was written'}")


def _print_hidden(count: int) -> None:
    if count > SHOWN:
        click.echo(f"  and {count - SHOWN} more; --json lists them all")


def _line(finding: Finding) -> str:
    then = f"\n         {finding.then}" if finding.then else ""
    return f"{finding.kind:<8} {finding.where} {finding.told}{then}"
