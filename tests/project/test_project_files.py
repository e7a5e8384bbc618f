"""What is said of the project in one file holds in the others: its version, its Pythons, its linters."""

import re
import tomllib

import yaml

from resources.settings import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_newest_one_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased, newest, *_ = re.findall(r"^## \[([^\]]+)\](?: - \d{4}-\d\d-\d\d)?$", changelog, re.MULTILINE)
    assert unreleased == "Unreleased"
    assert newest == PROJECT["version"]


def test_every_python_that_is_supported_runs_in_ci() -> None:
    prefix = "Programming Language :: Python :: 3."
    minors = sorted(int(c.removeprefix(prefix)) for c in PROJECT["classifiers"] if re.fullmatch(rf"{re.escape(prefix)}\d+", c))
    assert PROJECT["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert ci["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in minors]


def test_the_hooks_before_a_commit_are_the_linters_of_make_lint() -> None:
    [local] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude") for hook in local["hooks"]}
    [recipe] = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert local["repo"] == "local"
    assert hooks == {line.removeprefix("\t$(BIN)/").removesuffix(" .") for line in recipe.splitlines()}
