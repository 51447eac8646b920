"""The first-run wizard without a window: what is asked, tried, remembered, and what is missing."""
