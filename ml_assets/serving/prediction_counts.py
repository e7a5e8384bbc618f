"""How many predictions each release gave, from the log's lines alone: no record is parsed."""

import re
from collections import Counter
from pathlib import Path

# The first fields of prediction_log.Record, as it writes them.
_HEAD = re.compile(rb'\{"id":"[^"]*","at":"[^"]*","release":"([^"]*)","environment":"([^"]*)"')


def count_predictions(folder: Path) -> Counter[tuple[str, str]]:
    """Predictions by (release, environment) of all that is logged under the folder; a line that a kill cut off is none."""
    found: Counter[tuple[bytes, bytes]] = Counter()
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n") and (match := _HEAD.match(line)):
                    found[match.group(1), match.group(2)] += 1
    return Counter({(release.decode(), environment.decode()): n for (release, environment), n in found.items()})
