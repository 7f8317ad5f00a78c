"""Attested: one process for one query of a study. It sees bounded contributions, and releases noisy sums once."""
