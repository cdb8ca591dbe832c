"""From a roadmap's listing to the sources of its page: later phases win, and what is absent or damaged says so."""

from dataclasses import replace

import pytest
from page_inputs import CORE, NOVEL, write_sources

from polymlops.errors import ArtifactError
from polymlops.refs import ReportRef, SampleSetRef, ScoresRef
from polymlops.report.page import render_page
from polymlops.report.page_content import gather
from polymlops.report.page_sources import page_sources
from polymlops.tracking.roadmap_parts import MadeBy, Roadmap


def ref(kind, run_id, name):
    return kind(run_id=run_id, uri=name, digest=name)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("made"))


@pytest.fixture
def folders(made):
    """Folders by the uri of the references below."""
    found = {"core": made.core.folder, "novel": made.novel["social"].folder}
    found |= {f"samples/{label}": source.folder for label, source in made.samples.items()}
    return found | {f"scores/{label}": source.folder for label, source in made.scores.items()}


@pytest.fixture
def roadmap(made):
    samples = {
        f"samples/{label}": ref(SampleSetRef, source.run_id, f"samples/{label}")
        for label, source in made.samples.items()
    }
    scores = {
        f"scores/{label}": ref(ScoresRef, source.run_id, f"scores/{label}") for label, source in made.scores.items()
    }
    phases = {
        "core-results": {"report": ref(ReportRef, CORE, "core"), **samples, **scores},
        "novel-metrics": {"novel/social": ref(ReportRef, NOVEL, "novel"), **scores},
    }
    runs = tuple(MadeBy(run.run_id, run.title, run.seconds, run.dollars) for run in made.runs)
    return Roadmap("f" * 32, "demo", "name: demo\n", phases, runs)


def fetch_from(folders):
    def fetch(reference):
        if reference.uri not in folders:
            raise ArtifactError(f"artifact {reference.uri}: it is damaged")
        return folders[reference.uri]

    return fetch


def test_every_part_that_is_listed_is_on_the_page(roadmap, folders, made):
    sources = page_sources(roadmap, fetch_from(folders))
    assert sources.core == made.core
    assert sources.novel == made.novel
    assert set(sources.samples) == set(made.samples)
    assert {run.run_id for run in sources.runs} == {run.run_id for run in made.runs}
    assert render_page(gather(sources)).startswith("<!doctype html>")


def test_what_the_run_lacks_says_which_phase(roadmap, folders):
    content = gather(page_sources(roadmap, fetch_from(folders)))
    assert content.adapters.missing == (
        "adapter analysis: phase 2 has not finished in this run, or no arm is trained by GRPO",
    )
    assert content.domains.missing == ("other domains: phase 3 has not finished in this run",)


def test_a_run_without_phase_4_says_so_in_its_verdict(roadmap, folders):
    early = replace(roadmap, phases={"core-results": roadmap.phases["core-results"]})
    content = gather(page_sources(early, fetch_from(folders)))
    assert content.verdict.missing == ("no verdict on what users pick: phase 4 has not finished in this run",)
    assert len(content.prompts) > 0


def test_a_damaged_part_is_left_out_with_its_reason(roadmap, folders):
    kept = {name: folder for name, folder in folders.items() if name != "novel"}
    content = gather(page_sources(roadmap, fetch_from(kept)))
    assert "it cannot be read: artifact novel: it is damaged" in content.verdict.missing[0]


def test_scores_of_a_later_phase_take_the_place_of_earlier_ones(roadmap, folders, tmp_path):
    label = "baseline/42"
    later = {**roadmap.phases["novel-metrics"], f"scores/{label}": ref(ScoresRef, NOVEL, "later")}
    phases = {**roadmap.phases, "novel-metrics": later}
    sources = page_sources(replace(roadmap, phases=phases), fetch_from(folders | {"later": tmp_path}))
    assert sources.scores[label].folder == tmp_path
