{ a; )
b
