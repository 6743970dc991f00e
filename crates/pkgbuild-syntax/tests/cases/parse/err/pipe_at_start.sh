| a
b
