"""The ledger as JSON lines that anyone can check without the home: for an auditor, with the bodies of some kinds withheld."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ml_assets.core.digests import canonical_json, digest_json
from ml_assets.errors import MlAssetsError
from ml_assets.services.verify.discrepancies import Discrepancies
from ml_assets.services.verify.erasures import ErasureCheck
from ml_assets.services.verify.home import Verified
from resources.ledger.chain import BODY_SHA256, GENESIS, Entry, Rule, hash_without_body, rule_of

WITHHELD_NEVER = "erasure"
_WRITTEN = ("seq", "at", "kind", "previous", "hash")
_TYPES = (int, str, str, str, str)


class CannotWithhold(MlAssetsError):
    """Without this body nobody could check the entry."""


def lines(entries: Iterable[Entry], *, withhold: Collection[str] = ()) -> Iterator[str]:
    """One JSON object an entry: its body, or of the kinds to withhold the body's digest. Raises CannotWithhold."""
    for entry in entries:
        line: dict[str, Any] = {name: getattr(entry, name) for name in _WRITTEN}
        is_hidden = entry.kind in withhold and _is_hidden(entry)
        shown: dict[str, Any] = {BODY_SHA256: digest_json(entry.body)} if is_hidden else {"body": entry.body}
        yield canonical_json(line | shown).decode()


def _is_hidden(entry: Entry) -> bool:
    """Whether a body has to be withheld; one that was erased has nothing left to hide."""
    match rule_of(entry):
        case "digest" | "erased" as rule:
            return rule == "digest"
        case "body":
            reason = "is chained by the old rule, whose hash has the body itself in it: without it no one could check the entry"
        case None:
            reason = "does not hash to what is recorded for it; `ml-assets verify` says more"
    raise CannotWithhold(f"entry {entry.seq} ({entry.kind}, {entry.at}) {reason}")


def verify_export(content: Iterable[str]) -> Verified:
    """Check the lines of an export. An end that was cut off shows only by the newest hash, which is told to compare."""
    discrepancies = Discrepancies()
    check = ExportCheck(discrepancies)
    check.run(content)
    seq, hashed = check.head
    message = f"is the newest one, hash {hashed}: compare with `ledger.head` of the home, an end that was cut off shows there"
    discrepancies.note("added", f"ledger entry {seq}", message)
    return Verified({"entries": check.entries, "withheld": check.withheld}, tuple(discrepancies.collected))


@dataclass
class ExportCheck:
    """Checks the lines of an export, one after another."""

    discrepancies: Discrepancies
    entries: int = 0
    withheld: int = 0
    head: tuple[int, str] = (0, GENESIS)
    erasures: ErasureCheck = field(init=False)

    def __post_init__(self) -> None:
        """Begin without an entry."""
        self.erasures = ErasureCheck(self.discrepancies)

    def run(self, content: Iterable[str]) -> None:
        """Check every line."""
        for number, line in enumerate(content, 1):
            self._line(number, line)
        self.erasures.run()

    def _line(self, number: int, line: str) -> None:
        where = f"line {number}"
        self.entries = number
        entry, rule = _read(line)
        if entry is None:
            self.discrepancies.add("changed", where, "is not an entry, or does not hash to what is recorded for it")
            return
        if entry.seq != self.head[0] + 1:
            self.discrepancies.add("missing", where, f"is entry {entry.seq}; entry {self.head[0] + 1} should be here")
        elif entry.previous != self.head[1]:
            self.discrepancies.add("changed", where, f"(entry {entry.seq}) does not follow from the one before it")
        self.withheld += rule is None
        self.head = entry.seq, entry.hash
        self.erasures.add(entry, rule)


def _read(line: str) -> tuple[Entry | None, Rule | None]:
    """The entry of a line and the rule of its hash, None for a body that is withheld; no entry where it is none."""
    try:
        entry = json.loads(line)
        written = {name: entry.pop(name) for name in _WRITTEN}
        (what, value), *others = entry.items()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, None
    if others or any(type(value) is not kind for value, kind in zip(written.values(), _TYPES, strict=True)):
        return None, None
    return _withheld(written, value) if what == BODY_SHA256 else _whole(written, value) if what == "body" else (None, None)


def _withheld(written: dict[str, Any], digest: Any) -> tuple[Entry | None, Rule | None]:
    hashed = {name: value for name, value in written.items() if name != "hash"}
    is_right = written["kind"] != WITHHELD_NEVER and hash_without_body(**hashed, body_sha256=digest) == written["hash"]
    return (Entry(**written, body={}) if is_right else None), None


def _whole(written: dict[str, Any], body: Any) -> tuple[Entry | None, Rule | None]:
    try:
        entry = Entry(**written, body=body)
        rule = rule_of(entry)
    except ValueError:
        return None, None
    return (entry, rule) if rule and isinstance(body, dict) else (None, None)
