import json
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polymlops.config.ingest import ColumnMap, FileSource, FilterConfig, HubSource, ToxicityConfig
from polymlops.config.schema import DataConfig
from polymlops.data.cleaning import clean_interactions
from polymlops.data.ingest import ingest, load_interactions
from polymlops.data.ingest_files import content_digest, pinned
from polymlops.data.ingest_filters import cap_authors, drop_toxic, is_spam
from polymlops.data.ingest_ids import SeenIds
from polymlops.data.ingest_schema import INTERACTION, check_contract
from polymlops.errors import DataQualityError, InputError

UNTIMED = settings(deadline=None)

ON_A_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def row(number, **changed):
    base = {
        "post_id": f"p{number // 2}",
        "post": f"what is the best thing about number {number // 2}?",
        "reply_id": f"r{number}",
        "reply": f"the best thing about it is surely that it is {number}",
        "author": f"ann{number}",
        "likes": number,
    }
    return base | changed


def write(path, rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return path


def config_of(path, **source):
    return DataConfig(source=FileSource(path=path, **source))


def taken(path, tmp_path, **source):
    found = ingest(config_of(path, **source), tmp_path / "out.parquet")
    rows = pl.read_parquet(tmp_path / "out.parquet")
    assert found.rows_in == found.rows_kept + found.drops.total
    assert found.rows_kept == len(rows)
    return found, rows.drop("post_key")


def test_every_bad_row_is_counted_under_its_reason_with_an_example(tmp_path):
    bad = [
        row(100, likes="1.2K"),
        row(101, likes=-1),
        row(102, likes=math.nan),
        row(103, likes="=A1*2"),
        row(104, reply="x" * 50_000_000),
        row(105, reply=row(105)["post"].upper()),
        row(0, reply="another text under an id that is taken already"),
        row(0, post_id="p77"),
        row(106, reply='=HYPERLINK("http://x.example","click")'),
        row(107, reply="more about this at https://example.com/page"),
        row(108, reply="you should buy now, while the stock lasts"),
        row(109, reply="our server has a user who may buy nowhere else"),
        row(110, reply=None),
        {"post": "no more columns"},
    ]
    path = write(tmp_path / "a.jsonl", [row(i) for i in range(20)] + bad)
    with path.open("ab") as file:
        file.write(b'{"post_id": "p1", "po')
    found, rows = taken(path, tmp_path)
    assert found.drops.counts == {
        "broken_json": 1,
        "duplicate_reply_id": 1,
        "echo_of_post": 1,
        "formula": 1,
        "huge_row": 1,
        "missing_field": 3,
        "negative_likes": 1,
        "not_a_count": 1,
        "reply_id_of_two_posts": 1,
        "spam": 1,
        "url": 1,
    }
    assert rows.filter(pl.col("reply_id") == "r100")["likes"].to_list() == [1200]
    assert len(rows) == 22
    assert found.drops.examples["broken_json"] == ('a.jsonl:35: {"post_id": "p1", "po',)
    assert all(0 < len(examples) <= 3 for examples in found.drops.examples.values())


def test_a_source_that_is_read_twice_gives_the_rows_of_one(tmp_path):
    once = write(tmp_path / "one" / "a.jsonl", [row(i) for i in range(30)])
    write(tmp_path / "two" / "a.jsonl", [row(i) for i in range(30)])
    write(tmp_path / "two" / "b.jsonl", [row(i, likes=9) for i in range(20, 40)])
    first, rows = taken(once, tmp_path)
    second, both = taken(tmp_path / "two", tmp_path)
    assert first.drops.total == 0
    assert second.drops.counts == {"duplicate_reply_id": 10}
    assert both.head(30).equals(rows)
    assert len(both) == 40


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_every_format_gives_the_same_rows(tmp_path, name):
    rows = pl.DataFrame([row(i, created="2024-05-01T10:00:00", views=100 + i) for i in range(12)])
    path = tmp_path / name
    writers = {
        "jsonl": rows.write_ndjson,
        "csv": rows.write_csv,
        "tsv": lambda target: rows.write_csv(target, separator="\t"),
        "parquet": rows.write_parquet,
    }
    writers[name.rpartition(".")[2]](path)
    found, read = taken(path, tmp_path)
    assert found.drops.total == 0
    assert read.to_dicts() == rows.to_dicts()


def test_two_sites_may_use_one_id(tmp_path):
    path = write(tmp_path / "a.jsonl", [row(i, site=site) for site in ("tea", "go") for i in range(4)])
    found, rows = taken(path, tmp_path)
    assert found.drops.total == 0
    assert rows["post_id"].unique().sort().to_list() == ["go/p0", "go/p1", "tea/p0", "tea/p1"]


def test_columns_are_found_by_name_by_map_and_inside_others(tmp_path):
    rows = [
        {"q": "what is this thing called?", "text": f"it is called number {i} here", "m": {"ups": i}} for i in range(3)
    ]
    path = write(tmp_path / "a.jsonl", rows)
    found, read = taken(path, tmp_path, columns=ColumnMap(post="q", likes="m.ups"))
    assert found.columns == {"a.jsonl": {"post": "q", "likes": "m.ups", "reply": "text"}}
    assert read["likes"].to_list() == [0, 1, 2]
    assert read["post_id"].n_unique() == 1
    assert read["reply_id"].n_unique() == read["author"].n_unique() == 3
    assert found.notes == {"anonymous": 3}
    with pytest.raises(
        InputError, match=r"no column for likes; name one with --map likes=COLUMN. There are q, text, m"
    ):
        taken(path, tmp_path, columns=ColumnMap(post="q"))
    with pytest.raises(InputError, match="no column 'nope' for post"):
        taken(path, tmp_path, columns=ColumnMap(post="nope"))


def test_titles_begin_posts_and_long_posts_are_cut_at_a_word(tmp_path):
    path = write(tmp_path / "a.jsonl", [row(0, title="A title", post="word " * 100)])
    found, rows = taken(path, tmp_path, post_characters=32)
    assert rows["post"].to_list() == ["A title word word word word word"]
    assert found.notes == {"post_cut": 1}


def test_nothing_usable_is_the_requests_fault(tmp_path):
    with pytest.raises(InputError, match=r"none of 2 rows is usable: 2 missing_field; e.g. a.jsonl:1: post_id='p0'"):
        load_interactions(config_of(write(tmp_path / "a.jsonl", [row(i, likes=None) for i in range(2)])), tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="none of 0 rows is usable"):
        load_interactions(config_of(tmp_path / "empty.csv"), tmp_path)
    for name, message in (("nowhere", "no such file"), ("a.txt", "not one of"), ("void", "no file in it")):
        (tmp_path / "a.txt").write_text("x")
        (tmp_path / "void").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            load_interactions(config_of(tmp_path / name), tmp_path)


def test_posts_are_drawn_by_their_id_whatever_their_order(tmp_path):
    rows = [row(i) for i in range(200)]
    forward = load_interactions(config_of(write(tmp_path / "a.jsonl", rows), posts=20), tmp_path)
    backward = load_interactions(config_of(write(tmp_path / "b.jsonl", rows[::-1]), posts=20), tmp_path)
    assert forward.rows["post_id"].n_unique() == 20
    assert set(forward.rows["reply_id"]) == set(backward.rows["reply_id"])
    assert forward.account.drops.counts == {"post_not_drawn": 160}


def test_votes_below_zero_are_kept_where_they_are_asked_for(tmp_path):
    path = write(tmp_path / "a.jsonl", [row(i, likes=i - 3) for i in range(6)])
    found, rows = taken(path, tmp_path, filters=FilterConfig(min_likes=-2, max_likes=1))
    assert rows["likes"].to_list() == [-2, -1, 0, 1]
    assert found.drops.counts == {"few_likes": 1, "many_likes": 1}


def test_an_author_over_the_cap_keeps_the_first_replies_by_id():
    rows = pl.DataFrame([row(i, author="ann" if i % 2 else "bob") for i in range(10)]).sample(
        fraction=1, shuffle=True, seed=0
    )
    capped = cap_authors(rows, 2)
    assert sorted(capped.rows["reply_id"]) == ["r0", "r1", "r2", "r3"]
    assert capped.drops.counts == {"author_over_cap": 6}
    assert cap_authors(rows, None).rows.equals(rows)


@pytest.mark.parametrize("text", ["the server", "a user", "useful", "buy nowhere", "unfollow me", "follow menu"])
def test_spam_is_whole_words_only(text):
    assert not is_spam(text, ("use", "serve", "buy now", "follow me"))


@pytest.mark.parametrize("text", ["Buy  NOW!", "so: buy\nnow", "follow me.", "(follow me)"])
def test_spam_is_found_in_any_case_and_spacing(text):
    assert is_spam(text, ("buy now", "follow me"))


def test_replies_in_other_languages_are_dropped(tmp_path):
    replies = {
        "r0": "this is surely the best thing that anyone has ever said about it",
        "r1": "das ist sicherlich das Beste, was man darüber jemals gesagt hat",
    }
    path = write(tmp_path / "a.jsonl", [row(i, reply=replies[f"r{i}"]) for i in range(2)])
    found, rows = taken(path, tmp_path, filters=FilterConfig(language="en"))
    assert rows["reply_id"].to_list() == ["r0"]
    assert found.drops.counts == {"other_language": 1}


def test_a_classifier_decides_what_is_toxic(tmp_path, small_base):
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

    tokenizer = AutoTokenizer.from_pretrained(small_base)
    set_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape)
    config.id2label = {0: "fine", 1: "toxic"}
    model = BertForSequenceClassification(config)
    model.classifier.weight.data *= 100
    model.save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    rows = pl.DataFrame([row(i) for i in range(12)])
    whole = drop_toxic(rows, ToxicityConfig(model=str(tmp_path / "judge"), threshold=1e-9))
    assert whole.drops.counts == {"toxic": 12}
    strict = drop_toxic(rows, ToxicityConfig(model=str(tmp_path / "judge"), threshold=0.5))
    assert len(strict.rows) + strict.drops.total == 12
    assert drop_toxic(rows, None).rows.equals(rows)
    with pytest.raises(InputError, match="labels are fine, toxic"):
        drop_toxic(rows, ToxicityConfig(model=str(tmp_path / "judge"), label="rude"))
    with pytest.raises(ValueError, match="needs the commit"):
        ToxicityConfig(model="someone/something")


def test_a_hub_dataset_is_read_from_a_folder_in_its_layout(tmp_path):
    folder = tmp_path / "hub"
    write(folder / "train.jsonl", [row(i) for i in range(8)])
    source = HubSource(name=str(folder), posts=None)
    found = load_interactions(DataConfig(source=source), tmp_path)
    assert found.rows.drop("created", "views").to_dicts() == [row(i) for i in range(8)]
    with pytest.raises(InputError, match="check the name, the subset, the split"):
        load_interactions(DataConfig(source=source.model_copy(update={"split": "nope"})), tmp_path)
    with pytest.raises(ValueError, match="needs its commit"):
        HubSource(name="someone/something")


def test_content_is_part_of_what_is_remembered(tmp_path):
    path = write(tmp_path / "in" / "a.jsonl", [row(i) for i in range(3)])
    first = pinned(config_of(path))
    assert first.source.sha256 == content_digest(path)
    assert pinned(first) == first
    assert pinned(DataConfig()) == DataConfig()
    whole = content_digest(path.parent)
    write(path, [row(i) for i in range(4)])
    assert content_digest(path.parent) != whole
    with pytest.raises(InputError, match="its sha256 is"):
        pinned(first)


@UNTIMED
@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=12))
def test_ids_are_new_once(blocks):
    seen, known = SeenIds(), set()
    for block in blocks:
        expected = [value not in known and value not in block[:place] for place, value in enumerate(block)]
        assert seen.add(np.array(block, dtype=np.uint64)).tolist() == expected
        known |= set(block)


CELL = st.one_of(
    st.none(), st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.lists(st.integers(), max_size=2)
)


@ON_A_FILE
@given(
    st.lists(
        st.fixed_dictionaries(
            {"reply": CELL, "likes": CELL},
            optional={"post": CELL, "author": CELL, "reply_id": CELL, "created": CELL, "views": CELL},
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_cells_are_kept_or_counted(tmp_path, cells):
    path = write(tmp_path / "a.jsonl", [row(0, post_id="p"), *cells])
    found, rows = taken(path, tmp_path, columns=ColumnMap(reply_id="reply_id", author="author"))
    assert found.rows_in == len(cells) + 1
    assert check_contract(rows).schema == INTERACTION
    assert max(Counter(rows["reply_id"].to_list()).values()) == 1
    # What comes out is clean: cleaning it again changes nothing.
    assert clean_interactions(rows, 10, 280).rows.equals(rows)


def test_the_contract_names_what_breaks_it():
    good = pl.DataFrame([row(0, created=None, views=None)], schema=INTERACTION)
    assert check_contract(good).equals(good)
    for column, value in (("likes", 10**16), ("reply", ""), ("author", None), ("views", -1), ("created", "yesterday")):
        with pytest.raises(DataQualityError, match=column):
            check_contract(good.with_columns(pl.lit(value, INTERACTION[column]).alias(column)))
