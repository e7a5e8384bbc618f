"""The ledger's records of releases: one frozen record for each kind of entry about them. Pure.

In the stored JSON `release` is a bundle's digest and `name` the release's name; here they are `bundle` and `release`.
`proof` is what showed that `by` is that person, such as `key 3fa94c1b`; empty for a name that was typed.
Reading and writing entries belongs in resources.ledger.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ml_assets.core.release.approvals import Answer, Via

Outcome = Literal["harm", "good enough", "stopped"]


class MoveRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint's move (promotion, staging, rollback). `previous` is the digest of the bundle that served before;
    `is_proven`: the release was proven better than the anchor of its time."""

    product: str
    environment: str
    bundle: str = msgspec.field(name="release")
    release: str = msgspec.field(name="name")
    manifest: str
    as_of: str
    previous: str | None
    by: str
    reason: str
    is_proven: bool
    proof: str = ""


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The terms of a shadow's verdict: the mean, over units, of candidate's loss minus champion's, each unit's cut at `bound`."""

    unit: str
    alpha: float
    max_harm: float
    bound: float


class ShadowRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The start or the end of a shadow, or, where it serves a `share` of the requests, of a canary. `champion` is the bundle that
    serves meanwhile. A start has `terms`; an end has the hash of the start's entry, an outcome and its evidence."""

    action: Literal["start", "stop"]
    product: str
    environment: str
    champion: str
    bundle: str = msgspec.field(name="release")
    release: str = msgspec.field(name="name")
    manifest: str
    as_of: str
    share: float
    by: str
    reason: str
    terms: Terms | None = None
    started: str | None = None
    outcome: Outcome | None = None
    evidence: Mapping[str, Any] | None = None
    proof: str = ""


class ApprovalRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's answer about exactly one release and its evaluation."""

    product: str
    bundle: str = msgspec.field(name="release")
    release: str = msgspec.field(name="name")
    manifest: str
    evaluation: str
    decision: Answer
    by: str
    reason: str
    via: Via
    proof: str = ""


class OverrideRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's decision to let a model (its data version) through in spite of `reasons`, what its `verdict` lacked."""

    product: str
    evaluation: str
    model: str
    partition: str
    reasons: tuple[str, ...]
    verdict: str
    by: str
    reason: str
    via: Via
    proof: str = ""
