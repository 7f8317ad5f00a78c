"""Benchmarks: modules with one `run()` each, rendered as tables by `make bench` and as JSON by `--json`."""
