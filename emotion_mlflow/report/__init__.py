"""A comparison in the forms people read: terminal, HTML, Markdown, CSV, JSON. Used by jobs and cli."""
