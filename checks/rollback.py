"""A rollback works, and fast: tried on a copy of the record, with a real server process, before somebody needs it.

It starts a server, so the path's job leaves it out: it runs with `ml-assets check`, in CI and in the job of checks. Nothing
waits for it, so it does not block.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg

from checks.evidence import check_spec, proven_of
from ml_assets.core.release.promotion import Move, back
from ml_assets.services.claims import ROLLBACK_DRILL
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.endpoints.moves import Endpoints, moves_of, recalled_bundles
from resources.ledger.ledger import Ledger
from resources.scratch_lineage import ledger_copy
from resources.settings import Settings
from resources.store.snapshots import Snapshots

MOST_SECONDS = 5.0
NOWHERE = "http://127.0.0.1:9"
"""The port of `discard`, where nothing listens: MLflow and every proxy are there during a drill."""

PROOF = Proof("endpoint/production", (ROLLBACK_DRILL,), (f"{__name__}:_finding",), is_reused=False)


@dataclass(frozen=True)
class DrillMove:
    """One move of the drill: the release that served then, after how many seconds; `trouble` is empty if all was as recorded."""

    release: str
    seconds: float
    trouble: str


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The drill of a product's production endpoint."""
    about = f"A server goes back to the release before and forward again within {MOST_SECONDS:g} s, with the recorded scores."
    spec = check_spec(product, "endpoint/production", ROLLBACK_DRILL, about, blocking=False)

    @dg.multi_asset_check(name=f"{product.name}__rollback_drill", specs=[spec])
    @retried
    def rollback_drill(
        context: dg.AssetCheckExecutionContext,
        ledger: dg.ResourceParam[Ledger],
        snapshots: dg.ResourceParam[Snapshots],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.AssetCheckResult]:
        entry = ledger.pointer(product.name, "production")
        release = ledger.manifest(entry.body.manifest) if entry else None
        yield from proven_of(
            context, ledger, product, PROOF, manifest=release, find=lambda _: [_drill(ledger, snapshots, settings, product)]
        )

    return [rollback_drill]


def _drill(ledger: Ledger, snapshots: Snapshots, settings: Settings, product: Product) -> Finding:
    from ml_assets.serving.client.http_client import EndpointError
    from ml_assets.serving.client.server_process import ServerDied

    moves = moves_of(ledger, product.name, "production")
    before = back(moves, recalled=recalled_bundles(ledger, product.name, "production"))
    if before is None:
        return Finding(ROLLBACK_DRILL, False, f"there is no release before {moves[-1].release} to go back to", "WARN")
    with tempfile.TemporaryDirectory(prefix="ml-assets-drill-") as folder:
        own = copied(ledger, settings, product, Path(folder))
        try:
            steps = _steps(own, snapshots, product, current=moves[-1], back_to=before)
        except (EndpointError, ServerDied) as error:
            return Finding(ROLLBACK_DRILL, False, f"between {moves[-1].release} and {before.release}: {error}")
    return _finding(steps)


def copied(ledger: Ledger, settings: Settings, product: Product, folder: Path) -> Settings:
    """The settings of a home of its own with a copy of the record and its pointer file, above the same store: whatever moves
    there, nothing moves here."""
    own = replace(settings, home=folder, ledger=f"sqlite:///{folder / 'ledger.db'}", mlflow=NOWHERE, keys="", key="")
    copy = Ledger(own.ledger, head_checkpoint=own.ledger_head)
    ledger_copy(ledger, copy)
    Endpoints(own.endpoints, copy).settle(product.name, "production")
    copy.close()
    return own


def _steps(own: Settings, snapshots: Snapshots, product: Product, *, current: Move, back_to: Move) -> list[DrillMove]:
    from ml_assets.serving.client import http_client as client
    from ml_assets.serving.client.server_process import ServerProcess

    argv = [sys.executable, "-m", "ml_assets", "serve", product.name]
    steps: list[DrillMove] = []
    with ServerProcess(argv, environ=_environ(own)) as server:
        steps.append(DrillMove(current.release, 0.0, _trouble(snapshots, server.base_url, current)))
        for move in (back_to, current):
            started = time.monotonic()
            client.rollback(server.base_url, to=move.bundle, reason="a drill", key="")
            trouble = _trouble(snapshots, server.base_url, move)
            steps.append(DrillMove(move.release, time.monotonic() - started, trouble))
    return steps


def _trouble(snapshots: Snapshots, base_url: str, expected: Move) -> str:
    """Score the golden rows of the release that should serve. Returns what differs from the record, empty if nothing does."""
    from ml_assets.serving.client import http_client as client

    golden = json.loads(snapshots.read(expected.bundle, "golden.json"))
    answer = client.predict(base_url, golden["requests"], key="")
    if answer["release"] != expected.release:
        return f"{answer['release']} serves, not {expected.release}"
    scores = [_score(prediction) for prediction in answer["predictions"]]
    return "" if scores == golden["scores"] else f"{expected.release} scores its golden rows differently from the record"


def _score(prediction: dict[str, Any]) -> float:
    score = prediction.get("probability", prediction.get("value"))
    return float(score)  # type: ignore[arg-type]


def _environ(own: Settings) -> dict[str, str]:
    proxies = {name: NOWHERE for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())}
    return {**own.environ(), **proxies}


def _finding(steps: list[DrillMove]) -> Finding:
    _, went_back, went_forth = steps
    details = {
        "back_to": went_back.release,
        "seconds_back": round(went_back.seconds, 3),
        "forth_to": went_forth.release,
        "seconds_forth": round(went_forth.seconds, 3),
    }
    wrong = [step.trouble for step in steps if step.trouble]
    wrong += [f"{step.release} answered after {step.seconds:.1f} s" for step in steps if step.seconds >= MOST_SECONDS]
    if wrong:
        return Finding(ROLLBACK_DRILL, False, "; ".join(wrong), details=details)
    description = (
        f"back to {went_back.release} in {went_back.seconds:.2f} s, forward again in {went_forth.seconds:.2f} s, as recorded"
    )
    return Finding(ROLLBACK_DRILL, True, description, details=details)
