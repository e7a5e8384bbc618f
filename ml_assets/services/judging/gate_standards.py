"""The minimal standards of a product's gates, by its own recorded verdicts: what is said when it is loaded, and refused where a
run would begin. No row is read.

A code location loads without a ledger, so what the standards need of each verdict is also kept in the cache.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ml_assets.core.gate_lab.standards import breaches
from ml_assets.core.gates.history import MOST_WINDOWS
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger
from resources.store.blobs import write_atomically


class GatesRefused(MlAssetsError):
    """The gates keep no minimal standard, by what their own verdicts showed."""


def gate_breaches(ledger: Ledger, product: Product) -> list[str]:
    """The minimal standards that the gates do not keep, by the verdicts of the newest evaluated partitions: one sentence each."""
    return [str(breach) for breach in breaches(product.gates, _recorded(ledger, product))]


def refused_gates(ledger: Ledger, product: Product) -> str:
    """Why no run of the path may begin by these gates, and what to do; empty where it may, as without a history."""
    return _refusal(product, _recorded(ledger, product))


def require_standards(ledger: Ledger, product: Product) -> None:
    """Raise GatesRefused where no run of the path may begin by these gates."""
    if refusal := refused_gates(ledger, product):
        raise GatesRefused(refusal)


def note_verdicts(ledger: Ledger, product: Product, cache: Path) -> None:
    """Keep in the cache what the standards need of the recorded verdicts, for `refused_by_note`."""
    write_atomically(_note(cache, product), msgspec.msgpack.encode(_recorded(ledger, product)))


def refused_by_note(product: Product, cache: Path) -> str:
    """The same as `refused_gates` from what this machine's cache knows; empty where it knows nothing."""
    try:
        past = msgspec.msgpack.decode(_note(cache, product).read_bytes(), type=list[VerdictFacts])
    except (FileNotFoundError, msgspec.DecodeError):  # a cache can be lost: the next verdict writes it again
        return ""
    return _refusal(product, past)


def _refusal(product: Product, past: Sequence[VerdictFacts]) -> str:
    refused = [str(breach) for breach in breaches(product.gates, past) if breach.is_refused]
    if not refused:
        return ""
    next_step = f"change `gates` of {product.name}, then `ml-assets plan {product.name}` says whether they are accepted"
    return f"{product.name}: gates: {'; '.join(refused)}; {next_step}"


def _recorded(ledger: Ledger, product: Product) -> list[VerdictFacts]:
    keys = ledger.partitions(product.name, "evaluation")[-MOST_WINDOWS:]
    manifests = (ledger.current(product.name, "evaluation", key) for key in keys)
    return [EvaluationFacts.of(manifest).verdict for manifest in manifests if manifest is not None]


def _note(cache: Path, product: Product) -> Path:
    return cache / "verdicts" / f"{product.name}.msgpack"
