"""Parts say what each program of a cloud is made of, and which options it reads."""
