echo (a)
b
