a < <(b
