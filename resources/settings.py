"""The settings of the project: every `ML_ASSETS_*` variable is read here and nowhere else."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import ml_assets
from ml_assets.errors import MlAssetsError
from resources.setting_values import broker, content_of, dagster_database, refuse_misspelled, switch

ROOT = Path(ml_assets.__file__).resolve().parent.parent
"""The folder that the package lies in: a checkout, or an environment's packages."""
MLFLOW_UI = "http://127.0.0.1:5000"
"""Where `ml-assets dev` starts the MLflow UI by default."""
OWN_FOLDER = ".ml-assets"
"""A file in Dagster's folder of a home, by which it is told from a team's."""

_URLS = ("store", "ledger", "mlflow", "upstream_store", "upstream_ledger", "dagster", "celery")
SECRETS = (*_URLS, "key", "dagster_token", "person_key", "proxy_secret")
"""Settings that may hold a secret: the value may lie in a file, which `ML_ASSETS_<NAME>_FILE` names."""

_UNUSABLE = {
    r"[\[*?]": "Dagster takes it for a pattern, and would not find its settings",
    r"%[0-9A-Fa-f]{2}": "in the address of a SQLite file it is another character, and Dagster would write to another folder",
    r"\\": "DuckDB takes it for a separator of folders",
}
"""Parts of a path, and why a home cannot have them in its own."""


class HomeRefused(MlAssetsError):
    """The path of the home has a character in it that a library cannot be kept from taking for something else."""


@dataclass(frozen=True)
class Settings:
    """Paths are absolute; `store`, `ledger` and `mlflow` are URLs that may point outside `home`. `mlflow_ui` is where
    people find MLflow: links in Dagster's metadata begin with it. `keys` are the endpoints' API keys, hashed: lines, or
    a file of them; `key` is one of them, plain, for this process to ask endpoints with. `commit` is the code's where it is
    run from no checkout; an image sets it when it is built, and `merged` if that was from the default branch, without changes.
    `compiled` is whether endpoints compile the releases that they serve,
    which makes them faster and changes no score. `upstream_store` and `upstream_ledger` are those of a home that is read next to
    this one and never written: what is recorded there is not made again. `dagster_url` is the webserver that `ml-assets deploy`
    asks, with `dagster_token`. `dagster` is the database of Dagster's storage, empty where it lies in Dagster's folder, which is
    `team_dagster` where somebody else made it. `celery` is the broker by which runs go to workers, empty where the daemon starts
    them on its own machine. `landing_url` is where deliveries lie in an object store; `landing` then holds
    the same. `notify` is the file of the channels that notices go out by; empty where none is named. `people` is the file of
    people's keys, hashed; `person_key` is that of whoever runs this process. The login that a proxy before Dagster sends in
    `proxy_header` counts with `proxy_secret`."""

    home: Path
    landing: Path
    store: str
    ledger: str
    mlflow: str
    mlflow_ui: str
    products: tuple[Path, ...]
    commit: str = ""
    merged: bool = False
    keys: str = ""
    key: str = field(default="", repr=False)
    compiled: bool = True
    upstream_store: str = ""
    upstream_ledger: str = ""
    dagster_url: str = ""
    dagster_token: str = field(default="", repr=False)
    notify: str = ""
    landing_url: str = ""
    dagster: str = field(default="", repr=False)
    celery: str = field(default="", repr=False)
    team_dagster: Path | None = None
    advertise: str = ""
    people: str = ""
    person_key: str = field(default="", repr=False)
    proxy_header: str = "X-Forwarded-User"
    proxy_secret: str = field(default="", repr=False)

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder: the home's, or the one that `DAGSTER_HOME` names."""
        return self.team_dagster or self.home / "dagster"

    @property
    def dagster_storage(self) -> str:
        """The URL of Dagster's storage with the driver of dagster-postgres; empty where there is none."""
        return with_driver(self.dagster)

    @property
    def mlflow_artifacts(self) -> Path:
        """The folder for MLflow's artifacts."""
        return self.home / "mlflow" / "artifacts"

    @property
    def cache(self) -> Path:
        """The folder of files that can be computed again."""
        return self.home / "cache"

    @property
    def endpoints(self) -> Path:
        """The folder of the endpoints' pointer files."""
        return self.home / "endpoints"

    @property
    def ledger_head(self) -> Path:
        """The checkpoint of the ledger's last entry."""
        return self.home / "ledger.head"

    @property
    def people_keys(self) -> Path:
        """The file of people's keys, hashed."""
        return Path(self.people or self.home / "people.keys")

    @property
    def logs(self) -> Path:
        """The folder of the logs of processes that are supervised, and of notices."""
        return self.home / "logs"

    @property
    def recorded(self) -> dict[str, str]:
        """The URLs of the store and the ledger that hold what was delivered and made: upstream's, or else the home's own."""
        if self.upstream_ledger:
            return {"store": self.upstream_store, "ledger": self.upstream_ledger}
        return {"store": self.store, "ledger": self.ledger}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts of these settings that must not get out: keys and tokens, and of each URL the password and the query."""
        values = [str(getattr(self, name)) for name in SECRETS]
        addresses = [urlsplit(value) for value in values if "://" in value]
        of_addresses = [text for a in addresses for text in (a.password or "", unquote(a.password or ""), a.query)]
        return tuple(filter(None, [value for value in values if "://" not in value] + of_addresses))

    def pointer(self, product: str, environment: str) -> Path:
        """The file that says which release serves in one environment."""
        return pointer_file(self.endpoints, product, environment)

    def break_glass(self, product: str, environment: str) -> Path:
        """The journal of a rollback that was made here while the ledger was away."""
        return self.home / "break-glass" / product / f"{environment}.json"

    def predictions(self, product: str) -> Path:
        """The folder of the product's prediction log."""
        return self.home / "predictions" / product

    def shadow_predictions(self, product: str) -> Path:
        """The folder of the scores of shadow releases."""
        return self.home / "shadow" / product

    def environ(self) -> dict[str, str]:
        """These settings as environment variables, for another process of the project."""
        values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        values["products"] = os.pathsep.join(map(str, self.products))
        values["landing"] = values.pop("landing_url") or self.landing
        team = {"DAGSTER_HOME": str(folder)} if (folder := values.pop("team_dagster")) else {}
        mounted = {f"{variable(name)}_FILE": "" for name in (*SECRETS, "keys")}
        return {variable(name): str(value) for name, value in values.items()} | mounted | team


def with_driver(url: str) -> str:
    """The PostgreSQL URL with the driver of dagster-postgres: SQLAlchemy 2.1's own loses events (dagster#33958)."""
    return f"postgresql+psycopg2://{url.partition('://')[2]}" if url else ""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"ML_ASSETS_{name.removesuffix('_url') if name == 'landing_url' else name}".upper()


_VARIABLES = [variable(setting.name) for setting in fields(Settings) if setting.name != "team_dagster"]
_VARIABLES += ["ML_ASSETS_UPSTREAM", *(f"{variable(name)}_FILE" for name in (*SECRETS, "keys"))]


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment (default `os.environ`). Raises HomeRefused and SettingRefused."""
    given = os.environ if environ is None else environ
    refuse_misspelled(given, _VARIABLES)
    env = {**given, **mounted_secrets(given)}
    home = Path(env.get("ML_ASSETS_HOME") or _default_home(env)).resolve()
    _refuse_unusable(home)
    folders = env.get("ML_ASSETS_PRODUCTS") or str(ROOT / "ml_assets" / "products")
    upstream = Path(env["ML_ASSETS_UPSTREAM"]).resolve() if env.get("ML_ASSETS_UPSTREAM") else None
    landing, landing_url = _landing(env.get("ML_ASSETS_LANDING") or "", home)
    mlflow = env.get("ML_ASSETS_MLFLOW") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return Settings(
        home=home,
        landing=landing,
        store=env.get("ML_ASSETS_STORE") or (home / "store").as_uri(),
        ledger=env.get("ML_ASSETS_LEDGER") or f"sqlite:///{home / 'ledger.db'}",
        mlflow=mlflow,
        mlflow_ui=(
            env.get("ML_ASSETS_MLFLOW_UI") or (_without_password(mlflow) if mlflow.startswith("http") else MLFLOW_UI)
        ).rstrip("/"),
        products=tuple(Path(folder).resolve() for folder in folders.split(os.pathsep) if folder),
        commit=(env.get("ML_ASSETS_COMMIT") or "").strip(),
        merged=switch(env, "ML_ASSETS_MERGED", default="false"),
        keys=env.get("ML_ASSETS_KEYS_FILE") or env.get("ML_ASSETS_KEYS") or "",
        key=env.get("ML_ASSETS_KEY") or "",
        compiled=switch(env, "ML_ASSETS_COMPILED", default="true"),
        upstream_store=env.get("ML_ASSETS_UPSTREAM_STORE") or ((upstream / "store").as_uri() if upstream else ""),
        upstream_ledger=env.get("ML_ASSETS_UPSTREAM_LEDGER") or (f"sqlite:///{upstream / 'ledger.db'}" if upstream else ""),
        dagster_url=env.get("ML_ASSETS_DAGSTER_URL") or "",
        dagster_token=env.get("ML_ASSETS_DAGSTER_TOKEN") or "",
        notify=str(Path(env["ML_ASSETS_NOTIFY"]).resolve()) if env.get("ML_ASSETS_NOTIFY") else "",
        landing_url=landing_url,
        dagster=dagster_database(env.get("ML_ASSETS_DAGSTER") or ""),
        celery=broker(env.get("ML_ASSETS_CELERY") or "", env.get("ML_ASSETS_DAGSTER") or ""),
        team_dagster=_team_dagster(env, home),
        advertise=env.get("ML_ASSETS_ADVERTISE") or "",
        people=str(Path(env["ML_ASSETS_PEOPLE"]).resolve()) if env.get("ML_ASSETS_PEOPLE") else "",
        person_key=env.get("ML_ASSETS_PERSON_KEY") or "",
        proxy_header=env.get("ML_ASSETS_PROXY_HEADER") or "X-Forwarded-User",
        proxy_secret=env.get("ML_ASSETS_PROXY_SECRET") or "",
    )


def _landing(given: str, home: Path) -> tuple[Path, str]:
    """The folder of deliveries, and the URL that it is a copy of, if it is one of an object store."""
    if "://" not in given:
        return Path(given or home / "landing").resolve(), ""
    if (folder := local_folder(given)) is not None:
        return folder.resolve(), ""
    return home / "cache" / "landing" / sha256(given.encode()).hexdigest()[:12], given.rstrip("/")


def _team_dagster(env: Mapping[str, str], home: Path) -> Path | None:
    """The folder that `DAGSTER_HOME` names, unless it is this home's own, or another home's: a process that one home started is
    none of its Dagster's for being given another home."""
    if not (given := env.get("DAGSTER_HOME")):
        return None
    folder = Path(given).resolve()
    return None if folder == (home / "dagster").resolve() or (folder / OWN_FOLDER).exists() else folder


def mounted_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables whose values lie in files, with these values. A file comes before a variable. Raises SettingRefused."""
    files = {variable(name): environ.get(f"{variable(name)}_FILE") for name in SECRETS}
    return {name: content_of(f"{name}_FILE", Path(file)) for name, file in files.items() if file}


def is_validating(environ: Mapping[str, str] | None = None) -> bool:
    """Whether `dagster definitions validate` is what loads the definitions (Dagster sets the variable)."""
    env = os.environ if environ is None else environ
    return env.get("DAGSTER_IS_DEFS_VALIDATION_CLI") == "1"


def _default_home(env: Mapping[str, str]) -> Path:
    """In the checkout. Where the project is installed, in the user's data: an environment is thrown away, and a ledger is not."""
    if (ROOT / "pyproject.toml").is_file():
        return ROOT / ".ml_assets"
    return Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ml-assets"


def pointer_file(folder: Path, product: str, environment: str) -> Path:
    """The path of one endpoint's pointer below the folder of all pointers."""
    return folder / product / f"{environment}.json"


def local_folder(url: str) -> Path | None:
    """The folder of a `file://` URL; None for any other URL."""
    return Path(unquote(url.removeprefix("file://"))) if url.startswith("file://") else None


def _without_password(url: str) -> str:
    """The URL as a link that people may see."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _refuse_unusable(home: Path) -> None:
    for pattern, reason in _UNUSABLE.items():
        if match := re.search(pattern, str(home)):
            raise HomeRefused(f"ML_ASSETS_HOME: {home} has {match.group()!r} in it: {reason}; choose a folder without it")
