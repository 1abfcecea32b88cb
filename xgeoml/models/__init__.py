"""The models: one file each, arrays or tensors in and out, and their specs in `catalog`."""
