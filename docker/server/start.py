"""Starts the tracking server: secrets are read from files, bucket and first user are made sure of, then `mlflow server`
takes this process's place. Runs inside the container; imports nothing of emotion_mlflow.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

SECRETS = Path("/run/secrets")
SCRATCH = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108  the container's own
SETTINGS = Path("/tmp/basic_auth.ini")  # noqa: S108  in memory (tmpfs): it holds the database's password
BUCKET = "mlflow"
STORE = "http://store:8333"
ADMIN = "admin"
PATIENCE_SECONDS = 60


def secret(name: str) -> str:
    """The content of one secret, which must not be empty."""
    value = (SECRETS / name).read_text().strip()
    if not value:
        sys.exit(f"expected a secret in {SECRETS / name}; got an empty file")
    return value


def names(variable: str) -> str:
    """The comma-separated list without its empty places."""
    return ",".join(part.strip() for part in os.environ[variable].split(",") if part.strip())


def database(name: str) -> str:
    """The address of one of the two databases. SQLAlchemy 2.1 takes psycopg 3 unless the driver is named."""
    return f"postgresql+psycopg2://mlflow:{quote(secret('database_password'), safe='')}@database:5432/{name}"


def settled(work: Callable[[], None], what: str) -> None:
    """Does it, again and again while database or store are still on their way."""
    started = time.monotonic()
    while True:
        try:
            work()
            return
        except Exception as error:  # any driver's own; the last one is raised
            if time.monotonic() - started > PATIENCE_SECONDS:
                raise
            sys.stderr.write(f"waiting for {what}: {type(error).__name__}\n")
            time.sleep(2)


def ensure_bucket() -> None:
    """The bucket is there."""
    import boto3
    from botocore.exceptions import ClientError

    client = boto3.client("s3", endpoint_url=STORE)
    try:
        client.head_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=BUCKET)


def ensure_admin(address: str) -> None:
    """The admin's password is the secret's: at the first start, after a change of the file, after a restore."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    users = SqlAlchemyStore()
    users.init_db(address)
    password = secret("admin_password")
    if not users.has_user(ADMIN):
        users.create_user(ADMIN, password, is_admin=True)
    elif not users.authenticate_user(ADMIN, password):
        users.update_user(ADMIN, password=password, is_admin=True)
        sys.stderr.write("the admin's password now is the one in the secret\n")


def empty_scratch() -> None:
    """Half an upload of a killed server is of no use to anybody."""
    for left in SCRATCH.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def write_auth_settings(address: str) -> Path:
    """basic_auth.ini, readable by this user alone."""
    settings = {
        "default_permission": os.environ["STACK_DEFAULT_PERMISSION"],
        "database_uri": address.replace("%", "%%"),
        "admin_username": ADMIN,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    SETTINGS.touch(mode=0o600)
    SETTINGS.write_text("[mlflow]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    return SETTINGS


def main() -> None:
    """Never returns."""
    os.umask(0o077)
    empty_scratch()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "mlflow",
        "AWS_SECRET_ACCESS_KEY": secret("store_key"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": STORE,
        "MLFLOW_BACKEND_STORE_URI": database("mlflow"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret("session_key"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": names("STACK_HOSTS"),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": names("STACK_ORIGINS"),
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
    }
    settled(ensure_bucket, "the store")
    settled(lambda: ensure_admin(database("mlflow_auth")), "the database")
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(write_auth_settings(database("mlflow_auth")))
    arguments = ["mlflow", "server", "--app-name", "basic-auth", "--host", "0.0.0.0", "--port", "5000"]  # noqa: S104
    arguments += ["--workers", os.environ["STACK_WORKERS"], "--artifacts-destination", f"served://{BUCKET}/artifacts"]
    os.execvp(arguments[0], arguments)  # noqa: S606


if __name__ == "__main__":
    main()
