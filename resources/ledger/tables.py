"""The ledger's tables. `entries` is the record; the others are indexes that can be rebuilt from it."""

from collections.abc import Sequence

from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, column
from sqlalchemy import Text as AnyText

metadata = MetaData()
volatile = MetaData()
"""The tables about the present: not in the chain, and lost without harm."""
# the order of partition keys is that of their bytes, whatever language a PostgreSQL server speaks
Text = AnyText().with_variant(AnyText(collation="C"), "postgresql")
_DELIVERED = column("producer").is_(None)

entries = Table(
    "entries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
)

manifests = Table(
    "manifests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("product", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("data_version", Text, nullable=False, index=True),
    Column("snapshot", Text, nullable=False, index=True),
    Column("code", Text, nullable=False),
    Column("config", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("seq", Integer, nullable=False, unique=True),
)

# An edge of the graph: `consumer` and `producer` are the manifests' entries; delivered bytes have no producer.
inputs = Table(
    "inputs",
    metadata,
    Column("consumer", Integer, nullable=False, index=True),
    Column("producer", Integer, index=True),
    Column("asset", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("data_version", Text, nullable=False),
    Index("inputs_delivered", "data_version", sqlite_where=_DELIVERED, postgresql_where=_DELIVERED),
)

publications = Table(
    "publications",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("product", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Index("publications_asset", "product", "stage", "partition", "seq"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("claim", Text, nullable=False),
    Column("passed", Integer, nullable=False),
    Index("evidence_subject", "subject", "claim", "seq"),
)

pointers = Table(
    "pointers",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("product", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("is_proven", Integer, nullable=False),
    Index("pointers_environment", "product", "environment", "seq"),
)

looks = Table(
    "looks",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("product", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("comparison", Text, nullable=False),
    Index("looks_window", "product", "window", "seq"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("run", Text, nullable=False),
    Column("end", Text),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("attempts_partition", "product", "partition", "seq"),
)

leases = Table(
    "leases",
    volatile,
    Column("run", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("renewed_at", Float, nullable=False),
    Column("is_revoked", Integer, nullable=False),
)

# What a server of an endpoint last reported about itself; `seen` is in seconds since 1970 by the database's clock.
replicas = Table(
    "replicas",
    volatile,
    Column("id", Text, primary_key=True),
    Column("product", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("worker", Integer, nullable=False),
    Column("release", Text),
    Column("bundle", Text),
    Column("candidate", Text),
    Column("since", Text),
    Column("trouble", Text),
    Column("break_glass", Text),
    Column("seen", Float, nullable=False),
)

# The files that servers put into the store that machines share, by the name that they have there, and of which log each is.
served_files = Table(
    "served_files",
    volatile,
    Column("name", Text, primary_key=True),
    Column("log", Text, nullable=False, index=True),
)

# The version of these tables, and the ledger that this one was moved to.
ledger_facts = Table(
    "ledger_facts",
    volatile,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def window_key(tested: Sequence[str]) -> str:
    """A test window as the table `looks` names it: its partitions, sorted, each once."""
    return " ".join(sorted(set(tested)))


def window_of(key: str) -> tuple[str, ...]:
    """The partitions that a key names."""
    return tuple(key.split(" "))


def append_only(dialect: str) -> list[str]:
    """DDL that makes the database itself refuse any UPDATE or DELETE of the ledger's tables."""
    if dialect == "sqlite":
        return [ddl for table in metadata.sorted_tables for ddl in _sqlite_triggers(table)]
    refuse = (
        "CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$ LANGUAGE plpgsql"
    )
    return [refuse] + [
        f"CREATE OR REPLACE TRIGGER {table.name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        for table in metadata.sorted_tables
    ]


def lift_entries(dialect: str) -> tuple[list[str], list[str]]:
    """DDL that lets one transaction change an entry, and DDL that puts the refusal back before it ends."""
    if dialect == "sqlite":
        restore = [ddl for ddl in _sqlite_triggers(entries) if " entries_no_update " in ddl]
        return ["DROP TRIGGER IF EXISTS entries_no_update"], restore
    trigger = f"TRIGGER {entries.name}_append_only"
    return [f"ALTER TABLE entries DISABLE {trigger}"], [f"ALTER TABLE entries ENABLE {trigger}"]


def _sqlite_triggers(table: Table) -> list[str]:
    """Triggers that abort UPDATE, DELETE, and an INSERT OR REPLACE, which would remove a row without a DELETE."""
    unique = [f"{c.name} = NEW.{c.name}" for c in table.columns if c.primary_key or c.unique]
    taken = f"EXISTS (SELECT 1 FROM {table.name} WHERE {' OR '.join(unique)})"
    refused = {"UPDATE": "", "DELETE": ""} | ({"INSERT": f"WHEN {taken} "} if unique else {})
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} {when}"
        f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb, when in refused.items()
    ]
