"""What a server of the site is made to be: each concern a pure function to files and commands."""
