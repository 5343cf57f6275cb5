"""MLflow's environment variables, for those who do not import MLflow. Used by the command line and promotion."""

import os


def started_by_mlflow_run() -> bool:
    """Whether `mlflow run` opened a run for this process."""
    return bool(os.environ.get("MLFLOW_RUN_ID"))


def address() -> str:
    """Of the tracking store; empty where none is said."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def without_mlflow() -> dict[str, str]:
    """This process's environment as if MLflow had been told nothing."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
