"""Artifact folders: published with a manifest, checked where they lie, brought into a local cache once."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from polymlops.errors import ArtifactError, TrackingError
from polymlops.refs import Reference
from polymlops.tracking.addresses import local_folder
from polymlops.tracking.manifest import MANIFEST, Manifest, find_fault, parse_manifest, read_folder
from polymlops.tracking.store import tracked_errors

OUTPUT = "output"
DIGEST = re.compile(r"[0-9a-f]{64}")
SHOWN = 80  # characters of a wrong digest in a message


def publish(client: MlflowClient, run_id: str, folder: Path) -> tuple[str, Manifest]:
    """Upload a folder as the run's output, its manifest last. Returns the artifact URI and the manifest.

    Raises:
        ArtifactError: the folder is empty.
        TrackingError: the store did not take it.
    """
    manifest = read_folder(folder)
    if not manifest.files:
        raise ArtifactError(f"the stage left no file in {folder}")
    with tracked_errors(f"upload {len(manifest.files)} files to run {run_id}"):
        client.log_artifacts(run_id, str(folder), OUTPUT)
        client.log_text(run_id, manifest.model_dump_json(indent=1), MANIFEST)
        return f"{client.get_run(run_id).info.artifact_uri}/{OUTPUT}", manifest


def check_stored(client: MlflowClient, ref: Reference) -> Manifest:
    """Check an artifact in its store: contents where the store is a folder here, else presence and sizes.

    Raises:
        ArtifactError: names the artifact and what is wrong with it.
        TrackingError: the store cannot be reached.
    """
    folder = local_folder(ref.uri)
    manifest = _stored_manifest(client, ref) if folder is None else _manifest_beside(folder, ref)
    fault = _listing_fault(client, ref, manifest) if folder is None else find_fault(folder, manifest)
    if fault:
        raise ArtifactError(f"artifact {ref.uri}: {fault}")
    return manifest


def materialise(client: MlflowClient, ref: Reference, cache: Path) -> Path:
    """Folder with the artifact's files, verified by content; downloaded only where the cache does not hold it.

    Raises:
        ArtifactError: the artifact is missing or damaged; the message names the file and both digests.
        TrackingError: the store cannot be reached.
    """
    entry = _entry(cache, ref.digest)
    if _holds(entry, ref.digest):
        return entry / OUTPUT
    cache.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(cache) as temporary:
        manifest = _stored_manifest(client, ref)
        _download(client, ref, manifest, temporary)
        fault = find_fault(temporary / OUTPUT, manifest)
        if fault:
            raise ArtifactError(f"artifact {ref.uri}: {fault}")
        (temporary / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
        _move_in(temporary, entry)
    return entry / OUTPUT


def adopt(folder: Path, manifest: Manifest, cache: Path) -> None:
    """Move a folder that was just published into the cache, so that the next stage need not download it."""
    entry = _entry(cache, manifest.digest)
    if _holds(entry, manifest.digest):
        return
    cache.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(cache) as temporary:
        folder.rename(temporary / OUTPUT)
        (temporary / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
        _move_in(temporary, entry)


def _entry(cache: Path, digest: str) -> Path:
    """The cache's folder for a digest, which comes from the tracking store: what is none may name no folder here."""
    if not DIGEST.fullmatch(digest):
        raise ArtifactError(f"{digest[:SHOWN]!r} is no digest: 64 hexadecimal digits are; run the stage again")
    return cache / digest


def _holds(entry: Path, digest: str) -> bool:
    """True where the cache has the artifact whole; what is damaged there is removed."""
    if not entry.is_dir():
        return False
    try:
        manifest = parse_manifest((entry / MANIFEST).read_text(encoding="utf-8"))
        if manifest.digest == digest and find_fault(entry / OUTPUT, manifest) is None:
            return True
    except (ArtifactError, OSError):
        pass  # a cache entry is never worth an error: the artifact store has the original
    shutil.rmtree(entry, ignore_errors=True)
    return False


def _stored_manifest(client: MlflowClient, ref: Reference) -> Manifest:
    if MANIFEST not in _listed(client, ref):
        raise ArtifactError(f"artifact {ref.uri}: {MANIFEST} is missing")
    with tempfile.TemporaryDirectory() as temporary:
        with tracked_errors(f"download {MANIFEST} of run {ref.run_id}"):
            path = Path(client.download_artifacts(ref.run_id, MANIFEST, temporary))
        return _read_manifest(path, ref)


def _manifest_beside(folder: Path, ref: Reference) -> Manifest:
    """The manifest, past MLflow, which asks its database three times for it."""
    try:
        return _read_manifest(folder.parent / MANIFEST, ref)
    except FileNotFoundError as error:
        raise ArtifactError(f"artifact {ref.uri}: {MANIFEST} is missing") from error


def _read_manifest(path: Path, ref: Reference) -> Manifest:
    try:
        manifest = parse_manifest(path.read_text(encoding="utf-8"))
    except ArtifactError as error:
        raise ArtifactError(f"artifact {ref.uri}: {error}") from error
    if manifest.digest != ref.digest:
        raise ArtifactError(f"artifact {ref.uri}: {MANIFEST} has digest {manifest.digest}, expected {ref.digest}")
    return manifest


def _listed(client: MlflowClient, ref: Reference) -> set[str]:
    try:
        with tracked_errors(f"list the artifacts of run {ref.run_id}"):
            return {item.path for item in client.list_artifacts(ref.run_id)}
    except TrackingError as error:
        if isinstance(error.__cause__, MlflowException) and error.__cause__.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise ArtifactError(f"artifact {ref.uri}: the tracking store knows no run {ref.run_id}") from error
        raise


def _download(client: MlflowClient, ref: Reference, manifest: Manifest, target: Path) -> None:
    """Fetch exactly the files that the manifest names, so that nothing else in the store can come along."""
    fault = _listing_fault(client, ref, manifest)
    if fault:
        raise ArtifactError(f"artifact {ref.uri}: {fault}")
    for entry in manifest.files:
        with tracked_errors(f"download {entry.path} of run {ref.run_id}"):
            got = client.download_artifacts(ref.run_id, f"{OUTPUT}/{entry.path}", str(_made(target / "raw")))
        place = target / OUTPUT / entry.path
        _made(place.parent)
        Path(got).rename(place)  # MLflow's stores disagree on whether a single file keeps its folders
    shutil.rmtree(target / "raw")


def _listing_fault(client: MlflowClient, ref: Reference, manifest: Manifest) -> str | None:
    with tracked_errors(f"list the artifacts of run {ref.run_id}"):
        sizes = dict(_walk(client, ref.run_id, OUTPUT))
    for entry in manifest.files:
        found = sizes.get(f"{OUTPUT}/{entry.path}")
        if found is None:
            return f"{entry.path} is missing"
        if found != entry.size:
            return f"{entry.path} has {found} bytes, expected {entry.size}"
    return None


def _walk(client: MlflowClient, run_id: str, path: str) -> Iterator[tuple[str, int]]:
    for item in client.list_artifacts(run_id, path):
        if item.is_dir:
            yield from _walk(client, run_id, item.path)
        else:
            yield item.path, item.file_size or 0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _temporary_folder(cache: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".incoming-", dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_in(temporary: Path, entry: Path) -> None:
    try:
        temporary.rename(entry)
    except OSError:
        if not entry.is_dir():  # otherwise another process brought the same content first
            raise
