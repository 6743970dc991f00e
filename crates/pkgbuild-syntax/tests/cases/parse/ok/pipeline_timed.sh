time a
time -p b | c
time
