"""What is registered and served: one self-contained script that carries preprocessing and label order."""

import logging

# Said once at each import: MLflow does not check the elements of `bytes or pixels`. The model checks them itself.
logging.getLogger("mlflow.types.type_hints").setLevel(logging.ERROR)
