"""SQL of the batch companion: what it reads of persons, proposals and their review, hints."""
