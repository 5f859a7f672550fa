"""pytest plugin (written below)."""
