"""Go-live tests: prove on the spot that practice and CRM agree, both ways, and sign for it."""
