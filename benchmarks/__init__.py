"""How fast this project is, each figure as a ratio whose both sides are measured in one run. Imported by nobody."""
