"""The page Recover a known update: students of a teacher that hides a low-rank update, and what they find of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.figures.export import png_of_svg
from replora.figures.figure import Figure
from replora.figures.heatmaps import heatmaps_html, heatmaps_svg
from replora.figures.studies.teacher import teacher_figures
from replora.methods import HEADLINES, STUDENT_REFERENCE, STUDENT_TITLES
from replora.options import nearest
from replora.studies.base import of_kind
from replora.studies.events import StudyEvent
from replora.studies.spec import Study, TeacherStudy
from replora.studies.teachers.summary import TeacherSummary, summarize_teacher
from replora.studies.teachers.text import teacher_csv
from replora.ui.live.form import Form
from replora.ui.parts.figure import picture_place
from replora.ui.studies.beside import students_beside
from replora.ui.studies.form import StudyForm
from replora.ui.studies.page import StudyPage, figures_and_fairness, study_page, verdict_html
from replora.ui.studies.session import StudySession
from replora.ui.studies.state import Selection, Selector, narrowed
from replora.ui.studies.teacher_pictures import (
    ShownTeacherStudy,
    heatmap_columns,
    plotted_teacher_study,
    sketched_layers,
    teacher_cards,
)

FORM = StudyForm(
    "recover_update",
    TeacherStudy,
    first=("teacher", "task", "students", "examples", "rates", "seeds"),
    more=("teacher_rank", "teacher_size", "rank"),
)
WISH = FORM.key("examples.wish")


class TeacherSession(StudySession):
    """The study of teachers and students that is shown."""

    noun = "a study of teachers and students"
    study = TeacherStudy.name


def teacher_page() -> None:
    """The whole page."""
    study_page(
        StudyPage(
            title="Recover a known update",
            lead="A teacher hides a low-rank update. Students see only what it outputs. Who finds the matrices?",
            session=TeacherSession,
            form=FORM,
            selector=Selector(select_teacher, _key, summarize_teacher, _recorded),
            draw=_draw,
            csv=teacher_csv,
        )
    )


def select_teacher(events: Sequence[StudyEvent], wanted: Study) -> Selection:
    """The study with the form's students only, or with all of its own where it has none of them."""
    part, met = narrowed(events, wanted)
    return Selection(part, part, met=met)


def _key(wanted: Study) -> str:
    wanted = of_kind(wanted, TeacherStudy)
    return f"teacher {wanted.teacher} {','.join(wanted.students)}"


def _recorded(wanted: Study) -> str:
    return f"teacher_{of_kind(wanted, TeacherStudy).teacher}"


def _draw(shown: ShownTeacherStudy, wanted: Form[Study]) -> Sequence[Figure]:
    spec, summary = of_kind(shown.spec, TeacherStudy), shown.summary
    items = summary.fairness if summary else ()
    at = st.container()
    examples = _examples(spec, summary, at)
    with at:
        st.html(teacher_cards(spec, summary, examples))
        headline = next((name for name in HEADLINES if name in spec.students), "")
        beside = students_beside(summary, shown.beside, headline, examples)
        st.html(verdict_html(*_sentences(spec, summary, examples), items, beside=beside))
    figures = teacher_figures(plotted_teacher_study(shown, examples))
    figures_and_fairness(FORM, figures, items, wanted)
    _heatmaps(shown, examples)
    return figures


def _examples(spec: TeacherStudy, summary: TeacherSummary | None, above: object) -> int:
    """The number of examples that cards, steps and heat maps are shown for, chosen below the verdict."""
    done = sorted({each.examples for each in summary.cells}) if summary else []
    if len(done) < 2:
        return done[0] if done else spec.examples[0]
    key = FORM.key("at.examples")
    wish = st.session_state.get(WISH, done[len(done) // 2])
    st.session_state[key] = nearest(done, wish)
    chosen: int = st.select_slider(
        "Cards, steps and matrices with so many examples", done, key=key, on_change=_wish, args=(key,), width=440
    )
    return chosen


def _wish(key: str) -> None:
    """Noted apart from the slider, whose stops come one by one as a study goes on."""
    st.session_state[WISH] = st.session_state[key]


def _sentences(spec: TeacherStudy, summary: TeacherSummary | None, examples: int) -> tuple[str, str]:
    """The student that the page is about against LoRA, as the headline; the others and what diverged."""
    if STUDENT_REFERENCE not in spec.students or len(spec.students) < 2:
        return f"Choose {STUDENT_TITLES[STUDENT_REFERENCE]} and another student: they are what is compared.", ""
    own = [each for each in summary.ratios if each.examples == examples] if summary else []
    if summary is None or not own:
        return "No verdict before the first results.", ""
    own.sort(key=lambda each: HEADLINES.index(each.student))
    headline, *rest = (each.verdict for each in own)
    rest += [ratio.verdict for ratio in summary.ablations if ratio.examples == examples]
    lost = f"{summary.diverged} of {summary.runs_done} runs diverged"
    if lost in summary.verdict:
        rest.append(summary.verdict[summary.verdict.index(lost) :])
    lead = f"Teacher {spec.teacher}, {spec.amount_in_words(examples)}, {'tuned' if spec.is_tuned else 'one rate'}: "
    if summary.runs_done < summary.started.runs:
        lead = f"After {summary.runs_done} of {summary.started.runs} runs. {lead}"
    return lead + headline[:1].lower() + headline[1:], " ".join(rest)


def _heatmaps(shown: ShownTeacherStudy, examples: int) -> None:
    """The hidden matrices beside the found ones, on one scale."""
    place = picture_place("heatmaps", "Hidden and found", FORM.page)
    if place is not None:
        with place:
            _maps(shown, examples)


def _maps(shown: ShownTeacherStudy, examples: int) -> None:
    summary = shown.summary
    layers = sketched_layers(summary) if summary else 0
    st.html(
        '<h2 class="figure">Hidden and found<span>delta_weight at every eighth row and column, on one scale; '
        "purple: negative, green: positive</span></h2>"
    )
    if not layers:
        st.html('<p class="footnote">The matrices come with the first results.</p>')
        return
    chosen = None
    if layers > 1:
        chosen = st.segmented_control(
            "Adapted layer",
            list(range(1, layers + 1)),
            default=layers,
            required=True,
            key=FORM.key("layer"),
            persist_state="session",
            help="Counted from the first adapted layer; the last stands before the features.",
        )
    layer = min(chosen or layers, layers)
    columns = heatmap_columns(shown, examples, layer - 1)
    st.html(heatmaps_html(columns))
    title = f"Hidden and found updates, layer {layer}, {examples} examples"
    files = (
        ("SVG", "svg", "image/svg+xml", lambda: heatmaps_svg(columns, title)),
        ("PNG", "png", "image/png", lambda: png_of_svg(heatmaps_svg(columns, title))),
    )
    with st.container(horizontal=True, gap="small"):
        for name, ending, mime, make in files:
            st.download_button(
                f"Heat maps as {name}",
                make,
                f"{FORM.page}_heatmaps.{ending}",
                mime,
                on_click="ignore",
                key=FORM.key(f"heatmaps.{ending}"),
            )
