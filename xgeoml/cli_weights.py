"""The commands ``xgeoml weights``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("weights")
def weights_group() -> None:
    """Fetch, list and verify trained weights.

    Environment variables:

    \b
    XGEOML_WEIGHTS_PATH   folders with weights files, read only
    XGEOML_CACHE_DIR      folder of downloaded files
    XGEOML_WEIGHTS_URL    mirrors, tried first
    XGEOML_OFFLINE=1      never use the network
    """


@weights_group.command("list")
def list_weights() -> None:
    """List the weights, and where they are.

    \b
    Example:
      xgeoml weights list
    """
    from xgeoml import weights

    click.echo(repr(weights.list()))


@weights_group.command()
@click.argument("name", required=False)
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), help="Copy to this folder.")
def fetch(name: str | None, to: Path | None) -> None:
    """Have the weights NAME on this machine, or those of all models, and print the paths.

    NAME is a model's name, with or without a version, or an address with a hash.

    \b
    Examples:
      xgeoml weights fetch
      xgeoml weights fetch grace_tf@1.0
      xgeoml weights fetch --to /shared/xgeoml
      xgeoml weights fetch 'https://host/x.safetensors#sha256=<64 hexadecimal digits>'
    """
    from xgeoml import weights

    found = weights.fetch(name, to=to) if name else weights.fetch(to=to)
    for path in found.values() if isinstance(found, dict) else [found]:
        click.echo(str(path))


@weights_group.command()
def verify() -> None:
    """Hash all weights on this machine anew; the exit status is 1 if one is damaged.

    \b
    Example:
      xgeoml weights verify
    """
    from xgeoml import weights

    table = weights.verify()
    click.echo(repr(table))
    if any(row.state == "damaged" for row in table):
        raise click.ClickException(
            "damaged files are never used. Type xgeoml weights clear for those of the cache; "
            "install the package of those in a wheel again"
        )


@weights_group.command()
def clear() -> None:
    """Remove all downloaded weights from the cache, and nothing else.

    \b
    Example:
      xgeoml weights clear
    """
    from xgeoml import weights

    click.echo(repr(weights.clear()))


@weights_group.command()
@click.argument("name")
@click.option("--markdown", is_flag=True, help="As a page of Markdown.")
def info(name: str, markdown: bool) -> None:
    """Show the card of the weights NAME: training data, skill, limits.

    NAME is a model's name, a path or an address with a hash.

    \b
    Examples:
      xgeoml weights info grace_tf
      xgeoml weights info my_weight.safetensors --markdown
    """
    from xgeoml import weights

    card = weights.info(name)
    click.echo(card.to_markdown() if markdown else repr(card))
