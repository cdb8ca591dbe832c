"""Materialising verifies by content, downloads once, and brings nothing that the manifest does not name."""

import shutil

import pytest

from polymlops.errors import ArtifactError
from polymlops.refs import ModelRef
from polymlops.tracking.artifacts import materialise
from polymlops.tracking.manifest import read_folder


@pytest.fixture
def ref(book):
    return book.context.run(book.stage()).ref


@pytest.fixture
def cold(tmp_path):
    return tmp_path / "cold-cache"


def test_folder_has_the_referenced_content(book, ref, cold):
    folder = materialise(book.client, ref, cold)
    assert read_folder(folder).digest == ref.digest
    assert folder.parent.parent == cold


def test_downloaded_once(book, ref, cold):
    folder = materialise(book.client, ref, cold)
    shutil.rmtree(book.stored(ref))
    assert materialise(book.client, ref, cold) == folder


def test_own_result_is_not_downloaded(book, ref):
    shutil.rmtree(book.stored(ref))
    assert read_folder(book.context.fetch(ref)).digest == ref.digest


def test_damaged_cache_is_fetched_again(book, ref, cold):
    (materialise(book.client, ref, cold) / "spec.json").write_text("tampered")
    assert read_folder(materialise(book.client, ref, cold)).digest == ref.digest


def test_stray_files_of_the_store_stay_there(book, ref, cold):
    (book.stored(ref) / "output" / "stray").write_text("x")
    assert not (materialise(book.client, ref, cold) / "stray").exists()


def test_corrupted_file_is_named_with_both_digests(book, ref, cold):
    good = next(entry for entry in read_folder(book.stored(ref) / "output").files if entry.path == "weights/a.bin")
    (book.stored(ref) / "output" / good.path).write_bytes(b"b" * 1000)
    with pytest.raises(ArtifactError, match=rf"{ref.uri}: weights/a.bin has sha256 [0-9a-f]{{64}}, .*{good.sha256}"):
        materialise(book.client, ref, cold)
    assert [path for path in cold.iterdir() if path.name != ref.digest] == []


def test_other_digest_is_an_error(book, ref, cold):
    wrong = ref.model_copy(update={"digest": "0" * 64})
    with pytest.raises(ArtifactError, match=f"has digest {ref.digest}, expected {'0' * 64}"):
        materialise(book.client, wrong, cold)


def test_unknown_run_is_an_error(book, cold):
    with pytest.raises(ArtifactError, match="knows no run"):
        materialise(book.client, ModelRef(run_id="0" * 32, uri="somewhere", digest="0" * 64), cold)


def test_input_found_damaged_is_made_again_next_time(book):
    base = book.context.run(book.stage("base")).ref
    shutil.rmtree(book.context.cache)
    (book.stored(base) / "output" / "spec.json").write_text("tampered")
    with pytest.raises(ArtifactError, match=r"spec\.json has") as failure:
        book.context.run(book.stage(inputs={"base": base}))
    assert failure.value.__notes__ == ["stage train"]
    assert "spec.json" in book.run(base.run_id).data.tags["invalid"]
    again = book.context.run(book.stage("base"))
    assert not again.cached
    assert book.context.run(book.stage(inputs={"base": again.ref})).ref


@pytest.mark.parametrize(
    "digest", ["../beside", "/etc", "", ".", "file:///etc", "A" * 64, "0" * 64 + "\n", "x" * 10_000]
)
def test_what_is_no_digest_names_no_folder(book, ref, cold, digest):
    beside = cold.parent / "beside"
    beside.mkdir()
    (beside / "file").write_text("kept")
    with pytest.raises(ArtifactError, match="is no digest"):
        materialise(book.client, ref.model_copy(update={"digest": digest}), cold)
    assert (beside / "file").read_text() == "kept"
