echo ${x-a} ${x:-b c} ${x=} ${x:=d} ${x?e} ${x:?f g} ${x+h} ${x:+"i"}
