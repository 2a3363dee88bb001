"""A race's seat: where its runs are between two steps, so that they go on elsewhere as if they had stayed.

seat.safetensors   `<run>.<name>`, `RunStack.trained` of each run; metadata: step, seconds, runs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

SEAT_FILE = "seat.safetensors"


@dataclass(frozen=True)
class Seat:
    """After `step` steps and `seconds` of training and evaluation: what training has made of each run, by name."""

    step: int
    seconds: float
    runs: tuple[Mapping[str, Tensor], ...]

    def of(self, places: slice) -> Self:
        """The seat of some of the runs, the others of which belong to other races."""
        return type(self)(self.step, self.seconds, self.runs[places])

    def leave_in(self, folder: Path) -> None:
        """Writes it into the folder, made where it is not there; OSError where that fails."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"{run}.{name}": each for run, trained in enumerate(self.runs) for name, each in trained.items()}
        facts = {"step": str(self.step), "seconds": repr(self.seconds), "runs": str(len(self.runs))}
        draft = folder / f"{SEAT_FILE}.part"
        try:
            save_file(tensors, draft, metadata=facts)
        except SafetensorError as error:  # as it calls a disk that is full
            raise OSError(str(error)) from error
        draft.replace(folder / SEAT_FILE)

    @classmethod
    def taken_from(cls, folder: Path) -> Self | None:
        """The seat in a folder, which is not there any more then; None where there is none."""
        path = folder / SEAT_FILE
        if not path.is_file():
            return None
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            runs: list[dict[str, Tensor]] = [{} for _ in range(int(facts["runs"]))]
            for key in file.keys():  # noqa: SIM118
                run, _, name = key.partition(".")
                runs[int(run)][name] = file.get_tensor(key)
        path.unlink()
        return cls(int(facts["step"]), float(facts["seconds"]), tuple(runs))
