"""The command line, `python -m replora`: the same races, studies and theory without a browser."""

from __future__ import annotations

import click

from replora.cli.race import race_command
from replora.cli.study import study_command
from replora.cli.theory import theory_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """LoRA against RepLoRA: fine-tune, compare, measure."""


for each in (race_command, study_command, theory_command):
    main.add_command(each)
