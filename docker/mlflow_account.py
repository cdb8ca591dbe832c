"""Run once after MLflow: the workers' account, which is no administrator; made, or given its present password."""

from __future__ import annotations

import os

from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client


def main() -> None:
    """Make the account, or set its password where there is one."""
    name, password = os.environ["MLFLOW_ACCOUNT"], os.environ["MLFLOW_ACCOUNT_PASSWORD"]
    client = get_app_client("basic-auth", tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    try:
        client.create_user(name, password)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        client.update_user_password(name, password)


if __name__ == "__main__":
    main()
