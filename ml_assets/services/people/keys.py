"""The file of the keys that people are known by: a line for each, its hash, owner and last day. Whoever may write it may be
anybody."""

from datetime import date
from pathlib import Path

from ml_assets.core.release.identity import Identity
from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.api_keys import ApiKey, Scope, key_of, new_key, parse_keys
from resources.logins.run_tags import PERSON_TAG, signed_tags
from resources.settings import Settings
from resources.store.blobs import write_atomically

PERSON: tuple[Scope] = ("person",)
AGAIN = "`ml-assets people add NAME` makes one"


class NotKnown(MlAssetsError):
    """A key is nobody's, no longer counts, or somebody else's than it is said to be."""


def known(file: Path) -> tuple[ApiKey, ...]:
    """The keys of the file, none where there is no file. Raises KeysRefused."""
    return parse_keys(file.read_text(encoding="utf-8"), scopes=PERSON) if file.is_file() else ()


def identify(file: Path, key: str) -> Identity:
    """The person whose key this is. Raises NotKnown."""
    person_key = key_of(known(file), key.encode())
    if person_key is None or not person_key.owner:
        raise NotKnown(f"the key is nobody's: {file} has no line for it; {AGAIN}")
    if person_key.expired:
        raise NotKnown(f"the {person_key.expired}; {AGAIN}")
    return Identity(person_key.owner, f"key {person_key.id}")


def asked_by(current: Settings, run: str) -> dict[str, str]:
    """The tags of a run that this process asks for, by the key that it has; none without a key. Raises NotKnown."""
    if not current.person_key:
        return {}
    person = identify(current.people_keys, current.person_key).person
    return signed_tags(person, run=run, secret=current.proxy_secret) if current.proxy_secret else {PERSON_TAG: person}


def add(file: Path, owner: str, until: date) -> tuple[str, str]:
    """Make a key for a person, and add its line to the file. Returns the key, which is kept nowhere, and the line. Raises
    KeysRefused."""
    known(file)
    key, line = new_key("person", owner, until)
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    gap = "\n" if before and not before.endswith("\n") else ""
    write_atomically(file, f"{before}{gap}{line}\n".encode(), mode=_mode(file))
    return key, line


def remove(file: Path, owner: str, id: str = "") -> list[ApiKey]:
    """Take a person's keys out of the file, or the one with this id. Raises NotKnown where there is none."""
    gone = [key for key in known(file) if key.owner.lower() == owner.lower() and id in ("", key.id)]
    if not gone:
        named = ", ".join(f"{key.owner} ({key.id})" for key in known(file))
        there = f"it has keys of: {named}" if named else f"it has none; {AGAIN}"
        raise NotKnown(f"{file} has no key {f'{id} ' if id else ''}of {owner}; {there}")
    digests = [key.digest for key in gone]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not any(digest in line for digest in digests)]
    write_atomically(file, "".join(kept).encode(), mode=_mode(file))
    return gone


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777 if file.is_file() else 0o600
