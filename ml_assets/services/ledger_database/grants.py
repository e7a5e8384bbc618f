"""The rights of a role that serves: to read the ledger, and to write what servers report about themselves."""

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger


class NoRoles(MlAssetsError):
    """The ledger's database has no roles."""


def grants(ledger: Ledger, role: str) -> list[str]:
    """The statements for a PostgreSQL role. Raises NoRoles for SQLite."""
    if ledger.engine.dialect.name != "postgresql":
        raise NoRoles(
            f"{ledger.engine.dialect.name} has no roles: whoever may write the file may write the ledger; move it with "
            f"`ml-assets ledger move postgresql+psycopg://…`"
        )
    quoted = ledger.engine.dialect.identifier_preparer.quote_identifier(role)
    tables = ", ".join(sorted([*schema.metadata.tables, *schema.volatile.tables]))
    return [
        f"GRANT SELECT ON {tables} TO {quoted};",
        f"GRANT INSERT, UPDATE, DELETE ON {schema.replicas.name} TO {quoted};",
        f"GRANT INSERT ON {schema.served_files.name} TO {quoted};",
    ]
