"""The attested program.

Puts the supervisor and what it forks together, and nothing else. Imports trusted rooms only.
"""
