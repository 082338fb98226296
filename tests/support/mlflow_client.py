"""The surroundings of an unmodified MLflow client."""

import os


def client_env(url: str) -> dict[str, str]:
    """An environment in which it talks to `url`, repeats nothing, and tells nobody else."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "MLFLOW_"))}
    return clean | {"MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
