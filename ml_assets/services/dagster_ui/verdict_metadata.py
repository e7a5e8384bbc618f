"""The context of a verdict in Dagster: earlier looks and what is new since the champion."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.markdown import in_full
from ml_assets.services.judging.gate_standards import gate_breaches
from ml_assets.services.judging.verdict_evidence import changes_since_champion, earlier_looks
from ml_assets.spec.product import Product
from resources.lineage import Lineage


def evidence(lineage: Lineage, product: Product, evaluation: Manifest) -> dict[str, Any]:
    """Each that there is as a Markdown list, with what the history says against the gates."""
    lists = {
        "earlier_looks": earlier_looks(lineage, product, evaluation),
        "new_since_champion": changes_since_champion(lineage, evaluation),
        "history_of_gates": gate_breaches(lineage.ledger, product),
    }
    return {name: _list(lines) for name, lines in lists.items() if lines}


def _list(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {in_full(line)}" for line in lines))
