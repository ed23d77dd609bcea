"""The searches: the smallest network (`shrink`), the fewest bytes (`compress`), one family at many widths (`sweep`)."""
