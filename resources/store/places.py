"""The places that blobs are stored at: their names for people, their identity, and what they hold whatever a cache has of it."""

from resources.store.blobs import Above, Blobs, LocalBlobs, write_atomically
from resources.store.remote_blobs import RemoteBlobs

IDENTITY = "store.id"
"""The file with a store's identity, next to the folders of its blobs."""


def place_of(blobs: Blobs) -> str:
    """The place that blobs are written to, as a text without passwords."""
    match blobs:
        case Above(own=own):
            return place_of(own)
        case LocalBlobs(root=root):
            return root.as_uri()
        case RemoteBlobs(root=root):
            return f"{blobs.place.scheme}://{root}"
    raise TypeError(f"no place is known of {type(blobs).__name__}")


def has_stored(blobs: Blobs, digest: str) -> bool:
    """Whether the place itself has a blob of this name; a local copy of it does not count."""
    match blobs:
        case Above(own=own, below=below):
            return has_stored(own, digest) or has_stored(below, digest)
        case LocalBlobs():
            return blobs.locate(digest).is_file()
        case RemoteBlobs():
            return blobs.has(digest)
    raise TypeError(f"no place is known of {type(blobs).__name__}")


def store_id(blobs: Blobs) -> str | None:
    """The identity of the place that blobs are written to; None where it has none yet."""
    match blobs:
        case Above(own=own):
            return store_id(own)
        case LocalBlobs(root=root):
            return (root / IDENTITY).read_text().strip() if (root / IDENTITY).is_file() else None
        case RemoteBlobs(root=root):
            try:
                return blobs.fetch(f"{root}/{IDENTITY}").decode().strip()
            except FileNotFoundError:
                return None
    raise TypeError(f"no place is known of {type(blobs).__name__}")


def name_store(blobs: Blobs, id: str) -> None:
    """Write the identity of the place that blobs are written to."""
    match blobs:
        case Above(own=own):
            name_store(own, id)
        case LocalBlobs(root=root):
            write_atomically(root / IDENTITY, f"{id}\n".encode())
        case RemoteBlobs(root=root):
            blobs.write(f"{root}/{IDENTITY}", f"{id}\n".encode())
