"""Mutants of data and of evidence: through the contract's audit, and through the locks that release and endpoint ask."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml_assets.core.gate_lab.mutants import Catch, Fate, Mutation, without_numbers
from ml_assets.core.lineage.facts import EvaluationFacts, ModelFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.errors import MlAssetsError
from ml_assets.services.gate_lab.subject import MutationSubject
from resources.scratch_lineage import snapshots_above

if TYPE_CHECKING:
    import polars as pl

NO_RELEASE = "nothing was released yet, so there is no verdict to misuse"
LOCKS_ADVICE = "the code of core/release/bundle.py and core/evaluation/snapshot.py is what refuses this: it is broken"


def empty_partition(on: MutationSubject) -> Mutation:
    """A delivery with headers and no rows."""
    from ml_assets.core.contract.reading import read_delivery

    tables = _delivered(on, on.case.partition)
    spec = next(iter(on.product.delivery.tables.items()))
    catches = _breaches(on, {name: frame.clear() for name, frame in tables.items()})
    header = ",".join(tables[spec[0]].columns).encode() + b"\n"
    csv = spec[1].model_copy(update={"format": "csv"})
    catches += _refused("raw", lambda: read_delivery(header, table=csv, name=f"{spec[0]}.csv"))
    none = on.same(slice(0))
    catches += _refused("evaluation", lambda: on.case.judge(none, frame=on.case.frame.clear()))
    return _mutation("empty partition", "every table delivered with its header alone", catches, "set min_rows in contract.py")


def foreign_rows(on: MutationSubject) -> Mutation:
    """The partition before, delivered once more under this one's name."""
    if on.product.partitions.is_static:
        message = "a delivery of a static table may hold the rows of the one before"
        return Mutation(mutant="another partition's rows", about="", fate="not tried", message=message)
    earlier = on.case.trained[-1].partition
    catches = _breaches(on, _delivered(on, earlier))
    about = f"the rows of {earlier} delivered as {on.case.partition}"
    return _mutation("another partition's rows", about, catches, "declare the table's time column in product.yaml")


def broken_features(on: MutationSubject) -> Mutation:
    """The features of the test window with a key twice and a column of the wrong kind of values."""
    import polars as pl

    from ml_assets.core.frames import parquet_bytes
    from ml_assets.services.proofs.features import keeps_contract

    scratch = snapshots_above(on.case.lineage.snapshots, on.folder)
    source = on.case.tested[-1]
    frame = scratch.frame(source.snapshot, "features.parquet")
    spoilt = pl.concat([frame, frame.head(1)])
    stored = scratch.write({"features.parquet": parquet_bytes(spoilt)})
    (finding,) = keeps_contract(scratch, on.product, replace(source, snapshot=stored.digest))
    catches = [] if finding.passed else [Catch("keeps_contract", finding.description)]
    return _mutation("repeated row", "one row of the features twice", catches, "set `unique` in the Features contract")


def trained_on_test(on: MutationSubject) -> Mutation:
    """The test window's last partition among the training partitions."""
    from ml_assets.core.evaluation.seen_data import tested_names, trained_names
    from ml_assets.core.evaluation.snapshot import refuse_seen_rows

    tested = tested_names(on.product, [m.partition for m in on.case.tested])
    trained = [*trained_names(on.product, ModelFacts.of(on.case.model), role="candidate"), tested[-1]]
    catches = _refused("evaluation", lambda: refuse_seen_rows(on.product, tested=tested, trained={"candidate": trained}))
    if release := _released(on):
        from ml_assets.services.proofs.release import unseen

        facts = ReleaseFacts.of(release)
        spoilt: dict[str, Any] = {"train": [*facts.train, release.partition]}
        if facts.split is not None:
            window = partitions_of(on.product).ordinal(release.partition)
            spoilt = {"split": {"digest": facts.split.digest, "parts": [*facts.split.parts, window]}}
        seen = replace(release, facts={**release.facts, **spoilt})
        finding = unseen(on.case.lineage, on.product, seen)
        catches += [] if finding.passed else [Catch("tested_on_unseen", finding.description)]
    return _mutation("test rows in training", f"a candidate that was fitted on {tested[-1]} too", catches, LOCKS_ADVICE)


def swapped_model(on: MutationSubject) -> Mutation:
    """Another month's model where the verdict's is asked for."""
    if (release := _released(on)) is None:
        return Mutation(mutant="swapped model", about="", fate="not tried", message=NO_RELEASE)
    own = on.case.lineage.made_from(release)["model"]
    others = [m for m in _models(on) if m.data_version != own.data_version]
    other = others[-1] if others else replace(own, data_version="0" * 64)
    about = f"the model of {other.partition} under the verdict of {ReleaseFacts.of(release).release}"
    return _mutation("swapped model", about, _refusals(on, release, model=other), LOCKS_ADVICE)


def changed_bytes(on: MutationSubject) -> Mutation:
    """One bit of a released model's file, in a store of our own above the real one."""
    from ml_assets.services.proofs.release import intact

    if (release := _released(on)) is None:
        return Mutation(mutant="changed model file", about="", fate="not tried", message=NO_RELEASE)
    scratch = snapshots_above(on.case.lineage.snapshots, on.folder)
    content = bytearray(scratch.read(release.snapshot, "model.cbm"))
    digest = scratch.open(release.snapshot).members["model.cbm"]
    content[len(content) // 2] ^= 1
    file = on.folder / "store" / digest[:2] / digest
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    finding = intact(scratch, release)
    catches = [] if finding.passed else [Catch("bundle_intact", finding.description)]
    catches += _refused("store", lambda: scratch.path(release.snapshot, "model.cbm"))
    return _mutation("changed model file", f"one bit of the model of {ReleaseFacts.of(release).release}", catches, LOCKS_ADVICE)


def replayed_verdict(on: MutationSubject) -> Mutation:
    """The verdict once more, after what it let through has become the champion."""
    if (release := _released(on)) is None:
        return Mutation(mutant="replayed verdict", about="", fate="not tried", message=NO_RELEASE)
    now = {"champion": release.snapshot, "anchor": release.snapshot}
    about = f"the verdict of {ReleaseFacts.of(release).release} used again, when that release is the champion"
    return _mutation("replayed verdict", about, _refusals(on, release, compared=now), LOCKS_ADVICE)


def verdict_without_numbers(on: MutationSubject) -> Mutation:
    """A verdict as a tool records it that compares with NaN: a PASS without a number."""
    if (release := _released(on)) is None:
        return Mutation(mutant="NaN metric", about="", fate="not tried", message=NO_RELEASE)
    evaluation = on.case.lineage.made_from(release)["evaluation"]
    forged = replace(evaluation, facts={**evaluation.facts, "verdict": without_numbers(evaluation.facts["verdict"])})
    about = f"an ACCEPT of {ReleaseFacts.of(release).release} whose estimates are not numbers"
    return _mutation("NaN metric", about, _refusals(on, release, evaluation=forged), LOCKS_ADVICE)


def _mutation(mutant: str, about: str, catches: list[Catch], advice: str) -> Mutation:
    fate: Fate = "caught" if catches else "let through"
    return Mutation(
        mutant=mutant,
        about=about,
        fate=fate,
        catches=tuple(catches),
        message="" if catches else "nothing refused it",
        advice=advice,
    )


def _delivered(on: MutationSubject, partition: str) -> "dict[str, pl.DataFrame]":
    raw = on.case.lineage.current(on.product, "raw", partition)
    return {table: on.case.lineage.snapshots.frame(raw.snapshot, f"{table}.parquet") for table in on.product.delivery.tables}


def _breaches(on: MutationSubject, tables: "Mapping[str, pl.DataFrame]") -> list[Catch]:
    """The contract's checks that fail for these tables as this partition's delivery."""
    from ml_assets.core.contract.engine import audit
    from ml_assets.services.proofs.contract import CLAIMS

    window = partitions_of(on.product).window(on.case.partition)
    breaches = audit(tables, product=on.product, partition_window=window).breaches
    return [Catch(claim, b.message) for claim, codes in CLAIMS.items() for b in breaches if b.code in codes]


def _refused(by: str, act: Callable[[], Any]) -> list[Catch]:
    try:
        act()
    except MlAssetsError as error:
        return [Catch(by, str(error))]
    return []


def _refusals(on: MutationSubject, release: Manifest, **changed: Any) -> list[Catch]:
    """The refusals of `release` that this evidence causes, without those that the recorded evidence causes."""
    from ml_assets.core.release.clearance import refusals

    made_from = on.case.lineage.made_from(release)
    compared = EvaluationFacts.of(made_from["evaluation"]).compared
    recorded: dict[str, Any] = {"model": made_from["model"], "evaluation": made_from["evaluation"], "compared": compared}
    before = refusals(on.product, **recorded)
    return [Catch("release", reason) for reason in refusals(on.product, **{**recorded, **changed}) if reason not in before]


def _released(on: MutationSubject) -> Manifest | None:
    """The newest release of the product."""
    keys = on.case.lineage.ledger.partitions(on.product.name, "release")
    return on.case.lineage.ledger.current(on.product.name, "release", keys[-1]) if keys else None


def _models(on: MutationSubject) -> list[Manifest]:
    ledger, name = on.case.lineage.ledger, on.product.name
    return [m for key in ledger.partitions(name, "model") if (m := ledger.current(name, "model", key)) is not None]


MUTANTS: dict[str, Callable[[MutationSubject], Mutation]] = {
    "empty partition": empty_partition,
    "another partition's rows": foreign_rows,
    "repeated row": broken_features,
    "test rows in training": trained_on_test,
    "swapped model": swapped_model,
    "changed model file": changed_bytes,
    "replayed verdict": replayed_verdict,
    "NaN metric": verdict_without_numbers,
}
