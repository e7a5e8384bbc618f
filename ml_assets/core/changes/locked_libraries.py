"""The libraries that a repository locks, read from the files that usually do: requirements files and uv.lock."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_assets.errors import MlAssetsError

LOCKS = ("requirements.lock", "requirements.txt", "uv.lock")
"""Of several that are there, an earlier one counts."""
ITSELF = "ml-assets"
_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*"
_PIN = re.compile(rf"^{_NAME}==\s*(?P<version>[^\s;\\]+)")
_SOURCE = re.compile(rf"^{_NAME}@\s*(?P<source>\S+)")
_EGG = re.compile(r"^(?:(?:-e|--editable)[\s=]+)?(?P<source>\S+?://\S+?)#(?:\S*&)?egg=(?P<name>[A-Za-z0-9._-]+)")


class LockUnreadable(MlAssetsError):
    """A lock file is not what its name says."""


def libraries(locks: Mapping[str, bytes]) -> dict[str, str]:
    """Versions by name, of the lock files among these, by file name; of a library from git its commit. Raises LockUnreadable."""
    versions: dict[str, str] = {}
    for file in reversed(LOCKS):
        if text := locks.get(file, b"").decode("utf-8", "replace"):
            versions |= {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _locked(file, text)}
    return versions


def _locked(file: str, text: str) -> Iterator[tuple[str, str]]:
    if file != "uv.lock":
        matches = (_PIN.match(line) or _SOURCE.match(line) or _EGG.match(line) for line in text.splitlines())
        yield from ((match["name"], _version(match.groupdict())) for match in matches if match)
        return
    try:
        packages: list[dict[str, Any]] = tomllib.loads(text).get("package", [])
    except tomllib.TOMLDecodeError as error:
        raise LockUnreadable(f"{file} is not TOML: {error}; `uv lock` writes it again") from None
    for package in packages:
        source = package.get("source", {}).get("git", "")
        yield package["name"], source.rpartition("#")[2] or str(package.get("version", ""))


def _version(source: Mapping[str, str]) -> str:
    """A version, or what comes after the last @ of an address: the commit of one in git."""
    return source["version"] if "version" in source else source["source"].partition("#")[0].rpartition("@")[2]
