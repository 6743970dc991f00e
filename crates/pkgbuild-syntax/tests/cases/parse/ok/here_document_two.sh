cat <<A <<B; echo c
a
A
b
B
