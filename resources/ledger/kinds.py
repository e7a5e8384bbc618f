"""The kinds of entries that a ledger has."""

from typing import Literal, get_args

Kind = Literal[
    "manifest",
    "publication",
    "evidence",
    "look",
    "verdict",
    "approval",
    "override",
    "promotion",
    "staging",
    "rollback",
    "shadow",
    "refusal",
    "recall",
    "erasure",
    "restoration",
    "attempt",
    "notice",
    "sent",
    "trigger",
    "freeze",
    "acceptance",
    "probation",
    "reopening",
    "extraction",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
