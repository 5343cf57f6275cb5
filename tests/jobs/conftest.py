"""Jobs called in this process."""

import pytest

from emotion_mlflow.cli.progress import PlainReporter


@pytest.fixture
def reporter():
    return PlainReporter()
