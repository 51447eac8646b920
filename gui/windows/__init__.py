"""The window and its tabs; ``tabs.py`` lists them."""
