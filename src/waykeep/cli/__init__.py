"""Verbs without logic: arguments in, words and exit codes out. May import every room; no room imports it."""
