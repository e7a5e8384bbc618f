"""The ledger's record of a person's decision to test once more on a fold that is used up. Pure."""

import msgspec


class ReopeningRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The candidate as of a delivery of a static table, `partition`, may be tested on the last fold again. What it shows there
    proves nothing: only an override lets it serve."""

    product: str
    partition: str
    by: str
    reason: str
    proof: str = ""


DECISIONS = "decision/"
"""The beginning of the names of people's decisions that something is made from."""


def reopening_asset(product: str) -> str:
    """The name of such decisions among what features are made from."""
    return f"{DECISIONS}{product}/reopening"
