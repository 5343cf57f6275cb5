"""The object store as the server hands it on: every byte goes through the server.

MLflow's own S3 class tells clients to fetch and send large files from the store itself, at an address that only the
server can reach; they would try for minutes. Inside the container; imports nothing of emotion_mlflow.
"""

from typing import Any

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

SCHEME = "served"


class ServedRepository(ArtifactRepository):
    """`served://bucket/path` is `s3://bucket/path` without the signed addresses."""

    def __init__(self, artifact_uri: str, *arguments: Any, **named: Any) -> None:
        super().__init__(artifact_uri, *arguments, **named)
        self.store = S3ArtifactRepository(artifact_uri.replace(f"{SCHEME}://", "s3://", 1), *arguments, **named)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """See ArtifactRepository."""
        self.store.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """See ArtifactRepository."""
        self.store.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> Any:
        """See ArtifactRepository."""
        return self.store.list_artifacts(path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """See ArtifactRepository."""
        self.store.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self.store._download_file(remote_file_path, local_path)
