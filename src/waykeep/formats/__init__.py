"""Identifiers, digests, messages and files: bytes <-> frozen types. Pure; may import errors."""
