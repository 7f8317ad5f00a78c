"""The witness: small and alone. A compare-and-swap register that signs what it holds, so that no host can rewind it."""
