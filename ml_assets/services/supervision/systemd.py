"""Unit files for systemd: one for each part, and a target for all of them. No secret is in them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from getpass import getuser
from pathlib import Path

from ml_assets.services.supervision.part import Part
from resources.settings import SECRETS, Settings, variable
from resources.store.blobs import write_atomically

TARGET = "ml-assets.target"
MOUNTED = frozenset(f"{variable(name)}_FILE" for name in (*SECRETS, "keys"))
PASSED = MOUNTED | {variable(setting.name) for setting in fields(Settings)} | {"ML_ASSETS_UPSTREAM"}
"""The variables of this process that units hand on; what notify.yaml calls `env:NAME` may be a secret, and is not among them."""
SECRETS_FILE = "secrets.env"
"""In the home: what units read, and nobody else may."""

ENDS = ("KillSignal=SIGINT", "TimeoutStopSec=30")
FINISHES = ("KillMode=mixed", "KillSignal=SIGTERM", "TimeoutStopSec=infinity")
"""Only the main process is told to end, and what it does may take as long as it takes."""


def write_units(folder: Path, settings: Settings, parts: Sequence[Part], environ: Mapping[str, str]) -> list[Path]:
    """Write the units of the parts into the folder; those that are there are replaced. Return the files, the target first.

    `environ` is the environment that the parts would get here.
    """
    passed = {name: value for name, value in environ.items() if name in PASSED | {"DAGSTER_HOME"} and value}
    units = {TARGET: _target(settings, parts)}
    units |= {_name(part): _unit(settings, part, {**passed, **part.environ}) for part in parts}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in units]


def _name(part: Part) -> str:
    return f"ml-assets-{part.name.replace(':', '-')}.service"


def _target(settings: Settings, parts: Sequence[Part]) -> str:
    wants = " ".join(map(_name, parts))
    return (
        f"[Unit]\nDescription=ml-assets of {_plain(str(settings.home))}\nWants={wants}\n\n[Install]\nWantedBy=multi-user.target\n"
    )


def _unit(settings: Settings, part: Part, environ: Mapping[str, str]) -> str:
    hidden = {name for name, value in environ.items() if any(secret in value for secret in settings.secrets)}
    mounted = {name for name in environ if environ.get(f"{name}_FILE")}
    shown = [f"Environment={_quoted(f'{name}={environ[name]}')}" for name in sorted(environ.keys() - hidden - mounted)]
    secrets = [f"# may hold a secret, so it is for the file below: {name}" for name in sorted(hidden - mounted)]
    return "\n".join(
        [
            "[Unit]",
            f"Description=ml-assets {part.name} of {_plain(str(settings.home))}",
            "After=network-online.target",
            "Wants=network-online.target",
            f"PartOf={TARGET}",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            f"User={getuser()}",
            f"WorkingDirectory={_plain(str(settings.logs))}",
            *shown,
            *secrets,
            f"EnvironmentFile=-{_plain(str(settings.home / SECRETS_FILE))}",
            f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in part.argv)}",
            "Restart=on-failure",
            "RestartSec=5",
            *(FINISHES if part.finishes else ENDS),
            "",
            "[Install]",
            f"WantedBy={TARGET}",
            "",
        ]
    )


def _plain(text: str) -> str:
    """A value of one word or path, in which systemd takes only % for something else."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a command or an assignment, as systemd reads it."""
    return '"' + _plain(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
