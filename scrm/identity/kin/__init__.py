"""Who is what to whom, and who plays which part: rows of relations and roles, and what follows from them."""
