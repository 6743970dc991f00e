{ a; } b
c
