import pytest

from polymlops.errors import ArtifactError
from polymlops.tracking.manifest import find_fault, parse_manifest, read_folder


def _fill(folder, order):
    for name in order:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    return folder


def test_equal_folders_have_equal_digests(tmp_path):
    one = read_folder(_fill(tmp_path / "one", ["a", "b/c", "z"]))
    two = read_folder(_fill(tmp_path / "two", ["z", "b/c", "a"]))
    assert one == two
    assert one.digest == two.digest


@pytest.mark.parametrize(("name", "content"), [("a", "x"), ("new", "x")])
def test_any_change_changes_the_digest(tmp_path, name, content):
    before = read_folder(_fill(tmp_path, ["a", "b"]))
    (tmp_path / name).write_text(content)
    assert read_folder(tmp_path).digest != before.digest


def test_rename_changes_the_digest(tmp_path):
    before = read_folder(_fill(tmp_path, ["a", "b"]))
    (tmp_path / "a").rename(tmp_path / "c")
    assert read_folder(tmp_path).digest != before.digest


def test_survives_json(tmp_path):
    manifest = read_folder(_fill(tmp_path, ["a", "b/c"]))
    assert parse_manifest(manifest.model_dump_json()).digest == manifest.digest


def test_fault_names_the_file_and_both_digests(tmp_path):
    manifest = read_folder(_fill(tmp_path, ["a", "b"]))
    assert find_fault(tmp_path, manifest) is None
    (tmp_path / "b").write_text("else")
    fault = find_fault(tmp_path, manifest)
    assert fault.startswith("b has sha256 ")
    assert manifest.files[1].sha256 in fault
    (tmp_path / "a").unlink()
    assert find_fault(tmp_path, manifest) == "a is missing"


@pytest.mark.parametrize(
    "path", ["../a", "/etc/passwd", "a/../../b", "..\\\\a", "", "file:///a", "s3://a/b", "a\\u0000"]
)
def test_path_that_leaves_the_folder_is_refused(path):
    text = f'{{"files": [{{"path": "{path}", "size": 1, "sha256": "{"0" * 64}"}}]}}'
    with pytest.raises(ArtifactError, match=r"leaves the artifact folder"):
        parse_manifest(text)


@pytest.mark.parametrize("text", ["", "{", '{"files": 3}', "null"])
def test_damaged_manifest_is_an_error(text):
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged"):
        parse_manifest(text)
