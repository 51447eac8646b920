"""From what the agent said to what is shown. Pure: no Qt, no I/O, no clock of its own."""
