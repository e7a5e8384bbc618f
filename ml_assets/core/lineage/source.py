"""The source of the code and of a product, as the ledger records it next to a manifest. The code digest is what counts: a
commit tells people where to look."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

NOT_VERSIONED = "not under version control"
SHORT = 10


class Commit(TypedDict):
    """A commit, whether the files differed from it, and whether the default branch contained it; None, or nothing, where nobody
    could look. Where a variable named the commit, `is_merged` is there if one said so, and then the files did not differ."""

    commit: str
    is_dirty: bool | None
    is_merged: NotRequired[bool | None]


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


def commits(recorded: Mapping[str, Any] | None) -> list[Commit]:
    """The commits that are known of the source: the code's, and the product's if it lies elsewhere."""
    return [state for state in as_source(recorded).values() if isinstance(state, dict)]  # type: ignore[misc]


def not_merged(recorded: Mapping[str, Any] | None) -> list[str]:
    """The reasons why the source is not a commit of the default branch as it is, one phrase each for code and product; what is
    not known is not merged."""
    phrases = ((name, _not_merged(commit)) for name, commit in as_source(recorded).items())
    return [f"its {name} {phrase}" for name, phrase in phrases if phrase]


def _not_merged(commit: Any) -> str:
    """`commit` is a Commit, a phrase where there is none, or None where git could not be asked."""
    if not commit:
        return "comes from an unknown commit"
    if isinstance(commit, str):
        return f"is {commit}"
    named = f"commit {commit['commit'][:SHORT]}"
    if commit["is_dirty"]:
        return f"is {named} with uncommitted changes"
    is_merged = commit.get("is_merged")
    if is_merged:
        return ""
    if commit["is_dirty"] is None:
        return f"is said to be {named}, and not to be merged: ML_ASSETS_MERGED=true says so where it is"
    if is_merged is None:
        return f"is {named}, and git cannot tell whether the default branch contains it: a shallow clone needs its history"
    return f"is {named}, which the default branch does not contain"


def _text(commit: Commit | None) -> str:
    return f"{commit['commit'][:SHORT]}{' with changes' if commit['is_dirty'] else ''}" if commit else ""
