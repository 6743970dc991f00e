x[0]=a
x[$i+1]=b
x[a b]=c
x["k]"]=d
x[$(n)]=e
