"""Networks: backbones, heads, losses, and how they are put together."""
