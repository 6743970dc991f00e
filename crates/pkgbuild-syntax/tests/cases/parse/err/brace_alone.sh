}
a
