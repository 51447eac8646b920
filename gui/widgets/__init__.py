"""Small parts the windows are built of. They know theme, texts and presenters."""
