"""Small parts the windows are built of. They know the theme and the texts, no requests."""
