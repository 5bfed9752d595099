"""The kernel's interfaces as plain values; knows nothing of what is ours."""
