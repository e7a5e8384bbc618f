"""Bodies that are gone against the entries that say so: each tombstone needs its erasure, each erasure its tombstone."""

from dataclasses import dataclass, field

from ml_assets.services.verify.discrepancies import Discrepancies
from resources.ledger.chain import BODY_SHA256, Entry, Rule, erased_sha256
from resources.ledger.erasure import ERASABLE

RESTORE = "restore the ledger from a copy"


@dataclass
class ErasureCheck:
    """Is given every entry in order with the rule that its hash was found right by, None where it was withheld."""

    discrepancies: Discrepancies
    newest_rule: Rule | None = None
    _tombstones: dict[int, Entry] = field(default_factory=dict)
    _erasures: dict[int, Entry] = field(default_factory=dict)

    def add(self, entry: Entry, rule: Rule | None) -> None:
        """Take the next entry, with the rule under which its hash is right; None where its body was withheld."""
        if rule == "body" and self.newest_rule is not None:
            message = f"({entry.kind}, {entry.at}) is chained by the old rule, after entries of the new one"
            self.discrepancies.add("changed", _where(entry.seq), message, RESTORE)
        if rule != "body":
            self.newest_rule = rule or "digest"
        if rule == "erased":
            self._tombstones[entry.seq] = entry
        elif entry.kind == "erasure":
            self._erasure(entry)

    def _erasure(self, entry: Entry) -> None:
        match entry.body:
            case {"seq": int(seq), "body_sha256": str(), "by": str(), "reason": str()} if seq < entry.seq:
                self._erasures[seq] = entry
            case _:
                message = f"({entry.kind}, {entry.at}) is not one that the ledger writes, though its hash is right"
                self.discrepancies.add("added", _where(entry.seq), message, RESTORE)

    def run(self) -> None:
        """Find what does not go together, and note what was erased by whom."""
        for seq, entry in self._tombstones.items():
            what = f"({entry.kind}, {entry.at})"
            erasure = self._erasures.get(seq)
            if entry.kind not in ERASABLE:
                self.discrepancies.add("missing", _where(seq), f"{what} has no body, which no erasure may remove", RESTORE)
            elif erasure is None or erasure.body[BODY_SHA256] != erased_sha256(entry.body):
                self.discrepancies.add(
                    "missing", _where(seq), f"{what} has no body, and no entry says that it was erased", RESTORE
                )
            else:
                message = f"{what} has no body: {erasure.body['by']} erased it at {erasure.at}: {erasure.body['reason']}"
                self.discrepancies.note("missing", _where(seq), message)
        for seq, erasure in self._erasures.items():
            if seq not in self._tombstones:
                message = f"says that the body of entry {seq} was erased, but it is there"
                self.discrepancies.add("added", _where(erasure.seq), message, "erase it again, or restore the ledger from a copy")


def _where(seq: int) -> str:
    return f"ledger entry {seq}"
