"""`emotion-mlflow cache show` and `cache clear`."""

import click

from emotion_mlflow.cli.options import TRAIN, json_option

_CACHE = next(option for option in TRAIN if option.name == "cache_dir")


@click.group("cache")
def command() -> None:
    """Show or empty the caches."""


@command.command("show")
@_CACHE.decorate
@json_option
def show_command(cache_dir: str, as_json: bool) -> None:
    """Bytes of each cache."""
    from emotion_mlflow import cache
    from emotion_mlflow.cli import terminal

    folder = terminal.cache_folder(cache_dir)
    sizes = cache.sizes(folder)
    if as_json:
        terminal.show({"cache_dir": str(folder), "bytes": sizes})
        return
    for name, size in sizes.items():
        click.echo(f"{name:12} {size / 1e6:10,.1f} MB")
    click.echo(f"in {folder}")


@command.command("clear")
@_CACHE.decorate
@json_option
def clear_command(cache_dir: str, as_json: bool) -> None:
    """Empty every cache: faces and features are made again, a stopped training starts again at its first epoch."""
    from emotion_mlflow import cache
    from emotion_mlflow.cli import terminal

    folder = terminal.cache_folder(cache_dir)
    removed = cache.clear(folder)
    if as_json:
        terminal.show({"cache_dir": str(folder), "removed_bytes": removed})
    else:
        click.echo(f"{removed / 1e6:,.1f} MB removed from {folder}")
