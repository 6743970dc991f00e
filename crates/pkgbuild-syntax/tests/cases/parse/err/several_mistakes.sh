a | | b
x=1
( )
y=2
fi
z=3
