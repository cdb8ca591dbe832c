"""The cross-domain stage on files as the scoring stages write them."""

from __future__ import annotations

import csv
import json

import polars as pl
import pytest

from polymlops.config.cross_domain import CrossDomainSpec, DomainView
from polymlops.config.sampling import SamplingConfig
from polymlops.errors import MetricError
from polymlops.report.cross_domain import write_cross_domain

DOMAINS = ("social", "creative")
ARMS = ("zero_shot/0", "baseline/42", "polychromic/42")
VIEW = DomainView(sampling=SamplingConfig(n=2))
SPEC = CrossDomainSpec(
    domains=dict.fromkeys(DOMAINS, VIEW), trained=("baseline", "polychromic"), ks=(1, 2), resamples=200
)


@pytest.fixture
def scores(tmp_path):
    folders = {}
    for number, arm_seed in enumerate(ARMS):
        arm, seed = arm_seed.split("/")
        for domain in DOMAINS:
            folder = tmp_path / domain / arm
            folder.mkdir(parents=True)
            rows = [
                (arm, int(seed), domain, f"p{p:02d}", k, (p + k) % 3 < number + 1, p / 20, True)
                for p in range(20)
                for k in range(2)
            ]
            names = ["arm", "seed", "domain", "prompt_id", "sample_id", "passed", "quality", "well_formed"]
            pl.DataFrame(rows, names, orient="row").write_parquet(folder / "scores.parquet")
            diversity = [(f"p{p:02d}", 0.3 + p / 100 + number / 10) for p in range(20)]
            names = ["prompt_id", "semantic_diversity"]
            pl.DataFrame(diversity, names, orient="row").write_parquet(folder / "diversity.parquet")
            folders[f"{domain}/{arm_seed}"] = folder
    return folders


def test_tables_and_figure_are_written_and_the_leading_numbers_returned(scores, make_job):
    job = make_job()
    metrics = write_cross_domain(SPEC, scores, job)
    assert metrics["cross_domain/creative/polychromic_minus_zero_shot/semantic_diversity"] == pytest.approx(0.2)
    assert metrics["cross_domain/rank_correlation/diversity/social_creative"] == 1.0
    assert metrics["cross_domain/diversity_kept/polychromic/creative"] == pytest.approx(1.0)
    assert metrics["cross_domain/diversity_kept/polychromic/creative_low"] <= 1.0
    tables = {"table", "gains", "correlations", "retentions"}
    written = {path.name for path in job.output.iterdir()}
    figures = {"cross_domain.pdf", "cross_domain.png"}
    assert written == {f"{name}.{end}" for name in tables for end in ("json", "csv")} | figures | {"notes.json"}
    for name in tables:
        rows = json.loads((job.output / f"{name}.json").read_text())
        with (job.output / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == len(rows) > 0
    table = json.loads((job.output / "table.json").read_text())
    # pass@1, pass@2, quality, well_formed and semantic diversity of three arms in two domains
    assert len(table) == 5 * 3 * 2
    assert json.loads((job.output / "notes.json").read_text()) == []


def test_scores_under_a_wrong_name_are_refused(scores, make_job):
    renamed = {name.replace("baseline/42", "baseline/43"): folder for name, folder in scores.items()}
    with pytest.raises(MetricError, match="are of baseline/42: name them so"):
        write_cross_domain(SPEC, renamed, make_job())
    with pytest.raises(MetricError, match="no domain 'poems'"):
        write_cross_domain(SPEC, {"poems/baseline/42": scores["social/baseline/42"]}, make_job())
