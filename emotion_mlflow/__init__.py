"""Multi-task affect from faces: train, measure and compare backbones with every number in MLflow."""

__version__ = "0.1.0"
