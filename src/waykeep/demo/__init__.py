"""The seven steps, shown. May import every room but host, which it starts as a process, and cli."""
