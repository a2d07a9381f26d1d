"""The rows of `benchmarks/run.py`: a module each, with a function that measures it."""
