"""`python -m scripts.write_readme`: the README's figures of the recorded studies, written from the records themselves.

The lines between `<!-- recorded -->` and `<!-- end -->`; a test holds them together.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from replora.catalog import ASSETS, TASKS
from replora.methods import ABLATION, METHOD_TITLES, OURS, REFERENCE, STUDENT_REFERENCE, STUDENT_TITLES
from replora.statistics.intervals import Interval
from replora.statistics.verdict import points, ratio_ends
from replora.studies.base import of_kind
from replora.studies.events import StudyEvent, started_of
from replora.studies.lines import read_study_events
from replora.studies.races.cells import Comparison
from replora.studies.races.leads import Leads, in_words
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.races.tuning import same_target
from replora.studies.selection import one_rate
from replora.studies.spec import DataStudy
from replora.studies.teachers.summary import summarize_teacher
from scripts.record_studies import CHECKED_TASK, LORA_PLUS

README = Path(__file__).parents[1] / "README.md"
RECORDED = ASSETS / "recorded"
BEGIN, END = "<!-- recorded -->\n", "<!-- end -->"
WIDTH = 120
RATE = 3e-4
WORLDS = ("tied", "untied")


def recorded_figures() -> str:
    """The block: data studies at one rate and tuned, then the recovered updates."""
    studies = {task: list(read_study_events(RECORDED / f"study_{task}.jsonl.gz")) for task in TASKS}
    others = [*_epochs(), "", *_controls()]
    return "\n".join(["", *_setting(studies), *_races(studies), "", *others, "", *_teachers(), "", ""])


def _seeds(studies: Mapping[str, Sequence[StudyEvent]]) -> str:
    """'5 seeds, 10 of WordNet topics'."""
    counts = {
        task: len(of_kind(started.spec, DataStudy).seeds)
        for task, events in studies.items()
        if (started := started_of(events)) is not None
    }
    usual = min(counts.values())
    more = [f"{count} of {TASKS[task].title}" for task, count in counts.items() if count != usual]
    return ", ".join([f"{usual} seeds", *more])


def _setting(studies: Mapping[str, Sequence[StudyEvent]]) -> list[str]:
    started = started_of(next(iter(studies.values())))
    if started is None:
        raise ValueError("A recorded study has not started.")
    spec = of_kind(started.spec, DataStudy)
    text = (
        f"What the recorded studies say ({started.device}, {spec.steps} steps of {spec.batch_size}, "
        f"{_seeds(studies)}, 95 % intervals over seeds on the same test examples; **bold** excludes zero, each "
        "by itself; the pages show the commands, `python -m scripts.write_readme` writes these lines). "
        f"{METHOD_TITLES[OURS]} minus {METHOD_TITLES[REFERENCE]} in points of accuracy, by share of the training data:"
    )
    return [*_prose(text), ""]


def _races(studies: Mapping[str, Sequence[StudyEvent]]) -> list[str]:
    rows: list[list[str]] = []
    needed: list[list[str]] = []
    at_one_rate: list[StudySummary] = []
    at_tuned_rates: list[StudySummary] = []
    lowest = {OURS: 0, REFERENCE: 0}
    saved = apart = 0
    for task, events in studies.items():
        single, tuned = summarize_study(one_rate(events, RATE)), summarize_study(events)
        target = same_target(events, RATE)
        if single is None or tuned is None or target is None:
            raise ValueError(f"The recorded study of {task} compares nothing.")
        when_tuned = _tuned(tuned)
        at_one_rate.append(single)
        at_tuned_rates.append(tuned)
        for found in when_tuned:
            for name in lowest:
                lowest[name] += found.rates[name] == tuned.spec.all_rates[0]
        cells = map(_points, (*single.comparisons, when_tuned[0], when_tuned[-1]))
        rows.append([TASKS[task].title, *cells])
        shares = (target.method, target.tuned_reference, target.tuned_method)
        needed.append([TASKS[task].title, *(share.text() for share in shares)])
        saved += (target.tuned_reference.value or 1) < (target.method.value or 1)
        apart += (target.tuned_reference.high or 1) < (target.method.low or 0)
    ours, theirs = METHOD_TITLES[OURS], METHOD_TITLES[REFERENCE]
    one, each = Leads.of(at_one_rate), Leads.of(at_tuned_rates)
    fractions = [f"{100 * fraction:g} %" for fraction in one.fractions]
    headings = ["", f"one rate {RATE:g}: {fractions[0]}", *fractions[1:], f"each tuned: {fractions[0]}", fractions[-1]]
    text = (
        f"{one.at_one_rate(RATE)} With rates tuned for each it is behind on {in_words(each.behind)}, and ahead on "
        f"{in_words(each.ahead)}; its rate is then the lowest of the grid in {lowest[OURS]} of "
        f"{len(studies) * len(fractions)} cells ({theirs}'s in {lowest[REFERENCE]}), so "
        f"that a better one may lie beyond. Tuning {theirs}'s rate saves more data than {ours} at {RATE:g} does on "
        f"{saved} of {len(studies)} tasks, with intervals apart on {apart}; to reach {theirs}'s full-data accuracy at "
        f"{RATE:g} it takes, of the data:"
    )
    titles = ["", f"{ours} at {RATE:g}", f"{theirs}, rate tuned", f"{ours}, rate tuned"]
    return [*_table(headings, rows), "", *_prose(text), "", *_table(titles, needed)]


def _epochs() -> list[str]:
    """The same tasks with equal epochs: at one rate and tuned, with the least and with all data."""
    rows, shares, steps = [], [""], ""
    for task in TASKS:
        events = list(read_study_events(RECORDED / f"study_{task}_epochs.jsonl.gz"))
        single, tuned = summarize_study(one_rate(events, RATE)), summarize_study(events)
        if single is None or tuned is None:
            raise ValueError(f"The recorded study of {task} with equal epochs compares nothing.")
        when_tuned = _tuned(tuned)
        rows.append([TASKS[task].title, *map(_points, (*single.comparisons, when_tuned[0], when_tuned[-1]))])
        shares = [f"{100 * found.fraction:g} %" for found in single.comparisons]
        steps = tuned.spec.steps_in_words
    headings = ["", f"one rate {RATE:g}: {shares[0]}", *shares[1:], f"each tuned: {shares[0]}", shares[-1]]
    text = (
        f"With equal epochs instead of equal steps ({steps}, in proportion to the data), at which "
        "few data are seen as often as many, and few steps are taken with them:"
    )
    return [*_prose(text), "", *_table(headings, rows)]


def _controls() -> list[str]:
    """RepLoRA against LoRA+, and RepLoRA with a diagonal for a latent against LoRA, rates tuned for each."""
    rows, shares = [], [""]
    for part, title in (
        ("loraplus", f"{METHOD_TITLES[OURS]} minus LoRA+"),
        ("latent", f"{METHOD_TITLES[OURS]} with a diagonal latent minus {METHOD_TITLES[REFERENCE]}"),
    ):
        summary = summarize_study(read_study_events(RECORDED / f"study_{CHECKED_TASK}_{part}.jsonl.gz"))
        if summary is None:
            raise ValueError(f"The recorded study {part} compares nothing.")
        rows.append([title, *map(_points, _tuned(summary))])
        shares = [f"{100 * found.fraction:g} %" for found in _tuned(summary)]
    text = (
        f"On {TASKS[CHECKED_TASK].title}, rates tuned for each: against LoRA whose B has {LORA_PLUS:g} times the rate "
        "of A (LoRA+), and with the latent as a trainable diagonal and MLPs of two hidden layers, as a public "
        "reproduction of the paper reads it:"
    )
    return [*_prose(text), "", *_table(["", *shares], rows)]


def _tuned(summary: StudySummary) -> list[Comparison]:
    return [found for found in summary.comparisons if found.protocol == "tuned"]


def _teachers() -> list[str]:
    rows: list[list[str]] = []
    pairs = [(name, STUDENT_REFERENCE) for name in STUDENT_TITLES if name != STUDENT_REFERENCE] + [ABLATION]
    for world in WORLDS:
        summary = summarize_teacher(read_study_events(RECORDED / f"teacher_{world}.jsonl.gz"))
        if summary is None:
            raise ValueError(f"The recorded study of the {world} teacher has not started.")
        found = {
            (ratio.student, ratio.reference, ratio.examples): ratio.interval
            for ratio in (*summary.ratios, *summary.ablations)
        }
        rows += [
            [f"{world}, {examples}", *(_ratio(found[student, reference, examples]) for student, reference in pairs)]
            for examples in summary.spec.examples
        ]
    ours, theirs = (STUDENT_TITLES[name] for name in ABLATION)
    text = (
        "Recovering a hidden update that query and value share (tied) or do not, rates tuned for each: ratios of "
        f"error, below one where the first is nearer. {ours} over {theirs} is what the MLPs add to the tying:"
    )
    titles = [f"{STUDENT_TITLES[student]} / {STUDENT_TITLES[reference]}" for student, reference in pairs]
    return [*_prose(text), "", *_table(["world, images", *titles], rows)]


def _points(found: Comparison) -> str:
    interval = found.interval
    if interval is None or interval.half_width is None:
        return ""
    sign = "+" if interval.mean > 0 else ""
    text = f"{sign}{points(interval.mean)} \u00b1 {100 * interval.half_width:.1f}"
    return f"**{text}**" if interval.excludes_zero else text


def _ratio(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    text = f"{interval.mean:.2f} {ratio_ends(interval.low, interval.high)}"
    return text if interval.low <= 1 <= interval.high else f"**{text}**"


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def rewritten(text: str) -> str:
    """A README with the figures of the records."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The README has no lines between {BEGIN.strip()} and {END}.")
    return before + begin + recorded_figures() + end + after


def main() -> None:
    """Writes them."""
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
