"""Attested: quotes, forks and binds processes. May import errors, formats, authority and attestation."""
