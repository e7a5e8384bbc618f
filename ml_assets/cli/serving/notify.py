"""`ml-assets notify`: the channels that notices go out by, and a trial of them."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    from resources.notify.channel import Channel


class UnknownChannel(MlAssetsError):
    """No channel has this name."""


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send a test notice by each channel; exit code 1 where one fails.")
@click.option("--channel", "name", help="Only the channel of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print the channels, or the result of each test, as JSON.")
def command(is_test: bool, name: str | None, as_json: bool) -> None:
    """List the channels that notices go out by, and what each takes; with --test, try them.

    Channels are declared in the file that ML_ASSETS_NOTIFY names, or in notify.yaml of the home. Without one there is the log.
    """
    from resources.notify.channels import channels, send_test

    selected = _named(channels(workspace().settings), name)
    if not is_test:
        rows = [{"channel": channel.name, "kind": channel.kind, "takes": _takes(channel)} for channel in selected]
        click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(f"{row['channel']:<20} {row['takes']}" for row in rows))
        return
    attempts = []
    for attempt in send_test(selected, at=datetime.now(UTC).isoformat(timespec="seconds")):
        attempts.append(attempt)
        if not as_json:
            click.echo(attempt.error or f"{attempt.channel}: sent", err=bool(attempt.error))
    if as_json:
        click.echo(json.dumps([asdict(attempt) for attempt in attempts], indent=1))
    sys.exit(any(attempt.error for attempt in attempts))


def _named(channels: "list[Channel]", name: str | None) -> "list[Channel]":
    selected = [channel for channel in channels if name in (None, channel.name)]
    if not selected:
        raise UnknownChannel(
            f"there is no channel {name!r}; there are: {', '.join(channel.name for channel in channels) or 'none'}"
        )
    return selected


def _takes(channel: "Channel") -> str:
    events = ", ".join(sorted(channel.events)) or "every event"
    least = "" if channel.least == "info" else f", at least {channel.least}"
    return f"{events}{least}{', once a day' if channel.is_digest else ''}"
