"""The names of the claims that later stages require: a check shows them, the ledger keeps them, the next stage asks for them."""

from ml_assets.spec.product import Product

KEEPS_CONTRACT = "keeps_contract"
NO_LEAKAGE = "no_leakage"
BUNDLE_INTACT = "bundle_intact"
TESTED_ON_UNSEEN = "tested_on_unseen"
ANSWERS_EQUAL_OFFLINE = "answers_equal_offline"
REPRODUCIBLE = "reproducible"
LATENCY_HOLDS = "latency_holds"
ROLLBACK_DRILL = "rollback_drill"
WINDOW_OPEN = "window_open"


MAY_WARN = (NO_LEAKAGE,)
"""Claims of features whose WARN stops nothing: it says that a partition has nothing to compare."""


def staging_claims(product: Product) -> tuple[str, ...]:
    """The claims that staging tries: a real server answers as computed offline and, where declared, fast enough."""
    return (ANSWERS_EQUAL_OFFLINE, LATENCY_HOLDS) if product.staging else (ANSWERS_EQUAL_OFFLINE,)


def release_claims(product: Product) -> tuple[str, ...]:
    """The claims that production requires of a release: its bytes, unseen test rows, and the trial in staging."""
    return (BUNDLE_INTACT, TESTED_ON_UNSEEN, *staging_claims(product))


def features_claims(product: Product) -> tuple[str, ...]:
    """The claims about features that model and evaluation require: every dbt test, the Features contract, no leakage."""
    from resources.dbt.build import test_names

    return (*test_names(product), KEEPS_CONTRACT, NO_LEAKAGE)
