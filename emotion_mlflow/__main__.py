"""`python -m emotion_mlflow` is `emotion-mlflow`."""

from emotion_mlflow.cli import main

main()
