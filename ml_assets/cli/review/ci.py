"""`ml-assets ci`: what a change of code, products or libraries means, against the commit that it is to be merged into."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_assets.errors import MlAssetsError
from resources.settings import settings

if TYPE_CHECKING:
    from ml_assets.services.review.forge_setup import ForgeName

FAILED = 3
_FOLDER = click.Path(path_type=Path, file_okay=False)


class _Command(click.Command):
    """Ends with 3 where the tool itself fails, so that no failure looks like a verdict."""

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The one word that is no product, for what lists commands."""
        return {"init": init}

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **options: Any) -> click.Context:
        if args[:1] == ["init"]:  # a product is never called that here: `ml-assets ci -- init` judges one that is
            return init.make_context(f"{info_name} init", args[1:], *rest, **options)
        try:
            return super().make_context(info_name, args, *rest, **options)
        except click.UsageError as error:
            error.show()
        sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
        except MlAssetsError as error:
            click.echo(f"error: {error}", err=True)
        except (click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            click.echo(f"error: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        except Exception:  # noqa: BLE001 - Python's own exit code, 1, would be a verdict
            click.echo(f"error: ml-assets ci failed, and judged nothing\n{traceback.format_exc()}", err=True)
        sys.exit(FAILED)


@click.command()
@click.argument("forge", type=click.Choice(["github", "gitlab"]))
@click.option(
    "--owner",
    "owners",
    multiple=True,
    required=True,
    metavar="@NAME",
    help="A code owner who approves of weakenings; repeatable.",
)
@click.option(
    "--requirements", metavar="FILE", default="requirements.txt", show_default=True, help="The file that pins ml-assets."
)
@click.option("--force", is_flag=True, help="Write over files that differ.")
def init(forge: "ForgeName", owners: tuple[str, ...], requirements: str, force: bool) -> None:
    """Write the workflows and CODEOWNERS that let FORGE judge the changes of this repository of products.

    The products are those of ML_ASSETS_PRODUCTS. No file that differs is written over without --force. Prints what was written,
    and what to do by hand.
    """
    from ml_assets.services.review.forge_setup import setup, write
    from resources.git_trees import Repository

    if wrong := [owner for owner in owners if not owner.startswith("@")]:
        raise click.BadParameter(f"{wrong[0]!r} is not a name with @", param_hint="--owner")
    repository = Repository.around(Path.cwd())
    workflow = setup(repository, forge, roots=settings().products, requirements=requirements, owners=owners)
    for path in write(repository, workflow.files(repository), force=force):
        click.echo(f"wrote {path}")
    click.echo(f"\n{workflow.by_hand}", nl=False)


@click.command(cls=_Command)
@click.argument("products", nargs=-1)
@click.option("--base", metavar="REF", help="Compare with where this left REF; the default branch if not given.")
@click.option(
    "--output", "-o", metavar="DIRECTORY", type=_FOLDER, default="report", show_default=True, help="The folder for the report."
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the report.")
@click.option("--without-models", is_flag=True, help="Name what changed; train and compare nothing.")
@click.option("--head", metavar="COMMIT", help="Judge this commit, of which nothing is run; takes --walked.")
@click.option("--walked", metavar="DIRECTORY", type=_FOLDER, help="The folder that --keep-walk of that commit's own run wrote.")
@click.option(
    "--keep-walk", metavar="DIRECTORY", type=_FOLDER, help="Keep head's scores in this folder, for --walked of another run."
)
def command(
    *,
    products: tuple[str, ...],
    base: str | None,
    output: Path,
    as_json: bool,
    without_models: bool,
    head: str | None,
    walked: Path | None,
    keep_walk: Path | None,
) -> None:
    """Judge a change: its meaning, what it makes stale, and its models against base's on the same past rows.

    Each side is trained and scored by its own code on retired windows, and judged by base's gates. Writes report.md, report.json,
    junit.xml and plots. `ml-assets ci init github|gitlab` writes the workflows for it.

    Exit code 0: accepted, or undecided where `ci: {on_inconclusive: pass}`; 1: rejected; 3: the tool failed; 4: something is
    weakened and no commit's trailer gives the reason (`Weakens: flights/floor: reason`); 5: undecided, and the policy is `fail`.
    """
    from ml_assets.core.changes.review_page import page
    from ml_assets.services.review import report_folder
    from ml_assets.services.review.review import Elsewhere, review
    from resources.git_trees import Repository

    if (head is None) != (walked is None):
        raise click.UsageError("--head and --walked belong together: the commit, and what its own run scored")
    result, pictures = review(
        Repository.around(Path.cwd()),
        settings(),
        ref=base,
        products=products,
        is_compared=not without_models,
        elsewhere=Elsewhere(head, walked) if head and walked else None,
        keep_walks=keep_walk,
        say=lambda words: click.echo(words, err=True),
    )
    report_folder.write(result, pictures, output)
    click.echo(f"wrote {output / 'report.md'}", err=True)
    click.echo(report_folder.as_json(result) if as_json else page(result, has_pictures=False), nl=False)
    sys.exit(result.exit_code)
