)
a
