"""Where the project keeps things: every `ML_ASSETS_*` variable is read here and nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Paths are absolute; `store`, `ledger` and `mlflow` are URLs that may point outside `home`."""

    home: Path
    landing: Path
    store: str
    ledger: str
    mlflow: str
    products: tuple[Path, ...]

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.home / "mlflow" / "artifacts"

    def pointer(self, product: str, environment: str) -> Path:
        """The file that says which release answers in one environment."""
        return self.home / "endpoints" / product / f"{environment}.json"

    def predictions(self, product: str) -> Path:
        """The folder of the product's prediction log."""
        return self.home / "predictions" / product


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment (default `os.environ`)."""
    env = os.environ if environ is None else environ
    home = Path(env.get("ML_ASSETS_HOME") or ROOT / ".ml_assets").resolve()
    folders = env.get("ML_ASSETS_PRODUCTS") or str(ROOT / "ml_assets" / "products")
    return Settings(
        home=home,
        landing=Path(env.get("ML_ASSETS_LANDING") or home / "landing").resolve(),
        store=env.get("ML_ASSETS_STORE") or f"file://{home / 'store'}",
        ledger=env.get("ML_ASSETS_LEDGER") or f"sqlite:///{home / 'ledger.db'}",
        mlflow=env.get("ML_ASSETS_MLFLOW") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
        products=tuple(Path(folder).resolve() for folder in folders.split(os.pathsep) if folder),
    )
