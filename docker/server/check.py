"""Is the server of use to a client? A real request, with a client's host name and password, through every part:
the registry's database, the users' database, the object store. `/health` says 200 even to a host name that is refused.
"""

import base64
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

REQUESTS = (
    "/api/2.0/mlflow/registered-models/search?max_results=1",
    "/api/2.0/mlflow-artifacts/artifacts?path=health",
)


def main() -> None:
    """Exit code 1 and one line if a request fails."""
    password = Path("/run/secrets/admin_password").read_text().strip()
    word = base64.b64encode(f"admin:{password}".encode()).decode()
    headers = {"Host": os.environ["STACK_HOSTS"].split(",")[0], "Authorization": f"Basic {word}"}
    for path in REQUESTS:
        try:
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:5000{path}", headers=headers), timeout=15
            ).read()
        except urllib.error.HTTPError as error:
            sys.exit(f"{path}: {error.code} {error.read(200).decode(errors='replace')}")
        except OSError as error:
            sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
