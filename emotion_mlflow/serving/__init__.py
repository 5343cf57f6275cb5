"""What is registered and served: one self-contained script that carries preprocessing and label order."""
