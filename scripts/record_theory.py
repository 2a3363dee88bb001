"""Record the long Monte Carlo that the Rates page shows before anything has run.

    python -m scripts.record_theory                      both files, into assets/recorded
    python -m scripts.record_theory --output FOLDER

rates_exact.jsonl.gz and rates_over.jsonl.gz: plain, shared and tanh, 100 replicates, n from 10^4 to 10^8 in half powers
of ten, seed 0. The lines are those of the live job, so the same seed gives the same numbers, up to the rounding of the
machine.
"""

from __future__ import annotations

from pathlib import Path

import click

from replora.event_lines import gzipped_lines
from replora.simulation.events import Estimated, to_line
from replora.simulation.job import run_monte_carlo
from replora.simulation.specs import MonteCarlo
from replora.theory import SHARINGS, sample_sizes

FILES = {"rates_exact": 2, "rates_over": 3}
ASSETS = Path(__file__).resolve().parent.parent / "assets"


@click.command(help=__doc__)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=ASSETS / "recorded")
def main(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, atoms in FILES.items():
        spec = MonteCarlo(sharings=SHARINGS, atoms=atoms, replicates=100, n_grid=sample_sizes(10**4, 10**8, 9))
        with gzipped_lines(output / f"{name}.jsonl.gz") as sink:
            for event in run_monte_carlo(spec):
                sink.write(to_line(event) + "\n")
                if isinstance(event, Estimated):
                    click.echo(f"{name}: {event.sharing}, n = {event.n:,}, {event.seconds:.1f} s")


if __name__ == "__main__":
    main()
