a & && b
