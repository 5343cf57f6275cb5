"""The MLflow side: runs, registry. The only rooms that read MLFLOW_* variables."""
