import json

import polars as pl
import pytest

from polymlops.config.schema import DataConfig, SplitConfig, WorldSource
from polymlops.data.cleaning import Drops
from polymlops.data.preparation import check_splits, prepare_dataset
from polymlops.data.splits import SPLITS, Split
from polymlops.errors import DataQualityError
from polymlops.records import Job

CONFIG = DataConfig(source=WorldSource(posts=120, replies_per_post=5))


def job_in(folder):
    folder.mkdir(exist_ok=True)
    return Job(folder, folder, lambda metrics, step: None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    job = job_in(tmp_path_factory.mktemp("prepared"))
    return job.output, prepare_dataset(CONFIG, job)


def test_files_metrics_and_report_agree(prepared):
    folder, metrics = prepared
    report = json.loads((folder / "report.json").read_text())
    for name in SPLITS:
        rows = pl.read_parquet(folder / f"{name}.parquet")
        assert len(rows) == metrics[f"data/rows_{name}"] == report["splits"][name]["rows"] > 0
        assert rows["post_id"].n_unique() == metrics[f"data/posts_{name}"]
    assert report["rows_in"] == 600 == metrics["data/rows"] + metrics["data/dropped"]
    assert report["rows_in"] == report["rows_kept"] + sum(drop["count"] for drop in report["dropped"].values())
    assert all(check["passed"] for check in report["checks"])


def test_splits_show_nothing_of_the_truth(prepared):
    folder, _ = prepared
    truth = pl.read_parquet(folder / "truth.parquet")
    assert {"post_id", "topic", "item", "tone", "taste"} <= set(truth.columns)
    assert len(truth) == 120
    for name in SPLITS:
        columns = pl.read_parquet(folder / f"{name}.parquet").columns
        assert columns == ["post_id", "post", "reply_id", "reply", "author", "likes", "created"]


def test_equal_configs_give_equal_files(prepared, tmp_path):
    folder, metrics = prepared
    assert prepare_dataset(CONFIG, job_in(tmp_path)) == metrics
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_a_failed_check_raises_after_the_report_is_written(tmp_path):
    with pytest.raises(DataQualityError, match="no_split_is_empty"):
        prepare_dataset(CONFIG.model_copy(update={"min_characters": 200}), job_in(tmp_path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert "no_split_is_empty" in [check["name"] for check in report["checks"] if not check["passed"]]
    assert not (tmp_path / "test.parquet").exists()


def test_every_leak_is_found_by_its_own_check():
    columns = ("post_id", "post", "author", "likes", "split")
    rows = [
        ("p1", "x", "ann", 1, "test"),
        ("p1", "x", "bob", 1, "reward"),
        ("p2", "y", "ann", 1, "reward"),
        ("p3", "X", "cy", 1, "test"),
    ]
    split = Split(pl.DataFrame(rows, schema=list(columns), orient="row"), Drops(), {"test": 40, "reward": 20})
    failed = {check.name for check in check_splits(split, 5, Drops(), SplitConfig()) if not check.passed}
    crossing = {"no_post_crosses", "no_author_crosses", "no_post_text_crosses"}
    assert failed == crossing | {"rows_add_up", "no_split_is_empty", "shares_of_posts"}
