"""`ml-assets explain`: the features of a prediction, and what each contributed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.errors import MlAssetsError


class UnknownPrediction(MlAssetsError):
    """No log holds a prediction with this id."""


class OtherScore(MlAssetsError):
    """The logged request does not score as it was served."""


@click.command()
@click.argument("prediction_id")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(prediction_id: str, as_json: bool) -> None:
    """Show the request of PREDICTION_ID, its features, what each added to the score, and the release that served.

    The logged request is scored again by the bundle that served it, from its own features, model and lookups; it needs the home
    (and the store), not Dagster, MLflow or the ledger. A score that differs from the served one is an error.
    """
    explained = explanation(workspace(), prediction_id)
    click.echo(json.dumps(explained, indent=1) if as_json else "\n".join(lines(explained)))


def explanation(space: Workspace, prediction_id: str) -> dict[str, Any]:
    """The record of the prediction, and its explanation, as plain values."""
    from ml_assets.services.replicas.shared_logs import find_prediction
    from ml_assets.serving.log.prediction_id import is_prediction_id
    from ml_assets.serving.release.bundle import load
    from ml_assets.serving.release.explanation import explain

    if not is_prediction_id(prediction_id):
        raise UnknownPrediction(f"{prediction_id!r} is not a prediction id; an answer of `POST /predict` holds one for each row")
    record = find_prediction(space.settings, space.lineage, prediction_id)
    if record is None:
        about = "its server may not have written it yet (wait a second), or was killed before it did"
        raise UnknownPrediction(f"no log under {space.settings.home / 'predictions'} holds {prediction_id}; {about}")
    folder = space.snapshots.checkout(record["bundle"])
    explained = explain(load(folder, digests=space.snapshots.open(record["bundle"]).members), record["request"])
    if explained.score != record["score"]:
        scores = f"{record['score']!r} was served, {explained.score!r} is computed now"
        raise OtherScore(f"{prediction_id}: {scores}; `ml-assets verify` shows whether the store was changed")
    return {**record, **asdict(explained), "lineage": f"ml-assets lineage {prediction_id}"}


def lines(explained: Mapping[str, Any]) -> Iterator[str]:
    """The explanation as text."""
    threshold, decision = explained["threshold"], explained["decision"]
    decided = "" if threshold is None else f"; {str(decision).lower()} at threshold {threshold}"
    of_class = f"{explained['likeliest']} the probability " if explained["likeliest"] is not None else ""
    yield f"{explained['product']} {explained['release']} gave {of_class}{explained['score']}{decided}"
    yield f"  at {explained['at']} in {explained['environment']}, bundle {explained['bundle'][:12]}"
    yield f"  asked {json.dumps(explained['request'])}"
    yield ""
    shares = explained["shares"]
    width = max(len("expected value"), *(len(share["feature"]) for share in shares))
    yield f"{'expected value':<{width}}  {explained['expected']:>+10.4f}"
    for share in shares:
        value = "missing" if share["value"] is None else share["value"]
        yield f"{share['feature']:<{width}}  {share['contribution']:>+10.4f}  {value}"
    kind = "log-odds" if decision is not None else "raw score"
    yield f"{kind:<{width}}  {explained['raw_score']:>+10.4f}  scores {explained['score']}"
    yield ""
    yield f"What made the release: `{explained['lineage']}`"
