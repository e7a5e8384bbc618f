"""First-party functions that run inside of a builder and decide no byte of its output, each with its reason.

Each has a mutant in the tests that leaves every data version alike. Where a function can be cut so that what decides is followed,
cut it instead of naming it here.
"""

from collections.abc import Mapping

EXEMPT: Mapping[str, str] = {
    "ml_assets.first_party:_Guard.find_spec": "stops an import or does nothing",
    "ml_assets.core.model.training:_Reporter.after_iteration": "tells how far the fit is",
    "ml_assets.stages.model:_progress": "tells how far the fit is",
    "ml_assets.spec.product:Product.contract": "contract.py counts by its bytes as executed; what is wrong with it is an error",
    "ml_assets.spec.yaml_file:unknown_name": "gives the words of an error",
    "ml_assets.core.contract.breaches:ContractBreached.__init__": "gives the words of an error",
    "resources.dbt.project:scratch": "says where temporary files lie",
    "resources.dbt.project:publish": "says where the parsed project is kept",
    "resources.dbt.column_lineage:trace": "tells people where a column comes from",
}
