"""Head against the release that serves, on past windows that this release was not trained on."""

import msgspec
import polars as pl

from ml_assets.core.changes.head_against_base import SideRows, judged
from ml_assets.core.changes.walk_protocol import SCORE, Production, ReplacedGates
from ml_assets.core.evaluation.seen_data import OtherSplit, tested_names, trained_names
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.reads import labelled_stage
from ml_assets.core.release.offline_bundle import NotComputable, scores_of_classes
from ml_assets.services.review.walk import Walker


def against_production(walker: Walker, base: SideRows, head: SideRows, gates: ReplacedGates) -> Production:
    """Judge head's walk on base's rows, with the release that serves in base's place. Raises NotComparable."""
    move = walker.source.pointer(walker.product.name, "production")
    release = walker.source.manifest(move.body.manifest) if move else None
    if move is None or release is None:
        return Production(note="no release serves")
    try:
        trained = set(trained_names(walker.product, ReleaseFacts.of(release), role="release"))
    except OtherSplit as error:
        return Production(release=move.body.release, note=str(error))
    windows = tuple(w for w in base.walked.windows if not trained & set(tested_names(walker.product, w.tested)))
    named = Production(release=move.body.release, windows=tuple(window.partition for window in windows))
    if not windows:
        return msgspec.structs.replace(named, note="it was trained on every one of these windows")
    is_unseen = base.windows.is_in(list(named.windows))
    rows = base.rows.filter(is_unseen)
    key = list(walker.product.features.key)
    stage = labelled_stage(walker.product)
    tested = [walker.handle(walker.snapshot(stage, key)) for window in windows for key in window.tested]
    requests = pl.concat([handle.frame("requests.parquet") for handle in tested], how="vertical_relaxed")
    try:
        requested = rows.select(key).join(requests, on=key, how="left", maintain_order="left")
        scores = scores_of_classes(walker.handle(release), requested, walker.product.features.class_names)
    except NotComputable as error:
        return msgspec.structs.replace(named, note=str(error))
    simple = None if base.baseline is None else base.baseline.filter(is_unseen)
    walked = msgspec.structs.replace(base.walked, windows=windows)
    side = SideRows(walked, rows, base.windows.filter(is_unseen), pl.Series(SCORE, scores), simple)
    result = judged(side, head, walker.product, gates)
    return msgspec.structs.replace(named, judged=msgspec.structs.replace(result, evaluation={}))
