"""Which versions are compared and what comes out, in plain values: no TensorFlow, and MLflow only in `jobs`."""
