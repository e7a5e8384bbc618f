"""A release answers one row about as fast as the release that serves: both measured on one server, in turns."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from checks.evidence import proven_of
from checks.staging_server import StagingServer
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.records import MoveRecord
from ml_assets.errors import MlAssetsError
from ml_assets.services.claims import LATENCY_HOLDS
from ml_assets.services.evidence import Finding, Proof
from ml_assets.services.proofs.latency_evidence import latency_outdated
from ml_assets.spec.product import Product
from ml_assets.spec.sections import StagingSpec
from resources.endpoints.moves import as_pointer
from resources.ledger.records import Record
from resources.lineage import Lineage
from resources.store.snapshots import Snapshots

if TYPE_CHECKING:
    from ml_assets.serving.client.latency import MeasuredLatency


def prove_latency(
    context: dg.AssetCheckExecutionContext,
    server: StagingServer,
    *,
    lineage: Lineage,
    product: Product,
    staged: Record[MoveRecord] | None,
) -> Iterator[dg.AssetCheckResult]:
    """Measure the release of the staging pointer; a PASS against the release that serves is reused, a failure never."""
    release = lineage.ledger.manifest(staged.body.manifest) if staged else None
    is_reused = release is not None and _holds(lineage, product, release)
    proof = Proof("endpoint/staging", (LATENCY_HOLDS,), (f"{__name__}:_judged",), is_reused)

    def find(_: Manifest) -> list[Finding]:
        return [_find(lineage, product, server, staged)]

    for result in proven_of(context, lineage.ledger, product, proof, manifest=release, find=find):
        yield _with_table(result)


def _holds(lineage: Lineage, product: Product, release: Manifest) -> bool:
    lacking = lineage.unproven(release, [LATENCY_HOLDS])
    return not lacking and not latency_outdated(lineage.ledger, product, release)


def _find(lineage: Lineage, product: Product, server: StagingServer, staged: Record[MoveRecord] | None) -> Finding:
    assert product.staging
    assert staged
    serving = lineage.ledger.pointer(product.name, "production")
    champion = serving if serving and serving.body.bundle != staged.body.bundle else None
    compared = {
        "champion": serving.body.bundle if serving else None,
        "champion_release": serving.body.release if serving else "",
        "p99_ratio": product.staging.p99_ratio,
    }
    attempts: list[dict[str, Any]] = []
    try:
        for _ in range(product.staging.attempts if champion else 1):
            attempts.append(_attempt(lineage.snapshots, server, staged, champion))
            if champion is None or attempts[-1]["ratio"] <= product.staging.p99_ratio:
                break
    except MlAssetsError as error:
        server.stop()  # the release that is tried next gets a process that this one can't have harmed
        against = f" against {champion.body.release}" if champion else ""
        message = f"{staged.body.release} cannot be measured{against}: {error}"
        return Finding(LATENCY_HOLDS, False, message, details={**compared, "attempts": attempts})
    return _judged(product.staging, attempts, compared, is_first=serving is None)


def _attempt(
    snapshots: Snapshots, server: StagingServer, staged: Record[MoveRecord], champion: Record[MoveRecord] | None
) -> dict[str, Any]:
    """One measurement: each release's p99 in milliseconds, and their ratio where there are two."""
    from ml_assets.serving.client.latency import measure_in_turns

    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    measured = [_measured(snapshots, server, entry) for entry in (staged, champion) if entry]
    server.serve(as_pointer(staged))  # starts it, where no check did
    measure_in_turns(server.base_url, measured)
    candidate_ms, *champion_ms = (release.p99_ms for release in measured)
    return {
        "at": at,
        "candidate_p99_ms": round(candidate_ms, 3),
        "champion_p99_ms": round(champion_ms[0], 3) if champion_ms else None,
        "ratio": round(candidate_ms / champion_ms[0], 3) if champion_ms else None,
        "requests": sum(release.requests for release in measured),
    }


def _measured(snapshots: Snapshots, server: StagingServer, entry: Record[MoveRecord]) -> "MeasuredLatency":
    """A release with its golden requests, which it takes whatever its request model is."""
    from ml_assets.serving.client.latency import MeasuredLatency

    golden = json.loads(snapshots.read(entry.body.bundle, "golden.json"))
    return MeasuredLatency(partial(server.serve, as_pointer(entry)), golden["requests"])


def _judged(staging: StagingSpec, attempts: list[dict[str, Any]], compared: Mapping[str, Any], *, is_first: bool) -> Finding:
    """The finding of the best attempt: the last one, unless all of them failed."""
    best = min(attempts, key=lambda attempt: attempt["ratio"] or 0.0)
    details = {**compared, **_numbers(best), "attempts": attempts}
    description = f"p99 is {best['candidate_p99_ms']:.2f} ms"
    if best["ratio"] is None:
        why = "no release serves yet" if is_first else "this is the release that serves"
        return Finding(LATENCY_HOLDS, True, f"{description}; {why}, so there is no ratio", details=details)
    champion, tried = compared["champion_release"], f" in the best of {len(attempts)} attempts" if len(attempts) > 1 else ""
    description += f", {best['ratio']:.2f} times that of {champion} ({best['champion_p99_ms']:.2f} ms){tried}"
    limit = f"at most {staging.p99_ratio:g} times is allowed"
    return Finding(LATENCY_HOLDS, best["ratio"] <= staging.p99_ratio, f"{description}; {limit}", details=details)


def _numbers(attempt: Mapping[str, Any]) -> dict[str, float]:
    """An attempt's figures; just the candidate's if nothing is compared."""
    return {name: attempt[name] for name in ("candidate_p99_ms", "champion_p99_ms", "ratio") if attempt[name] is not None}


def _with_table(result: dg.AssetCheckResult) -> dg.AssetCheckResult:
    """The result with its attempts as a table."""
    shown = dict(result.metadata or {})
    if (
        isinstance(attempts := shown.get("attempts"), dg.JsonMetadataValue)
        and isinstance(attempts.value, list)
        and attempts.value
    ):
        rows = [{"at": attempt["at"], **_numbers(attempt), "requests": attempt["requests"]} for attempt in attempts.value]
        shown["attempts"] = dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
    return dg.AssetCheckResult(
        passed=result.passed,
        asset_key=result.asset_key,
        check_name=result.check_name,
        severity=result.severity,
        description=result.description,
        metadata=shown,
    )
