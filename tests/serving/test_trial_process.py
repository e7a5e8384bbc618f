"""A bundle that is damaged, hostile or wrong ends a child at most; the endpoint goes on with what it had."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.digests import digest_file
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.release.trial_process import TrialProcess
from ml_assets.serving.requests.parser import Limits
from resources.endpoints import pointer as pointers
from tests.support.serving_store import SQL, Release, Store, train


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("bundle") / "r1"
    return folder, train(folder, name="r1", seed=1)


@pytest.fixture
def folder(original: tuple[Path, Release], tmp_path: Path) -> Path:
    return Path(shutil.copytree(original[0], tmp_path / "bundle"))


@pytest.fixture(scope="module")
def trial() -> Iterator[TrialProcess]:
    trial = TrialProcess(seconds=20)
    yield trial
    trial.close()


def recorded(folder: Path) -> BundleFiles:
    return BundleFiles(folder, {p.relative_to(folder).as_posix(): digest_file(p) for p in folder.rglob("*") if p.is_file()})


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_whole_bundle_passes_its_trial(trial: TrialProcess, folder: Path) -> None:
    trial.load(recorded(folder), Limits())


@pytest.mark.long
def test_damaged_models_with_matching_digests_never_end_this_process(trial: TrialProcess, folder: Path) -> None:
    rng, content = random.Random(12), (folder / "model.cbm").read_bytes()
    outcomes = []
    for _ in range(15):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 8])):
            damaged[rng.randrange(8, len(damaged))] ^= 1 << rng.randrange(8)
        (folder / "model.cbm").write_bytes(bytes(damaged))
        try:
            trial.load(recorded(folder), Limits())
            outcomes.append("ok")  # the damage is where no golden row looks, such as a training option
        except BundleRefused as error:
            outcomes.append("ended" if "ended the process" in str(error) else "refused")
    assert outcomes.count("refused") + outcomes.count("ended") > 2
    (folder / "model.cbm").write_bytes(content)
    trial.load(recorded(folder), Limits())


def test_a_bundle_that_ends_the_process_that_loads_it_is_refused(
    trial: TrialProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        os.kill(os.getpid(), 9)

    monkeypatch.setattr("ml_assets.serving.release.trial_process.load", crash)
    own = TrialProcess(seconds=5)
    with pytest.raises(BundleRefused, match="ended the process that tried it, with -9"):
        own.load(recorded(folder), Limits())
    own.close()


def test_a_bundle_that_hangs_is_refused_in_time(folder: Path) -> None:
    (folder / "features.sql").write_text(
        f"select * from ({SQL}) where (select sum(hash(a.range, b.range)) from range(1000000) a, range(1000000) b) > 0"
    )
    own, started = TrialProcess(seconds=1), time.monotonic()
    with pytest.raises(BundleRefused, match="not loaded after 1 s"):
        own.load(recorded(folder), Limits())
    assert time.monotonic() - started < 5
    own.close()


def test_a_candidate_that_is_slow_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_assets.serving.release.trial_process.SLOWEST_ROW_SECONDS", 1e-6)
    own = TrialProcess(seconds=20)
    with pytest.raises(BundleRefused, match="scoring one row took"):
        own.load(recorded(folder), Limits())
    own.close()


def test_a_lost_nursery_is_a_refusal_that_says_what_to_do(folder: Path) -> None:
    own = TrialProcess(seconds=5)
    os.kill(own._pid, 9)
    with pytest.raises(BundleRefused, match="restart the server"):
        own.load(recorded(folder), Limits())
    own.close()


def permuted(folder: Path) -> None:
    card = json.loads((folder / "bundle.json").read_text())
    names = {"hour": "distance", "distance": "hour"}
    query = (folder / "features.sql").read_text()
    query = query.replace("as hour", "as other").replace("r.distance,", "r.distance as hour,").replace("as other", "as distance")
    assert set(names) < {feature["name"] for feature in card["features"]}
    (folder / "features.sql").write_text(query)


def constant(folder: Path) -> None:
    from catboost import CatBoostClassifier, Pool

    from tests.support.serving_store import FEATURES, offline_features, requests

    frame = offline_features(requests(50, seed=1)).select(feature["name"] for feature in FEATURES)
    frame = frame.with_columns(frame["hour"].cast(float), frame["is_holiday"].cast(float))
    model = CatBoostClassifier(iterations=1, depth=1, verbose=False, allow_writing_files=False, learning_rate=1e-3)
    categories = [feature["name"] for feature in FEATURES if feature["kind"] == "category"]
    model.fit(Pool(frame, label=[0.0, 1.0] * 25, cat_features=categories))
    model.save_model(str(folder / "model.cbm"))


def another_schema(folder: Path) -> None:
    edit(folder / "request.json", lambda fields: fields[3].update(type="string", ge=None, le=None))


def not_a_number(folder: Path) -> None:
    edit(folder / "golden.json", lambda golden: golden["requests"][0].update(wind_speed="nan"))


@pytest.mark.parametrize("harm", [permuted, constant, another_schema, not_a_number])
def test_a_candidate_that_loads_but_is_wrong_is_refused(trial: TrialProcess, folder: Path, harm: Callable[[Path], None]) -> None:
    harm(folder)
    with pytest.raises(BundleRefused, match=r"golden row|Expected|must|Invalid"):
        trial.load(recorded(folder), Limits())


def link_out(folder: Path) -> None:
    shutil.move(folder / "profile.json", folder.parent / "whole.json")
    (folder / "profile.json").symlink_to(folder.parent / "whole.json")


def link_folder(folder: Path) -> None:
    shutil.move(folder / "lookups", folder.parent / "elsewhere")
    (folder / "lookups").symlink_to(folder.parent / "elsewhere", target_is_directory=True)


@pytest.mark.parametrize(
    "poison",
    [
        lambda folder: (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR."),
        lambda folder: (folder / "MLmodel").write_text("loader_module: os"),
        lambda folder: (folder / "code").mkdir() or (folder / "code" / "loader.py").write_text("raise SystemExit"),
        lambda folder: (folder / "lookups" / "sitecustomize.py").write_text("raise SystemExit"),
        lambda folder: (folder / "model.cbm").write_bytes(b"\x80\x04cposix\nsystem\n"),
        link_out,
        link_folder,
    ],
    ids=["pickle", "MLmodel", "code", "py", "cbm-pickle", "link", "folder-link"],
)
def test_a_poisoned_bundle_is_refused(trial: TrialProcess, folder: Path, poison: Callable[[Path], object]) -> None:
    poison(folder)
    with pytest.raises(BundleRefused):
        trial.load(recorded(folder), Limits())


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "lookups/../../x.parquet", "lookups/..parquet"])
def test_a_listing_that_names_files_outside_is_refused(trial: TrialProcess, folder: Path, name: str) -> None:
    files = recorded(folder)
    with pytest.raises(BundleRefused):
        trial.load(BundleFiles(folder, {**(files.digests or {}), name: "0" * 64}), Limits())


class Meddling(TrialProcess):
    """Passes a bundle, and harms it before anyone else reads it."""

    harm: Callable[[Path], object] = staticmethod(lambda folder: None)

    def load(self, files: BundleFiles, limits: Limits) -> None:
        super().load(files, limits)
        self.harm(files.folder)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[tuple[Endpoint, Store, Meddling]]:
    store, meddling = Store(tmp_path), Meddling(seconds=20)
    for seed, name in enumerate(("r1", "r2", "r3"), start=1):
        train(tmp_path / name, name=name, seed=seed)
        store.point(name, store.add(tmp_path / name))
        (tmp_path / f"{name}.json").write_bytes(store.pointer.read_bytes())
    tested = Endpoint(
        product="flights",
        environment="production",
        pointer=lambda: pointers.read(store.pointer),
        open_bundle=store.open_bundle,
        earlier=lambda: [pointer for name in ("r2", "r1") if (pointer := pointers.read(tmp_path / f"{name}.json"))],
        trial=meddling,
    )
    yield tested, store, meddling
    tested.close()


def point(store: Store, name: str) -> None:
    shutil.copy(store.home / f"{name}.json", store.pointer)


def model_of(store: Store, name: str) -> Path:
    pointer = pointers.read(store.home / f"{name}.json")
    assert pointer
    return store.home / "bundles" / pointer.bundle / "model.cbm"


def test_a_model_damaged_between_check_and_load_is_refused(endpoint: tuple[Endpoint, Store, Meddling]) -> None:
    tested, store, meddling = endpoint
    point(store, "r1")
    assert tested.reload()
    meddling.harm = lambda folder: shutil.copy(model_of(store, "r3"), folder / "model.cbm")
    point(store, "r2")
    with pytest.raises(BundleRefused, match=r"model\.cbm has digest"):
        tested.reload()
    assert tested.serving
    assert tested.serving.bundle.release == "r1"


def test_going_back_uses_the_bundle_in_memory_even_when_its_bytes_are_gone(endpoint: tuple[Endpoint, Store, Meddling]) -> None:
    tested, store, _ = endpoint
    for name in ("r1", "r2"):
        point(store, name)
        assert tested.reload()
    shutil.rmtree(model_of(store, "r1").parent)
    point(store, "r1")
    assert tested.reload()
    assert tested.serving
    assert tested.previous
    assert (tested.serving.bundle.release, tested.previous.bundle.release) == ("r1", "r2")


def test_after_a_start_the_release_before_is_in_memory_once_and_is_what_a_swap_goes_back_to(
    endpoint: tuple[Endpoint, Store, Meddling],
) -> None:
    tested, store, _ = endpoint
    tested.keep_previous()
    assert tested.previous is None
    point(store, "r3")
    tested.reload()
    tested.keep_previous()
    kept = tested.previous
    assert kept
    assert kept.bundle.release == "r2"
    shutil.rmtree(model_of(store, "r2").parent)
    tested.keep_previous()
    assert tested.previous is kept
    point(store, "r2")
    assert tested.reload()
    assert tested.serving
    assert tested.serving.bundle is kept.bundle


def test_a_refused_bundle_leaves_the_one_to_go_back_to(endpoint: tuple[Endpoint, Store, Meddling]) -> None:
    tested, store, _ = endpoint
    for name in ("r1", "r2"):
        point(store, name)
        tested.reload()
    model_of(store, "r3").write_bytes(b"")
    point(store, "r3")
    with pytest.raises(BundleRefused):
        tested.reload()
    assert tested.serving
    assert tested.previous
    assert (tested.serving.bundle.release, tested.previous.bundle.release) == ("r2", "r1")


@pytest.mark.long
@pytest.mark.parametrize(("damaged", "answers"), [(["r3"], "r2"), (["r3", "r2"], "r1"), (["r3", "r2", "r1"], None)])
def test_after_a_start_with_a_damaged_bundle_the_last_whole_one_answers(
    endpoint: tuple[Endpoint, Store, Meddling], damaged: list[str], answers: str | None
) -> None:
    tested, store, _ = endpoint
    for name in damaged:
        model_of(store, name).write_bytes(b"x")
    with pytest.raises(BundleRefused) as refused:
        tested.reload()
    tested.trouble = str(refused.value)
    assert tested.fall_back() is (answers is not None)
    assert (tested.serving and tested.serving.bundle.release) == answers
    if tested.serving:
        assert "model.cbm" in (tested.serving.instead_of or "")
    assert not tested.fall_back()
