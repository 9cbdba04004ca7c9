"""What we say of a person, field by field: which value shows, where it comes from, what else was said."""
