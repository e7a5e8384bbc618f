"""Where the code and a product came from, as the ledger records it next to a manifest. The code digest is what counts: a
commit tells people where to look."""

from collections.abc import Mapping
from typing import Any, TypedDict

NOT_VERSIONED = "not under version control"
SHORT = 10


class Commit(TypedDict):
    """A commit, and whether the files differed from it; None where a variable named the commit, and nobody could look."""

    commit: str
    is_dirty: bool | None


class Source(TypedDict, total=False):
    """`product` is there only for a product outside of the code's checkout. None: git could not be asked."""

    code: Commit | None
    product: Commit | str | None


def as_source(recorded: Mapping[str, Any] | None) -> Source:
    """The recorded source; entries of before products had one are the code's commit itself."""
    if recorded is None:
        return {"code": None}
    if "commit" in recorded:
        return {"code": {"commit": recorded["commit"], "is_dirty": recorded["is_dirty"]}}
    return {name: recorded[name] for name in ("code", "product") if name in recorded}  # type: ignore[return-value]


def source_text(recorded: Mapping[str, Any] | None) -> str:
    """The source in a few words, nothing where nothing is known."""
    source = as_source(recorded)
    code = _text(source["code"])
    if "product" not in source:
        return code
    product = source["product"]
    state = product if isinstance(product, str) else _text(product)
    return f"{code or 'unknown'}; product {'' if state == NOT_VERSIONED else 'commit '}{state or 'unknown'}"


def _text(commit: Commit | None) -> str:
    return f"{commit['commit'][:SHORT]}{' with changes' if commit['is_dirty'] else ''}" if commit else ""
