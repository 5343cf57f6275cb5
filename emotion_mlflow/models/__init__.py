"""Networks: backbones, heads, losses, and how they are put together. The only rooms above `features` that know Keras."""
