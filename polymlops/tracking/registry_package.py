"""The folder that becomes an MLflow model: code, adapter, base, reward model, signature, example, requirements."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polymlops.errors import InputError, PolymlopsError, TrackingError
from polymlops.refs import Reference
from polymlops.tracking.fingerprint import source_fingerprint
from polymlops.tracking.manifest import MANIFEST, read_folder
from polymlops.tracking.ranked_replies import HubBase, RankedReplies, ReplySettings

CODE = Path(__file__).with_name("ranked_replies_code.py")
PREDICTION = Path(__file__).with_name("ranked_replies.py")
EXAMPLE_POST = "what do you do on a rainy sunday?"
# What a prediction runs through; everything else is a dependency of one of these.
REQUIRED = (
    "polymlops",
    "mlflow",
    "numpy",
    "pandas",
    "peft",
    "polars",
    "pydantic",
    "safetensors",
    "scipy",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Package:
    """What goes into a model.

    `base` is at hand; it is copied unless `hub_base` says where a prediction finds it. `folders` and `sources` are, by
    role, the folders to copy and the artifacts that they are.
    """

    base: Path
    hub_base: HubBase | None
    folders: Mapping[str, Path]
    sources: Mapping[str, Reference]
    settings: ReplySettings

    def write(self, folder: Path) -> None:
        """Write the model with its manifest, last; what was in the folder is gone.

        Raises:
            InputError: the adapter is not one, was made for another base, or cannot answer.
            ArtifactError: the reward model is not one.
            TrackingError: MLflow refused it.
        """
        self._try_out()
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _mlflow_package():
            self._save(folder)
            self._name_sources(folder)
        (folder / MANIFEST).write_text(read_folder(folder).model_dump_json(indent=1), encoding="utf-8")

    def _try_out(self) -> None:
        """Answer the example, so that no model is registered that cannot."""
        adapter, reward = self.folders["adapter"], self.folders.get("reward")
        try:
            RankedReplies.load(self.base, adapter, reward, self.settings).rank([EXAMPLE_POST], {"k": 2})
        except PolymlopsError:
            raise
        except Exception as error:  # torch, safetensors and peft have no error in common
            fault = f"{type(error).__name__}: {error}"
            raise InputError(f"{adapter}: cannot answer {EXAMPLE_POST!r}, so it is not registered: {fault}") from error

    def _save(self, folder: Path) -> None:
        from mlflow.pyfunc import save_model

        hub = {} if self.hub_base is None else {"base": self.hub_base.model_dump()}
        save_model(
            folder,
            python_model=str(CODE),
            artifacts={role: str(path) for role, path in self.folders.items()},
            model_config={"settings": self.settings.model_dump()} | hub,
            signature=_signature(self.settings),
            input_example=([EXAMPLE_POST], {"k": self.settings.k}),
            pip_requirements=requirements(),
        )

    def _name_sources(self, folder: Path) -> None:
        """Put the artifacts' own addresses where MLflow noted folders of this machine."""
        from mlflow.models import Model

        model = Model.load(folder)
        flavor: dict[str, Any] = model.flavors["python_function"]
        for role, entry in flavor["artifacts"].items():
            entry["uri"] = self.sources[role].uri
        flavor["model_code_path"] = CODE.name
        model.save(folder / "MLmodel")


def code_version() -> str:
    """Fingerprint of the library source that makes a prediction, and of the packages that decide its numbers."""
    return source_fingerprint([CODE.read_text(encoding="utf-8"), PREDICTION.read_text(encoding="utf-8")])


def requirements() -> list[str]:
    """Pinned requirements of a prediction: public versions, no addresses, no folders."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIRED]


def _signature(settings: ReplySettings) -> Any:
    """Posts in, ranked replies out. The input column has no name, as MLflow would then refuse a plain list of posts."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    output = [("string", "post"), ("long", "rank"), ("string", "reply"), ("double", "score")]
    return ModelSignature(
        inputs=Schema([ColSpec("string")]),
        outputs=Schema([ColSpec(kind, name) for kind, name in output]),
        params=ParamSchema(
            [
                ParamSpec("k", "long", settings.k),
                ParamSpec("temperature", "double", settings.temperature),
                ParamSpec("seed", "long", settings.seed),
            ]
        ),
    )


@contextmanager
def _mlflow_package() -> Iterator[None]:
    """Turn MLflow's errors into ours, and leave out the warnings that it causes itself."""
    from mlflow.exceptions import MlflowException

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")  # its own classes
        try:
            yield
        except MlflowException as error:
            raise TrackingError(f"cannot write the model's folder: {error}") from error
