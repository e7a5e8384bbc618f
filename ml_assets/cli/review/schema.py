"""`ml-assets schema`: the JSON Schema of product.yaml, for editors, or of report.json, for who reads it."""

import json
from pathlib import Path

import click

from ml_assets.spec.product import schema


@click.command()
@click.argument("file", type=click.Choice(["product.yaml", "report.json"]), default="product.yaml")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(file: str, output: Path | None) -> None:
    """Print the JSON Schema of FILE: of product.yaml, unless report.json is asked for, which `ml-assets ci` writes.

    An editor that knows YAML schemas completes and checks with it: the first line of product.yaml names the file.
    """
    if file == "report.json":
        import msgspec

        from ml_assets.core.changes.review import Review

        shown = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Review)}
    else:
        shown = schema()
    text = json.dumps(shown, indent=1) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    click.echo(f"wrote {output}")
