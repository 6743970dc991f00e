else
x=1
