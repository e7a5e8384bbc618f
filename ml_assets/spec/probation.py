"""The section `probation` of product.yaml: how a promotion is held to what it promised."""

from typing import Literal

from pydantic import Field

from ml_assets.spec.base_section import Section


class ProbationSpec(Section):
    """What a promotion promised is asked again on served rows, in `after` complete partitions at least, at the level `alpha` over
    all looks. A broken promise rolls the release back, or is told to people."""

    after: int = Field(default=2, ge=1)
    on_broken: Literal["rollback", "tell"] = "tell"
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
