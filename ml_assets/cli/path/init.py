"""`ml-assets init`: a project folder of a team's own."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Make FOLDER a project: products, ml-assets.env, what Dagster loads, requirements.txt, README.

    Commands that are run in it or below it use its products and its home. Nothing is written over; a second time writes what is
    missing.
    """
    from ml_assets.services.new_product.project_files import write_project

    for path in write_project(folder.resolve()):
        click.echo(f"wrote {folder / path}")
    there = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    click.echo(f"\nGo on with:\n{there}  ml-assets new NAME FILE.csv --label COLUMN")
