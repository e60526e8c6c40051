"""Two services that talk by events: users, and the translation of what they are greeted with."""
