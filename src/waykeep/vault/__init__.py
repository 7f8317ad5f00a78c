"""Segments and journal over a store, durable and create-only. May import errors, formats and authority."""
