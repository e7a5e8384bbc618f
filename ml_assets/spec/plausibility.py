"""The `plausibility` section of product.yaml: which doubts about a partition hold it back from training."""

from typing import Literal

from ml_assets.spec.base_section import Section

PlausibilityClaim = Literal[
    "volume_plausible", "content_is_new", "label_rate_plausible", "relations_hold", "no_column_gives_label_away"
]


class PlausibilitySpec(Section):
    """A partition that fails a claim of `hold` is neither trained nor tested on until a person accepts its content
    (`ml-assets accept`) or another delivery replaces it; the other claims only warn."""

    hold: tuple[PlausibilityClaim, ...] = ()
