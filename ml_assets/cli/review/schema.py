"""`ml-assets schema`: the JSON Schema of product.yaml, for editors."""

import json
from pathlib import Path

import click

from ml_assets.spec.product import schema


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(output: Path | None) -> None:
    """Print the JSON Schema of product.yaml. An editor that knows YAML schemas completes and checks with it:
    the first line of product.yaml names the file."""
    text = json.dumps(schema(), indent=1) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    click.echo(f"wrote {output}")
