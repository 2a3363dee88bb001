"""An option of the command line for a field of a spec: its default, bounds and help are the field's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource

from replora.options import Linked, SpecError, default_of, format_value, kind_of, options, parse_value

Asked = TypeVar("Asked", bound=Linked)
Command = TypeVar("Command", bound=Callable[..., Any])


class SpecValue(click.ParamType[Any]):
    """A value of a field, parsed and checked as everywhere else; a list is separated by commas."""

    def __init__(self, spec: type, field: str) -> None:
        self.field = field
        self.kind = kind_of(spec, field)
        self.facts = options(spec)[field]
        self.many = get_origin(self.kind) is tuple
        self.item = get_args(self.kind)[0] if self.many else self.kind
        self.name = {int: "integer", float: "number", bool: "boolean"}.get(self.item, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_value(self.field, value, self.kind, self.facts)
        except SpecError as error:
            self.fail(str(error), param, ctx)


def spec_option(spec: type, field: str, *, of: str = "") -> Callable[[Command], Command]:
    """`--data-fraction` for data_fraction, and the field's further flags; `of` begins its help."""
    value = SpecValue(spec, field)
    many = "comma-separated, each " if value.many else ""
    return click.option(
        flag_of(field),
        *value.facts.flags,
        field,
        type=value,
        default=format_value(default_of(spec, field)),
        show_default=True,
        metavar=value.name.upper(),
        help=f"{of}{value.facts.help} [{many}{value.facts.allowed(value.item)}]",
    )


def unasked_kept(spec: type[Asked], values: Mapping[str, Any]) -> Asked:
    """The spec of the options; those that nobody gave are as the task has them."""
    context = click.get_current_context()
    given = {name for name in values if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    unasked: Any = spec.unasked({"task": values["task"]})
    found: Asked = dataclasses.replace(
        unasked, **{name: value for name, value in values.items() if name in given | {"task"}}
    )
    return found


def flag_of(field: str) -> str:
    """The flag of a field."""
    return f"--{field.replace('_', '-')}"
