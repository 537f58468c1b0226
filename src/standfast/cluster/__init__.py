"""A site on several servers: what it shall be like, and what makes it so."""
