if(a)then(b)else(c)fi
if ((1));then ((2));fi
