"""What a model costs to run: arithmetic and size by counting, time and memory by measuring."""
