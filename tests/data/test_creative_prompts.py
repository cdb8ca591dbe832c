"""Prompt sources: what is read, what is chosen, and what each bad file is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.config.creative import (
    CreativePromptsSpec,
    FilePromptsConfig,
    NoveltyBenchPromptsConfig,
    WorldPromptsConfig,
    WritingPromptsConfig,
)
from polymlops.data.creative_prompts import load_prompts, prepare_prompts, read_prompts
from polymlops.data.world_stories import parse_story_prompt
from polymlops.errors import ArtifactError, InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOVELTY = [
    {"id": "curated-0", "category": "Creativity", "prompt": "Tell a story.", "prompt_paraphrases": []},
    {"id": "curated-1", "category": "Naming", "prompt": "Name a cat.", "prompt_paraphrases": []},
]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(source, prompts=1000, seed=0):
    return read_prompts(CreativePromptsSpec(source=source, prompts=prompts, seed=seed))


def fault(source):
    with pytest.raises(InputError) as caught:
        read(source)
    return str(caught.value)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets


def test_the_world_has_sixty_four_different_story_prompts():
    found = read(WorldPromptsConfig())
    assert len(found.prompts) == len({parse_story_prompt(prompt.text) for prompt in found.prompts}) == 64
    assert None not in {parse_story_prompt(prompt.text) for prompt in found.prompts}
    assert found.repeated == 0


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 99))
def test_choices_are_nested(fewer, more, seed):
    small, large = read(WorldPromptsConfig(), fewer, seed).prompts, read(WorldPromptsConfig(), more, seed).prompts
    assert small[: len(large)] == large[: len(small)]


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_in_the_file_changes_no_choice(tmp_path_factory, order):
    rows = [{"prompt_id": f"p{i}", "prompt": f"text {i}"} for i in order]
    path = lines(tmp_path_factory.mktemp("prompts") / "a.jsonl", rows)
    chosen = read(FilePromptsConfig(path=path), 3, 5).prompts
    reference = lines(path.with_name("b.jsonl"), sorted(rows, key=lambda row: row["prompt_id"]))
    assert chosen == read(FilePromptsConfig(path=reference), 3, 5).prompts


def test_prompts_with_one_text_are_one_and_are_counted(tmp_path, make_job):
    rows = [
        {"prompt_id": "b", "prompt": "Once"},
        {"prompt_id": "a", "prompt": "ONCE "},
        {"prompt_id": "c", "prompt": "x"},
    ]
    spec = CreativePromptsSpec(source=FilePromptsConfig(path=lines(tmp_path / "a.jsonl", rows)))
    job = make_job()
    assert prepare_prompts(spec, job) == {"creative/prompts": 2.0, "creative/repeated_prompts": 1.0}
    loaded = load_prompts(job.output)
    assert {prompt.prompt_id: prompt.text for prompt in loaded} == {"b": "Once", "c": "x"}
    assert tuple(loaded) == read_prompts(spec).prompts


def test_noveltybench_can_be_cut_to_categories(tmp_path):
    path = lines(tmp_path / "curated.jsonl", NOVELTY)
    assert len(read(NoveltyBenchPromptsConfig(path=path)).prompts) == 2
    [naming] = read(NoveltyBenchPromptsConfig(path=path, categories=("Naming",))).prompts
    assert (naming.prompt_id, naming.text) == ("curated-1", "Name a cat.")
    said = fault(NoveltyBenchPromptsConfig(path=path, categories=("Poems",)))
    assert "no category 'Poems': it has Creativity, Naming" in said


def test_the_real_noveltybench_is_read():
    folder = os.environ.get("POLYMLOPS_DATA")
    if not folder:
        pytest.skip("POLYMLOPS_DATA names no folder with noveltybench_curated.jsonl")
    found = read(NoveltyBenchPromptsConfig(path=Path(folder) / "noveltybench_curated.jsonl"))
    assert (len(found.prompts), found.repeated) == (100, 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"prompt_id": "a", "prompt": "x"}\n{"prompt_id": "b"}\n', ":2: no 'prompt'"),
        (b'{"prompt": "x"}\n', ":1: no 'prompt_id'"),
        (
            b'{"prompt_id": "a", "prompt": "x"}\n\n{"prompt_id": "a", "prompt": "y"}\n',
            ":3: id 'a' comes twice, first at",
        ),
        (b'{"prompt_id": "a", "prompt": "  "}\n', ":1: 'prompt' is empty"),
        (b'{"prompt_id": "a", "prompt": 7}\n', ":1: 'prompt' is 7: write a string"),
        (b'{"prompt_id": "a", "prompt": "x"}\n{"prompt_id": "b", "prompt": "\xff"}\n', ":2: not UTF-8 (byte 0xff)"),
        (b'{"prompt_id": "a", "prompt": "\\ud800"}\n', "half a character"),
        (b"{nothing}\n", ":1: not JSON"),
        (b"", "empty"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_remedy(tmp_path, content, expected):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    said = fault(FilePromptsConfig(path=path))
    assert expected in said
    assert str(path) in said
    assert "no such file" in fault(FilePromptsConfig(path=tmp_path / "nowhere.jsonl"))


def test_writing_prompts_come_once_without_their_tag(tmp_path):
    rows = [{"prompt": "[ WP ] A door opens .", "story": str(i)} for i in range(3)] + [{"prompt": "[EU] Two moons ."}]
    found = read(WritingPromptsConfig(path=lines(tmp_path / "wp.jsonl", rows)))
    assert {prompt.text for prompt in found.prompts} == {"A door opens .", "Two moons ."}
    assert len({prompt.prompt_id for prompt in found.prompts}) == 2
    said = fault(WritingPromptsConfig(path=lines(tmp_path / "tag.jsonl", [{"prompt": "[ WP ] "}])))
    assert ":1: 'prompt' is nothing but a tag" in said


def test_a_folder_is_read_through_datasets(tmp_path, no_cache):
    folder = tmp_path / "wp"
    folder.mkdir()
    for split, text in (("train", "[ WP ] Old ."), ("test", "[ WP ] New .")):
        rows = [{"prompt": text, "story": "..."}]
        no_cache.Dataset.from_list(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    assert [prompt.text for prompt in read(WritingPromptsConfig(path=folder)).prompts] == ["New ."]
    assert [prompt.text for prompt in read(WritingPromptsConfig(path=folder, split="train")).prompts] == ["Old ."]
    assert "it has prompt, story; set field=" in fault(WritingPromptsConfig(path=folder, field="title"))
    assert "check the place, the split and the commit" in fault(WritingPromptsConfig(path=folder, split="dev"))


def test_a_folder_with_an_empty_prompt_or_broken_bytes_is_refused(tmp_path, no_cache):
    for name, content, expected in (
        ("empty", b'{"prompt": "a"}\n{"prompt": ""}\n', "test row 2: 'prompt' is empty"),
        ("broken", b'{"prompt": "\xff"}\n', "test row 1: not UTF-8"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.jsonl").write_bytes(content)
        assert expected in fault(WritingPromptsConfig(path=tmp_path / name))


def test_a_hub_that_cannot_be_reached_is_worth_another_try(no_cache):
    with pytest.raises(ArtifactError, match="try again, or give a local folder"):
        read(WritingPromptsConfig(hub="nobody/has-these-prompts", revision=COMMIT))


def test_a_folder_without_prompts_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="prepare the prompts again"):
        load_prompts(tmp_path)
