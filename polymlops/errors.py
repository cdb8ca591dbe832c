"""Every error that polymlops raises on purpose, as one tree.

PolymlopsError
├── UsageError            the caller asked for something that cannot be done; exit code 2
│   ├── ConfigError       a profile, a key or a value (ValueError)
│   ├── InputError        a file or a row that was given (ValueError)
│   └── MetricError       arguments for which a metric has no meaning (ValueError)
└── StageError            work that was under way failed; exit code 1 (RuntimeError)
    ├── ArtifactError     an artifact is missing or has another digest
    ├── TrackingError     the tracking store did not take or give something
    ├── BudgetError       the money that was allowed is spent
    ├── WorkerLostError   a worker took a stage and was not heard of again
    ├── TrainingError     training diverged or did not train
    └── DataQualityError  data or a model failed its own validation
"""

from __future__ import annotations


class PolymlopsError(Exception):
    """Base of all errors raised on purpose; the message names the value and the remedy."""


class UsageError(PolymlopsError):
    """The request itself is at fault: nothing was started, and the same request will fail again."""


class ConfigError(UsageError, ValueError):
    """A profile, key or value that the schema refuses; one line per fault."""


class InputError(UsageError, ValueError):
    """A file, row or column that was given and cannot be used."""


class MetricError(UsageError, ValueError):
    """Arguments for which a metric has no meaning (NaN, a count above its total, mismatched shapes)."""


class StageError(PolymlopsError, RuntimeError):
    """Work under way failed; what was finished before is kept and the next run goes on from there."""


class ArtifactError(StageError):
    """A referenced artifact is missing, or its content has another digest."""


class TrackingError(StageError):
    """The tracking store could not be reached, or refused what it was given."""


class BudgetError(StageError):
    """What was allowed to be spent does not reach for the next stage; a higher budget goes on from here."""


class WorkerLostError(StageError):
    """The process that worked on a stage is gone; another may take the stage up."""


class TrainingError(StageError):
    """A training run diverged, had nothing to train, or broke one of its invariants."""


class DataQualityError(StageError):
    """Prepared data or a trained model failed the checks that it must pass."""
