"""The answers of an object store when it doesn't do what it was asked: passing faults are tried again, the others are worded.

Every driver of fsspec raises errors of its own library; they are told apart by what these have in common.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ml_assets.errors import MlAssetsError, PassingFault
from resources.passing_faults import passing_fault

Result = TypeVar("Result")
WAITS_SECONDS = (0.2, 0.6, 1.2)
"""Between the tries of one request. A step of a run is tried again as a whole after that, with longer waits."""
STORED = "stored"
"""The verb of a request that writes: what it doesn't find is the bucket."""
_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "ProfileNotFound",
)
"""Errors of the clients of S3 and of Google's storage before they ask anything, by name."""
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The variables that drivers read credentials from, by scheme."""


class StoreRefused(MlAssetsError):
    """The URL of an object store is one that cannot be opened, or the store refuses to be asked."""


class StoreAway(PassingFault):
    """The object store did not answer, or was busy, each time that it was asked."""


@dataclass(frozen=True)
class RemotePlace:
    """An object store as errors call it: `setting` is the variable that names it, `root` its bucket with the folder inside."""

    setting: str
    scheme: str
    root: str
    endpoint: str = ""

    @property
    def bucket(self) -> str:
        """The bucket, or the whole place of a driver that has none, in words."""
        return f"bucket {self.root.strip('/').partition('/')[0]!r}" if self.scheme in _KEYS else f"the store {self.root}"

    def key(self, name: str) -> str:
        """The name of an object in its bucket; of the store itself, its list."""
        key = name.strip("/").removeprefix(
            self.root.strip("/").partition("/")[0] if self.scheme in _KEYS else self.root.strip("/")
        )
        return key.strip("/") if name.strip("/") != self.root.strip("/") else "its list"

    @property
    def at(self) -> str:
        """Where the store is asked, in words."""
        return f"at {self.endpoint}" if self.endpoint else "where its driver asks"

    def ask(self, what: str, name: str, request: Callable[[], Result]) -> Result:
        """The answer to a request, after some tries. `what` is the verb of the error, `name` the object. Raises StoreAway,
        StoreRefused, and FileNotFoundError for an object that isn't there."""
        for wait in (*WAITS_SECONDS, None):
            try:
                return request()
            except Exception as error:
                if isinstance(error, FileNotFoundError) and what != STORED and not _is_bucket_missing(error):
                    raise
                if refused := self._refused(error, what, name):
                    raise StoreRefused(refused) from error
                why = passing_fault(error) or _busy(error)
                if not why:
                    raise
                if wait is None:
                    raise StoreAway(self._away(what, name, why)) from error
                time.sleep(wait)
        raise AssertionError

    def find(self, filesystem: Any, folder: str) -> Mapping[str, Mapping[str, Any]]:
        """The driver's entry for every object below a folder, by name; nothing where there is no folder. Raises StoreAway and
        StoreRefused."""

        def listing() -> dict[str, Mapping[str, Any]]:
            try:
                return dict(filesystem.find(folder, detail=True))
            except FileNotFoundError as error:
                if _is_bucket_missing(error):
                    raise
                return {}

        filesystem.invalidate_cache()
        return self.ask("listed", folder, listing)

    def _refused(self, error: Exception, what: str, name: str) -> str:
        """Why asking again is of no use, with what a person does; empty where it is not known to be so."""
        if _is_bucket_missing(error) or (isinstance(error, FileNotFoundError) and what == STORED):
            return f"there is no {self.bucket.removeprefix('the ')} {self.at}: create it, or correct {self.setting}"
        keys = _KEYS.get(self.scheme, "the credentials of the driver")
        if any(type(link).__name__ in _CREDENTIALS for link in _chain(error)):
            return f"{self.bucket}: there are no credentials to ask it with ({_line(error)}); set {keys}"
        if isinstance(error, PermissionError):
            return f"{self.bucket}: {self.key(name)} must not be {what}: {_line(error)}; check {keys}, and what they may do"
        return ""

    def _away(self, what: str, name: str, why: str) -> str:
        tries = len(WAITS_SECONDS) + 1
        return (
            f"{self.bucket}: {self.key(name)} was not {what} {self.at}, in {tries} tries ({why}); check that it can be reached, "
            "then run the command again: nothing is half stored (`ml-assets verify`)"
        )


def place_of(filesystem: Any, root: str, *, setting: str) -> RemotePlace:
    """The place of a driver's file system, as errors call it."""
    protocols = [filesystem.protocol] if isinstance(filesystem.protocol, str) else [*filesystem.protocol]
    scheme = next((name for name in _KEYS if name in protocols), protocols[0])
    endpoint = getattr(filesystem, "endpoint_url", None) or ""
    if scheme == "gs":
        endpoint = os.environ.get("STORAGE_EMULATOR_HOST") or ""
    if scheme == "s3" and not endpoint:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return RemotePlace(setting, scheme, root, str(endpoint))


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _code(error: BaseException) -> tuple[str, int]:
    """The code and the HTTP status of an answer that a client of S3 made an error of."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", 0
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(response.get("Error", {}).get("Code", "")), int(status or 0)


def _is_bucket_missing(error: BaseException) -> bool:
    return any(_code(link)[0] == "NoSuchBucket" for link in _chain(error)) or "bucket does not exist" in str(error)


def _busy(error: BaseException) -> str:
    """The answer of a store that is not well at the moment; empty for any other error."""
    busy = (408, 429, 500, 502, 503, 504)
    return next((_line(link) for link in _chain(error) if _code(link)[1] in busy), "")


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
