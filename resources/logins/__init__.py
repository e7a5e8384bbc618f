"""People whom a proxy before Dagster knows: their logins, and how a run carries one."""
