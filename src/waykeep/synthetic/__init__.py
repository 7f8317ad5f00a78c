"""Synthetic people: made from a seed and nothing else, so nobody real is in them. Tools of authors; no trusted room."""
