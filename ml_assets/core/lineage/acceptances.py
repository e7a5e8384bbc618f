"""The ledger's record of a person's word that a partition is as it should be, however it looks. Pure."""

from collections.abc import Mapping

import msgspec


class AcceptanceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content that was delivered for `partition` (digest of each landing file by asset) is right: it is not held back, and
    later partitions are compared with it. Other content of the partition is not accepted by it."""

    product: str
    partition: str
    delivered: Mapping[str, str]
    by: str
    reason: str
    proof: str = ""
