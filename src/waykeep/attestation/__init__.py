"""Evidence, reference values and their appraisal. Pure; may import errors, formats and authority."""
