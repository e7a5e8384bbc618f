"""Builds the package: the folders next to `ml_assets` go inside of it, so that nothing of an environment can collide with them.

In a checkout `resources`, `checks` and `sensors` are packages of their own; built they are `ml_assets.resources`,
`ml_assets.checks` and `ml_assets.sensors`, and the modules' imports are written so. What a module computes stays the same.
Everything else about the package is in pyproject.toml.
"""

import io
import re
import shutil
import tokenize
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("resources", "checks", "sensors")
DBT = "dbt_project"
ROOT = Path(__file__).resolve().parent
_MODULE_NAME = re.compile(rf"(?<=['\"])(?=(?:{'|'.join(BESIDE)})(?:\.\w+)+[:.'\"])")
"""Where a text begins with the name of a module of these packages."""
_LISTED = re.compile(rf'^    "({"|".join(BESIDE)})",$', re.MULTILINE)
"""A package in a list of module names, by itself on a line."""
PLACES = {
    "first_party.py": ('PACKAGES = ("ml_assets", "resources", "checks", "sensors")', 'PACKAGES = ("ml_assets",)'),
    "checkout.py": ('.resolve().parents[1] / "dbt_project" / "models"', '.resolve().parent / "dbt_project" / "models"'),
}
"""Where a module says which packages there are, or where files lie: its text, and what it says when it is built."""


def moved(text: str) -> str:
    """The text of a module with the packages that go inside of `ml_assets` named so."""
    lines = text.splitlines(keepends=True)
    places: list[tuple[int, int]] = []
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    meant = [token for token in tokens if token.type not in (tokenize.NL, tokenize.COMMENT)]
    starts = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
    for before, token, name in zip([None, *meant], meant, meant[1:], strict=False):
        begins = before is None or before.type in starts or before.string == ":"
        if begins and token.string in ("from", "import") and name.string in BESIDE:
            if token.string == "import":
                raise ValueError(f"import {name.string}: write `from {name.string} import …`, which can be moved")
            places.append(name.start)
    for row, column in sorted(places, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = f"{line[:column]}ml_assets.{line[column:]}"
    return _LISTED.sub(r'    "ml_assets.\1",', _MODULE_NAME.sub("ml_assets.", "".join(lines)))


class Build(build_py):
    """Copies the folders next to `ml_assets` into it, then rewrites all imports."""

    def run(self) -> None:
        """Build into an empty folder; an editable install is left as it is."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # what an earlier build left would go along
        super().run()
        package = Path(self.build_lib) / "ml_assets"
        for name in (*BESIDE, DBT):
            target = package / name
            shutil.rmtree(Path(self.build_lib) / name, ignore_errors=True)
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "target", "logs"))
        for module in package.rglob("*.py"):
            if not {DBT, "products"} & {*module.relative_to(package).parts}:
                module.write_text(moved(module.read_text(encoding="utf-8")), encoding="utf-8")
        for name, (written, built) in PLACES.items():
            text = (package / name).read_text(encoding="utf-8")
            if text.count(written) != 1:
                raise ValueError(
                    f"ml_assets/{name}: {written!r} is {text.count(written)} times in it; setup.py looks for it once"
                )
            (package / name).write_text(text.replace(written, built), encoding="utf-8")


setup(cmdclass={"build_py": Build})
