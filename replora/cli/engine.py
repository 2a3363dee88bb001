"""`--engine ray --address HOST:PORT`: a study of the command line on a cluster."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import click

from replora.cli.spec_options import Command
from replora.jobs.cluster.pieces.command import study_on_cluster
from replora.jobs.cluster.settings import ClusterSettings, EngineSettings
from replora.options import UserError, kind_of, options
from replora.settings import data_folder
from replora.studies.events import StudyEvent
from replora.studies.spec import Study

LOCAL = "local"


def engine_options(command: Command) -> Command:
    """Adds --engine and --address."""
    engines = click.Choice(options(EngineSettings)["engine"].allowed(kind_of(EngineSettings, "engine"))[7:].split(", "))
    words = "Of --engine ray: HOST:PORT of the cluster's head node; without it a cluster of this machine alone."
    command = click.option("--address", default="", metavar="HOST:PORT", help=words)(command)
    words = "Where its runs train: on this machine, or in pieces on the nodes of a Ray cluster."
    return click.option("--engine", type=engines, default=LOCAL, show_default=True, help=words)(command)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


@dataclass
class StudyEngine:
    """Where a study trains: `cluster`, or this process. `progress`: how far its pieces are; `say`: takes sentences."""

    cluster: ClusterSettings | None
    progress: str = ""
    say: Any = field(default=_say)

    def events(self, spec: Study) -> Generator[StudyEvent, None, None]:
        """What the study tells; `UserError`. Ctrl-C ends what is on, and pieces that are done are kept."""
        if self.cluster is None:
            from replora.studies.study import study

            yield from study(spec)
            return
        told = study_on_cluster(spec, self.cluster, data_folder(), pieces=self._pieces, say=lambda each: self.say(each))
        try:
            yield from told
        except KeyboardInterrupt:
            self.say(f"Ended: {self.progress or 'no piece was done'}. The same command goes on from what is done.")
            raise

    def _pieces(self, done: int, on: int, all_there_are: int) -> None:
        self.progress = f"{done} of {all_there_are} pieces done, {on} on"


def chosen_engine(engine: str, address: str) -> StudyEngine:
    """The engine of the options; `ClickException` for an address that is none, or without a cluster to be of."""
    try:
        if engine == LOCAL and address:
            raise UserError("--address is of a cluster: it needs --engine ray.")
        return StudyEngine(None if engine == LOCAL else ClusterSettings(ray_address=address))
    except UserError as error:
        raise click.ClickException(str(error)) from error
