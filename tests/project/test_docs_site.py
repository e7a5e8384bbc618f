"""The documentation's site: questions have answers, keys have examples that hold, and nothing is fetched from elsewhere."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from flowchart import NotDrawn, flowchart, layers, parsed
from key_examples import EXAMPLES
from keys import Key, keys
from pydantic import TypeAdapter, ValidationError

from ml_assets.core.lineage.stages import STAGES
from resources.dagster_assets import PAGES, page_of
from resources.ledger.kinds import KINDS
from resources.settings import ROOT

GENERATED = (
    "reference/cli.md",
    "reference/product-keys.md",
    "reference/http-api.md",
    "reference/openapi.json",
    "reference/settings.md",
    "reference/metrics.md",
    "reference/ledger-entries.md",
    "contributing.md",
    "changelog.md",
)
"""The pages that docs/site_build/hooks.py makes: a test below holds this list against it."""
QUESTION = re.compile(r"^\| ([^|]+\?) \| \[[^\]]+\]\(([^)#]+)(?:#([^)]+))?\) \| (.+) \|$", re.MULTILINE)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>|@import|url\(["']?https?:"""
)


@cache
def text_of(page: str) -> str:
    """A page of the site as Markdown, whether it lies in docs/ or is made from the code."""
    path = ROOT / "docs" / page
    if path.is_file():
        return path.read_text()
    import hooks

    return hooks.GENERATED[page]()


def section(page: str, anchor: str | None) -> str:
    """The part of a page below a heading, down to the next one of its level; all of it without an anchor."""
    text = text_of(page)
    if anchor is None:
        return text
    headings = list(HEADING.finditer(text))
    for number, heading in enumerate(headings):
        if slug(heading[2]) == anchor:
            ends = [other.start() for other in headings[number + 1 :] if len(other[1]) <= len(heading[1])]
            return text[heading.start() : ends[0] if ends else len(text)]
    raise AssertionError(f"{page} has no heading #{anchor}")


def slug(heading: str) -> str:
    """The anchor of a heading, as mkdocs makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower())


def test_ten_questions_of_each_of_three_people_are_answered_where_the_table_says() -> None:
    parts = re.split(r"^## ", text_of("where-is.md"), flags=re.MULTILINE)[1:]
    assert [len(QUESTION.findall(part)) for part in parts] == [10, 10, 10]
    lacking = [
        (question, page, anchor, words)
        for question, page, anchor, words in QUESTION.findall(text_of("where-is.md"))
        if words.strip("`") not in section(page, anchor or None)
    ]
    assert not lacking


def test_every_key_of_product_yaml_has_an_example_that_its_type_takes() -> None:
    wrong = {key.path: why for key in keys() if (why := problem(key, key.example))}
    assert not wrong
    assert set(EXAMPLES) <= {key.path for key in keys()}


def problem(key: Key, example: str) -> str:
    """What is wrong with a value, by the key's own type and limits; what hangs on other keys is left out."""
    limits = [part for part in key.field.metadata if not callable(getattr(part, "func", None))]
    kind: Any = Annotated[key.field.annotation, *limits, key.path]
    if not example:
        return "has no example: add one to docs/site_build/key_examples.py"
    try:
        TypeAdapter(kind).validate_python(yaml.safe_load(example))
    except ValidationError as error:
        return str(error)
    return ""


def test_an_example_that_a_key_would_not_take_is_seen() -> None:
    by_path = {key.path: key for key in keys()}
    assert len(by_path) > 90
    assert problem(by_path["model.depth"], "17")
    assert problem(by_path["task"], "ranking")
    assert problem(by_path["evaluation.slices"], "carrier")


def test_the_page_that_an_asset_names_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert all(f" {page_of(stage)}\n" in navigation for stage in (*PAGES, "raw", "endpoint/staging"))
    assert PAGES.keys() <= {*STAGES, "endpoint"}


def test_every_kind_of_entry_is_described_with_an_example() -> None:
    page = text_of("reference/ledger-entries.md")
    assert [heading for _, heading in HEADING.findall(page)][1:] == list(KINDS)
    for kind in KINDS:
        assert "```json" in section("reference/ledger-entries.md", kind), kind


def test_a_flowchart_is_drawn_in_layers_and_what_is_not_understood_is_named() -> None:
    text = 'flowchart LR\n  a[/landing/] --> b & c --> d["d<br>last"]\n  d -. back .-> a\n'
    assert layers(parsed(text)) == [["a"], ["b", "c"], ["d"]]
    drawn = flowchart(text)
    assert drawn.count("<rect") == 4
    assert all(f">{word}</text>" in drawn for word in ("landing", "b", "c", "d", "last", "back"))
    with pytest.raises(NotDrawn, match="is no box of a flowchart"):
        flowchart("flowchart LR\n  a{rhombus} --> b\n")
    with pytest.raises(NotDrawn, match="circle"):
        flowchart("flowchart LR\n  a --> b --> a\n")


@pytest.mark.long
def test_the_site_is_built_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = built(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    assert [page.name for page in pages if OUTSIDE.search(page.read_text())] == []
    assert not [page.name for page in pages if 'class="mermaid"' in page.read_text()]
    assert all((tmp_path / "site" / page.replace(".md", ".html")).is_file() for page in GENERATED)


@pytest.mark.long
def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\n[nowhere](nowhere.md) and [no heading](#none)\n")
    kept = {name: config[name] for name in ("site_name", "validation", "theme")} | {"docs_dir": str(docs)}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept))
    done = built(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr
    assert "#none" in done.stderr


def built(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(folder)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_pages_that_are_made_from_the_code_are_these() -> None:
    import hooks

    assert tuple(hooks.GENERATED) == GENERATED
