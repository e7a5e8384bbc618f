"""Lineage and impact: the whole way in both directions, whatever names the thing, as text, JSON and a page."""

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.cli.shared.references import UnknownReference, resolve
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.audit.questions import Audit
from ml_assets.serving.log.reader import count_predictions
from resources.ledger import recalls
from tests.support import audited
from tests.support.audited import SOURCE, delivered

Made = dict[str, Manifest]


@pytest.fixture
def audited_home(workspace: Workspace) -> Made:
    return audited.fill(workspace)


@pytest.fixture
def ask(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run a command on the workspace's home."""
    monkeypatch.setenv("ML_ASSETS_HOME", str(workspace.settings.home))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments))

    yield run
    assert os.environ["ML_ASSETS_HOME"] == str(workspace.settings.home)


def lineage(space: Workspace, reference: str) -> dict[str, Any]:
    return Audit(space.ledger, space.settings.cache, resolve(space, reference)).lineage()


def impact(space: Workspace, reference: str) -> dict[str, Any]:
    subject = resolve(space, reference)
    return Audit(space.ledger, space.settings.cache, subject).impact(
        count_predictions(space.settings.predictions(subject.product))
    )


def names(answer: dict[str, Any]) -> list[str]:
    return [f"{node['asset'].partition('/')[2]} {node['partition']}" for node in answer["manifests"]]


def test_the_lineage_of_a_release_is_everything_that_it_was_made_from(workspace: Workspace, audited_home: Made) -> None:
    first = lineage(workspace, "2013-02.aaaaaaaa")
    unread = {"raw 2013-03", "dataset 2013-03", "features 2013-03", "model 2013-03", "evaluation 2013-03", "release 2013-03"}
    assert set(names(first)) == set(audited_home) - unread
    assert set(names(lineage(workspace, "2013-03.aaaaaaaa"))) == set(audited_home)  # by way of its champion
    read = {given["asset"] for node in first["manifests"] for given in node["inputs"] if given["manifest"] is None}
    assert read == {"landing/trains/trips", "landing/trains/stops"}


def test_a_node_says_all_that_decided_it_and_all_that_was_shown_about_it(workspace: Workspace, audited_home: Made) -> None:
    node = lineage(workspace, "trains/release:2013-02")["manifests"][-1]
    release = audited_home["release 2013-02"]
    assert node["manifest"] == release.id
    assert (node["source"], node["run"], node["seed"], node["threads"]) == (SOURCE, "run-1", 7, 1)
    assert (node["code"], node["details"]) == (release.recipe.code, audited.DETAILS)
    assert node["checks"]["holds"]["passed"] is True
    assert node["checks"]["holds"]["values"] == {"rows": 5, "told": audited.NASTY}
    assert [(move["kind"], move["environment"], move["by"], move["reason"]) for move in node["moves"]] == [
        ("promotion", "production", "test", "ACCEPT")
    ]
    assert [given["manifest"] for given in node["inputs"]] == [given.manifest for given in release.recipe.inputs]


def test_a_rollback_is_told_with_who_and_why(workspace: Workspace, audited_home: Made) -> None:
    workspace.endpoints.rollback("trains", to=None, by="ann", reason="odd scores")
    node = lineage(workspace, "2013-02.aaaaaaaa")["manifests"][-1]
    assert [(move["kind"], move["by"], move["reason"]) for move in node["moves"]] == [
        ("promotion", "test", "ACCEPT"),
        ("rollback", "ann", "odd scores"),
    ]


def test_what_was_recalled_is_told(workspace: Workspace, audited_home: Made) -> None:
    recalls.record(workspace.ledger, recalls.of_partition(audited_home["raw 2013-01"], reason="wrong clock", by="ann"))
    answer = lineage(workspace, "2013-03.aaaaaaaa")
    nodes = dict(zip(names(answer), answer["manifests"], strict=True))
    assert "wrong clock" in nodes["raw 2013-01"]["recalled"]
    assert [name for name, node in nodes.items() if "recalled" in node] == ["raw 2013-01"]


def test_the_impact_of_a_partition_goes_down_to_answers_and_predictions(workspace: Workspace, audited_home: Made) -> None:
    audited.predict(workspace, "2013-02.aaaaaaaa", times=3)
    audited.predict(workspace, "2013-02.aaaaaaaa", times=2, environment="staging")
    audited.predict(workspace, "2013-03.aaaaaaaa", times=4)
    audited.predict(workspace, "elsewhere", times=9)
    answer = impact(workspace, "trains/raw:2013-02")
    touched = {asset.partition("/")[2]: [row["partition"] for row in rows] for asset, rows in answer["manifests"].items()}
    assert touched == {
        "raw": ["2013-02"],
        "dataset": ["2013-02"],
        "features": ["2013-02"],
        "model": ["2013-03"],
        "evaluation": ["2013-02", "2013-03"],
        "release": ["2013-02", "2013-03"],
    }
    assert [(r["release"], r["predictions"]) for r in answer["releases"]] == [
        ("2013-02.aaaaaaaa", {"production": 3, "staging": 2}),
        ("2013-03.aaaaaaaa", {"production": 4}),
    ]
    assert answer["predictions"] == 9
    assert answer["answers"]["production"]["release"] == "2013-03.aaaaaaaa"
    assert answer["answers"]["production"]["is_affected"] is True


def test_what_does_not_touch_who_answers_says_so(workspace: Workspace, audited_home: Made) -> None:
    workspace.endpoints.rollback("trains", to=None, by="ann", reason="odd")
    answer = impact(workspace, "trains/raw:2013-03")
    assert [release["release"] for release in answer["releases"]] == ["2013-03.aaaaaaaa"]
    assert (answer["answers"]["production"]["release"], answer["answers"]["production"]["is_affected"]) == (
        "2013-02.aaaaaaaa",
        False,
    )


def test_a_replaced_manifest_is_marked(workspace: Workspace, audited_home: Made) -> None:
    audited.record(workspace, "dataset", "2013-01", [audited_home["raw 2013-01"].as_input(), delivered("more")])
    rows = impact(workspace, "trains/raw:2013-01")["manifests"]["trains/dataset"]
    assert [row["is_current"] for row in rows] == [False, True]


@pytest.mark.parametrize("form", ["whole", "beginning", "landing"])
def test_delivered_bytes_and_tables_have_an_impact(workspace: Workspace, audited_home: Made, form: str) -> None:
    digest = delivered("trips", "2013-02").data_version
    reference = {"whole": digest, "beginning": digest[:9], "landing": "landing/trains/trips:2013-02"}[form]
    answer = impact(workspace, reference)
    assert answer["subject"] == {"asset": "landing/trains/trips", "partition": "2013-02", "delivered_sha256": digest}
    assert answer["manifests"].keys() == impact(workspace, "trains/raw:2013-02")["manifests"].keys()


@pytest.mark.parametrize("reference", ["trains/reference", "landing/trains/stops"])
def test_a_reference_table_touches_every_partition(workspace: Workspace, audited_home: Made, reference: str) -> None:
    answer = impact(workspace, reference)
    assert [row["partition"] for row in answer["manifests"]["trains/features"]] == ["2013-01", "2013-02", "2013-03"]


def test_references_find_the_one_thing_that_they_name(workspace: Workspace, audited_home: Made) -> None:
    model = audited_home["model 2013-03"]
    id = audited.predict(workspace, "2013-02.aaaaaaaa", times=2)
    assert resolve(workspace, model.id[:8]).manifest == model
    assert resolve(workspace, model.snapshot).manifest == model
    assert resolve(workspace, "trains/model:2013-03").manifest == model
    predicted = resolve(workspace, id)
    assert predicted.manifest == audited_home["release 2013-02"]
    assert predicted.prediction is not None
    assert (predicted.prediction["id"], predicted.prediction["score"]) == (id, 1 / 3)


@pytest.mark.parametrize(
    "reference",
    ["", "abc", "trains/raw:2013-09", "trains", "landing/trains/none:2013-01", "f" * 64, "2013-09.aaaaaaaa", "%", "x" * 36, "/:"],
)
def test_what_names_nothing_is_refused_with_what_can_be_given(workspace: Workspace, audited_home: Made, reference: str) -> None:
    with pytest.raises(UnknownReference, match=r"names nothing .*PRODUCT/STAGE:PARTITION.*prediction id"):
        resolve(workspace, reference)


def test_a_digest_that_begins_several_things_is_refused_with_a_list(workspace: Workspace) -> None:
    for number, digest in enumerate(["aaaaaa1", "aaaaaa2"]):
        recipe = audited.Recipe("trains", "raw", str(number), "c", "f", "e")
        workspace.ledger.publish(Manifest(recipe, digest, digest), run="r")
    with pytest.raises(UnknownReference, match=r"several things: trains/raw 0 .*; trains/raw 1 "):
        resolve(workspace, "aaaaaa")


def test_the_text_of_a_lineage_shows_each_tree_once_and_what_it_was_made_with(
    ask: Any, workspace: Workspace, audited_home: Made
) -> None:
    text = ask("lineage", "2013-03.aaaaaaaa").output
    lines = text.splitlines()
    assert lines[0] == "release 2013-03.aaaaaaaa of trains"
    assert re.search(r"^  production: promotion at \S+ by test: ACCEPT$", text, re.MULTILINE)
    assert len([line for line in lines if "trains/release 2013-02" in line and line.endswith("(below)")]) == 1
    assert len([line for line in lines if line.startswith("trains/release 2013-02")]) == 1
    for month in ("2013-01", "2013-02", "2013-03"):
        assert f"landing/trains/trips {month}  delivered bytes sha256 {delivered('trips', month).data_version[:16]}" in text
    assert "trains/model 2013-02 to 2013-03 (2): code" in text
    assert "commit c0ffeec0ff with changes; product not under version control, seed 7, 1 threads" in text
    assert 'parameters  {"model": {"depth": 8}}' in text
    assert "passed  trains/release 2013-03  holds: release holds, rows 5" in text
    assert text.count("FAILED  trains/dataset") == 3


def test_the_text_of_a_predictions_lineage_begins_with_question_and_answer(
    ask: Any, workspace: Workspace, audited_home: Made
) -> None:
    id = audited.predict(workspace, "2013-02.aaaaaaaa", times=1)
    lines = ask("lineage", id).output.splitlines()
    assert lines[1] == f"  gave 0.3333333333333333 at 2013-04-01T00:00:00.001000 in production, id {id}"
    assert lines[2].startswith('  asked {"carrier"')


def test_the_text_of_an_impact_counts_releases_and_predictions(ask: Any, workspace: Workspace, audited_home: Made) -> None:
    audited.predict(workspace, "2013-02.aaaaaaaa", times=3)
    text = ask("impact", "trains/raw:2013-02").output
    assert text.startswith("trains/raw 2013-02 was used by\n  trains/dataset ")
    assert "2 releases were made from it; they gave 3 predictions" in text
    assert "production: 2013-03.aaaaaaaa serves since" in text
    assert ask("impact", "trains/model:2013-03").exit_code == 0
    assert "no release was made from it" not in text


def test_json_is_the_answer(ask: Any, workspace: Workspace, audited_home: Made) -> None:
    assert json.loads(ask("lineage", "2013-02.aaaaaaaa", "--json").output) == lineage(workspace, "2013-02.aaaaaaaa")
    assert json.loads(ask("impact", "trains/raw:2013-02", "--json").output) == impact(workspace, "trains/raw:2013-02")


def test_delivered_bytes_have_no_lineage_and_the_error_says_what_to_ask(ask: Any, audited_home: Made) -> None:
    result = ask("lineage", "landing/trains/trips:2013-01")
    assert "ml-assets impact landing/trains/trips:2013-01" in str(result.exception)


class Page(HTMLParser):
    """What a page holds, and whether it is well formed."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        assert not any(name.startswith("on") or name in ("src", "xlink:href") for name in given)
        self.links += [value for name, value in attrs if name == "href" and value]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


@pytest.mark.parametrize(
    ("command", "reference", "boxes"),
    [
        (
            "lineage",
            "2013-03.aaaaaaaa",
            ["trips", "stops", "raw", "features", "model", "2013-03.aaaaaaaa", "release"],
        ),
        ("impact", "landing/trains/trips:2013-02", ["trips", "raw", "features", "release", "production"]),
        ("impact", "trains/raw:2013-02", ["raw", "model", "evaluation", "production"]),
        ("lineage", "trains/reference", ["stops"]),
    ],
)
def test_a_page_draws_every_box_and_asks_nobody_for_anything(
    ask: Any, workspace: Workspace, audited_home: Made, tmp_path: Path, command: str, reference: str, boxes: list[str]
) -> None:
    file = tmp_path / "page.html"
    result = ask(command, reference, "--html", str(file))
    assert result.exit_code == 0, result.exception
    content = file.read_text()
    page = Page(content)
    assert page.open == []
    assert set(boxes) <= set(page.texts)
    assert "script" not in page.tags
    assert {"link", "img", "iframe", "object"}.isdisjoint(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert not re.search(r"https?://|url\((?!#)|@import", content)


@pytest.mark.parametrize("reference", ["landing/trains/trips:2013-02", "trains/raw:2013-02"])
def test_an_arrow_leads_from_the_releases_to_the_environment_that_serves_one(
    ask: Any, workspace: Workspace, audited_home: Made, tmp_path: Path, reference: str
) -> None:
    ask("impact", reference, "--html", str(tmp_path / "page.html"))
    assert "1 from trains/release to serves in production" in Page((tmp_path / "page.html").read_text()).texts


def test_a_page_escapes_whatever_it_is_told(ask: Any, workspace: Workspace, audited_home: Made, tmp_path: Path) -> None:
    workspace.endpoints.rollback("trains", to=None, by=audited.NASTY, reason=audited.NASTY)
    ask("lineage", "2013-02.aaaaaaaa", "--html", str(tmp_path / "page.html"))
    content = (tmp_path / "page.html").read_text()
    assert "<script" not in content
    assert audited.NASTY in Page(content).texts
