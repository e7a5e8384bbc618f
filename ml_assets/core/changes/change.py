"""One named difference between two declarations of a product."""

from typing import Any, Literal, TypeAlias

import msgspec

Effect: TypeAlias = Literal["weakened", "strengthened", "changed"]
"""`weakened` unless what is asked is shown to be at least as strict; `changed` is what no gate or policy depends on."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`name`: a claim's name, or the dotted key of product.yaml. `old`, `new`: JSON values, None where there is none.
    `reason`: why it counts as weakened, where the values do not say it."""

    product: str
    name: str
    effect: Effect
    old: Any = None
    new: Any = None
    reason: str = ""
