"""The audit: claims against a result, each confirmed or refuted in a sentence with its arithmetic."""
