"""`python -m replora theory`: the numbers of the theory, computed on the spot."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

TITLES = {
    "D_1": "D_1",
    "D_2": "D_2",
    "single_cell": "single cell",
    "doubled_cell": "doubled cell",
    "prediction": "prediction",
}


@click.command("theory")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes noise and starts of the Monte Carlo.")
def theory_command(as_json: bool, seed: int) -> None:
    """Why sharing helps: splits, exponents, Fisher zeros and Monte Carlo slopes, in some seconds."""
    from replora.theory import report

    try:
        if as_json:
            numbers = report(seed)
        else:
            with Console(stderr=True).status("Fitting a few thousand data sets"):
                numbers = report(seed)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(numbers, allow_nan=False))
    else:
        print_report(numbers, Console(file=sys.stdout))


def print_report(numbers: Mapping[str, Any], console: Console) -> None:
    """Three tables for people."""
    console.print(_splits(numbers))
    console.print(_slopes(numbers))
    console.print(_fits(numbers))
    settings = numbers["settings"]
    console.print(
        f"{settings['replicates']} replicates, n from {settings['n_grid'][0]:,} to {settings['n_grid'][-1]:,}, "
        f"noise {settings['noise']:g}, box {settings['box']:g}, seed {settings['seed']}. "
        "far: an expert more than 1 from every true one, at the largest n."
    )


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _splits(numbers: Mapping[str, Any]) -> Table:
    table = _table("One expert split in two", "quantity", "value")
    table.add_row("plain, value split up to delta 100: largest change of f", f"{numbers['flat_valley_max']:.1e}")
    table.add_row("shared: exponent of the change", f"{numbers['split_exponent_shared']:.3f}")
    table.add_row("shared: leading coefficient along e_1", f"{numbers['split_kappa_shared']:.4f}")
    for name, exponent in numbers["exponents"].items():
        table.add_row(f"exponent, {name}", "flat" if exponent is None else f"{exponent:.3f}")
    zeros = numbers["fisher_zero_eigenvalues"]
    for name in ("plain", "shared"):
        table.add_row(f"{name}: zero Fisher eigenvalues at delta 0, 0.1, 1", ", ".join(map(str, zeros[name])))
        table.add_row(f"{name}: the same, exact, free weights, no anchor", str(zeros[f"{name}_no_anchor"]))
    return table


def _slopes(numbers: Mapping[str, Any]) -> Table:
    table = _table("Slopes of log error on log n, with 95 % intervals", "fit", *TITLES.values())
    for method, by_specification in numbers["slopes"].items():
        for specification, slopes in by_specification.items():
            intervals = numbers["slope_intervals"][method][specification]
            cells = [_slope(slopes[name], intervals[name]) for name in TITLES]
            table.add_row(f"{method}, {specification}", *cells)
    return table


def _fits(numbers: Mapping[str, Any]) -> Table:
    table = _table("Fits", "quantity", "plain", "shared")
    for specification in ("exact", "over"):
        shares = [f"{100 * numbers['far_fraction'][name][specification]:.0f} %" for name in ("plain", "shared")]
        table.add_row(f"far, {specification}", *shares)
    risk = numbers["n_mse_over_sigma2"]
    table.add_row("n MSE / sigma^2, exact", f"{risk['plain']:.2f}", f"{risk['shared']:.2f}")
    table.add_row("prediction error left at eta = 0.1", "0", f"{numbers['untied_floor']:.4f}")
    return table


def _slope(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return "\u2013"
    return f"{value:+.2f}\n({interval[0]:+.2f} to {interval[1]:+.2f})"
