"""The ledger's records of manifests: which one is current, and the evidence about each. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class ManifestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest as JSON, which its id covers; the run that made it; where code and product came from (core.lineage.source);
    and what building took, where that was measured ("wall", "cpu"). `by` is who asked for the run, as far as that is known, and
    `proof` what showed it."""

    id: str
    manifest: Mapping[str, Any]
    run: str
    source: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] | None = None
    by: str = ""
    proof: str = ""


class PublicationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest` (its id) is the current one of its asset and partition from now on."""

    product: str
    stage: str
    partition: str
    manifest: str
    run: str


class EvidenceDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The details of a result; `identity` is the digest of what decides it apart from the manifest, "" where it was not
    recorded."""

    identity: str = ""
    description: str = ""
    severity: Literal["ERROR", "WARN"] = "ERROR"
    values: Mapping[str, Any] = {}


class EvidenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a claim about exactly one manifest, `subject`."""

    subject: str
    claim: str
    passed: bool
    details: EvidenceDetails
    run: str
