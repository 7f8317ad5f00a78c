"""A study before anybody is asked: made-up people answer it here. A researcher's room; no trusted one knows it."""
