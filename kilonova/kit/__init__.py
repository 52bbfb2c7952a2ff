"""The foundation of every service. It imports none of them (design §2)."""
