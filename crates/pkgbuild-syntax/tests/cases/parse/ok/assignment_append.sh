x+=y
x+=(a b)
x[1]+=c
