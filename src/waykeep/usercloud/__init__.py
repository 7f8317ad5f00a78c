"""Attested: the owner's server. May import the pure rooms, channel, vault and supervisor."""
