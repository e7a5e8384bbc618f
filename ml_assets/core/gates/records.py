"""The ledger's records of test windows: charged looks, their verdicts, and what was lost. Pure."""

from collections.abc import Mapping

import msgspec

from ml_assets.core.gates.verdict import Decision


class AskedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a test window: the digest of a comparison."""

    product: str
    window: tuple[str, ...]
    comparison: str


class LookRecord(AskedRecord, frozen=True, kw_only=True, omit_defaults=True):
    """A look that was charged; `gate` is the digest of what was asked. `looks` and `ships` are what a window had of them then,
    None in what older code recorded. `charged`: of windows that are pooled, the partitions that paid; all of the window where
    None."""

    gate: str
    run: str
    looks: int | None = None
    ships: int | None = None
    charged: tuple[str, ...] | None = None


class VerdictRecord(AskedRecord, frozen=True, kw_only=True):
    """The verdict of a look."""

    decision: Decision


class RestorationRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An older copy of the ledger goes on: `lost` is the entry that a home remembered (`lost_hash`), `kept` the last one that
    the copy holds. `closed` is the newest delivered partition by product: every window up to it may have been asked."""

    lost: int
    lost_hash: str
    kept: int
    closed: Mapping[str, str]
    by: str
    reason: str
    proof: str = ""
