"""Random flows on three workers under random faults, each from one integer seed."""
