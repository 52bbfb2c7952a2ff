"""What every service stands on. Imports no service (design §2)."""
