"""Who is who: identifiers as nodes, evidence between them, persons as a projection that can be rebuilt."""
