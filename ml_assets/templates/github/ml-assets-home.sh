#!/usr/bin/env bash
# Brings the home up to date that pull requests are judged by, in ML_ASSETS_HOME: what was delivered and never run is run, oldest
# first. It is yours: put what came since into the landing folder first, such as with
#   aws s3 sync s3://bucket/landing "$ML_ASSETS_HOME/landing"
set -euo pipefail

for product in @NAMES@; do
  plan="$(ml-assets plan "$product" --json || test $? = 2)"
  partitions="$(python3 -c '
import json, sys
rows = next(iter(json.load(sys.stdin).values()))["run"]
print(*sorted({row["partition"] for row in rows if row["stage"] == "raw" and row["partition"]}))' <<< "$plan")"
  for partition in $partitions; do
    ml-assets run "$product" --partition "$partition"
  done
done
