"""Attested: a run, front and sandboxed child. May import the pure rooms, channel and supervisor."""
