"""TLS to an appraised peer and sessions over it. May import errors, formats, authority and attestation."""
