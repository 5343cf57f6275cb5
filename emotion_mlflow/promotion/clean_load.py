"""Run as a program by `reload`, isolated (-I) and without pickle: a saved model's answers to pictures, as JSON.

It imports nothing of this package, as a server that loads the model does not either.
"""

import base64
import json
import sys
from pathlib import Path


def main() -> None:
    """Arguments: folder of the model, JSON file with base64 pictures, JSON file to write the answers to."""
    folder, pictures, answers = sys.argv[1:]
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(folder)
    given = [base64.b64decode(picture) for picture in json.loads(Path(pictures).read_text())]
    told = [one if isinstance(one, dict) else one.model_dump() for one in model.predict(given)]
    Path(answers).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
