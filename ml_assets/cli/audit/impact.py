"""`ml-assets impact`: what a partition, a table or a delivered file touched, down to the predictions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import resolve, show
from ml_assets.core.html.audit_page import impact_page, name_of
from ml_assets.services.audit.questions import Audit
from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.serving.log.reader import count_predictions

SHOWN = 12


@click.command()
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of the graph to this file.")
def command(reference: str, as_json: bool, html: Path | None) -> None:
    """Show what was made from REFERENCE, the releases that came from it with their predictions, and what serves now.

    REFERENCE is PRODUCT/STAGE:PARTITION (flights/raw:2013-03), PRODUCT/reference, landing/PRODUCT/TABLE:PARTITION, the
    beginning of a digest (of a delivered file, snapshot or manifest; 6 characters or more), or a release's name.
    """
    space = workspace()
    subject = resolve(space, reference)
    predictions = count_predictions(served_log(space.settings, space.lineage, subject.product))
    answer = Audit(space.ledger, space.settings.cache, subject).impact(predictions)
    show(answer, lines=lines, page=impact_page, html=html, as_json=as_json)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer as text."""
    yield f"{name_of(answer['subject'])} was used by"
    for asset, rows in answer["manifests"].items():
        others = [row for row in rows if row["manifest"] != answer["subject"].get("manifest")]
        if not others:
            continue
        keys = [row["partition"] + ("" if row["is_current"] else " (replaced)") for row in others]
        more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        yield f"  {asset:<24}{len(keys):>7}  {', '.join(keys[:SHOWN])}{more}"
    yield ""
    yield from _releases(answer["releases"])
    for environment, now in answer["answers"].items():
        origin = "was made from it" if now["is_affected"] else "was not made from it"
        yield f"{environment}: {now['release']} serves since {now['since'][:19]}; it {origin}"
    if not answer["answers"]:
        yield "no release serves yet"


def _releases(releases: list[Mapping[str, Any]]) -> Iterator[str]:
    if not releases:
        yield "no release was made from it"
        return
    total = sum(sum(release["predictions"].values()) for release in releases)
    yield f"{len(releases)} releases were made from it; they gave {total} predictions"
    for release in releases:
        counts = ", ".join(f"{count} in {environment}" for environment, count in release["predictions"].items())
        yield f"  {release['release']:<26}{release['at'][:19]}  predictions: {counts or 'none'}"
    yield ""
