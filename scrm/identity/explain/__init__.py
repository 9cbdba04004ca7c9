"""Why identifiers are one person, persons one family, or neither: paths of evidence as sentences."""
