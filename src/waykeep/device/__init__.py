"""The owner's side: keystore, importers and client. May import the pure rooms and channel."""
