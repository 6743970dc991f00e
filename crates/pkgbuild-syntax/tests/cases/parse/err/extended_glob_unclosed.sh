ls !(a|b
c
