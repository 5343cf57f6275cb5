"""Whole jobs: training and evaluation from faces to MLflow. Used by the command line."""
