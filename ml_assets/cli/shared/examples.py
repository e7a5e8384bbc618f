"""Examples of every command, as `--help` and the reference of the documentation show them.

Names are those of `make demo`. tests/cli/test_help.py asks for one example or more of each command, with options that it has.
"""

from collections.abc import Mapping

import click

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "init": ("ml-assets init weather",),
    "new": (
        "ml-assets new temps seattle-temps.csv --label temp",
        "ml-assets new orders duckdb:///shop.duckdb --query 'select * from orders' --label returned",
    ),
    "deliver": (
        "ml-assets deliver flights flights january.csv --partition 2014-01",
        "ml-assets deliver flights planes planes.csv",
    ),
    "extract": ("ml-assets extract orders", "ml-assets extract orders --partition 2024-03-01 --again"),
    "run": (
        "ml-assets run flights --partition 2013-04",
        "ml-assets run flights --from 2013-02 --to 2013-04",
        "ml-assets run flights --stale",
    ),
    "check": ("ml-assets check flights --partition 2013-04", "ml-assets check flights --json"),
    "plan": ("ml-assets plan", "ml-assets plan flights --partition 2013-04"),
    "people": ("ml-assets people show",),
    "people add": ("ml-assets people add ana", "ml-assets people add ben@example.com --until 2030-01-31"),
    "people show": ("ml-assets people show",),
    "people remove": ("ml-assets people remove ana", "ml-assets people remove ana --id 3fa94c1b"),
    "push": ("ml-assets push flights/release:2013-04 /srv/home",),
    "pull": ("ml-assets pull flights/release:2013-04 /srv/home",),
    "deploy": ("ml-assets deploy --url https://dagster.example", "ml-assets deploy --commit 4c1e0f2 --timeout 600 --json"),
    "demo": ("ml-assets demo", "ml-assets demo flights --months 4", "ml-assets demo --next"),
    "serve": (
        "ml-assets serve flights",
        "ml-assets serve flights --workers 2 --port 8811",
        "ml-assets serve --new-key predict",
        "ml-assets serve --new-key admin:ana:2030-01-31",
    ),
    "up": ("ml-assets up", "ml-assets up --only daemon,endpoint:flights", "ml-assets up --systemd /etc/systemd/system"),
    "dev": ("ml-assets dev", "ml-assets dev --dagster-port 3100"),
    "status": ("ml-assets status flights", "ml-assets status flights --html build/status.html"),
    "drift": ("ml-assets drift flights", "ml-assets drift flights --partition 2013-09 --html build/drift.html"),
    "backtest": ("ml-assets backtest flights --policy policies.yaml",),
    "outcomes": ("ml-assets outcomes flights", "ml-assets outcomes flights --plots build/outcomes"),
    "notify": ("ml-assets notify", "ml-assets notify --test --channel slack"),
    "shadow": ("ml-assets shadow flights", "ml-assets shadow flights --stop --reason 'the source was wrong'"),
    "approve": ("ml-assets approve flights 2013-04.5b20d358 --reason 'read the model card'",),
    "refuse": ("ml-assets refuse flights 2013-04.5b20d358 --reason 'trained on the strike'",),
    "override": ("ml-assets override flights --partition 2013-03 --by ann --reason 'the old one is wrong'",),
    "reopen": ("ml-assets reopen loans --partition 0006 --by ann --reason 'a year without new customers'",),
    "rollback": (
        "ml-assets rollback flights --reason 'late rates look wrong'",
        "ml-assets rollback flights --to 2013-04.5b20d358",
    ),
    "accept": ("ml-assets accept flights 2013-12 --reason 'it was a strike'",),
    "freeze": (
        "ml-assets freeze flights --until 2030-01-07 --reason 'no changes over the holidays'",
        "ml-assets freeze flights --lift",
    ),
    "recall": (
        "ml-assets recall flights 2013-03 --reason 'the source sent the wrong year'",
        "ml-assets recall flights 2013-03 --reason 'the source sent the wrong year' --apply",
    ),
    "lineage": (
        "ml-assets lineage flights/features:2013-03",
        "ml-assets lineage 2013-04.5b20d358 --html build/lineage.html",
    ),
    "quarantine": (
        "ml-assets quarantine flights --partition 2013-02",
        "ml-assets quarantine flights --table flights --format csv",
    ),
    "impact": ("ml-assets impact flights/raw:2013-03", "ml-assets impact flights/raw:2013-03 --json"),
    "explain": ("ml-assets explain 01a229c1-e4e8-7e1e-8000-574e1367a89d",),
    "card": ("ml-assets card 2013-04.5b20d358", "ml-assets card 2013-04.5b20d358 --output build/card.md"),
    "verify": ("ml-assets verify", "ml-assets verify --new", "ml-assets verify --export ledger.jsonl"),
    "restore": ("ml-assets restore --by ann --reason 'the disk is gone'",),
    "reproduce": (
        "ml-assets reproduce flights/release:2013-02",
        "ml-assets reproduce flights/release:2013-02 --from features",
    ),
    "export": ("ml-assets export ledger --output ledger.jsonl",),
    "export openlineage": (
        "ml-assets export openlineage flights/release:2013-04 --output events.jsonl",
        "ml-assets export openlineage --all --url https://marquez.example",
    ),
    "export ledger": ("ml-assets export ledger --withhold evidence --output ledger.jsonl",),
    "erase": ("ml-assets erase 412 --by ann --reason 'asked for it'",),
    "tune": ("ml-assets tune flights --trials 20 --minutes 10",),
    "ci": ("ml-assets ci", "ml-assets ci flights --base v1.2 --output report", "ml-assets ci --without-models"),
    "ci init": ("ml-assets ci init github --owner @ann --owner @bob",),
    "post": ("ml-assets post github --commit 4c1e0f2 --report report",),
    "post github": ("ml-assets post github --commit 4c1e0f2 --report report",),
    "post gitlab": ("ml-assets post gitlab --commit 4c1e0f2 --report report", "ml-assets post gitlab --open"),
    "draw": ("ml-assets draw report/report.json",),
    "experiment": (
        "ml-assets experiment flights --set model.depth=6",
        "ml-assets experiment flights --base v1.2 --output build/experiment",
    ),
    "walk": ("ml-assets walk flights --protocol 1 --window 2013-03 --window 2013-04 --output walk",),
    "judge": ("ml-assets judge flights --protocol 1 --base walk/base --head walk/head --output judged.json",),
    "report": ("ml-assets report flights", "ml-assets report flights --partition 2013-04 --output build/report"),
    "schema": ("ml-assets schema", "ml-assets schema report.json --output report.schema.json"),
    "ledger": ("ml-assets ledger show",),
    "ledger show": ("ml-assets ledger show", "ml-assets ledger show --json"),
    "ledger move": ("ml-assets ledger move postgresql://ml@db.example/ledger",),
    "ledger grants": ("ml-assets ledger grants ml_server",),
    "gates": ("ml-assets gates budget flights",),
    "gates verify": ("ml-assets gates verify flights", "ml-assets gates verify flights --partition 2013-04 --samples 200"),
    "gates mutate": ("ml-assets gates mutate flights", "ml-assets gates mutate flights --only A/A --draws 50"),
    "gates backtest": ("ml-assets gates backtest flights --policy gates.yaml",),
    "gates budget": ("ml-assets gates budget flights", "ml-assets gates budget flights --json"),
}
"""Commands as they are typed, by the words of the command."""


def with_examples(command: click.Command, words: str) -> click.Command:
    """The command, and its own subcommands where it holds them, with their examples at the end of the help text."""
    if examples := EXAMPLES.get(words):
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)])
    for name, below in getattr(command, "commands", {}).items():
        with_examples(below, f"{words} {name}")
    return command
