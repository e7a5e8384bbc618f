"""What was recalled, and all that was made from it, is not read, promoted, rolled back to or compared with."""

from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Input, Manifest, Output
from ml_assets.core.release.promotion import Move, back, decide
from ml_assets.spec.product import Product
from resources.endpoints.moves import NothingToRollBackTo, recalled_bundles
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.ledger.recalls import Recalled
from tests.support.records import JUDGED, manifest, release, serves

JANUARY, FEBRUARY, MARCH = "2013-01", "2013-02", "2013-03"
WHY = {"reason": "a broken clock", "by": "ana"}


def raw(partition: str, content: str = "one", **changes: Any) -> Manifest:
    delivered = Input("landing/trains/trips", partition, content)
    return manifest(content + partition, stage="raw", partition=partition, inputs=[delivered], **changes)


def publish_manifest(stage: str, partition: str, *sources: Manifest, **changes: Any) -> Manifest:
    inputs = [source.as_input() for source in sources]
    name = f"{stage}{partition}{[i.manifest for i in inputs]}"
    return manifest(name, stage=stage, partition=partition, inputs=inputs, **changes)


class Months:
    """Two months down the path by hand: features of the second look back at the first; one release as of the second."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.raw = {key: self.put(raw(key)) for key in (JANUARY, FEBRUARY)}
        self.dataset = {key: self.put(publish_manifest("dataset", key, self.raw[key])) for key in self.raw}
        january, february = self.dataset[JANUARY], self.dataset[FEBRUARY]
        self.features = {
            JANUARY: self.put(publish_manifest("features", JANUARY, january)),
            FEBRUARY: self.put(publish_manifest("features", FEBRUARY, january, february)),
        }
        self.model = self.put(publish_manifest("model", FEBRUARY, self.features[JANUARY]))
        tested = (self.model, self.features[FEBRUARY])
        self.evaluation = self.put(publish_manifest("evaluation", FEBRUARY, *tested, facts={**JUDGED, "question": "two"}))
        self.release = release("two", FEBRUARY, inputs=[self.model.as_input(), self.evaluation.as_input()])
        self.put(self.release)

    def put(self, manifest: Manifest) -> Manifest:
        self.ledger.publish(manifest, run="r")
        return manifest

    def recall(self, partition: str) -> None:
        assert recalls.record(self.ledger, recalls.of_partition(self.raw[partition], **WHY))


@pytest.fixture
def months(workspace: Workspace) -> Months:
    return Months(workspace.ledger)


def refused(workspace: Workspace, product: Product) -> set[tuple[str, str]]:
    """What `current` does not give."""
    recalled_ids = set()
    for stage in ("raw", "dataset", "features", "model", "evaluation", "release"):
        for key in workspace.ledger.partitions("trains", stage):
            try:
                workspace.lineage.current(product, stage, key)
            except Recalled:
                recalled_ids.add((stage, key))
    return recalled_ids


def test_exactly_what_was_made_from_recalled_content_is_refused(workspace: Workspace, months: Months, product: Product) -> None:
    assert refused(workspace, product) == set()
    months.recall(FEBRUARY)
    judged = {(stage, FEBRUARY) for stage in ("features", "evaluation", "release")}
    assert refused(workspace, product) == {("raw", FEBRUARY), ("dataset", FEBRUARY)} | judged
    months.recall(JANUARY)
    stages = {(stage, key) for stage in ("raw", "dataset", "features") for key in (JANUARY, FEBRUARY)}
    assert refused(workspace, product) == stages | {(stage, FEBRUARY) for stage in ("model", "evaluation", "release")}


def test_a_refusal_tells_why_by_whom_and_the_way_out(workspace: Workspace, months: Months, product: Product) -> None:
    months.recall(JANUARY)
    message = r"^trains/features 2013-02 may not be used: it is or was made from raw 2013-01, which ana recalled on 20\S+: "
    ways = r"deliver 2013-01 again, .*`ml-assets deliver trains TABLE FILE --partition 2013-01`, or build it again without that: "
    with pytest.raises(Recalled, match=f"{message}'a broken clock'; {ways}`ml-assets run trains --partition 2013-02`$"):
        workspace.lineage.current(product, "features", FEBRUARY)


def test_a_window_leaves_out_what_was_recalled_and_what_must_be_there_is_refused(
    workspace: Workspace, months: Months, product: Product
) -> None:
    assert workspace.lineage.reads(product, "model", FEBRUARY) == [months.features[JANUARY]]
    months.recall(JANUARY)
    assert workspace.lineage.reads(product, "model", FEBRUARY) == []
    for stage in ("dataset", "evaluation", "release"):
        with pytest.raises(Recalled):
            workspace.lineage.reads(product, stage, JANUARY if stage == "dataset" else FEBRUARY)


def test_a_new_delivery_replaces_what_was_recalled_and_the_same_bytes_do_not(
    workspace: Workspace, months: Months, product: Product
) -> None:
    months.recall(JANUARY)
    read_otherwise = months.put(raw(JANUARY, code="another reader"))
    assert read_otherwise.id != months.raw[JANUARY].id
    with pytest.raises(Recalled):
        workspace.lineage.current(product, "raw", JANUARY)
    assert recalls.recalled_partitions(workspace.ledger, "trains") == {JANUARY: "a broken clock"}
    replaced = months.put(raw(JANUARY, "other bytes"))
    assert workspace.lineage.current(product, "raw", JANUARY) == replaced
    assert recalls.recalled_partitions(workspace.ledger, "trains") == {}
    with pytest.raises(Recalled):
        workspace.lineage.current(product, "dataset", JANUARY)
    months.put(months.raw[JANUARY])
    assert recalls.recalled_partitions(workspace.ledger, "trains") == {JANUARY: "a broken clock"}


def test_what_lies_in_the_landing_folder_decides_whether_a_partition_is_recalled(workspace: Workspace, months: Months) -> None:
    months.recall(JANUARY)
    for digest, expected in (("one", {JANUARY}), ("other", set())):
        delivered = {JANUARY: {"trips": digest}, FEBRUARY: {"trips": "one"}}
        assert set(recalls.recalled_partitions(workspace.ledger, "trains", delivered)) == expected


def test_equal_content_from_a_recalled_source_is_made_again(workspace: Workspace, months: Months, product: Product) -> None:
    lineage, built = workspace.lineage, []

    def build() -> Output:
        built.append(1)
        return Output({"rows": b"equal"})

    def dataset(source: Manifest) -> Manifest:
        recipe = lineage.recipe(product, "dataset", JANUARY, [Input(source.asset, JANUARY, "equal", source.id)])
        return lineage.make(recipe, build, run="r").manifest

    first = dataset(months.raw[JANUARY])
    replaced = months.put(raw(JANUARY, "other bytes"))
    assert dataset(replaced) == first
    months.recall(JANUARY)
    with pytest.raises(Recalled):
        lineage.current(product, "dataset", JANUARY)
    again = dataset(replaced)
    assert (again.snapshot, len(built)) == (first.snapshot, 2)
    assert lineage.current(product, "dataset", JANUARY) == again != first
    assert dataset(replaced) == again
    assert len(built) == 2


def test_a_recall_is_recorded_once(workspace: Workspace, months: Months) -> None:
    recall = recalls.of_partition(months.raw[JANUARY], **WHY)
    assert recalls.record(workspace.ledger, recall)
    assert not recalls.record(workspace.ledger, recalls.of_partition(months.raw[JANUARY], reason="again", by="bo"))
    assert [(r.partition, r.reason) for r in recalls.recalls(workspace.ledger, "trains")] == [(JANUARY, "a broken clock")]
    assert recalls.recalls(workspace.ledger, "flights") == []


@pytest.fixture
def three(workspace: Workspace, months: Months) -> list[Manifest]:
    """Releases a, b and c answered one after the other; b was made from January, c was judged against b."""
    named = [("a", JANUARY, months.features[FEBRUARY]), ("b", FEBRUARY, months.features[JANUARY])]
    lone = months.put(raw("2012-12"))
    allowed = []
    for name, as_of, source in [("a", JANUARY, lone), *named[1:]]:
        evaluation = months.put(publish_manifest("evaluation", as_of, source, facts={**JUDGED, "question": name}))
        allowed.append(release(name, as_of, inputs=[evaluation.as_input()]))
    serves(workspace, *allowed)
    evaluation = months.put(publish_manifest("evaluation", MARCH, allowed[1], facts={**JUDGED, "question": "c"}))
    allowed.append(release("c", MARCH, inputs=[evaluation.as_input()]))
    serves(workspace, allowed[2])
    return allowed


def recall_release(workspace: Workspace, bad: Manifest) -> None:
    assert recalls.record(workspace.ledger, recalls.of_release(bad, **WHY))


def test_a_recalled_release_that_serves_is_still_what_a_candidate_is_compared_with(
    workspace: Workspace, three: list[Manifest], product: Product
) -> None:
    assert workspace.lineage.baselines(product, "2013-04", question="another").champion == three[2]
    recall_release(workspace, three[1])
    assert workspace.lineage.baselines(product, "2013-04", question="another").champion == three[2]


def test_a_verdict_against_what_was_recalled_later_falls_with_it_and_one_that_knew_stands(
    workspace: Workspace, months: Months, three: list[Manifest]
) -> None:
    recall_release(workspace, three[1])
    assert recalled_bundles(workspace.ledger, "trains", "production") == {three[1].snapshot, three[2].snapshot}
    knew = months.put(publish_manifest("evaluation", "2013-04", three[2], facts={**JUDGED, "question": "d"}))
    serves(workspace, release("d", "2013-04", inputs=[knew.as_input()]))
    assert recalled_bundles(workspace.ledger, "trains", "production") == {three[1].snapshot, three[2].snapshot}


def test_a_recall_that_is_declared_again_spares_what_knew_of_the_first(
    workspace: Workspace, months: Months, three: list[Manifest]
) -> None:
    recall_release(workspace, three[1])
    months.put(publish_manifest("evaluation", "2013-04", three[2], facts={**JUDGED, "question": "d"}))
    first, again = recalls.recalls(workspace.ledger, "trains")[0], recalls.of_release(three[1], reason="the same", by="ben")
    assert recalls.descendants(workspace.ledger, again) == recalls.descendants(workspace.ledger, first) != []


def test_a_rollback_passes_over_what_was_recalled_and_refuses_it_by_name(workspace: Workspace, three: list[Manifest]) -> None:
    recall_release(workspace, three[1])
    with pytest.raises(Recalled, match=r"trains/release 2013-02 may not be used.*only new data, code or configuration"):
        workspace.endpoints.rollback("trains", to="b", by="me", reason="a test")
    assert workspace.endpoints.rollback("trains", to=None, by="me", reason="a test").release == "a"


def test_without_a_clean_release_there_is_nothing_to_roll_back_to(
    workspace: Workspace, months: Months, three: list[Manifest]
) -> None:
    for bad in three[:2]:
        recall_release(workspace, bad)
    with pytest.raises(NothingToRollBackTo):
        workspace.endpoints.rollback("trains", to=None, by="me", reason="a test")


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_a_recalled_release_is_not_moved_to_even_when_the_recall_comes_in_between(
    workspace: Workspace, months: Months, environment: str
) -> None:
    months.recall(JANUARY)
    with pytest.raises(Recalled, match=r"trains/release 2013-02 may not be used"):
        workspace.endpoints.move(
            "promotion" if environment == "production" else "staging",
            months.release,
            environment=environment,
            by="me",
            reason="it was decided before the recall",
            expected=None,
        )
    assert workspace.ledger.pointer("trains", environment) is None


def moves(text: str) -> list[Move]:
    return [Move(letter * 64, letter, f"2013-0{place}", "promotion") for place, letter in enumerate(text, 1)]


@pytest.mark.parametrize(
    ("bundle", "champion", "recalled", "action"),
    [
        ("c", "b", "c", "refuse"),  # itself
        ("d", "c", "c", "promote"),  # compared with what serves, recalled or not
        ("d", "b", "c", "refuse"),  # compared with what served before
        ("d", None, "c", "refuse"),
        ("d", None, "abc", "refuse"),  # a first release is one where nothing serves
        ("d", "c", "b", "promote"),  # the release that serves was not recalled
        ("b", "a", "c", "keep"),  # only a rollback brings it back
    ],
)
def test_who_may_answer_after_a_recall(bundle: str, champion: str | None, recalled: str, action: str) -> None:
    decision = decide(
        bundle=bundle * 64,
        as_of="2013-04",
        champion=champion * 64 if champion else None,
        moves=moves("abc"),
        unproven=[],
        recalled=[letter * 64 for letter in recalled],
    )
    assert decision.action == action


@pytest.mark.parametrize(("recalled", "target_now"), [("", "b"), ("b", "a"), ("ab", None), ("c", "b")])
def test_back_goes_down_to_the_first_that_was_not_recalled(recalled: str, target_now: str | None) -> None:
    target = back(moves("abc"), recalled=[letter * 64 for letter in recalled])
    assert (target.release if target else None) == target_now
