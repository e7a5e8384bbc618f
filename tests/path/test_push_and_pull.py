"""A release arrives in another home with all that it was made from, and with nothing that was decided about it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.stages import UNJUDGED
from ml_assets.services import release_transfer as carrying
from ml_assets.services.release_transfer import made_from, transfer
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.settings import settings
from resources.store.blobs import BlobDamaged, is_readable
from tests.support.command_line import Days
from tests.support.homes.path_homes import copy_home
from tests.support.homes.small_home import DAYS, small_home
from tests.support.records import damage

SECOND, THIRD = DAYS[1:]
DECISIONS = {"look", "verdict", "approval", "override", "promotion", "staging", "rollback", "shadow"}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Look at it only."""
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("carried"))


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries()]


@pytest.mark.long
def test_what_was_pushed_is_whole_and_is_judged_again_without_being_trained_again(days: Days, tmp_path: Path) -> None:
    other = Days(tmp_path / "other", days.products)
    pushed = days.invoke("push", f"flights/release:{SECOND}", str(other.home), "--json")
    assert pushed.exit_code == 0, pushed.output
    carried = json.loads(pushed.stdout)
    assert carried["manifests"] > 5
    assert carried["kept"] == {}
    there = other.open()
    assert not DECISIONS & set(kinds(there.ledger))
    assert there.ledger.pointer("flights", "production") is None
    assert json.loads(other.invoke("verify", "--json").stdout)["findings"] == []
    again = json.loads(days.invoke("push", f"flights/release:{SECOND}", str(other.home), "--json").stdout)
    assert (again["manifests"], again["files"]) == (0, 0)

    model = there.ledger.current("flights", "model", SECOND)
    run = other.invoke("run", "flights", "--partition", SECOND)
    assert run.exit_code == 0, run.output
    assert there.ledger.current("flights", "model", SECOND) == model
    assert kinds(there.ledger).count("look") == 1
    serving = there.ledger.pointer("flights", "production")
    assert serving is not None
    assert serving.body.release == carried["release"], "the same question has the same answer, and here it was charged"
    there.ledger.close()


def test_what_is_current_here_stays_current_and_the_other_home_is_not_written(days: Days, tmp_path: Path) -> None:
    own = Days(tmp_path / "own", days.products)
    theirs = days.open().ledger.current("flights", "release", SECOND)
    assert theirs is not None
    ledger = own.open().ledger
    snapshot = own.open().snapshots.write({"of": b"my own"}).digest
    mine = replace(theirs, recipe=replace(theirs.recipe, inputs=()), snapshot=snapshot)
    ledger.publish(mine, run="earlier")
    other = copied(days, tmp_path)
    (other.home / "cache" / "code.json").unlink(missing_ok=True)
    with unchanged(other.home):
        pulled = own.invoke("pull", f"flights/release:{SECOND}", str(other.home))
    assert pulled.exit_code == 0, pulled.output
    assert f"flights/release {SECOND}: what was current stays current" in pulled.stdout
    assert ledger.current("flights", "release", SECOND) == mine
    assert ledger.manifest(theirs.id) == theirs
    assert json.loads(own.invoke("verify", "--json").stdout)["findings"] == []
    ledger.close()


def test_a_verdict_that_came_along_is_shown_as_one_that_was_not_charged_here(days: Days, tmp_path: Path) -> None:
    own = Days(tmp_path / "own", days.products)
    assert own.invoke("pull", f"flights/release:{SECOND}", str(days.home)).exit_code == 0
    why = "no look was charged here for this evaluation, so it lets nothing through; "
    why += f"`ml-assets run flights --partition {SECOND}` judges it again"
    lines = own.invoke("status", "flights").stdout.splitlines()
    assert f"{SECOND}: {why}" in lines
    assert [line for line in lines if line.startswith(SECOND) and "ACCEPT (not charged here)" in line]
    rows = json.loads(own.invoke("status", "flights", "--json").stdout)["partitions"]
    assert [row["not_charged"] for row in rows if row["verdict"]] == [why]
    report = own.invoke("report", "flights", "--output", str(tmp_path / "report"))
    assert why in report.stderr
    for page in ((tmp_path / "report" / "report.md").read_text(), own.invoke("card", f"flights/release:{SECOND}").stdout):
        assert page.startswith(f"> **{why}**\n\n")
    assert "not charged" not in days.invoke("status", "flights").stdout
    ledger = own.open().ledger
    by_stage = {stage: ledger.current("flights", stage, SECOND) for stage in ("features", "evaluation", "release")}
    assert [stage for stage, manifest in by_stage.items() if manifest and ledger.evidence(manifest.id)] == ["features"]
    ledger.close()


def test_what_was_interrupted_can_be_done_again_and_names_nothing_that_is_not_there(
    days: Days, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = days.open(), Workspace(settings({"ML_ASSETS_HOME": str(tmp_path / "home")}))
    release = source.ledger.current("flights", "release", SECOND)
    assert release is not None
    every = made_from(source.lineage, release)
    assert [manifest.id for manifest in every][-1] == release.id
    for reached in range(1, len(every), 3):
        with monkeypatch.context() as patch:
            patch.setattr(carrying, "made_from", lambda *_, to=reached: [*every[:to], replace(every[to], snapshot="0" * 64)])
            with pytest.raises(BlobDamaged):
                transfer(release, source.lineage, target.lineage)
        for manifest in every[:reached]:
            assert target.ledger.manifest(manifest.id) == manifest
            assert target.snapshots.is_intact(manifest.snapshot)
    assert len(transfer(release, source.lineage, target.lineage).recorded) == len(every) - reached
    target.ledger.close()


@pytest.mark.long
def test_damage_there_is_mended_and_damage_here_is_not_carried(days: Days, tmp_path: Path) -> None:
    own, other = copied(days, tmp_path), tmp_path / "other"
    assert own.invoke("push", f"flights/release:{SECOND}", str(other)).exit_code == 0
    release = own.open().ledger.current("flights", "release", SECOND)
    assert release is not None
    model = own.open().snapshots.open(release.snapshot).members["model.cbm"]
    damage(other / "store" / model[:2] / model)
    mended = json.loads(own.invoke("push", f"flights/release:{SECOND}", str(other), "--json").stdout)
    assert (mended["manifests"], mended["files"]) == (0, 1)
    damage(own.home / "store" / model[:2] / model)
    refused = own.invoke("push", f"flights/release:{SECOND}", str(tmp_path / "third"))
    assert refused.exit_code == 1
    assert "was changed: its bytes now hash to" in str(refused.exception)
    third = Workspace(settings({"ML_ASSETS_HOME": str(tmp_path / "third")}))
    assert third.ledger.current("flights", "release", SECOND) is None
    snapshots = {manifest.snapshot for manifest in made_from(own.open().lineage, release)}
    arrived = [digest for digest in snapshots if is_readable(third.snapshots.blobs, digest)]
    assert arrived
    assert all(map(third.snapshots.is_intact, arrived)), "files come before what names them"


def test_a_recalled_release_and_a_wrong_name_are_refused_in_words(days: Days, tmp_path: Path) -> None:
    own, other = copied(days, tmp_path), tmp_path / "other"
    raw = own.open().ledger.current("flights", "raw", DAYS[0])
    assert raw is not None
    recalls.record(own.open().ledger, recalls.of_partition(raw, reason="doubled", by="anna"))
    for arguments, why in (
        ((f"flights/release:{SECOND}", str(other)), "which was recalled"),
        ((f"flights/model:{SECOND}", str(other)), "not a release; `ml-assets status PRODUCT` lists them"),
        (("flights/release:2013-01-09", str(other)), "names nothing in the ledger"),
        ((f"flights/release:{SECOND}", str(own.home)), "is the home of this process"),
    ):
        result = own.invoke("push", *arguments)
        assert result.exit_code, arguments
        assert why in result.output + str(result.exception)
    pulled = own.invoke("pull", f"flights/release:{SECOND}", str(tmp_path / "nowhere"))
    assert pulled.exit_code == 1
    assert "nowhere" in str(pulled.exception)
    assert not (tmp_path / "nowhere").exists()


def test_data_and_models_are_taken_over_from_a_home_upstream_and_nothing_that_was_decided(days: Days, tmp_path: Path) -> None:
    space = Workspace(settings(days.environ | {"ML_ASSETS_HOME": str(tmp_path), "ML_ASSETS_UPSTREAM": str(days.home)}))
    there = days.open()
    last = there.ledger.current("flights", "tracking", SECOND)
    assert last is not None
    judged = set()
    for known in made_from(there.lineage, last):
        if known.recipe.stage in UNJUDGED:
            rebuilt = space.lineage.make(known.recipe, lambda: 1 // 0, run="r")
            assert (rebuilt.reused, rebuilt.manifest) == (True, known)
        else:
            judged.add(known.recipe.stage)
            with pytest.raises(ZeroDivisionError):
                space.lineage.make(known.recipe, lambda: 1 // 0, run="r")
    assert {"evaluation", "release", "tracking"} <= judged
    assert not DECISIONS & set(kinds(space.ledger))
    space.ledger.close()


@pytest.mark.long
def test_a_home_above_another_goes_down_the_whole_path_and_is_whole(
    days: Days, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Days(tmp_path / "own", days.products)
    monkeypatch.setenv("ML_ASSETS_UPSTREAM", str(days.home))
    for day in DAYS[:2]:
        own.deliver(day)
        run = own.invoke("run", "flights", "--partition", day)
        assert run.exit_code == 0, run.output
    ledger = own.open().ledger
    assert kinds(ledger).count("look") == 1
    assert ledger.pointer("flights", "production") is not None
    assert json.loads(own.invoke("verify", "--json").stdout)["findings"] == []
    assert ledger.current("flights", "model", SECOND) == days.open().ledger.current("flights", "model", SECOND)


def copied(days: Days, folder: Path) -> Days:
    """The same in a home of one's own."""
    copy_home(days.home, folder / "home")
    return Days(folder / "home", days.products)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written meanwhile, and nothing is."""
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    yield
    now = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }
    assert {path: time for path, time in now.items() if kept.get(path) != time} == {}
