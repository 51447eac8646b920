"""The desktop against a real Qt event loop and a real agent process."""
