"""What the ledger keeps of test windows: looks that were charged, and the verdicts that came of them. Pure."""

import msgspec

from ml_assets.core.gates.verdict import Decision


class AskedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a test window: the digest of a comparison."""

    product: str
    window: tuple[str, ...]
    comparison: str


class LookRecord(AskedRecord, frozen=True, kw_only=True):
    """A look that was charged; `gate` is the digest of what was asked."""

    gate: str
    run: str


class VerdictRecord(AskedRecord, frozen=True, kw_only=True):
    """The verdict of a look."""

    decision: Decision
