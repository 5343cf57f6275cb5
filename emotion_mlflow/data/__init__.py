"""From files to batches: readers, checks, splits, the pixel cache and augmentation."""
