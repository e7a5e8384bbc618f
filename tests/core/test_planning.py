"""What is stale, by content: pure comparisons over a small product by day."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.planning import PATH, Asset, Cause, CurrentManifest, Definition, Item, Planner, Situation
from ml_assets.core.lineage.reads import always
from ml_assets.core.lineage.stages import STAGES
from ml_assets.core.release.promotion import Move
from ml_assets.core.release.serving_history import answered
from ml_assets.spec.product import Product

DEFINITIONS = {name: Definition(f"code-{name}", f"config-{name}", "env") for name in STAGES}
KEYS = ["2013-01", "2013-02", "2013-03"]
JUDGED = ("evaluation", "report", "tracking")
"""An evaluation and what people see of it: the release waits for the new verdict."""


def manifest(stage: str, key: str, inputs: dict[Asset, str]) -> CurrentManifest:
    return CurrentManifest(DEFINITIONS[stage], f"{stage}@{key}", inputs)


def settled(keys: list[str]) -> Situation:
    """Everything made, nothing changed: train on one month before, test on the month, every candidate accepted."""
    current: dict[Asset, CurrentManifest] = {("reference", ""): manifest("reference", "", {("landing/trains/stops", ""): "s"})}
    bundles: dict[str, str | None] = {}
    for before, key in zip(["", *keys], keys, strict=False):
        current["raw", key] = manifest("raw", key, {("landing/trains/trips", key): f"t{key}"})
        for stage in ("dataset", "quarantine"):
            current[stage, key] = manifest(stage, key, {("raw", key): f"raw@{key}"})
        read = {("dataset", key): f"dataset@{key}", ("reference", ""): "reference@"}
        current["features", key] = manifest("features", key, read)
        if before:
            _candidate(current, before, key, bundles.get(before))
            bundles[key] = f"release@{key}"
    earlier = dict(zip(keys, [None, None, *list(bundles.values())], strict=False))
    return Situation(
        current=current,
        definitions=DEFINITIONS,
        delivered={key: {"trips": f"t{key}"} for key in keys},
        reference={"stops": "s"},
        answered=earlier,
        accepted=frozenset(keys[1:]),
    )


def _candidate(current: dict[Asset, CurrentManifest], before: str, key: str, champion: str | None) -> None:
    answering = {("release", before): champion} if champion else {}
    features = {("features", key): f"features@{key}"}
    current["model", key] = manifest("model", key, {("features", before): f"features@{before}"})
    both = {("features", before): f"features@{before}", **features}
    current["evaluation", key] = manifest("evaluation", key, {("model", key): f"model@{key}", **both, **answering})
    judged = {("model", key): f"model@{key}", ("evaluation", key): f"evaluation@{key}"}
    for stage in ("report", "release"):
        current[stage, key] = manifest(stage, key, judged | both)
    current["tracking", key] = manifest("tracking", key, {**judged, ("release", key): f"release@{key}"})
    if champion:
        for stage in ("monitoring", "predictions"):
            current[stage, key] = manifest(stage, key, {**features, **answering})


def plan(product: Product, situation: Situation) -> list[Item]:
    return Planner(product, situation).plan()


def assets(items: list[Item]) -> set[Asset]:
    return {(item.stage, item.partition) for item in items}


def changed(situation: Situation, asset: Asset, **fields: object) -> Situation:
    return replace(situation, current={**situation.current, asset: situation.current[asset]._replace(**fields)})  # type: ignore[arg-type]


def test_nothing_is_stale_when_nothing_changed(product: Product) -> None:
    assert plan(product, settled(KEYS)) == []


def test_a_new_delivery_is_missing_down_the_whole_path(product: Product) -> None:
    situation = settled(KEYS)
    items = plan(product, replace(situation, delivered={**situation.delivered, "2013-04": {"trips": "t2013-04"}}))
    expected = {("raw", "2013-04"), ("dataset", "2013-04"), ("quarantine", "2013-04"), ("features", "2013-04")}
    assert expected | {(stage, "2013-04") for stage in ("model", *JUDGED)} == assets(items)
    assert {item.state for item in items} == {"missing"}


@pytest.mark.parametrize("key", KEYS)
def test_a_redelivered_partition_makes_stale_exactly_what_read_it(product: Product, key: str) -> None:
    situation = settled(KEYS)
    items = plan(product, replace(situation, delivered={**situation.delivered, key: {"trips": "other"}}))
    after = KEYS[KEYS.index(key) + 1 :][:1]
    read = {(stage, key) for stage in ("raw", "dataset", "quarantine", "features")}
    judged = {(s, k) for s in ("model", *JUDGED) for k in ([] if s == "model" else [key]) + after}
    expected = read | {a for a in judged if a in situation.current}
    expected |= {("monitoring", key), ("predictions", key)} & situation.current.keys()
    assert assets(items) == expected
    assert {cause for item in items for cause in item.causes} == {Cause("delivered", "trips", key)}


def test_changed_code_of_a_stage_is_the_one_root_cause_downstream(product: Product) -> None:
    situation = settled(KEYS)
    definitions = {**DEFINITIONS, "model": replace(DEFINITIONS["model"], code="new")}
    items = plan(product, replace(situation, definitions=definitions))
    assert assets(items) == {(stage, key) for stage in ("model", *JUDGED) for key in KEYS[1:]}
    assert {cause for item in items for cause in item.causes} == {Cause("code", "model")}


@pytest.mark.parametrize("field", ["code", "config", "environment"])
@pytest.mark.parametrize("stage", sorted(name for name, stage in STAGES.items() if stage.is_declared is always))
def test_every_part_of_every_definition_is_seen(product: Product, stage: str, field: str) -> None:
    definitions = {**DEFINITIONS, stage: replace(DEFINITIONS[stage], **{field: "new"})}
    items = plan(product, replace(settled(KEYS), definitions=definitions))
    assert Cause(field, stage) in {cause for item in items for cause in item.causes}  # type: ignore[arg-type]


def test_a_lost_snapshot_is_stale(product: Product) -> None:
    items = plan(product, changed(settled(KEYS), ("features", "2013-02"), is_there=False))
    assert ("features", "2013-02") in assets(items)
    assert Cause("lost", "features", "2013-02") in {cause for item in items for cause in item.causes}


def test_a_rollback_makes_nothing_stale(product: Product) -> None:
    situation = settled(KEYS)
    served = {key: "release@rolled-back-to" for stage, key in situation.current if stage == "monitoring"}
    assert served
    assert plan(product, replace(situation, answered={**situation.answered, **served})) == []


def test_what_a_recalled_release_scored_is_scored_again_by_the_one_that_serves_now(product: Product) -> None:
    situation = settled([*KEYS, "2013-04"])
    recalled = replace(situation, recalled_releases=frozenset(["release@2013-03"]))
    assert plan(product, recalled) == [], "no other release serves"
    answered = {**situation.answered, "2013-04": "release@2013-02"}
    items = plan(product, replace(recalled, answered=answered))
    assert assets(items) == {("monitoring", "2013-04"), ("predictions", "2013-04")}
    assert {item.causes for item in items} == {(Cause("release", "release", "2013-04"),)}


def test_a_refused_candidate_has_no_release_to_make(product: Product) -> None:
    situation = settled(KEYS)
    release, tracking = ("release", "2013-03"), ("tracking", "2013-03")
    logged = {asset: version for asset, version in situation.current[tracking].inputs.items() if asset != release}
    kept = {**situation.current, tracking: manifest(*tracking, logged)}
    del kept[release]
    assert plan(product, replace(situation, current=kept, accepted=frozenset(["2013-02"]))) == []
    assert assets(plan(product, replace(situation, current=kept))) == {release, tracking}


def test_a_recalled_partition_leaves_what_it_made_and_makes_stale_what_read_it(product: Product) -> None:
    items = plan(product, replace(settled(KEYS), recalled={"2013-02": "bad sensor"}))
    assert ("model", "2013-03") in assets(items)
    assert Cause("recalled", "raw", "2013-02") in {cause for item in items for cause in item.causes}
    assert not {asset for asset in assets(items) if asset[1] == "2013-02" and asset[0] in ("raw", "dataset")}


@given(st.lists(st.sampled_from(KEYS), max_size=6))
def test_the_release_that_served_before_a_partition_is_the_last_move_as_of_an_earlier_one(moved: list[str]) -> None:
    moves = [Move(f"{key}-{n}", f"{key}-{n}", key, "promotion") for n, key in enumerate(moved)]
    for key in KEYS:
        before = [move.bundle for move in moves if move.as_of < key]
        assert answered(moves, KEYS)[key] == (before[-1] if before else None)


def test_numbers_of_partitions_count_by_one(product: Product) -> None:
    calendar = partitions_of(product)
    assert [calendar.ordinal(key) - calendar.ordinal("2012-12") for key in KEYS] == [1, 2, 3]


def judged(keys: list[str], *, train: int, test: int) -> Situation:
    """Every candidate that these partitions allow, made of what there was of its windows; none was accepted."""
    situation = settled(keys)
    current = {
        asset: current_manifest
        for asset, current_manifest in situation.current.items()
        if asset[0] in ("reference", "raw", *PATH[:3])
    }
    numbers = [int(key[-2:]) for key in keys]
    for key, number in zip(keys, numbers, strict=True):
        trained = [k for k, n in zip(keys, numbers, strict=True) if test <= number - n < train + test]
        tested = [k for k, n in zip(keys, numbers, strict=True) if 0 <= number - n < test]
        if not trained:
            continue
        model, evaluation = {("model", key): f"model@{key}"}, {("evaluation", key): f"evaluation@{key}"}
        looked_at = {("features", k): f"features@{k}" for k in (*trained[-test:], *tested)}
        current["model", key] = manifest("model", key, {("features", k): f"features@{k}" for k in trained})
        current["evaluation", key] = manifest("evaluation", key, model | looked_at)
        current["report", key] = manifest("report", key, model | evaluation | looked_at)
        current["tracking", key] = manifest("tracking", key, model | evaluation)
    return replace(situation, current=current, answered={}, accepted=frozenset())


@given(
    st.sets(st.integers(1, 12), min_size=1),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_nothing_is_stale_whichever_partitions_never_came(product: Product, months: set[int], train: int, test: int) -> None:
    window = product.window.model_copy(update={"train": train, "test": test})
    keys = [f"2013-{month:02}" for month in sorted(months)]
    assert plan(product.model_copy(update={"window": window}), judged(keys, train=train, test=test)) == []
