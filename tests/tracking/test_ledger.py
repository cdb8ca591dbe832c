"""The ledger finds what is done and whole, and nothing else."""

import json
import logging
import multiprocessing
import shutil
import time

import pytest

from polymlops.config.schema import LoraConfig
from polymlops.errors import ArtifactError, StageError, TrainingError
from polymlops.refs import ModelRef
from polymlops.tracking import ledger
from polymlops.tracking.stage import Stage
from polymlops.tracking.stages import RunContext


def _elsewhere(book) -> RunContext:
    """The context as another process gets it."""
    return RunContext.model_validate(book.context.model_dump())


def test_second_run_is_found(book):
    first = book.context.run(book.stage())
    again = book.context.run(book.stage())
    assert not first.cached
    assert again.cached
    assert again.ref == first.ref
    assert book.calls == ["train"]


def test_another_process_finds_it(book):
    first = book.context.run(book.stage())
    assert _elsewhere(book).run(book.stage()).ref == first.ref
    assert book.calls == ["train"]


def test_what_a_process_has_seen_is_not_searched_for_again(book):
    first = book.context.run(book.stage())
    book.client.delete_run(first.ref.run_id)
    assert book.context.run(book.stage()).ref == first.ref
    assert not _elsewhere(book).run(book.stage()).cached


def test_what_has_proved_damaged_is_searched_for_again(book):
    ref, other = book.context.run(book.stage()).ref, book.context.run(book.stage("base")).ref
    (book.stored(ref) / "output" / "weights" / "a.bin").write_bytes(b"b" * 1000)
    shutil.rmtree(book.context.cache)
    with pytest.raises(ArtifactError, match=r"a\.bin"):
        book.context.fetch(ref)
    assert [seen for seen, _ in book.context.seen.values()] == [other]
    again = book.context.run(book.stage())
    assert not again.cached
    assert again.ref.run_id != ref.run_id


def test_what_a_plan_has_found_is_not_searched_for_again(book):
    first = book.context.run(book.stage())
    book.client.delete_run(first.ref.run_id)
    context, key = _elsewhere(book), book.stage().key()
    context.remember({key: (first.ref, 1.5), "another": None})
    again = context.run(book.stage())
    assert (again.ref, again.seconds, again.cached) == (first.ref, 1.5, True)


def test_finished_run_tells_what_it_was(book):
    base = book.context.run(book.stage("base")).ref
    ref = book.context.run(book.stage(inputs={"base": base})).ref
    run = book.run(ref.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == book.context.parent_run_id
    assert run.data.tags["stage"] == "train"
    assert run.data.tags["input.base"] == f"{base.run_id} {base.digest}"
    assert run.data.params["r"] == "16"
    assert run.data.metrics == {"train/loss": 0.5, "final/loss": 0.25}
    assert not (book.context.output_dir / "work" / run.data.tags["stage_key"]).exists()


@pytest.mark.parametrize("change", ["config", "input", "name"])
def test_any_change_is_a_miss(book, change):
    base, other = (book.context.run(book.stage("base", LoraConfig(r=r))).ref for r in (1, 2))
    book.context.run(book.stage(inputs={"base": base}))
    changed = {
        "config": book.stage(spec=LoraConfig(r=8), inputs={"base": base}),
        "input": book.stage(inputs={"base": other}),
        "name": book.stage("other", inputs={"base": base}),
    }[change]
    assert not book.context.run(changed).cached


def test_other_work_is_a_miss(book):
    def work(_folders, job):
        (job.output / "x").write_text("other")
        return {}

    assert not book.context.run(book.stage()).cached
    assert not book.context.run(Stage("train", LoraConfig(), ModelRef, work)).cached


def _corrupt(book, ref):
    (book.stored(ref) / "output" / "weights" / "a.bin").write_bytes(b"b" * 1000)


def _remove_file(book, ref):
    (book.stored(ref) / "output" / "spec.json").unlink()


def _truncate_manifest(book, ref):
    path = book.stored(ref) / "manifest.json"
    path.write_text(path.read_text()[:40])


def _remove_manifest(book, ref):
    (book.stored(ref) / "manifest.json").unlink()


def _replace_manifest(book, ref):
    (book.stored(ref) / "manifest.json").write_text(json.dumps({"files": []}))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_corrupt, "weights/a.bin has sha256"),
        (_remove_file, "spec.json is missing"),
        (_truncate_manifest, "manifest.json is damaged"),
        (_remove_manifest, "manifest.json is missing"),
        (_replace_manifest, "manifest.json has digest"),
    ],
)
def test_damaged_artifact_is_named_and_made_again(book, caplog, damage, named):
    first = book.context.run(book.stage())
    damage(book, first.ref)
    with caplog.at_level(logging.ERROR):
        again = book.context.run(book.stage())
    assert not again.cached
    assert again.ref.run_id != first.ref.run_id
    assert again.ref.digest == first.ref.digest
    assert first.ref.uri in caplog.text
    assert named in caplog.text
    assert named in book.run(first.ref.run_id).data.tags["invalid"]
    assert book.context.run(book.stage()).ref == again.ref


def test_failed_stage_is_named_and_not_found_later(book):
    attempts = []

    def work(_folders, job):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("no luck")
        (job.output / "x").write_text("luck")
        return {}

    stage = Stage("train", LoraConfig(), ModelRef, work)
    with pytest.raises(StageError, match="ValueError: no luck") as failure:
        book.context.run(stage)
    assert failure.value.__notes__ == ["stage train"]
    failed = ledger.search(book.client, "attributes.status = 'FAILED'")
    assert [run.data.tags["error"] for run in failed] == ["ValueError: no luck"]
    assert "no luck" in (book.stored(_ref(failed[0])) / "traceback.txt").read_text()
    assert not book.context.run(stage).cached
    assert len(attempts) == 2


def _ref(run):
    return ModelRef(run_id=run.info.run_id, uri="", digest="")


def test_library_errors_keep_their_kind(book):
    def work(_folders, _job):
        raise TrainingError("loss is NaN")

    with pytest.raises(TrainingError) as failure:
        book.context.run(Stage("train", LoraConfig(), ModelRef, work))
    assert failure.value.__notes__ == ["stage train"]


def test_stage_without_files_fails(book):
    with pytest.raises(ArtifactError, match="left no file"):
        book.context.run(Stage("train", LoraConfig(), ModelRef, lambda _folders, _job: {}))


def test_stop_ends_the_run_as_killed_and_keeps_scratch(book):
    def work(_folders, job):
        mark = job.scratch / "checkpoint"
        if not mark.exists():
            mark.write_text("half")
            (job.output / "rubbish").write_text("of the first attempt")
            raise KeyboardInterrupt
        (job.output / "x").write_text(mark.read_text())
        return {}

    stage = Stage("train", LoraConfig(), ModelRef, work)
    with pytest.raises(KeyboardInterrupt):
        book.context.run(stage)
    assert [run.data.tags["stage"] for run in ledger.search(book.client, "attributes.status = 'KILLED'")] == ["train"]
    folder = book.context.fetch(book.context.run(stage).ref)
    assert [path.name for path in folder.iterdir()] == ["x"]
    assert (folder / "x").read_text() == "half"


def test_run_left_open_by_a_kill_is_superseded(book):
    stage = book.stage()
    tags = {ledger.STAGE: "train", ledger.STAGE_KEY: stage.key()}
    abandoned = ledger.begin_run(book.client, book.context.experiment_id, tags, {})
    ref = book.context.run(stage).ref
    run = book.run(abandoned)
    assert run.info.status == "KILLED"
    assert run.data.tags["superseded_by"] == ref.run_id


def test_export_replaces_what_was_there(book):
    first, second = (book.context.run(book.stage(spec=LoraConfig(r=r))).ref for r in (1, 2))
    book.context.export(first, "a/b")
    folder = book.context.export(second, "a/b")
    assert folder == book.context.output_dir / "results" / "a" / "b"
    assert json.loads((folder / "spec.json").read_text())[0]["r"] == 2


def test_experiments_share_one_ledger(book):
    other = book.client.create_experiment("other", artifact_location=(book.context.output_dir / "o").as_uri())
    elsewhere = book.context.model_copy(update={"experiment_id": other})
    assert elsewhere.run(book.stage()).ref == book.context.run(book.stage()).ref
    assert book.calls == ["train"]


def _slow_work(_folders, job):
    time.sleep(1)
    (job.output / "x").write_text("x")
    return {}


def _run_slowly(context, results):
    results.put(context.run(Stage("slow", LoraConfig(), ModelRef, _slow_work)).cached)


def test_processes_that_need_the_same_stage_do_it_once(book):
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    processes = [spawn.Process(target=_run_slowly, args=(book.context, results)) for _ in range(2)]
    for process in processes:
        process.start()
    cached = sorted(results.get(timeout=300) for _ in processes)
    for process in processes:
        process.join(60)
    assert cached == [False, True]
    assert len(ledger.search(book.client, "tags.stage = 'slow'")) == 1
