"""A file of the cache that keeps what was parsed of code texts, by their digest: an unchanged text is not parsed again.

Kept for one Python and one way of parsing; a file that is not whole is not used. Only what a plan tells leans on it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ml_assets.core import code
from ml_assets.core.digests import digest_json, sha256
from resources.blobs import write_atomically


@contextmanager
def known_code(path: Path) -> Iterator[None]:
    """Inside, code texts that were ever parsed are known; what is parsed in addition is kept."""
    kept = _read(path)
    code.KNOWN.meanings.update(kept.meanings)
    code.KNOWN.imports.update(kept.imports)
    yield
    if kept != code.KNOWN:
        content = asdict(code.KNOWN)
        write_atomically(path, json.dumps([_parser(), digest_json(content), content]).encode())


def _read(path: Path) -> code.Known:
    try:
        parser, digest, content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, TypeError):
        return code.Known()
    is_usable = parser == _parser() and digest == digest_json(content)
    return code.Known(**content) if is_usable else code.Known()


def _parser() -> str:
    """What a text's meaning depends on beside the text: Python's parser and how its tree is read."""
    return sha256(sys.version.encode() + Path(code.__file__).read_bytes())
