"""The API reference of `replora`, one page that pdoc makes from the docstrings.

    python -m scripts.build_api                      into build/api
    python -m scripts.build_api --output FOLDER

pdoc itself is in requirements-dev.txt. The options of the specs go into their docstrings as they are declared.
"""

from __future__ import annotations

from pathlib import Path

import click
import pdoc

import replora
from replora.options import Spec, kind_of, options


def describe(spec: type[Spec]) -> None:
    """Add the options of a spec to its docstring: help and range, as they are declared."""
    lines = (f"- `{name}`: {each.help} ({each.allowed(kind_of(spec, name))})" for name, each in options(spec).items())
    spec.__doc__ = f"{spec.__doc__}\n\n" + "\n".join(lines)


@click.command(help=__doc__)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("build/api"))
def main(output: Path) -> None:
    for name in replora.__all__:  # pdoc shows what a module holds already, and the heavy names come when asked for
        public = getattr(replora, name)
        setattr(replora, name, public)
        if isinstance(public, type) and issubclass(public, Spec):
            describe(public)
    pdoc.render.configure(show_source=False, search=False)
    pdoc.pdoc("replora", output_directory=output)
    click.echo(f"Written: {output / 'replora.html'}")


if __name__ == "__main__":
    main()
