"""Option machinery: what a spec's field may be, and specs that check themselves and go to and from JSON and links.

A field carries its default, bounds, help and unit (`Option`). Sliders, URL, command line, validation and docs
read them from here; a value out of bounds raises `SpecError`, one sentence that names field, value and range.
"""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Self, TypeVar, cast, get_args, get_origin, get_type_hints

Number = TypeVar("Number", int, float)

MOST_VALUES = 1000  # of a list
LONGEST_TEXT = 4096  # characters; the longest path there is
LONGEST_SHOWN = 40  # characters of a value in a sentence
SHORT = reprlib.Repr()  # neither deep nor long, whatever it is given
SHORT.maxlist = SHORT.maxtuple = SHORT.maxset = SHORT.maxdict = 20
SHORT.maxstring = SHORT.maxlong = SHORT.maxother = 3 * LONGEST_SHOWN


class UserError(ValueError):
    """Something the user can set right; the message is one sentence fit to be shown."""


class SpecError(UserError):
    """A value that a spec cannot take."""


@dataclass(frozen=True)
class Option:
    """What is known of one field: bounds are inclusive, `marks` are its slider's stops, `choices` the names allowed.

    pattern: of names that are allowed beside the choices; placeholder: such a name for people.
    in_order: a list of names stands in the order in which the names are declared, however it was given.
    later: declared after specs were recorded, so `to_dict` leaves its default out and their hashes stay what they were.
    """

    label: str
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    marks: tuple[Any, ...] = ()
    choices: tuple[str, ...] = ()
    pattern: str = ""
    placeholder: str = ""
    flags: tuple[str, ...] = ()
    in_order: bool = False
    later: bool = False

    def allowed(self, kind: Any) -> str:
        """The range in words, for messages and docs."""
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(get_args(kind))
        if kind is bool:
            return "true or false"
        if self.choices:
            return "one of " + ", ".join((*self.choices, *([self.placeholder] if self.placeholder else [])))
        noun = {int: "a whole number", float: "a number"}.get(kind, "text")
        if self.low is None or self.high is None:
            return noun
        low, high = (f"{bound:,.0f}" if kind is int else f"{bound:g}" for bound in (self.low, self.high))
        return f"{noun} from {low} to {high}"


def option(default: Any, label: str, help: str, **facts: Any) -> Any:
    """A dataclass field with its `Option`."""
    return field(default=default, metadata={"option": Option(label, help, **facts)})


def same_as(spec: type, name: str) -> Any:
    """The field `name` of `spec`, declared once there and used again here."""
    original = next(each for each in dataclasses.fields(spec) if each.name == name)
    return field(default=original.default, metadata=original.metadata)


def options(spec: type | object) -> dict[str, Option]:
    """The options of a spec by field name, in the order of declaration."""
    return {each.name: each.metadata["option"] for each in dataclasses.fields(cast(Any, spec)) if each.metadata}


def default_of(spec: type, name: str) -> Any:
    """The default of a field."""
    return next(each.default for each in dataclasses.fields(cast(Any, spec)) if each.name == name)


def kind_of(spec: type, name: str) -> Any:
    """The type of a field: int, float, bool, str, a Literal, or a tuple of one of them."""
    return _kinds(spec)[name]


@cache
def _kinds(spec: type) -> dict[str, Any]:
    """The types of all fields; each look-up evaluates every annotation, and a spec is checked field by field."""
    return get_type_hints(spec)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _shown(value: Any) -> str:
    """The value for a message, not at any length."""
    try:
        return _cut(SHORT.repr(value))
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def check_value(name: str, value: Any, kind: Any, facts: Option) -> Any:
    """`value` as `kind`, or `SpecError`: '<field> must be <allowed range>, got <value>.'"""
    if _is_tuple(kind):
        item = get_args(kind)[0]
        at_least = _at_least(facts.allowed(item))
        if value in ((), [], "", None):
            raise SpecError(f"{name} must list at least {at_least}; none is given.")
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise SpecError(f"{name} must be a list, not {_shown(value)} by itself, and hold at least {at_least}.")
        _check_count(name, value)
        found = tuple(check_value(name, each, item, facts) for each in value)
        if len(set(found)) != len(found):
            raise SpecError(f"{name} must not repeat a value, got {_cut(', '.join(map(str, value)))}.")
        return tuple(each for each in get_args(item) if each in found) if facts.in_order else found
    complaint = SpecError(f"{name} must be {facts.allowed(kind)}, got {_shown(value)}.")
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise complaint
        return value
    if kind is bool or kind is str:
        if not isinstance(value, kind) or not _is_allowed(value, facts):
            raise complaint
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise SpecError(f"{name} must have at most {LONGEST_TEXT:,} characters, got {len(value):,}.")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise complaint
    if isinstance(value, float) and (not math.isfinite(value) or (kind is int and value != int(value))):
        raise complaint
    if (facts.low is not None and value < facts.low) or (facts.high is not None and value > facts.high):
        raise complaint
    return kind(value)


def _at_least(allowed: str) -> str:
    """'one of a, b', 'one value, a whole number from 0 to 9': what a list holds at least."""
    return allowed if allowed.startswith("one of ") else f"one value, {allowed}"


def _check_count(name: str, values: Sequence[Any]) -> None:
    if len(values) > MOST_VALUES:
        raise SpecError(f"{name} must list at most {MOST_VALUES:,} values, got {len(values):,}.")


def _is_allowed(value: Any, facts: Option) -> bool:
    """Whether a text or boolean is among the names allowed, where there are any."""
    named = bool(facts.pattern) and re.fullmatch(facts.pattern, str(value)) is not None
    return not facts.choices or value in facts.choices or named


def parse_value(name: str, text: str, kind: Any, facts: Option) -> Any:
    """The value of a field from text (URL, command line); lists are separated by commas."""
    if _is_tuple(kind):
        item = get_args(kind)[0]
        parts = [part.strip() for part in text.split(",") if part.strip()]
        _check_count(name, parts)
        return check_value(name, [parse_value(name, part, item, facts) for part in parts], kind, facts)
    value: Any = text.strip()
    if kind is bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    elif kind in (int, float):
        try:
            value = float(value) if kind is float or not value.lstrip("+-").isdigit() else int(value)
        except (ValueError, OverflowError):
            raise SpecError(f"{name} must be {facts.allowed(kind)}, got {_shown(text)}.") from None
    return check_value(name, value, kind, facts)


def format_value(value: Any) -> str:
    """The text that `parse_value` reads back."""
    if isinstance(value, tuple):
        return ",".join(format_value(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def nearest(grid: Sequence[Number], wanted: float) -> Number:
    """The value of a grid of positive numbers that is nearest by ratio, the first of two."""
    return min(grid, key=lambda value: max(value / wanted, wanted / value))


def _is_later(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata) and cast(Option, field.metadata["option"]).later


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


class Spec:
    """Checks every declared field on construction; to and from plain JSON values."""

    def __post_init__(self) -> None:
        for name, facts in options(self).items():
            checked = check_value(name, getattr(self, name), kind_of(type(self), name), facts)
            object.__setattr__(self, name, checked)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, nested specs included, ready for `json.dumps`; without `later` options at their defaults."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(cast(Any, self))
            if not (_is_later(field) and getattr(self, field.name) == field.default)
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec of `to_dict`; unknown or missing names and bad values raise `SpecError`."""
        if not isinstance(values, Mapping):
            raise SpecError(f"{cls.__name__} must be an object with named fields, got {type(values).__name__}.")
        known = {each.name for each in dataclasses.fields(cast(Any, cls))}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SpecError(f"{cls.__name__} has no field {_shown(unknown[0])}; it has {', '.join(sorted(known))}.")
        return cls(**{name: cls._revive(name, value) for name, value in values.items()})

    @classmethod
    def _revive(cls, name: str, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Linked(Spec):
    """A flat spec that a link carries: only values that are not defaults, a sentence for each that cannot be taken."""

    def to_query(self) -> dict[str, str]:
        """The values that differ from their defaults, as text for a URL."""
        asked = type(self)().differing(self)
        if "task" in asked:
            asked = ["task", *self.unasked({"task": format_value(cast(Any, self).task)}).differing(self)]
        return {name: format_value(getattr(self, name)) for name in options(self) if name in asked}

    def differing(self, other: Self) -> list[str]:
        """The options in which another spec of this kind is not the same."""
        return [name for name in options(self) if getattr(self, name) != getattr(other, name)]

    @classmethod
    def unasked(cls, query: Mapping[str, str]) -> Self:
        """What a link means by what it leaves out: the defaults, unless those depend on what it says."""
        return cls()

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> tuple[Self, list[str]]:
        """What a URL asks for; a value that cannot be taken, alone or beside the others, becomes a sentence."""
        found, problems = cls.unasked(query), list[str]()
        for name, facts in options(cls).items():
            if name not in query:
                continue
            try:
                value = parse_value(name, query[name], kind_of(cls, name), facts)
                found = dataclasses.replace(cast(Any, found), **{name: value})
            except SpecError as error:
                problems.append(f"{error} The default is used instead.")
        return found, problems
