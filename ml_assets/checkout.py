"""The places of this checkout's files that aren't Python modules."""

from pathlib import Path

DBT_MODELS = Path(__file__).resolve().parents[1] / "dbt_project" / "models"
"""Where the dbt models of products lie that have no `dbt/` folder of their own."""
