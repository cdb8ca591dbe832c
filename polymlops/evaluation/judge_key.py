"""The key of an endpoint: read from the environment, shown to nobody, taken out of whatever a server says."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from polymlops.errors import InputError

HIDDEN = "[key]"
CLIENT_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")


class Key:
    """A key that neither prints, nor formats, nor pickles. An empty one stands for none."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Key(***)"

    def __reduce__(self) -> tuple[type[Key], tuple[str]]:
        raise TypeError("a key is not pickled; read it from the environment where it is needed")

    @property
    def authorization(self) -> str | None:
        """The value of the Authorization header, or None without a key."""
        return f"Bearer {self._value}" if self._value else None

    def hidden_in(self, text: str) -> str:
        """The text without the key, should it hold it."""
        for form in {self._value, quote(self._value, safe="")} - {""}:
            text = text.replace(form, HIDDEN)
        return text


class HideKey(logging.Filter):
    """Takes a key out of the records of a logger; a server may say it back in a header, which debug logs print."""

    def __init__(self, key: Key) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without the key."""
        record.msg, record.args = self._key.hidden_in(record.getMessage()), ()
        return True


@contextmanager
def hidden_in_logs(key: Key) -> Iterator[None]:
    """Keep a key out of the logs of the HTTP client while it is in use."""
    hide = HideKey(key)
    loggers = [logging.getLogger(name) for name in CLIENT_LOGGERS]
    for logger in loggers:
        logger.addFilter(hide)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hide)


def read_key(variable: str | None) -> Key:
    """Read a key from an environment variable; None stands for an endpoint that asks for none.

    Raises:
        InputError: the variable is not set, or no header can carry what it holds.
    """
    if variable is None:
        return Key("")
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(
            f"the judge's key is missing: set the environment variable {variable}, or backend.key_env to null "
            "where the endpoint asks for no key"
        )
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise InputError(f"{variable} holds something that is no key: spaces, line breaks or letters beyond ASCII")
    return Key(value)
