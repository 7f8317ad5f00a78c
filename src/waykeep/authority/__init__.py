"""Who may do what: signed statements, logs and requests. Pure; may import errors and formats."""
