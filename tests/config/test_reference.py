"""docs/configuration.md is what the schema says, key by key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from polymlops.config.profiles import profile_names
from polymlops.config.reference import reference_page
from polymlops.config.schema import ExperimentConfig
from polymlops.config.section import Section

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture(scope="module")
def page():
    return reference_page()


def sections():
    """Every section class that a config can hold."""
    known = set(ExperimentConfig.model_json_schema()["$defs"]) | {"ExperimentConfig"}
    found, todo = [], [Section]
    while todo:
        part = todo.pop()
        todo += part.__subclasses__()
        found += [part] if part.__name__ in known else []
    return found


def test_the_page_is_fresh(page):
    remedy = "run: python -m polymlops.config.reference > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == page, remedy


def test_the_command_prints_it(page):
    done = subprocess.run(
        [sys.executable, "-m", "polymlops.config.reference"], capture_output=True, text=True, check=True
    )
    assert done.stdout == page


def test_every_key_is_there_and_says_what_it_is(page):
    rows = {(row[0], row[3]) for row in re.findall(r"^\| (.+?) \| (.*) \| (.*) \| (.+) \|$", page, re.MULTILINE)}
    named = {key.split("`")[1] for key, meaning in rows if "`" in key and meaning.strip()}
    assert len(sections()) > 50
    for section in sections():
        for name, field in section.model_fields.items():
            if name != "kind":
                assert (field.alias or name) in named, f"{section.__name__}.{name} has no row"
                held = "$ref" in (schema := section.model_json_schema()["properties"][field.alias or name])
                assert held or schema.get("description"), f"{section.__name__}.{name} needs a description"


@pytest.mark.parametrize(
    "row",
    [
        "| `lambda` (in Python `lambda_`) | number ≥ 0 | `0.3` | weight of the diversity term; 0 is the baseline |",
        "| `top_p` | number > 0, ≤ 1 | `0.9` | least mass of the likeliest tokens that are drawn from; 1 is off |",
        "| `quantization` | `none`, `nf4` | `none` | `nf4`: 4 bits a weight by bitsandbytes, on CUDA only |",
        "| `author_cap` | integer ≥ 1 or `null` | `200` | replies kept of one author, by reply id; none: all |",
        "| `model` | text | required | the model's name at the endpoint |",
        "### `base_model`, kind `hub`",
        "As [`sampling`](#sampling), but for the defaults of `max_new_tokens` `128`.",
        "As [`grpo`](#grpo), but for the defaults of `distance` `lexical`, `alarms.gold_patience` `0`.",
    ],
)
def test_a_row_says_range_default_and_kind(page, row):
    assert row in page.splitlines()


def test_links_lead_to_headings(page):
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\(#([^)]+)\)", page)) <= set(anchors)


def test_profiles_stand_beside_each_other(page):
    (header,) = (line for line in page.splitlines() if line.startswith("| key | default | `"))
    assert re.findall("`([^`]+)`", header) == profile_names()
    (row,) = (line for line in page.splitlines() if line.startswith("| `sampling.n` |"))
    cells = dict(zip(profile_names(), row.split(" | ")[2:], strict=True))
    assert (cells["demo"], cells["smoke"], cells["qwen3-8b"].strip(" |")) == ("`20`", "`6`", "")
