"""The seven steps and a study, shown, and studies simulated. May import every room but host, which it starts as a
process, and cli."""
