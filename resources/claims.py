"""The names of the claims that later stages require: a check shows them, the ledger keeps them, the next stage asks for them."""

from ml_assets.product import Product

KEEPS_CONTRACT = "keeps_contract"
NO_LEAKAGE = "no_leakage"
BUNDLE_INTACT = "bundle_intact"
TESTED_ON_UNSEEN = "tested_on_unseen"
ANSWERS_EQUAL_OFFLINE = "answers_equal_offline"
REPRODUCIBLE = "reproducible"
ROLLBACK_DRILL = "rollback_drill"

RELEASE_CLAIMS = (BUNDLE_INTACT, TESTED_ON_UNSEEN, ANSWERS_EQUAL_OFFLINE)
"""What production requires of a release: its bytes, unseen test rows, and a real server that answers as computed offline."""


def features_claims(product: Product) -> tuple[str, ...]:
    """What model and evaluation require of features: every dbt test, the Features contract, no leakage."""
    from resources.dbt import test_names

    return (*test_names(product), KEEPS_CONTRACT, NO_LEAKAGE)
