"""`ml-assets people add`: make a key for a person."""

from datetime import UTC, datetime, timedelta

import click

from ml_assets.cli.shared.person import last_day
from resources.settings import settings

DAYS = 365


@click.command()
@click.argument("name")
@click.option("--until", metavar="LAST_DAY", help=f"The last day (UTC) on which it counts; {DAYS} days from now if not given.")
def command(name: str, until: str | None) -> None:
    """Make a key for NAME, as `people:` in product.yaml names the person, and print it once. Only its hash is kept, in the file
    that ML_ASSETS_PEOPLE names (`people.keys` of the home if it names none).

    Whoever may write that file can decide as anybody: on a machine that several people use, let only an administrator write it.
    """
    from ml_assets.services.people.keys import add

    today = datetime.now(UTC).date()
    day = last_day(until) if until else today + timedelta(days=DAYS)
    if day < today:
        raise click.BadParameter(f"{day} is past; name today or a later day", param_hint="--until")
    file = settings().people_keys
    key, line = add(file, name, day)
    click.echo(f"key of {name}, shown once:  {key}\ncounts until:  {day}\nline in {file}:  {line}")
