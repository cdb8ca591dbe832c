import polars as pl
import pytest

from polymlops.data.prompts import chat, few_shot_examples, load_split, prompts_of
from polymlops.errors import ArtifactError, DataQualityError, InputError

SCHEMA = dict.fromkeys(["post_id", "post", "reply_id", "reply", "author"], pl.String) | {"likes": pl.Int64}


def rows_of(posts: int, replies: int = 3) -> pl.DataFrame:
    rows = [
        (f"p{p:02d}", f"post {p}", f"p{p:02d}-r{r}", f"reply {r} to {p}", f"a{p}", 10 * p + r)
        for p in range(posts)
        for r in range(replies)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.fixture
def dataset(tmp_path):
    rows_of(20).write_parquet(tmp_path / "train_sft.parquet")
    rows_of(8).write_parquet(tmp_path / "test.parquet")
    return tmp_path


def test_one_prompt_a_post(dataset):
    prompts = prompts_of(dataset, "test", 100, 0)
    assert sorted(prompt.prompt_id for prompt in prompts) == [f"p{p:02d}" for p in range(8)]
    assert all(prompt.text == f"post {int(prompt.prompt_id[1:])}" for prompt in prompts)


def test_choices_are_nested_and_seeded(dataset):
    assert prompts_of(dataset, "test", 3, 1) == prompts_of(dataset, "test", 6, 1)[:3]
    assert prompts_of(dataset, "test", 8, 1) != prompts_of(dataset, "test", 8, 2)


def test_neither_prompts_nor_examples_depend_on_the_order_in_the_file(dataset):
    before = prompts_of(dataset, "train_sft", 5, 1), few_shot_examples(dataset, 3, 1)
    path = dataset / "train_sft.parquet"
    pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=5).write_parquet(path)
    assert (prompts_of(dataset, "train_sft", 5, 1), few_shot_examples(dataset, 3, 1)) == before


def test_posts_with_one_text_and_one_post_with_two_texts_are_one_prompt(dataset):
    rows = [
        ("p1", "a post", "r1", "x", "a", 1),
        ("p2", "A  post", "r2", "y", "b", 1),
        ("p1", "edited", "r3", "z", "a", 1),
    ]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(dataset / "test.parquet")
    prompts = prompts_of(dataset, "test", 10, 0)
    assert [(prompt.prompt_id, prompt.text) for prompt in prompts] == [("p1", "a post")]


def test_examples_are_the_best_replies_of_well_liked_posts(dataset):
    examples = few_shot_examples(dataset, 3, 0)
    assert len({post for post, _ in examples}) == 3
    for post, reply in examples:
        number = int(post.split()[1])
        assert number >= 15  # the best-liked quarter of 20
        assert reply == f"reply 2 to {number}"


def test_more_examples_than_posts_is_refused(dataset):
    with pytest.raises(DataQualityError, match="21"):
        few_shot_examples(dataset, 21, 0)


def test_a_chat_ends_with_the_post():
    assert chat("now", [("before", "answer")]) == [
        {"role": "user", "content": "before"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "now"},
    ]


def test_an_unknown_split_and_a_missing_file_are_told_apart(dataset):
    with pytest.raises(InputError, match="train_sft"):
        load_split(dataset, "train")
    with pytest.raises(ArtifactError, match=r"reward\.parquet"):
        load_split(dataset, "reward")
