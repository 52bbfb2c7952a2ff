"""What each program of a cloud is made of; a ground says what it stands on."""
