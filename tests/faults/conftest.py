"""The short roadmap as arguments of the command line, and one undisturbed run of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from books import Book, local_book
from processes import Shell
from short import NAME, short_run


@pytest.fixture
def command(smoke) -> Callable[..., list[str]]:
    """`command(output_dir, *more)` gives such arguments."""
    return lambda output_dir, *more: short_run(smoke, output_dir, *more)


@pytest.fixture(scope="session")
def undisturbed(smoke, tmp_path_factory) -> Book:
    folder = tmp_path_factory.mktemp("undisturbed")
    with closing(Shell(folder / "shell")) as shell:
        code, done = shell.run(*short_run(smoke, folder / "out"))
    assert code == 0, done.err
    return local_book(folder / "out", NAME)
