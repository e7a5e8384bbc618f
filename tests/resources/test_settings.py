"""Settings come from ML_ASSETS_* variables alone, and everything lies under one home unless one says otherwise."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from ml_assets.cli.shared.workspace import Workspace
from resources.setting_values import SettingRefused
from resources.settings import ROOT, SECRETS, settings, variable


@pytest.mark.parametrize("environ", [{}, {"ML_ASSETS_HOME": "", "ML_ASSETS_STORE": ""}, {"HOME": "/x"}])
def test_without_variables_all_lies_in_the_checkout(environ: dict[str, str]) -> None:
    own_settings = settings(environ)
    home = ROOT / ".ml_assets"
    assert (own_settings.home, own_settings.landing) == (home, home / "landing")
    assert own_settings.store == f"file://{home}/store"
    assert own_settings.ledger == f"sqlite:///{home}/ledger.db"
    assert own_settings.mlflow == f"sqlite:///{home}/mlflow/mlflow.db"
    assert own_settings.products == (ROOT / "ml_assets" / "products",)


def test_installed_code_keeps_its_home_outside_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.settings.ROOT", tmp_path / ".venv" / "lib" / "python3.11" / "site-packages")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings({}).home == tmp_path / ".local" / "share" / "ml-assets"
    assert settings({"XDG_DATA_HOME": str(tmp_path / "data")}).home == tmp_path / "data" / "ml-assets"


def test_everything_moves_with_the_home(tmp_path: Path) -> None:
    own_settings = settings({"ML_ASSETS_HOME": str(tmp_path / "a b")})
    for place in (own_settings.landing, own_settings.dagster_home, own_settings.mlflow_artifacts, own_settings.predictions("p")):
        assert tmp_path / "a b" in place.parents
    for url in (own_settings.store, own_settings.ledger, own_settings.mlflow):
        assert url.endswith(("store", ".db"))
        assert f"{tmp_path}/a b/" in unquote(url)
    assert own_settings.pointer("trains", "staging") == tmp_path / "a b" / "endpoints" / "trains" / "staging.json"


def test_each_place_can_be_elsewhere(tmp_path: Path) -> None:
    urls = {"STORE": "s3://bucket/x", "LEDGER": "postgresql://host/db", "MLFLOW": "http://host:5000"}
    folders = {"LANDING": str(tmp_path), "PRODUCTS": os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b"), ""])}
    own_settings = settings({f"ML_ASSETS_{name}": value for name, value in (urls | folders).items()})
    assert (own_settings.store, own_settings.ledger, own_settings.mlflow) == tuple(urls.values())
    assert own_settings.landing == tmp_path
    assert own_settings.products == (tmp_path / "a", tmp_path / "b")
    assert own_settings.home == ROOT / ".ml_assets"


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own_settings = settings({"ML_ASSETS_HOME": "home", "ML_ASSETS_LANDING": "in", "ML_ASSETS_PRODUCTS": "p"})
    assert (own_settings.home, own_settings.landing, own_settings.products) == (
        tmp_path / "home",
        tmp_path / "in",
        (tmp_path / "p",),
    )
    assert own_settings.ledger == f"sqlite:///{tmp_path}/home/ledger.db"


@pytest.mark.parametrize(("value", "expected"), [("", True), ("true", True), ("False", False), ("false", False)])
def test_releases_are_compiled_unless_that_is_switched_off(value: str, expected: bool) -> None:
    own_settings = settings({"ML_ASSETS_COMPILED": value})
    assert own_settings.compiled is expected
    assert settings(own_settings.environ()).compiled is expected


def test_a_switch_that_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(SettingRefused, match="ML_ASSETS_COMPILED is 'no'; set it to true or false"):
        settings({"ML_ASSETS_COMPILED": "no"})


def test_another_process_that_is_given_the_settings_as_variables_has_the_same(tmp_path: Path) -> None:
    own_settings = settings({"ML_ASSETS_HOME": str(tmp_path), "ML_ASSETS_STORE": "s3://bucket", "ML_ASSETS_PRODUCTS": "/a:/b"})
    assert settings(own_settings.environ()) == own_settings


@pytest.mark.parametrize("name", [*SECRETS, "keys"])
def test_a_secret_may_lie_in_a_file_which_comes_before_a_variable(tmp_path: Path, name: str) -> None:
    url = "redis://:canary@broker/0" if name == "celery" else "postgresql://ann:canary@db/x"
    (tmp_path / "secret").write_text(f"{url}\n")
    others = {"ML_ASSETS_DAGSTER": "postgresql://db/dagster"} if name == "celery" else {}
    own_settings = settings({f"{variable(name)}_FILE": str(tmp_path / "secret"), variable(name): "sqlite:///other", **others})
    expected = str(tmp_path / "secret") if name == "keys" else url  # keys: serve reads the file
    assert getattr(own_settings, name) == expected
    assert settings({f"{variable(name)}_FILE": str(tmp_path / "secret"), **own_settings.environ()}) == own_settings


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("\n", "is empty"), ("\xff", "it is not text")])
def test_a_file_without_a_secret_is_refused_by_name(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingRefused, match=rf"ML_ASSETS_LEDGER_FILE: {file}.*{message}"):
        settings({"ML_ASSETS_LEDGER_FILE": str(file)})


@pytest.mark.long
def test_dagster_finds_a_mounted_secret_and_shows_the_variable(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sqlite:////tmp/canary.db?timeout=9")
    code = (
        "from resources.settings import settings; from resources.environment import pin; import dagster as dg;"
        "from resources.dagster_resources import resources_of; current = settings(); pin(current.home);"
        "url = resources_of(current)['ledger'].url; print(repr(url), dg.EnvVar.get_value(url))"
    )
    environ = {**os.environ, "ML_ASSETS_HOME": str(tmp_path), "ML_ASSETS_LEDGER_FILE": str(tmp_path / "secret")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "'ML_ASSETS_LEDGER' sqlite:////tmp/canary.db?timeout=9\n"


@pytest.mark.parametrize(
    ("name", "meant"), [("LEGDER", "LEDGER"), ("PRODUCT", "PRODUCTS"), ("PERSON_KEYFILE", "PERSON_KEY_FILE")]
)
def test_a_misspelled_variable_is_refused_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(SettingRefused, match=f"ML_ASSETS_{name} is not a setting, .* did you mean ML_ASSETS_{meant}?"):
        settings({f"ML_ASSETS_{name}": "x"})


def test_variables_that_kubernetes_sets_for_a_service_are_none_of_ours() -> None:
    settings({"ML_ASSETS_PORT": "tcp://10.0.0.1:80", "ML_ASSETS_DAGSTER_SERVICE_HOST": "10.0.0.1", "ML_ASSETS_LEDGER_PORT": "1"})


def test_texts_that_must_not_get_out_are_keys_passwords_and_queries() -> None:
    urls = {"LEDGER": "postgresql://ann:p%40ss@db/x", "STORE": "s3://bucket?key=one", "KEY": "plain", "MLFLOW": "http://host"}
    own_settings = settings({f"ML_ASSETS_{name}": value for name, value in urls.items()})
    assert set(own_settings.secrets) == {"p%40ss", "p@ss", "key=one", "plain"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"MLFLOW": "https://host/mlflow/"}, "https://host/mlflow"),
        ({"MLFLOW": "https://host", "MLFLOW_UI": "https://people/"}, "https://people"),
        ({"MLFLOW": "https://ann:secret@host/mlflow?token=1"}, "https://host/mlflow"),
    ],
)
def test_links_lead_to_the_mlflow_that_people_see(environ: dict[str, str], expected: str) -> None:
    assert settings({f"ML_ASSETS_{name}": value for name, value in environ.items()}).mlflow_ui == expected


def test_by_default_the_process_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    assert settings().home == tmp_path


def test_a_workspace_makes_nothing_before_it_is_used(workspace: Workspace, home: Path) -> None:
    for name in ("landing", "snapshots", "ledger", "endpoints"):
        assert getattr(workspace, name) is getattr(workspace, name)
    assert list(home.iterdir()) == []
