"""Reading Open Dental on MariaDB or MySQL, and what its tables mean."""
