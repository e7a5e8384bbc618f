"""The tags by which a run says who launched it, signed for exactly this run: one that somebody typed, or copied from another run,
says nothing."""

import hashlib
import hmac
from collections.abc import Mapping

from ml_assets.core.release.identity import By, Identity
from ml_assets.errors import MlAssetsError

PERSON_TAG = "ml-assets/person"
SIGNATURE_TAG = "ml-assets/person-signature"


class IdentityForged(MlAssetsError):
    """The tags of a run name a person, and are not signed for it."""


def signed_tags(person: str, *, run: str, secret: str) -> dict[str, str]:
    """The tags of the run with this id that this person launches."""
    return {PERSON_TAG: person, SIGNATURE_TAG: _signature(person, run, secret)}


def person_of(tags: Mapping[str, str], *, run: str, secret: str) -> Identity | None:
    """Who launched the run, by its tags; None if they name nobody. Raises IdentityForged."""
    person, signature = tags.get(PERSON_TAG), tags.get(SIGNATURE_TAG, "")
    if not person:
        return None
    claim = f"run {run}: its tag {PERSON_TAG} says {person!r}"
    if not secret:
        raise IdentityForged(
            f"{claim}, and nothing here can tell whether that is so; set ML_ASSETS_PROXY_SECRET, as the webserver has it, where "
            "runs are executed"
        )
    if not hmac.compare_digest(signature.encode(), _signature(person, run, secret).encode()):
        raise IdentityForged(
            f"{claim}, and is not signed for this run: it was typed, or copied from another one; log in at the proxy, and launch "
            "the job in Dagster's Launchpad"
        )
    return Identity(person, f"login, run {run}")


def asker_of(tags: Mapping[str, str], *, run: str, secret: str) -> By:
    """Who asked for the run; the name alone where it isn't shown, as of a run that Dagster tries again, whose tags are copies. It
    takes rights away, and gives none: whoever asked for a release doesn't approve it where four eyes are required."""
    try:
        return person_of(tags, run=run, secret=secret) or ""
    except IdentityForged:
        return tags[PERSON_TAG]


def _signature(person: str, run: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"ml-assets\0person of a run\0{run}\0{person}".encode(), hashlib.sha256).hexdigest()
