"""A model's files from the Hub at a commit: out of the local cache where it has them, else downloaded."""

from __future__ import annotations

from pathlib import Path

from polymlops.errors import ArtifactError, InputError
from polymlops.models.weight_files import DESCRIBING, PICKLED, SAFE

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def snapshot(model: str, revision: str, pickled: bool = False) -> Path:
    """The folder of a model in the local cache, downloaded first where it is not there whole.

    Raises:
        InputError: no such model or commit, or one that the account may not read; the remedy is named.
        ArtifactError: the Hub cannot be reached, and the cache has no copy; trying again may help.
    """
    import httpx
    from huggingface_hub import errors, snapshot_download

    patterns = [*DESCRIBING, SAFE, *([PICKLED] if pickled else [])]
    label = f"{model}@{revision[:12]}"
    try:
        return cached_copy(model, revision) or Path(
            snapshot_download(model, revision=revision, allow_patterns=patterns, ignore_patterns=["onnx/*"])
        )
    except errors.GatedRepoError as error:
        raise InputError(f"{label}: gated: accept its licence on its page on the Hub, then {LOG_IN}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{label}: the model has no such commit: take one from its history on the Hub") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{label}: no such model, or a private one: check the id; if it is private, {LOG_IN}"
        ) from error
    except (errors.HfHubHTTPError, httpx.TransportError, OSError) as error:
        remedy = "try again, or fetch the model elsewhere and give its folder (kind: folder)"
        raise ArtifactError(f"{label}: the Hub cannot be reached and the cache has no copy: {remedy}") from error


def cached_copy(model: str, revision: str) -> Path | None:
    """The copy in the cache, where none of its files is missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None
    return folder if _is_whole(folder) else None


def _is_whole(folder: Path) -> bool:
    from polymlops.models.weight_files import weight_files

    try:
        return bool(weight_files(folder, allow_pickle=True))
    except InputError:
        return False


def cached_dataset(name: str, revision: str) -> bool:
    """Whether the cache has files of a dataset at a commit; `datasets` may still miss some of them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, revision=revision, repo_type="dataset", local_files_only=True)
    except (LocalEntryNotFoundError, OSError):
        return False
    return True
