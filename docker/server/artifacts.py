"""Moves the artifacts out of the object store and into it, for `emotion-mlflow stack backup` and `restore`.

Runs inside the server's container, which alone knows the store: `artifacts.py save` writes a tar to stdout,
`artifacts.py restore FILE` stores one and removes the file, `artifacts.py digests` and `count` tell what is there.
"""

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from start import BUCKET, STORE, secret

PREFIX = "artifacts/"
PIECE = 1 << 20


def store() -> Any:
    """A client of the store, with the server's own key."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=STORE,
        aws_access_key_id="mlflow",
        aws_secret_access_key=secret("store_key"),
        region_name="us-east-1",
    )


def keys(client: Any) -> Iterator[str]:
    """Every artifact's key, in order."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX):
        yield from (item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/"))


def answer_for(client: Any, key: str) -> Any:
    """The object, or None if it was deleted since it was listed."""
    try:
        return client.get_object(Bucket=BUCKET, Key=key)
    except client.exceptions.NoSuchKey:
        return None


def save(client: Any) -> None:
    """A tar of all artifacts, named without the prefix, on stdout."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for key in keys(client):
            answer = answer_for(client, key)
            if answer is None:
                continue
            entry = tarfile.TarInfo(key.removeprefix(PREFIX))
            entry.size, entry.mode = answer["ContentLength"], 0o600
            entry.mtime = int(answer["LastModified"].timestamp())
            tar.addfile(entry, answer["Body"])


def restore(client: Any, file: Path) -> None:
    """Stores every file of the tar."""
    with tarfile.open(file) as tar:
        for entry in tar:
            if entry.isfile():
                client.upload_fileobj(tar.extractfile(entry), BUCKET, PREFIX + entry.name)
    file.unlink()


def digests(client: Any) -> None:
    """One JSON object on stdout: name to SHA-256 of what the store gives back."""
    found = {}
    for key in keys(client):
        if answer := answer_for(client, key):
            digest = hashlib.sha256()
            for piece in answer["Body"].iter_chunks(PIECE):
                digest.update(piece)
            found[key.removeprefix(PREFIX)] = digest.hexdigest()
    sys.stdout.write(json.dumps(found))


def main(verb: str, *arguments: str) -> None:
    """Does one of the four."""
    client = store()
    if verb == "save":
        save(client)
    elif verb == "restore":
        restore(client, Path(arguments[0]))
    elif verb == "digests":
        digests(client)
    elif verb == "count":
        sys.stdout.write(str(sum(1 for _ in keys(client))))
    else:
        sys.exit(f"expected save, restore, digests or count; got {verb}")


if __name__ == "__main__":
    main(*sys.argv[1:])
