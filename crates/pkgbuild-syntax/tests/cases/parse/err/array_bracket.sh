provides=(a(b) c)
