"""A file that keeps what modules were taken apart into, by the digest of their text: an unchanged text is not parsed again.

Kept for one Python and one way of parsing; a file that is not whole is not used.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ml_assets.core.code.closure import Code
from ml_assets.core.code.module_units import Module
from ml_assets.core.digests import digest_json, sha256
from resources.store.blobs import write_atomically


class _Kept(msgspec.Struct):
    """`parser`: what a text's units depend on apart from the text; `digest`: of the modules' JSON."""

    parser: str
    digest: str
    modules: msgspec.Raw


@contextmanager
def ast_cache(path: Path, code: Code) -> Iterator[None]:
    """Inside, texts that were ever taken apart are known; what is new is kept. A process reads the file once."""
    if path not in code.read:
        code.known.update(_read(path, code))
        code.read.add(path)
    before = len(code.known)
    yield
    if len(code.known) != before:
        modules = msgspec.json.encode(code.known)
        write_atomically(path, msgspec.json.encode(_Kept(_parser(code), sha256(modules), msgspec.Raw(modules))))


def _read(path: Path, code: Code) -> dict[str, Module]:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        is_whole = kept.parser == _parser(code) and kept.digest == sha256(bytes(kept.modules))
        return msgspec.json.decode(kept.modules, type=dict[str, Module]) if is_whole else {}
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _parser(code: Code) -> str:
    """Python's parser, and the modules that read its tree."""
    texts = [sha256(text) for name, text in sorted(code.texts.items()) if name.startswith("ml_assets.core.code.")]
    return digest_json([sys.version, *texts])
