"""Differential privacy: bounds of a contribution, mechanisms and their cost, the ledger. Integers; no I/O, no clock."""
