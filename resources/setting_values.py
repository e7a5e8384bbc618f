"""The allowed values of the project's variables: each value is taken, or refused with what to write instead."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from ml_assets.errors import MlAssetsError

PREFIX = "ML_ASSETS_"
_OF_KUBERNETES = re.compile(r"_(PORT|SERVICE)(_|$)")


class SettingRefused(MlAssetsError):
    """A variable has a value that it cannot have."""


def refuse_misspelled(environ: Mapping[str, str], known: Iterable[str]) -> None:
    """Raise SettingRefused for a variable that is none of the project's and is written almost as one of them: it would have no
    effect. Kubernetes sets variables of its own for each service, such as ML_ASSETS_PORT."""
    names = {name.removeprefix(PREFIX): name for name in known}
    for given in environ:
        short = given.removeprefix(PREFIX)
        is_known = not given.startswith(PREFIX) or short in names or _OF_KUBERNETES.search(given)
        if not is_known and (near := get_close_matches(short, names, n=1, cutoff=0.8)):
            raise SettingRefused(f"{given} is not a setting, and has no effect; did you mean {names[near[0]]}?")


def dagster_database(url: str) -> str:
    """The URL of Dagster's storage. Raises SettingRefused for another database than PostgreSQL."""
    scheme, mark, _ = url.partition("://")
    if url and (scheme not in ("postgresql", "postgres", "postgresql+psycopg2") or not mark):
        raise SettingRefused(
            f"ML_ASSETS_DAGSTER begins with {scheme}://; Dagster's storage is kept in PostgreSQL: give "
            "postgresql://user:password@host/database, or leave it out for files in the home"
        )
    return url


def broker(url: str, storage: str) -> str:
    """The URL of the broker of workers. Raises SettingRefused for one that is no Redis, or where workers could see no runs."""
    if url and not url.startswith(("redis://", "rediss://")):
        scheme = url.partition("://")[0]
        raise SettingRefused(f"ML_ASSETS_CELERY begins with {scheme}://; give a Redis, redis://host:6379/0, or leave it out")
    if url and not storage:
        raise SettingRefused(
            "ML_ASSETS_CELERY hands runs to workers, which see them in Dagster's storage: set ML_ASSETS_DAGSTER to a PostgreSQL "
            "database too, or leave ML_ASSETS_CELERY out"
        )
    return url


def content_of(name: str, file: Path) -> str:
    """The secret in a file that the variable of this name names. Raises SettingRefused where it cannot be read, or is empty."""
    try:
        content = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingRefused(f"{name}: {file} cannot be read: {reason}; mount the secret there, or leave {name} out") from None
    if not content:
        raise SettingRefused(f"{name}: {file} is empty; write the secret into it, or leave {name} out")
    return content


def switch(env: Mapping[str, str], name: str, *, default: str) -> bool:
    """Whether a variable is on. Raises SettingRefused for another word than true or false."""
    value = env.get(name) or default
    if value.lower() not in ("true", "false"):
        raise SettingRefused(f"{name} is {value!r}; set it to true or false, or leave it out for {default}")
    return value.lower() == "true"
