"""The bus between processes: hints that something changed. A lost one costs latency, never data."""
