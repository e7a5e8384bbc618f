"""What mkdocs runs while it builds the site (mkdocs.yml): pages of the reference from the code, pictures, links out of docs/.

Does not belong here: what a page says; each has a module of its own.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from cli_page import cli_page
from flowchart import flowchart
from http_page import http_page, openapi_json
from key_page import key_page
from ledger_page import ledger_page
from metrics_page import metrics_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from settings_page import settings_page

ROOT = Path(__file__).resolve().parents[2]
GENERATED: Mapping[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/product-keys.md": key_page,
    "reference/http-api.md": http_page,
    "reference/openapi.json": openapi_json,
    "reference/settings.md": settings_page,
    "reference/metrics.md": metrics_page,
    "reference/ledger-entries.md": ledger_page,
    "contributing.md": lambda: _from_root("CONTRIBUTING.md"),
    "changelog.md": lambda: _from_root("CHANGELOG.md"),
}
"""Pages that lie in no file of docs/, and what makes each."""
_ELSEWHERE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
_DRAWN = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK_OUT = re.compile(r"\[(`?[^\]`]*`?)\]\((?:\.\./)+([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, content in GENERATED.items():
        files.append(File.generated(config, uri, content=content()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw flowcharts as SVG, so that no script is fetched for them, and keep links inside of the site."""
    drawn = _DRAWN.sub(lambda match: flowchart(match[1]), markdown)
    return links_within(drawn, depth=page.file.src_uri.count("/"))


def links_within(markdown: str, *, depth: int) -> str:
    """Links out of docs/: to the page of the site that has the same text, or else the path as text."""

    def within(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        if path in _ELSEWHERE:
            return f"[{text}]({'../' * depth}{_ELSEWHERE[path]}{anchor})"
        if (ROOT / path).exists():
            return text if text.strip("`").endswith(Path(path).name) else f"{text} (`{path}`)"
        return match[0]

    return _LINK_OUT.sub(within, markdown)


def _from_root(name: str) -> str:
    """A page of the repository's root, with links as they are from docs/."""
    text = re.sub(r"\]\((?!https?:|#|docs/)", "](../", (ROOT / name).read_text(encoding="utf-8"))
    return text.replace("](docs/", "](")
