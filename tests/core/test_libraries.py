"""The libraries that a repository locks, read from the files that usually do."""

import pytest

from ml_assets.core.changes.locked_libraries import LockUnreadable, libraries

REQUIREMENTS = b"""\
# the model's
catboost==1.2.8 \\
    --hash=sha256:00
dbt_core[postgres]==1.10.0 ; python_version < "3.13"
duckdb>=1.2
ml-assets @ git+https://forge.example/team/ml-assets.git@0123abc#subdirectory=python
"""
EGG = b"-e git+https://token@forge.example/team/ml-assets@4567def#egg=ml_assets\n"
UV = b"""\
version = 1
[[package]]
name = "polars"
version = "1.30.0"
[[package]]
name = "ml-assets"
version = "0.1.0"
source = { git = "https://forge.example/team/ml-assets?rev=main#89abcde" }
"""


def test_versions_and_commits_are_read_by_one_name_each() -> None:
    pinned = {"catboost": "1.2.8", "dbt-core": "1.10.0", "ml-assets": "0123abc"}
    assert libraries({"requirements.txt": REQUIREMENTS}) == pinned
    assert libraries({"requirements.txt": EGG}) == {"ml-assets": "4567def"}
    assert libraries({"uv.lock": UV}) == {"polars": "1.30.0", "ml-assets": "89abcde"}
    assert libraries({"uv.lock": UV, "requirements.txt": REQUIREMENTS}) == {"polars": "1.30.0", **pinned}
    assert libraries({"README.md": REQUIREMENTS}) == {}


def test_a_lock_that_is_none_is_named() -> None:
    with pytest.raises(LockUnreadable, match=r"uv\.lock is not TOML: .*; `uv lock` writes it again"):
        libraries({"uv.lock": b"<<<<<<< HEAD\n"})
