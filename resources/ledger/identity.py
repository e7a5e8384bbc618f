"""The ledger and the store that a home belongs to, as it remembers them: a stray variable must not lead it to others.

A ledger's identity is the hash of its first entry. No other ledger has it, no copy loses it, and no entry had to be added for it.
A store's is in a file of its own there, and next to the ledger's chain; a store from before gets one if it holds what the ledger
names.
"""

import secrets
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, insert, select

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema
from resources.ledger.database import fact, lock, shown
from resources.store.blobs import Blobs, write_atomically
from resources.store.places import has_stored, name_store, place_of, store_id

FILE = "belongs.json"
SHORT = 12
PROBED = 4
"""The most snapshots that a store without an identity is asked for: one of them may be lost."""
STORE = "store"


class AnotherLedger(MlAssetsError):
    """The settings name another ledger than the one that this home belongs to."""


class AnotherStore(MlAssetsError):
    """The settings name another store than the one that holds what the ledger names."""


class Belonging(msgspec.Struct, frozen=True):
    """`ledger` is the identity, `ledger_url` and `store` are the places where they were last, without passwords."""

    ledger: str
    ledger_url: str
    store: str = ""


def identity(connection: Connection) -> str | None:
    """The identity of a ledger; None while it is empty."""
    return connection.scalar(select(schema.entries.c.hash).where(schema.entries.c.seq == 1))


def read(path: Path) -> Belonging | None:
    """The memory of a home; None if it belongs to no ledger yet, or if the file says nothing any more."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Belonging)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def refuse_another_ledger(path: Path, connection: Connection, url: str) -> None:
    """Raise AnotherLedger if the home remembers another one in `path`; remember this one if it remembers none."""
    known, actual, place = read(path), identity(connection), shown(url)
    if known is None or known.ledger == actual:
        if actual and (known is None or known.ledger_url != place):
            _remember(path, Belonging(actual, place, known.store if known else ""))
        return
    other = f"holds the ledger {_short(actual)}" if actual else "is empty"
    raise AnotherLedger(
        f"{path.parent} belongs to the ledger {_short(known.ledger)}, which was in {known.ledger_url}; {place} {other}. Set "
        f"ML_ASSETS_LEDGER to the home's own ledger, or ML_ASSETS_HOME to another home; if that ledger was given up for good, "
        f"remove {path} and {path.with_name('ledger.head')}"
    )


def refuse_another_store(path: Path, engine: Engine, blobs: Blobs, *, is_owner: bool = True) -> None:
    """Raise AnotherStore unless the store, at a place that the home does not remember in `path`, is the ledger's; remember the
    place then. A ledger that knows no store takes this one, if `is_owner`. A place that is remembered is not asked."""
    known, place = read(path), place_of(blobs)
    if known is None or known.store == place:
        return
    with engine.connect() as connection:
        expected, named = fact(connection, STORE), _named(connection)
    actual, is_own = store_id(blobs), not expected and not known.store and place == (path.parent / "store").as_uri()
    is_same = actual == expected if actual and expected else is_own or not named or any(has_stored(blobs, d) for d in named)
    if not is_same:
        before = f" This home's store was {known.store}." if known.store else ""
        raise AnotherStore(
            f"the store {place} ({_short(actual)}) is not the one ({_short(expected)}) that holds what the ledger "
            f"{_short(known.ledger)} ({known.ledger_url}) names.{before} Set ML_ASSETS_STORE to the store of this ledger, or "
            f"ML_ASSETS_LEDGER to the ledger of this store; `ml-assets ledger show` prints what belongs together"
        )
    if is_owner:
        bind_store(engine, blobs, expected or actual or secrets.token_hex(16))
    _remember(path, Belonging(known.ledger, known.ledger_url, place))


def _named(connection: Connection) -> list[str]:
    """The snapshots that a store is asked for: the oldest and the newest that the ledger names."""
    columns = schema.manifests.c
    oldest = select(columns.snapshot).order_by(columns.seq).limit(PROBED // 2)
    newest = select(columns.snapshot).order_by(columns.seq.desc()).limit(PROBED // 2)
    return [*connection.scalars(oldest), *connection.scalars(newest)]


def bind_store(engine: Engine, blobs: Blobs, id: str) -> None:
    """Write the identity of a ledger's store into the store, and into the ledger if that knows none; a lost one comes
    back."""
    with engine.begin() as connection:
        lock(connection)
        known = fact(connection, STORE)
        if store_id(blobs) != (known or id):
            name_store(blobs, known or id)
        if known is None:
            connection.execute(insert(schema.ledger_facts).values(name=STORE, value=id))


def _short(id: str | None) -> str:
    return id[:SHORT] if id else "no identity"


def _remember(path: Path, belonging: Belonging) -> None:
    """A home that cannot be written cannot be led to write elsewhere either."""
    try:
        write_atomically(path, msgspec.json.format(msgspec.json.encode(belonging), indent=2) + b"\n")
    except OSError:
        return
