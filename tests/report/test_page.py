import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from page_inputs import CORE, HOSTILE, NOVEL, RUNS, SAMPLES, write_sources

from polymlops.errors import ArtifactError, InputError
from polymlops.report.page import render_page, write_page
from polymlops.report.page_content import PageSources, gather
from polymlops.report.page_files import Source, shown
from polymlops.report.page_records import Cell, Section, Table
from polymlops.report.page_samples import visible


class Page(HTMLParser):
    """Tags with their attributes, and all text outside of the style."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        self._open.append("/" + tag)

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.text += data

    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(sources):
    return Page(render_page(gather(sources)))


def test_every_part_is_there_in_order(page):
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    order = "verdict baselines frontier curves selectors comparisons dynamics depth adapters mechanism theory domains"
    assert sections == [*order.split(), "samples", "costs", "config", "runs"]


def test_what_is_missing_says_why(page):
    for reason in (
        "GRPO: no arm is trained by GRPO",
        "adapter analysis: that stage is not part of this run",
        "diversity during fine-tuning: diversity_trajectory_plot.png was not written",
        "other domains: that stage is not part of this run",
    ):
        assert reason in page.text
    assert "one seed of zero_shot, few_shot, baseline, polychromic: no claim about the training method" in page.text
    assert "one training seed: intervals are over prompts" in page.text


def test_numbers_link_to_runs_that_the_page_lists(page):
    ids = page.ids()
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "href" in attrs]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert {f"#run-{run}" for run in (CORE, NOVEL, SAMPLES)} <= set(links)
    assert all(run.run_id in page.text for run in RUNS)


def test_hostile_samples_show_as_text(page):
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed")]
    assert "fake" not in page.ids()
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
    for text in HOSTILE[:4]:
        assert text in page.text
    assert r"right to left \u202e txt.exe \u0000 nul" in page.text
    assert "</pre><script>1</script>" in page.text


def test_nothing_is_loaded_from_elsewhere(sources):
    html = render_page(gather(sources))
    tags = Page(html).tags
    loaded = [attrs[name] for tag, attrs in tags for name in ("src", "srcset", "data") if name in attrs]
    loaded += [attrs["href"] for tag, attrs in tags if tag == "link"]
    assert len(loaded) >= 7
    assert all(address.startswith("data:") for address in loaded)
    assert "url(" not in html
    assert "@import" not in html
    first = next(address for address in loaded if "image/png" in address)
    assert base64.b64decode(first.partition(",")[2]).startswith(b"\x89PNG")


def test_the_numbers_are_those_of_the_artifacts(sources, page):
    rows = json.loads((sources.novel["social"].folder / "novel_metrics.json").read_text())
    row = next(r for r in rows if r["arm"] == "polychromic" and r["metric"] == "usq_reward_at_10")
    assert f"{row['value']:.3f}{row['low']:.3f} to {row['high']:.3f}" in re.sub(r"\s*\n\s*", "", page.text)
    findings = json.loads((sources.novel["social"].folder / "novel_findings.json").read_text())["social"]
    assert findings["advice"]["baseline"] in page.text


def test_a_number_of_an_unknown_run_is_refused(sources):
    with pytest.raises(InputError, match="lacks: add them"):
        gather(replace(sources, runs=RUNS[:1]))


def test_an_empty_section_is_refused():
    with pytest.raises(InputError, match="say in `missing` why"):
        Section()
    assert Section(tables=(Table("t", ("a",), ((Cell("1"),),)),)).missing == ()


def test_a_page_of_nothing_gives_every_reason():
    found = Page(render_page(gather(PageSources(title="nothing", core=None))))
    reasons = [attrs for tag, attrs in found.tags if attrs.get("class") == "missing"]
    assert len(reasons) == 14
    assert "no verdict" in found.text
    assert "samples: no sample set was given" in found.text
    assert "costs: no run's time is known" in found.text


def test_without_phase_4_the_verdict_is_that_of_phase_1(sources):
    found = Page(render_page(gather(replace(sources, novel={}, absent={"novel": "phase 4 failed"}))))
    assert "no verdict on what users pick: phase 4 failed" in found.text
    assert "differences are not distinguishable from 0" in found.text
    assert "baseline minus few_shot on quality" in found.text


def test_fewer_candidates_than_are_shown_is_marked(tmp_path):
    from novel_inputs import write_arms
    from page_inputs import job_in

    from polymlops.config.novel import NovelSpec
    from polymlops.report.novel import write_novel_metrics

    scores, samples = write_arms(tmp_path, {"baseline/1": 0.5, "polychromic/1": 0.5}, n=6, prompts=8)
    job = job_in(tmp_path / "novel")
    write_novel_metrics(NovelSpec(arms=("baseline", "polychromic"), resamples=200), scores, samples, job)
    sources = PageSources(title="short", core=None, novel={"social": Source(job.output, NOVEL)}, runs=RUNS)
    text = Page(render_page(gather(sources))).text
    assert "@10 is undefined: social has 6 candidates a prompt at most" in text
    assert "8 of 8 prompts not counted: it needs 10 candidates" in text


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "pareto_frontier.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(ArtifactError, match=f"pareto_frontier.png of run {CORE} is no PNG"):
        gather(PageSources(title="x", core=Source(tmp_path, CORE), runs=RUNS))
    (tmp_path / "pareto_frontier.png").unlink()
    (tmp_path / "table.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"table\.json of run"):
        gather(PageSources(title="x", core=Source(tmp_path, CORE), runs=RUNS))


def test_a_folder_of_figures_and_tables_is_shown_whole(tmp_path, sources):
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "heat_map.png").write_bytes((sources.core.folder / "pass_at_k.png").read_bytes())
    (folder / "modules.csv").write_text("module,norm\nlayers.0.q_proj,0.12345\nlayers.1.q_proj,nan\n")
    content = gather(replace(sources, domains={"cross_domain": Source(folder, CORE)}))
    assert [item.title for item in content.domains.pictures] == ["heat map"]
    assert [cell.text for cell in content.domains.tables[0].rows[0]] == ["layers.0.q_proj", "0.123"]
    assert content.domains.tables[0].rows[1][1].text == "–"


def test_another_domain_has_its_table_and_figures(sources):
    content = gather(replace(sources, domains={"code": sources.core}))
    rows = json.loads((sources.core.folder / "table.json").read_text())
    (table,) = content.domains.tables
    assert table.head == ("metric", *dict.fromkeys(row["arm"] for row in rows))
    assert "code: pass @k" in [item.title for item in content.domains.pictures]


def test_several_domains_are_on_one_page(sources):
    twice = {"social": sources.novel["social"], "code": sources.novel["social"]}
    one, two = gather(sources), gather(replace(sources, novel=twice))
    assert len(two.verdict.sentences) == 2 * len(one.verdict.sentences)
    assert len(two.curves.pictures) == 2 * len(one.curves.pictures)


def test_the_page_is_written_whole(tmp_path, sources):
    path = write_page(gather(sources), tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_characters_that_hide_are_written_out():
    assert visible("a\u200bb\ud800") == r"a\u200bb\ud800"
    assert visible("two\nlines\tand é 你好 🙂") == "two\nlines\tand é 你好 🙂"


def test_numbers_are_short():
    assert [shown(x) for x in (0.12345, 12.0, 3, 0.0, 1e-5, 1.0, None, "x")] == [
        *("0.123", "12", "3", "0.000", "1.0e-05", "1.000", "", "x")
    ]
