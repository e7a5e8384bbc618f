"""The ledger's records of promises: one record for the end of each promotion's probation. Pure."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Ending = Literal["confirmed", "broken", "superseded"]


class ProbationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the promise of the promotion in the entry with hash `promotion`, on the outcomes of these `partitions`.
    `claims` are their names with what was promised and measured, and its bounds; `replaced` is the bundle that served before."""

    product: str
    promotion: str
    bundle: str
    release: str
    replaced: str
    outcome: Ending
    why: str
    partitions: tuple[str, ...] = ()
    claims: Mapping[str, Mapping[str, Any]] = {}
