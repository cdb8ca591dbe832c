"""May this account fetch a repository of the Hub? Asked with one small request, before gigabytes are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polymlops.errors import ArtifactError, InputError

TIMEOUT_S = 3.0
FIRST_REFUSAL, FIRST_SERVER_ERROR = 400, 500
# A file that such a repository has, and that is gated as all of it is.
FILES = {"model": "config.json", "dataset": ".gitattributes"}


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A model or a dataset at a commit."""

    kind: Literal["model", "dataset"]
    id: str
    revision: str

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.id}@{self.revision[:12]}"


def check_access(repository: HubRepository) -> None:
    """Return where the Hub would give the repository's files.

    Raises:
        InputError: it would not; the remedy is named.
        ArtifactError: it cannot be reached, or HF_HUB_OFFLINE says not to try.
    """
    import httpx
    from huggingface_hub import constants, get_token

    from polymlops.models.hub import LOG_IN

    if constants.HF_HUB_OFFLINE:
        raise ArtifactError(f"{repository.label}: HF_HUB_OFFLINE is set, and the cache has no copy")
    folder = "datasets/" if repository.kind == "dataset" else ""
    url = f"{constants.ENDPOINT}/{folder}{repository.id}/resolve/{repository.revision}/{FILES[repository.kind]}"
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.head(url, headers=headers, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise ArtifactError(f"{constants.ENDPOINT} cannot be reached ({type(error).__name__})") from error
    code = answer.headers.get("X-Error-Code", "")
    if code == "GatedRepo":
        raise InputError(f"{repository.label}: gated: accept its licence on its page on the Hub, then {LOG_IN}")
    if code == "RevisionNotFound":
        raise InputError(f"{repository.label}: no such commit: take one from its history on the Hub")
    if answer.status_code >= FIRST_SERVER_ERROR:
        raise ArtifactError(f"{constants.ENDPOINT} answers {answer.status_code}")
    if answer.status_code >= FIRST_REFUSAL and code != "EntryNotFound":
        raise InputError(f"{repository.label}: no such {repository.kind}, or a private one: check the id, or {LOG_IN}")
