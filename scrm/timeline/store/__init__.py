"""SQL of the timeline: events on nodes, and conversations."""
