"""States in which a plan had nothing to do, by digest: all that it looks at is the same, so there is nothing to do again.

The digest covers the head of the ledger's hash chain, the names in the store, what is delivered, what is declared, and the code
that plans. Only the last such state is kept; a file that is not whole is not used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from ml_assets.core.digests import digest_json, sha256
from ml_assets.core.lineage.planning import Definition
from ml_assets.core.lineage.stages import closure
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.store.blobs import write_atomically


def state(
    connection: Connection,
    product: Product,
    *,
    stored: Sequence[str],
    delivered: Mapping[str, Any],
    reference: Mapping[str, str],
    definitions: Mapping[str, Definition],
) -> str:
    """The digest of all that a plan of the product depends on."""
    entries = schema.entries.c
    head = connection.execute(select(entries.hash).order_by(entries.seq.desc()).limit(1)).scalar()
    declared = {stage: vars(definition) for stage, definition in definitions.items()}
    return digest_json(
        {
            "ledger": head,
            "store": sha256("\n".join(stored).encode()),
            "delivered": delivered,
            "reference": reference,
            "declared": declared,
            "product": sha256(product.files.spec or b""),
            "planning": closure("ml_assets.services.planning.plan:make_plan").digest,
        }
    )


def is_nothing_to_do(path: Path, state: str) -> bool:
    """Whether the last plan that had nothing to do saw this state."""
    return path.is_file() and path.read_bytes() == state.encode()


def keep(path: Path, state: str) -> None:
    """Note that in this state there is nothing to do."""
    write_atomically(path, state.encode())
