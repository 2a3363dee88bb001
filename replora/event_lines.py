"""One codec for the events of all jobs: a union of frozen dataclasses as JSON lines, each named by its `event`."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar, cast, get_type_hints

import msgspec

from replora.options import Spec, UserError

EventOf = TypeVar("EventOf")
SpecOf = TypeVar("SpecOf", bound=Spec)
Kind = TypeVar("Kind")

TAG = "event"


class EventError(UserError):
    """A line or file that does not hold the events it should."""


class EventLines(Generic[EventOf]):
    """The lines of one kind of job.

    what: what the events are of, for messages: 'a race'. kinds: the dataclasses by the name in `event`. Their fields
    are decoded as their annotations say, and nothing of another type is taken for them; fields that are specs go
    through `Spec`. write_spec, read_spec: in place of `to_dict` and `from_dict`, for specs of several types.
    """

    def __init__(
        self,
        what: str,
        kinds: Mapping[str, type[Any]],
        *,
        write_spec: Callable[[Any], Mapping[str, Any]] | None = None,
        read_spec: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        self.what, self.kinds = what, dict(kinds)
        self._names = {kind: name for name, kind in kinds.items()}
        self._write_spec = write_spec or (lambda spec: spec.to_dict())
        self._specs: dict[str, dict[str, Callable[[Mapping[str, Any]], Any]]] = {}  # by event and field
        self._fields: dict[type[msgspec.Struct], tuple[str, tuple[str, ...]]] = {}  # name and fields of an event
        for name, kind in kinds.items():
            hints = get_type_hints(kind)
            types = {field: hint for field, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Spec)}
            self._specs[name] = {field: read_spec or hint.from_dict for field, hint in types.items()}
            wire = _wire_type(name, kind, {**hints, **dict.fromkeys(types, dict[str, Any])})
            self._fields[wire] = (name, tuple(field.name for field in dataclasses.fields(kind)))
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, self._fields))

    def to_line(self, event: EventOf) -> str:
        """One JSON object on one line; `ValueError` where a number is not finite."""
        values = dataclasses.asdict(cast(Any, event))
        name = self._names[type(event)]
        values |= {field: self._write_spec(getattr(event, field)) for field in self._specs[name]}
        return json.dumps({TAG: name, **values}, allow_nan=False)

    def from_line(self, line: str) -> EventOf:
        """The event of one line; `EventError` where it is none."""
        try:
            wire = self._decoder.decode(line)
            name, fields = self._fields[type(wire)]
            values = {field: getattr(wire, field) for field in fields}
            for field, read in self._specs[name].items():
                values[field] = read(values[field])
            event: EventOf = self.kinds[name](**values)
        except (ValueError, RecursionError) as error:  # of msgspec, of a spec, of an event's own checks
            raise EventError(f"Not an event of {self.what}: {str(error).rstrip('.')}.") from error
        return event

    def read(self, path: str | Path) -> tuple[EventOf, ...]:
        """All events of a file of lines, gzipped where its name ends in `.gz`.

        Raises `EventError`, which names the file, and the line that cannot be read.
        """
        try:
            data = Path(path).read_bytes()
            plain = gzip.decompress(data) if Path(path).suffix == ".gz" else data
            lines = plain.decode("utf-8").splitlines()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise EventError(f"{path} cannot be read: {error}.") from error
        events = []
        for number, line in enumerate(lines, start=1):
            try:
                events.append(self.from_line(line))
            except EventError as error:
                raise EventError(f"{path}, line {number}: {error}") from error
        return tuple(events)


@contextmanager
def gzipped_lines(path: Path) -> Iterator[TextIO]:
    """A sink for the lines of a recording, which a reader finds under this name once all are written."""
    draft = path.with_name(f"{path.name}.part")
    with (
        draft.open("wb") as file,
        # Neither name nor time is written, so the same lines are the same file.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as sink,
    ):
        yield sink
    draft.replace(path)


def first_of(kind: type[Kind], events: Iterable[object]) -> Kind | None:
    """The first event of a type; None where there is none yet."""
    return next((event for event in events if isinstance(event, kind)), None)


def _wire_type(tag: str, kind: type[Any], hints: Mapping[str, Any]) -> type[msgspec.Struct]:
    """What msgspec decodes in place of a dataclass, which knows no tag and takes any field."""
    fields: list[Any] = []
    for member in dataclasses.fields(kind):
        if member.default is not dataclasses.MISSING:
            fields.append((member.name, hints[member.name], member.default))
        elif member.default_factory is not dataclasses.MISSING:
            fields.append((member.name, hints[member.name], msgspec.field(default_factory=member.default_factory)))
        else:
            fields.append((member.name, hints[member.name]))
    return msgspec.defstruct(
        kind.__name__, fields, tag_field=TAG, tag=tag, kw_only=True, frozen=True, forbid_unknown_fields=True
    )
