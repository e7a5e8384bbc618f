"""The reference of the ledger's entries, from the records that read them; examples are those that tests keep byte for byte."""

import json
from collections.abc import Mapping

import msgspec
from tables import block, cell, code, table

from ml_assets.core.gates.records import LookRecord, RestorationRecord, VerdictRecord
from ml_assets.core.lineage.acceptances import AcceptanceRecord
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.records import EvidenceRecord, ManifestRecord, PublicationRecord
from ml_assets.core.lineage.triggers import FreezeRecord, TriggerRecord
from ml_assets.core.notices import Notice, SentRecord
from ml_assets.core.outcomes.records import ProbationRecord
from ml_assets.core.release.records import ApprovalRecord, MoveRecord, OverrideRecord, ShadowRecord
from resources.ledger.erasure import ERASABLE, NEEDED
from resources.ledger.kinds import KINDS
from resources.ledger.recalls import Recall
from resources.settings import ROOT

RECORDS: Mapping[str, type[msgspec.Struct]] = {
    "manifest": ManifestRecord,
    "publication": PublicationRecord,
    "evidence": EvidenceRecord,
    "look": LookRecord,
    "verdict": VerdictRecord,
    "approval": ApprovalRecord,
    "override": OverrideRecord,
    "promotion": MoveRecord,
    "staging": MoveRecord,
    "rollback": MoveRecord,
    "shadow": ShadowRecord,
    "recall": Recall,
    "restoration": RestorationRecord,
    "attempt": AttemptRecord,
    "notice": Notice,
    "sent": SentRecord,
    "trigger": TriggerRecord,
    "freeze": FreezeRecord,
    "acceptance": AcceptanceRecord,
    "probation": ProbationRecord,
}
"""The record of each kind whose body is read back."""
EXAMPLES = ROOT / "tests" / "data" / "ledger_entries.jsonl"
LONGEST = 96
LEAD = """# Ledger entries

The ledger is append-only. Each entry has a number (`seq`), a time (`at`, UTC), a kind, a body and the hash of the entry before
it. How they are chained, exported and checked is in [lineage](../lineage.md), what may be erased in
[operating](../operations.md#erase).

    ml-assets export ledger --output ledger.jsonl

writes all of them, one JSON object a line. A body without a `version` is of the first; readers take what is older, refuse what is
newer, and pass over fields that they do not know.

"""


def ledger_page() -> str:
    """The page: a heading for each kind, its fields, an example, and whether its body can be erased."""
    examples = first_examples()
    parts = [LEAD]
    for kind in KINDS:
        parts.append(f"## {kind}\n\n")
        record = RECORDS.get(kind)
        if record is not None:
            parts.append(f"{cell(record.__doc__ or '')}\n\n")
            parts.append(table(("field", "type", "there"), _fields(record)) + "\n")
        if kind in examples:
            parts.append(block(json.dumps(_shortened(examples[kind]), indent=1), "json") + "\n")
        why = "Its body can be erased." if kind in ERASABLE else f"Its body cannot be erased: {NEEDED[kind]}."
        parts.append(f"{why}\n\n")
    return "".join(parts)


def first_examples() -> dict[str, object]:
    """The first body of each kind among the entries that tests keep."""
    examples: dict[str, object] = {}
    for line in EXAMPLES.read_text(encoding="utf-8").splitlines():
        _, kind, body = line.split(" ", 2)
        examples.setdefault(kind, json.loads(body))
    return examples


def _fields(record: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    return [
        (code(field.encode_name), code(_type(field.type)), "always" if field.required else "may be left out")
        for field in msgspec.structs.fields(record)
    ]


def _type(kind: object) -> str:
    """The type as it is written, without the modules' names."""
    text = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
    words = text.replace("typing.", "").replace("collections.abc.", "").replace("NoneType", "None")
    return " ".join(word.rpartition(".")[2] if "[" not in word else word for word in words.split(" "))


def _shortened(value: object) -> object:
    """The example with long texts cut: digests are recognised by their beginning."""
    if isinstance(value, dict):
        return {name: _shortened(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_shortened(part) for part in value[:3]]
    if isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return f"{value[:12]}…"
    return f"{value[:LONGEST]}…" if isinstance(value, str) and len(value) > LONGEST else value
