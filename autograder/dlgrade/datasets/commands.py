"""`dlgrade data list`, `dlgrade data get NAME`, `dlgrade data import NAME PATH`."""

from __future__ import annotations

import click

from . import registry
from .progress import shown
from .records import DatasetInfo, Stored


@click.group()
def data() -> None:
    """List, download and import the data sets that exercises train on."""


@data.command("list")
def list_() -> None:
    """Show every data set, and whether the real data or a stand-in is used."""
    infos = registry.catalog()
    rows = [("NAME", "STATE", "DATA", "SHA256", "SIZE"), *map(_row, infos)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[4]]).rstrip())
    click.echo()
    for info in infos:
        click.echo(f"{info.name}: {info.description}")
        click.echo(f"    get     {info.source}")
        click.echo(f"    import  {info.accepts}")


@data.command()
@click.argument("name")
def get(name: str) -> None:
    """Download the data set NAME and store it."""
    with shown() as progress:
        stored = registry.get(name, progress)
    _announce(stored)


@data.command("import")
@click.argument("name")
@click.argument("path")
def import_(name: str, path: str) -> None:
    """Store the data set NAME from the file or folder PATH."""
    with shown() as progress:
        stored = registry.import_(name, path, progress)
    _announce(stored)


def _row(info: DatasetInfo) -> tuple[str, str, str, str, str]:
    size = f"{info.size / 1e6:,.1f} MB" if info.size else "-"
    variant = info.variant if info.state != "damaged" else "import it again"
    return info.name, info.state, variant, info.checksum[:12] or "-", size


def _announce(stored: Stored) -> None:
    splits = stored.manifest["splits"]
    counts = ", ".join(f"{record['count']:,} {split}" for split, record in splits.items())
    click.echo(f"{stored.name}: {stored.title}{f', {counts}' if counts else ''}")
    click.echo(f"sha256 {stored.checksum}")
    click.echo(f"in {stored.path}")
