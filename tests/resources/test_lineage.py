"""What is recorded and whole is never made again; what is not, is; and nothing unproven is used."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Input, Manifest, Output, Recipe
from ml_assets.spec.product import Product
from resources.ledger.records import EntryMalformed
from resources.lineage import Lineage, NotMaterialized, NotProven
from tests.support.faults import BROKEN_DISK, FULL_DISK, disk_fails, points_survived
from tests.support.records import JUDGED, broken, damage, manifest, release, serves

DELIVERED = Input("landing/trains/trips", "2013-01", "a" * 64)


class Building:
    """Builds rows from a text, and counts how often."""

    def __init__(self, text: str = "rows") -> None:
        self.text, self.times = text, 0

    def __call__(self) -> Output:
        self.times += 1
        return Output({"rows.txt": self.text.encode(), "more.txt": b"more"}, {"rows": 1})


@pytest.fixture
def lineage(workspace: Workspace) -> Lineage:
    return workspace.lineage


@pytest.fixture
def recipe(lineage: Lineage, product: Product) -> Recipe:
    return lineage.recipe(product, "raw", "2013-01", [DELIVERED])


def current(lineage: Lineage, product: Product) -> bytes:
    return lineage.snapshots.read(lineage.current(product, "raw", "2013-01").snapshot, "rows.txt")


def test_the_same_recipe_is_built_once(lineage: Lineage, product: Product, recipe: Recipe) -> None:
    build = Building()
    manifest = [lineage.make(recipe, build, run=run) for run in ("1", "2", "3")]
    assert [one.reused for one in manifest] == [False, True, True]
    assert build.times == 1
    assert {one.manifest.id for one in manifest} == {lineage.current(product, "raw", "2013-01").id}
    assert current(lineage, product) == b"rows"
    assert manifest[0].manifest.facts == {"rows": 1}
    assert manifest[0].manifest.data_version == manifest[0].manifest.snapshot


def test_other_content_or_code_is_built_and_going_back_is_not(lineage: Lineage, product: Product, recipe: Recipe) -> None:
    changed = [replace(recipe, inputs=(replace(DELIVERED, data_version="b" * 64),)), replace(recipe, code="c" * 64)]
    builds = [Building(text) for text in ("first", "input", "code")]
    for own_recipe, build in zip([recipe, *changed, recipe], [*builds, builds[0]], strict=True):
        lineage.make(own_recipe, build, run="r")
        assert current(lineage, product) == build.text.encode()
    assert [build.times for build in builds] == [1, 1, 1]


HARMS: list[Callable[[Path], None]] = [damage, Path.unlink]


@pytest.mark.parametrize("harm", HARMS, ids=["damaged", "missing"])
@pytest.mark.parametrize("which", range(3))
def test_an_output_of_which_a_byte_is_damaged_or_missing_is_built_again(
    lineage: Lineage, product: Product, recipe: Recipe, harm: Callable[[Path], None], which: int
) -> None:
    build = Building()
    manifest = lineage.make(recipe, build, run="1").manifest
    digests = [manifest.snapshot, *lineage.snapshots.open(manifest.snapshot).members.values()]
    harm(lineage.snapshots.blobs.path(digests[which]))
    again = lineage.make(recipe, build, run="2")
    assert (again.reused, again.manifest, build.times) == (False, manifest, 2)
    assert lineage.snapshots.is_intact(manifest.snapshot)
    assert current(lineage, product) == b"rows"


def test_what_is_built_again_differently_stands_from_then_on(lineage: Lineage, product: Product, recipe: Recipe) -> None:
    manifest = lineage.make(recipe, Building("one"), run="1").manifest
    damage(lineage.snapshots.blobs.path(manifest.snapshot))
    lineage.make(recipe, Building("two"), run="2")
    assert current(lineage, product) == b"two"
    assert lineage.make(recipe, Building("three"), run="3").reused
    assert current(lineage, product) == b"two"


def fails() -> Output:
    raise ZeroDivisionError


def says_nan() -> Output:
    return Output({"rows.txt": b"nan"}, {"loss": float("nan")})


@pytest.mark.parametrize(("build", "error"), [(fails, ZeroDivisionError), (says_nan, ValueError)])
def test_a_build_that_raises_publishes_nothing(
    lineage: Lineage, product: Product, recipe: Recipe, build: Callable[[], Output], error: type[Exception]
) -> None:
    with pytest.raises(error):
        lineage.make(recipe, build, run="1")
    assert lineage.ledger.entries() == []
    lineage.make(recipe, Building("good"), run="2")
    with pytest.raises(error):
        lineage.make(replace(recipe, code="c" * 64), build, run="3")
    assert current(lineage, product) == b"good"
    assert len(lineage.ledger.entries()) == 2


@pytest.mark.parametrize("code", [FULL_DISK, BROKEN_DISK])
def test_a_disk_that_fails_at_any_point_leaves_what_stood(lineage: Lineage, product: Product, recipe: Recipe, code: int) -> None:
    lineage.make(recipe, Building("old"), run="r")
    before = [entry.hash for entry in lineage.ledger.entries()]
    for number in count(1):
        with disk_fails(at=number, code=code) as calls, suppress(OSError):
            lineage.make(replace(recipe, code="c" * 64), Building("new"), run="r")
            break
        assert len(calls) >= number
        assert [entry.hash for entry in lineage.ledger.entries()] == before
        assert current(lineage, product) == b"old"
    assert number > 10
    assert current(lineage, product) == b"new"
    assert broken(lineage.ledger) == []


@pytest.mark.long
def test_killed_at_any_point_what_stands_is_whole_and_making_it_again_ends_the_same(tmp_path: Path) -> None:
    assert points_survived("make", tmp_path) > 20


def test_what_nothing_made_is_named_with_the_next_command(lineage: Lineage, product: Product) -> None:
    with pytest.raises(NotMaterialized, match=r"trains/raw has nothing for 2013-02 yet; .* --partition 2013-02`$"):
        lineage.current(product, "raw", "2013-02")
    with pytest.raises(NotMaterialized, match=r"trains/reference has nothing for the product yet; .*run trains`$"):
        lineage.current(product, "reference")


def test_a_recipe_holds_what_decides_and_tells_it_in_words(lineage: Lineage, product: Product) -> None:
    recipes = {stage: lineage.recipe(product, stage, "2013-02", [DELIVERED]) for stage in ("raw", "model", "evaluation")}
    assert {stage: (one.seed, one.threads) for stage, one in recipes.items()} == {
        "raw": (None, None),
        "model": (7, 1),
        "evaluation": (None, None),
    }
    assert recipes["raw"].details["config"] == product.section("delivery")
    assert recipes["raw"].details["environment"].keys() == {"python", "machine", "polars", "numpy", "pyarrow"}
    assert len({one.config for one in recipes.values()} | {one.code for one in recipes.values()}) == 6
    assert Manifest(recipes["raw"], "", "").recipe.inputs == (DELIVERED,)


def test_only_a_section_that_configures_the_stage_changes_its_recipe(lineage: Lineage, product: Product) -> None:
    deeper = product.model_copy(update={"model": product.model.model_copy(update={"depth": 3})})
    changed = {
        stage
        for stage in ("raw", "dataset", "model", "evaluation")
        if lineage.recipe(product, stage, "2013-02", []).key != lineage.recipe(deeper, stage, "2013-02", []).key
    }
    assert changed == {"model"}


def test_a_stage_reads_what_must_exist_and_as_much_as_there_is_of_the_rest(lineage: Lineage, product: Product) -> None:
    manifests = {(s, p): manifest(stage=s, partition=p) for s, p in [("features", "2013-01"), ("model", "2013-02")]}
    assert lineage.reads(product, "model", "2013-02") == []
    for one in manifests.values():
        lineage.ledger.publish(one, run="r")
    assert lineage.reads(product, "model", "2013-02") == [manifests["features", "2013-01"]]
    with pytest.raises(NotMaterialized, match=r"trains/features has nothing for 2013-02"):
        lineage.reads(product, "evaluation", "2013-02")
    tested = manifest(stage="features", partition="2013-02")
    lineage.ledger.publish(tested, run="r")
    expecting = manifests["features", "2013-01"]
    assert lineage.reads(product, "evaluation", "2013-02") == [expecting, manifests["model", "2013-02"], tested]


def test_a_stage_reads_the_newest_of_what_there_is_where_partitions_never_came(lineage: Lineage, product: Product) -> None:
    longer = product.model_copy(update={"window": product.window.model_copy(update={"train": 3})})
    january, february, april = (manifest(stage="features", partition=key) for key in ("2013-01", "2013-02", "2013-04"))
    model = manifest(stage="model", partition="2013-04")
    for one in (january, february, april, model):
        lineage.ledger.publish(one, run="r")
    assert lineage.reads(longer, "evaluation", "2013-04") == [february, model, april]


def judged_release(lineage: Lineage, name: str, as_of: str) -> Manifest:
    """A release that came out of the question of its own name."""
    evaluation = manifest(name, stage="evaluation", partition=as_of, facts={**JUDGED, "question": name})
    lineage.ledger.publish(evaluation, run="r")
    return release(name, as_of, inputs=[evaluation.as_input()])


def test_who_answered_before_a_partition_is_known_after_later_ones_and_rollbacks(workspace: Workspace, product: Product) -> None:
    january, february = release("one", "2013-01"), release("two", "2013-02")
    assert workspace.lineage.served(product, before="2013-03") is None
    serves(workspace, january, february)
    served = {key: workspace.lineage.served(product, before=key) for key in ("2013-01", "2013-02", "2013-03")}
    assert served == {"2013-01": None, "2013-02": january, "2013-03": february}
    workspace.endpoints.rollback("trains", to=None, by="me", reason="a test")
    assert workspace.lineage.served(product, before="2013-03") == january


def test_a_candidate_is_compared_with_who_answers_but_never_with_what_came_of_the_same_question(
    workspace: Workspace, product: Product
) -> None:
    lineage = workspace.lineage
    january, february, again = (judged_release(lineage, *x) for x in (("a", "2013-01"), ("b", "2013-02"), ("c", "2013-02")))

    def champion(key: str, question: str) -> Manifest | None:
        return lineage.baselines(product, key, question=question).champion

    assert champion("2013-01", "a") is None
    serves(workspace, january, february, again)
    question = [("2013-01", "a"), ("2013-01", "x"), ("2013-02", "b"), ("2013-02", "c"), ("2013-03", "x")]
    champions = [champion(key, question) for key, question in question]
    assert champions == [None, january, again, february, again]
    workspace.endpoints.rollback("trains", to=None, by="me", reason="a test")
    assert champion("2013-03", "x") == february
    assert champion("2013-02", "b") == january


@pytest.fixture
def two() -> list[Manifest]:
    return [manifest("one", code="1"), manifest("two", code="2", partition="2013-02")]


def show(lineage: Lineage, manifest: Manifest, claim: str, *, passed: bool) -> None:
    lineage.ledger.add_evidence(subject=manifest.id, claim=claim, passed=passed, details={}, run="r")


def test_what_was_never_checked_is_refused(lineage: Lineage, two: list[Manifest]) -> None:
    show(lineage, two[0], "complete", passed=True)
    lineage.require_proven(two[:1], ["complete"])
    lineage.require_proven(two, [])
    with pytest.raises(NotProven, match=r"2013-01: unique was never checked for this content; `ml-assets check trains "):
        lineage.require_proven(two[:1], ["complete", "unique"])
    with pytest.raises(NotProven, match=r"^trains/dataset 2013-02: complete was never checked"):
        lineage.require_proven(two, ["complete"])
    recorded = [entry.body for entry in lineage.ledger.entries() if entry.kind == "refusal"]
    assert [(refused["stage"], refused["partition"]) for refused in recorded] == [("dataset", "2013-01"), ("dataset", "2013-02")]
    assert "complete was never checked" in recorded[1]["reasons"][0]


def test_what_failed_is_refused_and_every_reason_is_told(lineage: Lineage, two: list[Manifest]) -> None:
    show(lineage, two[0], "complete", passed=False)
    show(lineage, two[1], "complete", passed=False)
    show(lineage, two[1], "unique", passed=True)
    with pytest.raises(NotProven) as refused:
        lineage.require_proven(two, ["complete", "unique"])
    assert [reason.split("; ")[0] for reason in str(refused.value).replace("`; ", "`\n").split("\n")] == [
        "trains/dataset 2013-01: complete failed",
        "trains/dataset 2013-01: unique was never checked for this content",
        "trains/dataset 2013-02: complete failed",
    ]


@pytest.mark.parametrize(("shown", "is_proven"), [((True, False), False), ((False, True), True)])
def test_the_newest_evidence_decides(lineage: Lineage, two: list[Manifest], shown: tuple[bool, ...], is_proven: bool) -> None:
    for passed in shown:
        show(lineage, two[0], "complete", passed=passed)
    assert (lineage.unproven(two[0], ["complete"]) == []) is is_proven


def test_evidence_about_the_same_bytes_made_otherwise_proves_nothing(lineage: Lineage, two: list[Manifest]) -> None:
    show(lineage, two[0], "complete", passed=True)
    other = replace(two[0], recipe=replace(two[0].recipe, code="other"))
    assert other.snapshot == two[0].snapshot
    with pytest.raises(NotProven):
        lineage.require_proven([other], ["complete"])


@pytest.mark.parametrize("passed", [1, "true", None, "PASS"])
def test_only_true_is_a_pass(lineage: Lineage, two: list[Manifest], passed: object) -> None:
    body = {"subject": two[0].id, "claim": "complete", "passed": passed, "details": {}, "run": "r"}
    with pytest.raises(EntryMalformed, match=r"Expected `bool`, got .*passed"):
        lineage.ledger.append("evidence", body)
    with pytest.raises(NotProven):
        lineage.require_proven(two[:1], ["complete"])
