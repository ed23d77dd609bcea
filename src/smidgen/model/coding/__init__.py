"""The entropy coders of the .smidgen file: from integer levels to bits and back."""
