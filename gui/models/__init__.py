"""Models of the window's lists: changed by difference, so selection and focus stay."""
