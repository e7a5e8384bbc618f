"""The reference of the settings, from the class that reads them; docs/operations.md says what each is for."""

import re
from dataclasses import fields
from pathlib import Path

from tables import code, table

from resources.settings import ROOT, SECRETS, Settings, settings, variable

LEAD = """# Settings

Every process of the project reads these variables, and nothing else of the environment decides anything. A folder's file
`ml-assets.env` may hold them; how that is looked up, what is pinned and which ports there are is in
[operating](../operations.md#settings).

A variable with *file* may also be named with `_FILE` at its end: then the value is the content of that file, as of a mounted
secret.

"""
_HOME = Path("/HOME")
_SAME = ("landing_url",)
"""Fields that are another form of one before them, from the same variable."""
_NAMES = {"team_dagster": "DAGSTER_HOME"}
"""Variables that are not called as the field is."""
_OTHERS = {
    "upstream": "a home that is only read: its store and ledger, where the two below name no other",
}
"""Variables that are no setting of their own: they give others their value."""


def settings_page() -> str:
    """The page: variable, default, whether it may be a file, what it is for."""
    meanings = described()
    defaults = settings({"ML_ASSETS_HOME": str(_HOME)})
    rows = []
    for field in fields(Settings):
        if field.name in _SAME:
            continue
        value, name = getattr(defaults, field.name), _NAMES.get(field.name, variable(field.name))
        shown = ":".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
        shown = shown.replace(str(_HOME), "HOME").replace(str(ROOT), "CHECKOUT")
        default = shown.lower() if isinstance(value, bool) else shown
        if field.name == "home":
            default = "CHECKOUT/.ml_assets"
        is_file = "file" if field.name in (*SECRETS, "keys") else ""
        rows.append((code(name), code(default) or "none", is_file, meanings.get(name, "")))
    rows += [(code(variable(name)), "none", "", about) for name, about in _OTHERS.items()]
    return LEAD + table(("variable", "default", "", "what it is for"), rows)


def described() -> dict[str, str]:
    """The last column of the table in docs/operations.md by variable, with links as they are from the reference."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`(?:ML_ASSETS_|DAGSTER_HOME)[^|]*) \|[^|]*\| (.*?) ?\|$", text, re.MULTILINE)
    meanings = {
        name: re.sub(r"\]\((?!https?:|#)", "](../", about) for names, about in rows for name in re.findall(r"`(\w+)`", names)
    }
    return {name: re.sub(r"\]\(#", "](../operations.md#", about) for name, about in meanings.items()}
