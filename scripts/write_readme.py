"""`python -m scripts.write_readme`: the README's figures of the recorded studies, written from the records themselves.

The lines between `<!-- recorded -->` and `<!-- end -->`; a test holds them together.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from replora.catalog import ASSETS, TASKS
from replora.methods import ABLATION, METHOD_TITLES, OURS, REFERENCE, STUDENT_REFERENCE, STUDENT_TITLES
from replora.statistics.intervals import Interval, named_by
from replora.statistics.verdict import points, ratio_ends, seeds_in_words
from replora.studies.base import Study, of_kind
from replora.studies.events import StudyEvent, started_of
from replora.studies.lines import read_study_events
from replora.studies.races.cells import Comparison
from replora.studies.races.leads import Leads, in_words
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.races.tuning import same_target
from replora.studies.selection import one_rate
from replora.studies.spec import DataStudy
from replora.studies.teachers.cells import ErrorRatio
from replora.studies.teachers.summary import TeacherSummary, summarize_teacher
from replora.wording import listing
from scripts.record_studies import CHECKED_TASK, EQUAL_RANK, LORA_PLUS

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


def _taken(studies: Mapping[str, Study]) -> str:
    """'400 steps of 16; 5 seeds, 10 of WordNet topics': of studies by task that differ in their seeds alone."""
    seeds = {task: len(spec.seeds) for task, spec in studies.items()}
    taken = {f"{spec.steps_in_words} of {spec.batch_size}" for spec in studies.values()}
    usual = min(seeds.values())
    more = [f"{number} of {TASKS[task].title}" for task, number in seeds.items() if number != usual]
    return f"{listing(sorted(taken))}; {', '.join([seeds_in_words(usual), *more])}"


def _looked_at(what: str, p_values: Sequence[float | None], equal: str = "zero") -> str:
    """'of the 25 differences 12 exclude zero, each by itself, and 2 corrected for so many (Holm)'."""
    single, corrected = named_by([p for p in p_values if p is not None])
    return (
        f"of the {len(p_values)} {what} {single} exclude {equal}, each by itself, and {corrected} corrected for so "
        "many (Holm)"
    )


def _at_ends(rates: Sequence[tuple[str, float]], grid: Sequence[float]) -> str:
    """'of the 50 rates chosen 4 stand at an end of the grid, 1e-05 to 0.03 (...), beyond which a better one may lie'.

    rates: whose, in words, and which.
    """
    ends = {grid[0]: "lowest", grid[-1]: "highest"}
    found = Counter((who, ends[rate]) for who, rate in rates if rate in ends)
    said = [f"{who} {end} in {number}" for (who, end), number in sorted(found.items(), reverse=True)]
    named = f" ({listing(said)})" if said else ""
    stand = "stands" if found.total() == 1 else "stand"
    return (
        f"of the {len(rates)} rates chosen {found.total()} {stand} at an end of the grid, {grid[0]:g} to "
        f"{grid[-1]:g}{named}, beyond which a better one may lie"
    )


def _setting(studies: Mapping[str, Sequence[StudyEvent]]) -> list[str]:
    started = [told for events in studies.values() if (told := started_of(events)) is not None]
    specs = {told.spec.task: of_kind(told.spec, DataStudy) for told in started}
    text = (
        f"What the recorded studies say ({listing(sorted({told.device for told in started}))}; 95 % intervals over "
        "seeds on the same test examples; **bold** excludes zero, each by itself; the pages show the commands, "
        f"`python -m scripts.write_readme` writes these lines). {METHOD_TITLES[OURS]} minus "
        f"{METHOD_TITLES[REFERENCE]} in points of accuracy, by share of the training data ({_taken(specs)}):"
    )
    return [*_prose(text), ""]


def _races(studies: Mapping[str, Sequence[StudyEvent]]) -> list[str]:
    rows: list[list[str]] = []
    needed: list[list[str]] = []
    at_one_rate: list[StudySummary] = []
    at_tuned_rates: list[StudySummary] = []
    saved = apart = 0
    for task, events in studies.items():
        single, tuned = summarize_study(one_rate(events, RATE)), summarize_study(events)
        target = same_target(events, RATE)
        if single is None or tuned is None or target is None:
            raise ValueError(f"The recorded study of {task} compares nothing.")
        when_tuned = _tuned(tuned)
        at_one_rate.append(single)
        at_tuned_rates.append(tuned)
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
    held = at_tuned_rates[0].spec.validation_examples
    trained = [study.cells[0].examples for study in at_tuned_rates]
    text = (
        f"{one.at_one_rate(RATE)} {_capital(_looked_at('differences at one rate', _ps(at_one_rate)))}. With rates "
        f"tuned for each it is behind on {in_words(each.behind)}, and ahead on {in_words(each.ahead)}; "
        f"{_looked_at('differences', _ps(at_tuned_rates))}; {_ends_of(at_tuned_rates)}. Rates are tuned on {held} "
        f"labelled examples held out, where {fractions[0]} of the data are {min(trained)} to {max(trained)}: with so "
        "few to train on, most labels are spent on the rate."
    )
    goal = (
        f"Tuning {theirs}'s rate saves more data than {ours} at {RATE:g} does on {saved} of {len(studies)} tasks, "
        f"with intervals apart on {apart}; to reach {theirs}'s full-data accuracy at {RATE:g} it takes, of the data "
        "(the same runs):"
    )
    titles = ["", f"{ours} at {RATE:g}", f"{theirs}, rate tuned", f"{ours}, rate tuned"]
    return [*_table(headings, rows), "", *_prose(text), "", *_prose(goal), "", *_table(titles, needed)]


def _epochs() -> list[str]:
    """The same tasks with equal epochs: at one rate and tuned, with the least and with all data."""
    rows, shares, studies = [], [""], dict[str, StudySummary]()
    for task in TASKS:
        events = list(read_study_events(RECORDED / f"study_{task}_epochs.jsonl.gz"))
        single, tuned = summarize_study(one_rate(events, RATE)), summarize_study(events)
        if single is None or tuned is None:
            raise ValueError(f"The recorded study of {task} with equal epochs compares nothing.")
        when_tuned = _tuned(tuned)
        rows.append([TASKS[task].title, *map(_points, (*single.comparisons, when_tuned[0], when_tuned[-1]))])
        shares = [f"{100 * found.fraction:g} %" for found in single.comparisons]
        studies[task] = tuned
    headings = ["", f"one rate {RATE:g}: {shares[0]}", *shares[1:], f"each tuned: {shares[0]}", shares[-1]]
    text = (
        "With equal epochs instead of equal steps, at which few data are seen as often as many, and few steps are "
        f"taken with them ({_taken({task: study.spec for task, study in studies.items()})}, steps in proportion to the "
        "data):"
    )
    said = (
        f"With rates tuned for each, {_looked_at('differences', _ps(studies.values()))}; {_ends_of(studies.values())}."
    )
    return [*_prose(text), "", *_table(headings, rows), "", *_prose(said)]


def _controls() -> list[str]:
    """RepLoRA against LoRA+ and LoRA of as many parameters, and with a diagonal for a latent; rates tuned for each."""
    rows, shares, studies = [], [""], list[StudySummary]()
    for part, title in (
        ("loraplus", f"{METHOD_TITLES[OURS]} minus LoRA+"),
        ("parameters", f"{METHOD_TITLES[OURS]} minus {METHOD_TITLES[REFERENCE]} of rank {EQUAL_RANK}"),
        ("latent", f"{METHOD_TITLES[OURS]} with a diagonal latent minus {METHOD_TITLES[REFERENCE]}"),
    ):
        summary = summarize_study(read_study_events(RECORDED / f"study_{CHECKED_TASK}_{part}.jsonl.gz"))
        if summary is None:
            raise ValueError(f"The recorded study {part} compares nothing.")
        studies.append(summary)
        rows.append([title, *map(_points, _tuned(summary))])
        shares = [f"{100 * found.fraction:g} %" for found in _tuned(summary)]
    text = (
        f"On {TASKS[CHECKED_TASK].title}, rates tuned for each: against LoRA whose B has {LORA_PLUS:g} times the rate "
        f"of A (LoRA+), against LoRA of rank {EQUAL_RANK}, which trains as many parameters and keeps "
        f"{EQUAL_RANK / studies[1].spec.rank:.0f} times as many, and with the latent as a "
        "trainable diagonal and MLPs of two hidden layers, as a public "
        f"reproduction of the paper reads it ({_taken({CHECKED_TASK: studies[0].spec})}); "
        f"{_looked_at('differences', _ps(studies))}; {_ends_of(studies)}:"
    )
    return [*_prose(text), "", *_table(["", *shares], rows)]


def _ps(studies: Iterable[StudySummary]) -> list[float | None]:
    return [found.p for study in studies for found in study.main_comparisons]


def _ends_of(studies: Iterable[StudySummary]) -> str:
    """Of studies with one grid."""
    all_of = list(studies)
    compared = [found for study in all_of for found in study.main_comparisons]
    rates = [(f"{METHOD_TITLES[name]}'s the", rate) for found in compared for name, rate in found.rates.items()]
    return _at_ends(rates, all_of[0].spec.all_rates)


def _tuned(summary: StudySummary) -> list[Comparison]:
    return [found for found in summary.comparisons if found.protocol == "tuned"]


def _teachers() -> list[str]:
    rows: list[list[str]] = []
    worlds: list[TeacherSummary] = []
    told: list[ErrorRatio] = []
    pairs = [(name, STUDENT_REFERENCE) for name in STUDENT_TITLES if name != STUDENT_REFERENCE] + [ABLATION]
    for world in WORLDS:
        summary = summarize_teacher(read_study_events(RECORDED / f"teacher_{world}.jsonl.gz"))
        if summary is None:
            raise ValueError(f"The recorded study of the {world} teacher has not started.")
        worlds.append(summary)
        ratios = {
            (ratio.student, ratio.reference, ratio.examples): ratio for ratio in (*summary.ratios, *summary.ablations)
        }
        told += ratios.values()
        rows += [
            [
                f"{world}, {examples}",
                *(_ratio(ratios[student, reference, examples].interval) for student, reference in pairs),
            ]
            for examples in summary.spec.examples
        ]
    ours, theirs = (STUDENT_TITLES[name] for name in ABLATION)
    spec = worlds[0].spec
    chosen = [("the", cell.rate) for world in worlds for cell in world.cells if cell.chosen]
    text = (
        "Recovering a hidden update that query and value share (tied) or do not, rates tuned for each: ratios of "
        f"error, below one where the first is nearer ({_taken({spec.task: spec})}). {ours} over {theirs} is what the "
        f"MLPs add to the tying. {_capital(_looked_at('ratios', [ratio.p for ratio in told], 'one'))}; "
        f"{_at_ends(chosen, spec.rates)}:"
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
    return f"**{text}**" if interval.excludes(1.0) else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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
