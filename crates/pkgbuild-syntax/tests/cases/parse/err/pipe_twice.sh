a | | b
c
