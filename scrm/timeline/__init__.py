"""The timeline: events on nodes, pages over persons, and the conversations a rep's queue is made of."""
