"""Trials of a release next to the one that serves, before it serves itself, where the product declares so: as a shadow, as a
canary that serves a share, or first the one and then the other.

Level-triggered: whoever calls compares what is recorded with what is known now. Nothing here promotes; a release that is shown
to be good enough is no longer held back, and passes the usual lock.
"""

from typing import Any

import msgspec

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.metrics.score_columns import names
from ml_assets.core.monitoring.shadow_harm import HarmVerdict, judge, pairs
from ml_assets.core.release.identity import By
from ml_assets.core.release.records import MoveRecord, ShadowRecord, Terms
from ml_assets.services.replicas.notify import notify_server
from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.spec.product import Product
from ml_assets.spec.sections import CanarySpec, ShadowSpec
from resources.endpoints import shadows
from resources.endpoints.moves import Endpoints
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record
from resources.lineage import Lineage
from resources.settings import Settings

JUDGE = "the judge of shadows"


def hold_reason(lineage: Lineage, endpoints: Endpoints, settings: Settings, product: Product, release: Manifest) -> str | None:
    """The reason why the release may not serve yet, in words; None when nothing holds it back. Starts what is declared: its
    shadow, then, when that was good enough, its canary."""
    champion = lineage.ledger.pointer(product.name, "production")
    declared = [terms for terms in (product.endpoint.shadow, product.endpoint.canary) if terms is not None]
    if not declared or champion is None:
        return None
    if (running := shadows.running(lineage.ledger, product.name)) is not None:
        judged = look(lineage, endpoints, settings, product, running)
        is_ours = running.body.bundle == release.snapshot
        if judged.verdict == "undecided" or (judged.verdict == "good enough" and not is_ours):
            where = shadows.place(running)
            return f"{where}: {judged.sentence}" if is_ours else f"{running.body.release} is {where} before it: {judged.sentence}"
    for terms in declared:
        end = shadows.ended(lineage.ledger, release, champion, is_canary=isinstance(terms, CanarySpec))
        if end is None:
            return _start(endpoints, product, release, champion, terms)
        if end.body.outcome != "good enough":
            what = "canary" if end.body.share else "shadow"
            return f"its {what} ended with {end.body.outcome}: {end.body.reason}"
    return None


def _start(endpoints: Endpoints, product: Product, release: Manifest, champion: Record[MoveRecord], declared: ShadowSpec) -> str:
    share = declared.share if isinstance(declared, CanarySpec) else 0.0
    started = shadows.start(
        endpoints.ledger,
        release,
        champion=champion,
        terms=Terms(**declared.model_dump(exclude={"share"})),
        by="the endpoint",
        reason=f"{ReleaseFacts.of(release).release} is to be tried next to {champion.body.release}",
        share=share,
    )
    return f"{shadows.place(started)} from now on; {_notified(endpoints, product)}"


def look(
    lineage: Lineage, endpoints: Endpoints, settings: Settings, product: Product, running: Record[ShadowRecord]
) -> HarmVerdict:
    """Judge the shadow on all outcomes so far, and end it, recorded with the evidence, when that is decided."""
    judged = judged_now(lineage, settings, product, running)
    if judged.verdict != "undecided":
        evidence, reason = judged.evidence, judged.sentence
        shadows.stop(lineage.ledger, running, outcome=judged.verdict, evidence=evidence, by=JUDGE, reason=reason)
        _notified(endpoints, product)
    return judged


def stop(
    lineage: Lineage,
    endpoints: Endpoints,
    settings: Settings,
    product: Product,
    running: Record[ShadowRecord],
    *,
    by: By,
    reason: str,
) -> str:
    """End the shadow by a person's decision; return the server's reply."""
    judged = judged_now(lineage, settings, product, running)
    shadows.stop(lineage.ledger, running, outcome="stopped", evidence=judged.evidence, by=by, reason=reason)
    return _notified(endpoints, product)


def judged_now(lineage: Lineage, settings: Settings, product: Product, running: Record[ShadowRecord]) -> HarmVerdict:
    """Judge a running shadow on what is known now; record nothing. Outcomes are those of partitions after the release's own,
    which it was chosen on."""
    import polars as pl

    from ml_assets.serving.log.reader import read

    spec, body = product.features, running.body
    champion = lineage.ledger.moves(product.name, "production")[-1].body.release
    since = pl.col("at") >= pl.lit(running.at[:26]).str.to_datetime(time_unit="us")
    ours = pl.col("release").is_in([champion, body.release])
    log = read(served_log(settings, lineage, product.name))
    answered = log.filter(since, ours, pl.col("environment") == "production")
    shadowed = read(settings.shadow_predictions(product.name)).filter(since, ours)
    features = outcomes(lineage.ledger, product, after=body.as_of)
    frames = (lineage.snapshots.frame(manifest.snapshot, "features.parquet") for manifest in features)
    classes = spec.class_names
    paired = [pairs(answered, shadowed, frame, key=spec.key, champion=champion, classes=classes) for frame in frames]
    rows = pl.concat(paired) if paired else _nothing(product)
    assert body.terms is not None
    terms = ShadowSpec(**msgspec.structs.asdict(body.terms))
    return judge(rows, task=product.task, label=spec.label, time=spec.time, terms=terms, classes=classes)


def outcomes(ledger: Ledger, product: Product, *, after: str) -> list[Manifest]:
    """The features, with their labels, of later partitions, oldest first; without what was recalled."""
    bad = recalls.derived(ledger, product.name)
    stage = labelled_stage(product)
    keys = [key for key in ledger.partitions(product.name, stage) if key > after]
    features = [ledger.current(product.name, stage, key) for key in keys]
    return [manifest for manifest in features if manifest is not None and manifest.id not in bad]


def _nothing(product: Product) -> Any:
    import polars as pl

    classes = product.features.class_names
    numbers = [product.features.label, *names("champion", classes), *names("candidate", classes)]
    time = {product.features.time: pl.Datetime("us")} if product.features.time else {}
    return pl.DataFrame(schema={**time, **dict.fromkeys(numbers, pl.Float64())})


def _notified(endpoints: Endpoints, product: Product) -> str:
    pointer = endpoints.settle(product.name, "production")
    assert pointer is not None
    return notify_server(endpoints.ledger, product, pointer.release)
