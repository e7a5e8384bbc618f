"""The ledger's records of trainings that nobody ran by hand, and of times in which there are none. Pure."""

from typing import Literal

import msgspec

TriggerKind = Literal["new_partition", "schedule", "code", "drift", "loss", "outcomes"]


class TriggerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`run` trains the candidate as of `partition` because of `why`; `key` tells this reason from others of its kind. It is in no
    recipe: the model is the same whatever asked for it. Where the same candidate was evaluated already there is no run, and
    `satisfied_by` names its release or its verdict."""

    product: str
    partition: str
    kind: TriggerKind
    key: str
    why: str
    run: str
    satisfied_by: str = ""


class FreezeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing of the product is trained or promoted until `until` (UTC, ISO 8601)."""

    product: str
    until: str
    by: str
    reason: str
    proof: str = ""
