"""A small home that was written before a body's digest was chained: 17 entries of verified_home.py, three looks with
their verdicts (18 to 23), and a refusal with a name in it (24).

It was made once by the code of that time (commit 753e81a): `verify_support.make(home)`, then three times `Budget.charge` and
`settle` of the product `gated(..., budget={"alpha": 0.05, "looks": 3, "ships": 1})`, then one `Ledger.append("refusal", ...)`.
"""

from pathlib import Path

from tests.support.archives import unpack_archive

ARCHIVE = Path(__file__).parents[2] / "data" / "home_with_body_rule.tar.gz"
ENTRIES = 24
REFUSAL = 24
NAME = "Ann Example"
WINDOW = ("2013-02", "2013-03")
LOOKS = ("one", "two", "three")


def unpack(home: Path) -> Path:
    """The home in a new folder."""
    unpack_archive(ARCHIVE, home)
    return home
