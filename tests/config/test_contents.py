"""Files by their content."""

import pytest

from polymlops.config.contents import file_digest, model_digest
from polymlops.errors import InputError


def test_a_file_is_its_content(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "elsewhere.csv"
    first.write_text("prompt_id,sample_id\n")
    second.write_text("prompt_id,sample_id\n")
    assert file_digest(first) == file_digest(second)
    second.write_text("prompt_id,sample_id\n1,2\n")
    assert file_digest(first) != file_digest(second)
    with pytest.raises(InputError, match="cannot be read"):
        file_digest(tmp_path / "missing.csv")


def test_a_model_is_its_weights_and_settings(tmp_path):
    with pytest.raises(InputError, match="no model here"):
        model_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    before = model_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("of no account")
    assert model_digest(tmp_path) == before
    (tmp_path / "config.json").write_text('{"layers": 2}')
    assert model_digest(tmp_path) != before
