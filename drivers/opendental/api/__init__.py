"""Writing through Open Dental's own API, the only way its maker allows."""
